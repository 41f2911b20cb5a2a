"""Batches over HTTP: each record is kept once, and acknowledged after it is."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest

from requestcov.record import Block, SourceFile, new_id
from requestcov.storage import open_store
from requestcov.wire import encode
from tests.server.collector.running import Collecting
from tests.storage.samples import batch, ledger, record


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_batch_is_in_the_store_once_it_is_acknowledged(collector: Collecting, packed: bool):
    sent = batch([record(seq) for seq in range(1, 21)])
    response = collector.post(sent, packed=packed)
    assert response.status_code == 200
    assert response.json() == {"id": sent.id, "records": 20, "new": 20, "known": 0, "late": 0}
    assert {one.id for one in sent.records} <= collector.ids()


def test_a_batch_sent_again_adds_nothing(collector: Collecting):
    sent = batch([record(seq) for seq in range(1, 11)])
    collector.post(sent)
    before = collector.ids()
    assert collector.post(sent).json() == {"id": sent.id, "records": 10, "new": 0, "known": 10, "late": 0}
    assert collector.ids() == before


def test_a_batch_under_a_known_id_with_other_records_adds_those(collector: Collecting):
    """What is known is a record, by its id; the batch's id is only told back."""
    first, second = record(1), record(2)
    sent = batch([first])
    collector.post(sent)
    told = collector.post(replace(sent, records=(first, second))).json()
    assert (told["new"], told["known"]) == (1, 1)


def test_a_record_under_a_known_id_with_other_content_stays_as_it_was(collector: Collecting):
    first = record(1)
    collector.post(batch([first]))
    assert collector.post(batch([replace(first, weight=99.0)])).json()["known"] == 1
    with open_store(str(collector.store)) as store:
        assert [one.weight for one in store.records() if one.id == first.id] == [first.weight]


def test_a_ledger_and_sources_come_with_a_batch_and_a_late_ledger_changes_nothing(collector: Collecting):
    boot = new_id()
    text = SourceFile("shop/views.py", "aa" * 16, b"x = 1\n")
    collector.post(batch([], ledger(7, boot=boot), [text]))
    collector.post(batch([], ledger(3, boot=boot)))
    with open_store(str(collector.store)) as store:
        assert [one.stored for one in store.ledgers() if one.boot == boot] == [7]
        assert text in list(store.sources())


def test_names_that_are_hostile_anywhere_else_are_kept_as_they_are(collector: Collecting):
    name = "</script>'\"; DROP TABLE request;--\x1b[31m\r\n"
    hostile = record(1, route=name, service=name, release=name, labels={name: name}, error=name)
    assert collector.post(batch([hostile])).status_code == 200
    with open_store(str(collector.store)) as store:
        assert [one.route for one in store.records() if one.id == hostile.id] == [name]


def test_a_field_of_a_later_version_is_passed_over(collector: Collecting):
    data = json.loads(encode(batch([record(1)]))) | {"more": True}
    assert collector.post(json.dumps(data).encode()).json()["new"] == 1


def test_connections_are_kept_for_the_next_batch(collector: Collecting):
    for seq in range(1, 4):
        response = collector.post(batch([record(seq)]))
        assert "connection" not in response.headers


def test_every_answer_binds_a_browser(collector: Collecting):
    for response in (
        collector.client.get("/healthz"),
        collector.client.get("/nowhere"),
        collector.client.get("/metrics"),
        collector.post(b"{}"),
        collector.post(batch([record(1)])),
    ):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["cache-control"] == "no-store"
        assert "server" not in response.headers


def test_a_chunked_body_is_a_batch_like_any(collector: Collecting):
    body = gzip.compress(encode(batch([record(1)])))
    response = collector.client.post(
        "/v1/batches",
        content=(body[at : at + 10] for at in range(0, len(body), 10)),
        headers={
            "Content-Type": "Application/JSON; charset=UTF-8",
            "Content-Encoding": "x-gzip",
            "Authorization": "bearer write-token-of-these-tests",
        },
    )
    assert response.json()["new"] == 1


def test_texts_that_are_not_unicode_come_back_as_they_were(collector: Collecting):
    """A label may hold half a surrogate pair, and a path bytes that are not UTF-8."""
    odd = record(1, labels={"\ud800": "\udfff"}, blocks=(Block("caf\udce9.py", "", frozenset({1})),))
    assert collector.post(batch([odd])).status_code == 200
    with open_store(str(collector.store)) as store:
        assert [one.labels for one in store.records() if one.id == odd.id] == [odd.labels]
        assert "caf\udce9.py" in store.paths()
