"""The bar of a long command: on a terminal, and nowhere else."""

from __future__ import annotations

import io
import sys

import pytest

from requestcov.commands.writing import progress


class Terminal(io.StringIO):
    """What a terminal is to rich."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_a_bar_is_shown_on_a_terminal_only(monkeypatch, stream, shown):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    with progress("importing", 10) as advance:
        advance(5)
    assert ("importing" in stream.getvalue(), bool(stream.getvalue())) == (shown, shown)


def test_without_rich_there_is_no_bar_and_no_complaint(monkeypatch):
    monkeypatch.setitem(sys.modules, "requestcov.reports.text.progress", None)
    with progress("importing", None) as advance:
        advance(5)
