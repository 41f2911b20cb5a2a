"""One batch on its way to the collector: whole, or, if that is refused, in parts.

Laws: parts have ids that follow from the whole's, so that a repeat after a
crash is known to the collector; they go in order, and the ledger that each
carries is the whole's less what is still to come of it. A single record that is
refused goes to quarantine and is counted; the others pass. The last part is
the ledger alone, which then tells of those refused. What is never answered
may be too large for the way there, and is divided too. Records are divided as
they were written, and not understood: what is wrong with one is no other's harm.
"""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from requestcov import wire
from requestcov.sinks.http_answers import Refused, Unsent
from requestcov.sinks.http_losses import correct

if TYPE_CHECKING:
    from requestcov.sinks.http_client import Client


DIVIDE_AFTER = 4
"""Attempts in a row in the middle of which the connection breaks or time runs out, after which a
batch is halved: some servers hang up on what is too large, and a slow line may never be done with it."""


@dataclass(frozen=True)
class Part:
    """Some of a batch: its records and sources as they stand in its document."""

    id: str
    records: tuple[Mapping[str, Any], ...]
    sources: tuple[Mapping[str, Any], ...]


class Office(Protocol):
    """Whoever keeps the accounts of a batch on its way."""

    def lost(self) -> Mapping[str, int]:
        """What was lost up to this batch, by reason."""

    def deliver(self, records: int) -> None:
        """So many records of it are acknowledged."""

    def reject(self, part: Part, body: bytes, why: str) -> None:
        """A part that cannot be divided is refused."""


class Delivery:
    """Takes one batch to the collector, an exchange at a time.

    Args:
        batch: its id.
        records: how many it has.
        body: it, encoded and compressed.
    """

    def __init__(self, batch: str, records: int, body: bytes, office: Office) -> None:
        self._id = batch
        self._records = records
        self._body = body
        self._office = office
        self._document: dict[str, Any] = {}
        self._parts: list[Part] | None = None
        self._broken = 0

    @property
    def divided(self) -> bool:
        """Whether parts of it may have arrived."""
        return self._parts is not None

    def step(self, client: Client) -> bool:
        """Make one exchange; whether the batch is done with.

        Raises:
            Unsent: it was not acknowledged; try again.
            ValueError: the body is no batch.
        """
        try:
            done = self._send_whole(client) if self._parts is None else self._send_part(client)
        except Unsent as unsent:
            self._broken = self._broken + 1 if unsent.broke else 0
            if self._broken >= DIVIDE_AFTER:
                self._broken = 0
                self._make_smaller()
            raise
        self._broken = 0
        return done

    def _send_whole(self, client: Client) -> bool:
        try:
            client.post(self._id, self._records, corrected(self._body, self._office.lost()))
        except Refused as refused:
            whole = self._whole()
            parts = _divide(whole)
            if not parts:
                self._office.reject(whole, self._body, str(refused))
            if not self._records and not parts:
                return True
            self._parts = [*parts, _ledger_alone(whole)][::-1]
            return False
        self._office.deliver(self._records)
        return True

    def _send_part(self, client: Client) -> bool:
        assert self._parts
        part = self._parts[-1]
        to_come = sum(len(later.records) for later in self._parts[:-1])
        body = self._pack(part, to_come)
        try:
            client.post(part.id, len(part.records), body)
        except Refused as refused:
            self._parts.pop()
            smaller = _divide(part)
            if not smaller:
                self._office.reject(part, body, str(refused))
            self._parts.extend(reversed(smaller))
        else:
            self._parts.pop()
            self._office.deliver(len(part.records))
        return not self._parts

    def _make_smaller(self) -> None:
        if self._parts is None:
            whole = self._whole()
            parts = _divide(whole)
            if parts:
                self._parts = [*parts, _ledger_alone(whole)][::-1]
            return
        parts = _divide(self._parts[-1])
        if parts:
            self._parts[-1:] = reversed(parts)

    def _whole(self) -> Part:
        self._document = json.loads(gzip.decompress(self._body))
        return Part(self._id, tuple(self._document["records"]), tuple(self._document["sources"]))

    def _pack(self, part: Part, to_come: int) -> bytes:
        ledger = {**self._document["ledger"], "dropped": dict(self._document["ledger"]["dropped"])}
        ledger["stored"] -= to_come
        ledger["pending"] += to_come
        correct(ledger, self._office.lost())
        document = wire.part_of(
            self._document, id=part.id, ledger=ledger, records=part.records, sources=part.sources
        )
        return gzip.compress(document, mtime=0)


def corrected(body: bytes, lost: Mapping[str, int]) -> bytes:
    """A batch whose ledger tells also what was lost since it was made."""
    if not lost:
        return body
    data = json.loads(gzip.decompress(body))
    if not correct(data["ledger"], lost):
        return body
    return gzip.compress(json.dumps(data, separators=(",", ":")).encode("ascii"), mtime=0)


def _divide(batch: Part) -> list[Part]:
    """Two parts or three of a batch, in order; none when it cannot be divided."""
    records, sources = batch.records, batch.sources
    if records and sources:
        first = replace(_part(batch, "sources"), sources=sources)
        return [first, *_halves(replace(batch, sources=()))]
    return _halves(batch) if len(records) + len(sources) > 1 else []


def _halves(batch: Part) -> list[Part]:
    middle, half = (len(batch.records) + 1) // 2, (len(batch.sources) + 1) // 2
    halves = [
        replace(_part(batch, "0"), records=batch.records[:middle], sources=batch.sources[:half]),
        replace(_part(batch, "1"), records=batch.records[middle:], sources=batch.sources[half:]),
    ]
    return [part for part in halves if part.records or part.sources]


def _part(batch: Part, name: str) -> Part:
    """A part with nothing in it yet; its id follows from the batch's."""
    return Part(uuid.uuid5(uuid.UUID(batch.id), name).hex, (), ())


def _ledger_alone(batch: Part) -> Part:
    return _part(batch, "ledger")
