"""``requestcov releases`` end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from requestcov.cli import main
from tests.analysis.traffic_by_hand import traffic
from tests.reports.shop_store import MISSING, SHIPPED, SHOWN, write_store


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("REQUESTCOV_SINKS", raising=False)
    records = [
        *traffic([0], 20, MISSING, release="r1"),
        *traffic([0], 20, SHOWN, release="r1"),
        *traffic([1], 40, SHOWN, release="r2"),
        *traffic([1], 9, SHIPPED, release="r2", endpoint="POST /orders"),
    ]
    write_store(Path("requestcov.db"), records)


def test_what_began_and_what_went_silent(capsys):
    assert main(["releases", "r1", "r2"]) == 0
    begun, silent = capsys.readouterr().out.split("Gone silent in r2")
    assert "shop/views.py:14 ship" in begun
    assert "shop/views.py:8 show" in silent
    assert "yes" in silent
    assert "of r1 there are 40 records" in silent


def test_json_has_the_same(capsys):
    assert main(["releases", "r1", "r2", "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert list(data) == ["v", "selection", "footing", "releases", "footing_before"]
    assert [item["name"] for item in data["releases"]["begun"]] == ["ship"]
    assert [item["significant"] for item in data["releases"]["silent"]] == [True]
    assert (data["footing_before"]["records"], data["footing"]["records"]) == (40, 49)


def test_an_unknown_release_is_named_beside_the_known_ones(capsys):
    assert main(["releases", "r1", "r9"]) == 1
    assert "'r9' is recorded here; releases are 'r1', 'r2'" in capsys.readouterr().err
