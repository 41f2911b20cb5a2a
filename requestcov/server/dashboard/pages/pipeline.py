"""What became of every sampled request, and which processes still tell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from requestcov.analysis.evidence import Selection
from requestcov.analysis.gather import ledgers
from requestcov.analysis.health import SILENT, Voice, health
from requestcov.record import Ledger
from requestcov.server.dashboard.answers import Question
from requestcov.server.dashboard.filters import sort, text, whole
from requestcov.server.dashboard.tables import table
from requestcov.server.dashboard.view import View

FIELDS = (
    text("q"),
    sort("age", "worker", "-seen", "-sampled", "-stored", "-dropped", "-pending"),
    whole("at", 1),
)

MEANINGS = {
    Voice.SPEAKING: "told something in the last five minutes",
    Voice.IDLE: "nothing new for longer, and nothing pending: no traffic, or ended in good order",
    Voice.SILENT: "nothing new for longer, with requests pending: most likely killed, and those are lost",
}


def ledgers_of(selection: Selection) -> Question[tuple[Ledger, ...]]:
    """What every process concerned said last."""
    return Question("ledgers", selection, lambda desk: ledgers(desk.place, selection))


def page(view: View) -> Mapping[str, object]:
    """What the template is filled with."""
    view.evidence()
    told = view.need(ledgers_of(view.selection))
    found = health(told, datetime.now(UTC))
    shown = table(
        view,
        found.workers,
        {
            "age": lambda worker: worker.age,
            "worker": lambda worker: worker.ledger.worker,
            "seen": lambda worker: worker.seen,
            "sampled": lambda worker: worker.ledger.sampled,
            "stored": lambda worker: worker.ledger.stored,
            "dropped": lambda worker: worker.dropped,
            "pending": lambda worker: worker.ledger.pending,
        },
        searched=lambda worker: (
            f"{worker.ledger.worker} {worker.ledger.service} {worker.ledger.release} {worker.voice.value}"
        ),
    )
    return {
        "title": "Pipeline",
        "health": found,
        "table": shown,
        "voices": [(voice, found.voices.get(voice, 0), MEANINGS[voice]) for voice in Voice],
        "ago": ago,
        "minutes": SILENT // timedelta(minutes=1),
    }


def ago(age: timedelta) -> str:
    """How long ago, in the largest unit that fits: ``3 min``."""
    seconds = int(age.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
