"""An app's side without an app: a pipeline with one HTTP sink, and records to put."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from requestcov.config import Config
from requestcov.pipeline import Pipeline
from requestcov.record import Ledger, RequestRecord
from requestcov.sinks import open_sink
from tests.pipeline.memory import assert_balanced, record

TOKEN = "canary-token-0123456789abcdef"


class App:
    """A pipeline as a recorder has it."""

    def __init__(
        self, url: str, spool: Path | str, assemble: Callable[[Any], RequestRecord] = record, **options: Any
    ):
        source = options.pop("source", lambda path, digest: None)
        defaults = {"flush_interval": 0.02, "batch_size": 10, "queue_size": 1000, "sink_timeout": 5}
        self.config = Config(**{"token": TOKEN, "spool": str(spool), "sinks": [url], **defaults, **options})
        self.sinks: list[Any] = []
        self.seen = {"GET /": 0}

        def sinks() -> list[Any]:
            self.sinks = [open_sink(one, self.config) for one in self.config.sinks]
            return self.sinks

        self.pipeline = Pipeline(
            self.config, assemble, sinks=sinks, seen=lambda: self.seen, excluded=lambda: 0, source=source
        )

    @property
    def sink(self) -> Any:
        return self.sinks[0]

    @property
    def ledger(self) -> Ledger:
        ledger = self.pipeline.ledgers()[0]
        assert_balanced(ledger)
        return ledger

    @property
    def state(self) -> Any:
        return self.pipeline.states()[0]

    def put(self, count: int = 1) -> None:
        """So many requests are recorded and finished."""
        for _ in range(count):
            number = self.pipeline.sampled()
            self.seen["GET /"] += 1
            self.pipeline.put(number)

    def flush(self, timeout: float = 10) -> bool:
        return self.pipeline.flush(timeout)

    def close(self, timeout: float = 0.05) -> bool:
        done = self.pipeline.close(timeout)
        until(lambda: not any(loop.alive for loop in self.pipeline._process.threads))
        for loop in self.pipeline._process.threads:
            loop.close()
        return done

    def __enter__(self) -> App:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def until(true: Callable[[], Any], seconds: float = 15) -> None:
    """Wait for something that happens in another thread or process."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def files(spool: Path | str) -> list[str]:
    """The batches in a spool, by name."""
    found = []
    for _, _, names in os.walk(spool):
        found += [name for name in names if name.endswith((".batch", ".tried"))]
    return sorted(found)
