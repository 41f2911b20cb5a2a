"""One collector for the tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.collector.running import Collecting, collecting


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collecting]:
    """A collector with small limits."""
    with collecting(
        tmp_path_factory.mktemp("collector"),
        *("--max-body", "200k", "--max-document", "1M", "--max-records", "100", "--body-timeout", "0.5"),
    ) as found:
        yield found
