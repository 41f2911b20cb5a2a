"""Source texts come with the answers that need them."""

from __future__ import annotations

import os
from pathlib import Path

from requestcov.analysis.evidence import Selection
from requestcov.server.dashboard.desk import Desk, evidence
from tests.reports.shop_store import shop


def test_no_text_is_read_by_itself_once_what_ran_is_known(tmp_path: Path):
    desk = Desk(shop(tmp_path / "s.db"), None)
    found = desk.answers.ask(evidence(Selection()), 60).answer
    assert found is not None
    os.unlink(tmp_path / "s.db")
    assert len(found.value.texts) == len(found.value.newest) > 0
    desk.close()
