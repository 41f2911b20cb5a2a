"""Which engine runs where, and the reasons that people are told."""

from __future__ import annotations

import sys
from contextvars import ContextVar

import pytest

from requestcov.engines import Collection, choose, select
from requestcov.engines.monitoring import MonitoringEngine
from requestcov.engines.trace import TraceEngine
from tests.engines.laboratory import HAS_MONITORING


@pytest.mark.parametrize("branch", [False, True])
def test_every_engine_is_either_chosen_or_rejected_with_a_reason(branch: bool) -> None:
    choice = choose(branch)
    assert choice.because
    assert {choice.name, *choice.rejected} == {"monitoring", "trace"}
    assert choice.name not in choice.rejected
    assert all(choice.rejected.values())


def test_lines_are_collected_by_monitoring_where_there_is_any() -> None:
    choice = choose(branch=False)
    if HAS_MONITORING:
        assert choice.name == "monitoring"
        assert "sys.monitoring" in choice.because
    else:
        assert choice.name == "trace"
        assert choice.because == "Python 3.11 has no sys.monitoring"
        assert choice.rejected == {"monitoring": "needs Python 3.12 or later"}


def test_branches_are_always_collected_by_tracing() -> None:
    choice = choose(branch=True)
    assert choice.name == "trace"
    assert ("branch" in choice.because) == HAS_MONITORING


def test_the_choice_follows_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """By version alone: an attribute that somebody adds to sys changes nothing."""
    monkeypatch.setattr(sys, "version_info", (3, 11, 9, "final", 0))
    assert choose(branch=False).because == "Python 3.11 has no sys.monitoring"
    monkeypatch.setattr(sys, "version_info", (3, 14, 0, "final", 0))
    assert choose(branch=False).name == "monitoring"


@pytest.mark.parametrize("branch", [False, True])
def test_select_makes_the_engine_that_was_chosen(branch: bool) -> None:
    active: ContextVar[Collection | None] = ContextVar("requestcov.under_test", default=None)
    engine = select(lambda name: False, active, branch=branch)
    try:
        assert engine.name == choose(branch).name
        assert type(engine) is {"monitoring": MonitoringEngine, "trace": TraceEngine}[engine.name]
        assert engine.arcs is branch
    finally:
        engine.close()
