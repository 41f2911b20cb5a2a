"""Whether a store has changed is known without reading it."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from requestcov.errors import StoreError
from requestcov.server.dashboard.state import State
from requestcov.storage import open_store
from tests.reports.shop_store import SHOWN, record, shop
from tests.server.dashboard.stores import Growing


def test_the_state_is_the_same_until_somebody_writes(tmp_path: Path):
    growing = Growing(tmp_path / "s.db")
    growing.add(record("GET /", SHOWN))
    state = State(growing.url)
    first = state.now()
    assert first
    assert state.now() == first
    growing.add(record("GET /", SHOWN))
    second = state.now()
    assert second != first
    assert State(growing.url).now() == second == state.now()
    growing.close()
    state.close()


def test_nothing_is_read_while_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    state = State(shop(tmp_path / "s.db"))
    first = state.now()
    with open_store(str(tmp_path / "s.db")) as store:
        monkeypatch.setattr(type(store), "state", lambda self: pytest.fail("it was read"))
        assert state.now() == first
    state.close()


def test_another_file_in_its_place_is_noticed(tmp_path: Path):
    growing = Growing(tmp_path / "new.db")
    growing.add(record("GET /", SHOWN))
    growing.close()
    state = State(shop(tmp_path / "s.db"))
    first = state.now()
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"s.db{end}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "new.db", tmp_path / "copy.db")
    os.replace(tmp_path / "copy.db", tmp_path / "s.db")
    assert state.now() != first
    state.close()


def test_a_store_that_goes_and_comes_is_told_and_found(tmp_path: Path):
    path = tmp_path / "s.db"
    state = State(f"sqlite:///{path}")
    with pytest.raises(StoreError, match="There is no store"):
        state.now()
    shop(path)
    assert state.now()
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"s.db{end}").unlink(missing_ok=True)
    with pytest.raises(StoreError, match="There is no store"):
        state.now()


def test_a_child_process_opens_the_store_itself(tmp_path: Path):
    """A connection of SQLite's is not to be carried across a fork."""
    state = State(shop(tmp_path / "s.db"))
    first = state.now()
    opened = state._store
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            same = state.now() == first
            os.write(writer, b"1" if same and state._store is not opened else b"0")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 1) == b"1"
    os.close(reader)
    os.close(writer)
    assert state.now() == first
    state.close()


def test_many_threads_may_ask_while_it_grows(tmp_path: Path):
    growing = Growing(tmp_path / "s.db")
    growing.add(record("GET /", SHOWN))
    state = State(growing.url)
    wrong: list[BaseException] = []

    def look() -> None:
        try:
            for _ in range(50):
                state.now()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        growing.add(record("GET /", SHOWN))
    for thread in threads:
        thread.join()
    assert wrong == []
    with open_store(growing.url) as store:
        assert state.now() == store.state()
    growing.close()
    state.close()
