"""Days of requests, and the texts of several versions of a file."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from requestcov._source import parse
from requestcov.analysis.evidence import Selection
from tests.reports.shop_store import SHOWN, record

DAY = timedelta(days=1)
EVERYTHING = Selection()


def traffic(days, requests=100, ran=SHOWN, weight=1.0, texts=None, endpoint="GET /orders/{id}", **more):
    return [
        record(endpoint, ran, texts=texts, at=day * DAY + timedelta(seconds=n), weight=weight, **more)
        for day in days
        for n in range(requests)
    ]


def with_sources(evidence, texts):
    return replace(
        evidence,
        source=lambda path, digest: parse(path, digest, texts[digest]) if digest in texts else None,
    )
