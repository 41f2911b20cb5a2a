"""The dashboard beside the collector: for those who may read, and for nobody else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.server.collector.running import READ, WRITE, Collecting, collecting, error
from tests.servers.harness import DEADLINE
from tests.storage.samples import batch, record

READER = {"Authorization": f"Bearer {READ}"}


def until_shown(collector: Collecting, text: str, headers: dict[str, str]) -> None:
    """Look at the first page until it has a text: what it shows follows the store."""
    deadline = time.monotonic() + DEADLINE
    while text not in (response := collector.client.get("/", headers=headers)).text:
        assert response.status_code in (200, 202), response.text
        assert time.monotonic() < deadline, "it is not shown"


def test_what_was_collected_is_on_the_first_page(tmp_path: Path):
    with collecting(tmp_path) as collector:
        assert collector.post(batch([record(1)])).status_code == 200
        until_shown(collector, "/orders/{id}", READER)


def test_the_dashboard_of_every_worker_knows_who_logged_in(tmp_path: Path):
    with collecting(tmp_path, "--workers", "2") as collector:
        collector.post(batch([record(1)]))
        login = collector.client.post("/login", data={"token": READ, "back": "/"})
        assert login.status_code == 303
        for _ in range(20):
            collector.client.headers["Connection"] = "close"
            assert collector.client.get("/").status_code in (200, 202)


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({**READER, "Accept": "text/html,*/*;q=0.8"}, 404, "text/html"),
        ({"Accept": "text/html"}, 401, "text/html"),
        (READER, 404, "application/json"),
    ],
    ids=["a reader's browser", "a stranger's browser", "a program"],
)
def test_a_browser_that_went_astray_gets_a_page(
    collector: Collecting, headers: dict[str, str], status: int, kind: str
):
    response = collector.client.get("/nowhere", headers=headers)
    assert (response.status_code, response.headers["Content-Type"].partition(";")[0]) == (status, kind)
    assert collector.client.get("/healthz", headers=headers).headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("headers", [{}, {"Authorization": f"Bearer {WRITE}"}], ids=["none", "write"])
def test_whoever_has_no_read_token_sees_the_login_page_alone(collector: Collecting, headers: dict[str, str]):
    response = collector.client.get("/", headers=headers)
    assert response.status_code == 401
    assert "/orders" not in response.text


def test_with_a_write_token_and_none_to_read_with_there_is_no_dashboard(tmp_path: Path):
    """Behind a proxy on the same machine, everybody would be taken for a neighbour."""
    with collecting(tmp_path, env={"REQUESTCOV_WRITE_TOKENS": WRITE}) as collector:
        response = collector.client.get("/")
        assert (response.status_code, error(response)) == (404, "There is nothing here.")
        assert "REQUESTCOV_READ_TOKENS would say who may look" in collector.server.output


def test_without_any_token_this_machine_may_look(tmp_path: Path):
    with collecting(tmp_path, env={}) as collector:
        collector.post(batch([record(1)]))
        until_shown(collector, "/orders/{id}", {})


def test_a_page_of_another_site_cannot_log_anybody_in(collector: Collecting):
    response = collector.client.post("/login", data={"token": READ}, headers={"Origin": "http://evil.test"})
    assert response.status_code == 403
