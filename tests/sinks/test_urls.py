"""A sink's URL is refused at start-up, in a sentence, or it names one file; nothing is touched then."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from requestcov.errors import ConfigError
from requestcov.record import Batch
from requestcov.sinks import Sink, open_sink
from requestcov.sinks.path import parse_file_url

BAD = [
    ("", "does not begin with a scheme"),
    ("requestcov.db", "does not begin with a scheme"),
    ("sqlite:x.db", "does not begin with a scheme"),
    ("SQLite:///x.db", "does not begin with a scheme"),
    ("redis://localhost", "no sink is called 'redis'; known are .*file, http, https, sqlite"),
    ("sqlite://x.db", "names the host 'x.db'.*sqlite:///relative/path"),
    ("sqlite://localhost/x.db", "names the host 'localhost'"),
    ("file://:99999/x.jsonl", "names the host ':99999'"),
    ("sqlite://joe:hunter2@/x.db", "names a user name or password"),
    ("sqlite://", "names no path"),
    ("sqlite:///", "names no file"),
    ("sqlite:////", "names no file"),
    ("sqlite:///.", "names no file"),
    ("sqlite:///a/..", "names no file"),
    ("sqlite:///new/", "names no file"),
    ("sqlite:///x.db\r\nSet-Cookie: a", "control characters"),
    ("sqlite:///x%0d%0a.db", "control characters"),
    ("sqlite:///x\0.db", "control characters"),
    ("sqlite:///x%00.db", "control characters"),
    ("sqlite:///" + "x" * 201, "file name is too long"),
    ("sqlite:///" + "d/" * 2000 + "x.db", "path is too long"),
    ("sqlite:///" + "d" * 256 + "/x.db", "path is too long"),
    ("sqlite:///x.db#a", "fragment"),
    ("sqlite:///x.db?timeout=5", "'timeout' is not an option"),
    ("sqlite:///x.db?", "'' is not an option"),
    ("file:///x.jsonl?max_byte=5000", "'max_byte' is not an option.*keep, max_bytes"),
    ("file:///x.jsonl?max_bytes=0", "max_bytes must be a whole number from 1024"),
    ("file:///x.jsonl?max_bytes=-1", "max_bytes must be a whole number"),
    ("file:///x.jsonl?max_bytes=1e6", "max_bytes must be a whole number"),
    ("file:///x.jsonl?max_bytes=" + "9" * 5000, "max_bytes must be a whole number"),
    ("file:///x.jsonl?max_bytes=\u0663\u0663\u0663\u0663", "max_bytes must be a whole number"),
    ("file:///x.jsonl?max_bytes=5000&max_bytes=6000", "given twice"),
    ("file:///x.jsonl?keep=3", "needs max_bytes"),
    ("file:///x.jsonl?max_bytes=5000&keep=0", "keep must be"),
]


@pytest.mark.parametrize(("url", "said"), BAD, ids=[ascii(url)[:60] for url, _ in BAD])
def test_a_url_that_cannot_be_used(
    url: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One printable line that says why, and holds no password; nothing is created."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said) as caught:
        open_sink(url)
    assert str(caught.value).isprintable()
    assert "hunter2" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.symlink_to("/etc/passwd"), "symbolic link"),
        (lambda path: path.symlink_to("nowhere"), "symbolic link"),
        (lambda path: os.mkfifo(path), "not a regular file"),
    ],
    ids=["directory", "link", "dangling link", "fifo"],
)
@pytest.mark.parametrize("scheme", ["file", "sqlite"])
def test_a_path_that_is_something_else(tmp_path: Path, scheme: str, make, said: str) -> None:
    """Found before the app serves."""
    make(tmp_path / "x.db")
    with pytest.raises(ConfigError, match=said):
        open_sink(f"{scheme}:///{tmp_path}/x.db")


@pytest.mark.parametrize("scheme", ["file", "sqlite"])
def test_opening_touches_nothing(tmp_path: Path, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the file nor its directory; a relative path is resolved at once."""
    monkeypatch.chdir(tmp_path)
    sink = open_sink(f"{scheme}:///deep/x.db")
    assert isinstance(sink, Sink)
    assert (sink.name, sink.path) == (f"{scheme}:///deep/x.db", str(tmp_path / "deep/x.db"))
    assert list(tmp_path.iterdir()) == []
    sink.close()


def test_a_working_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path cannot be resolved, an absolute one can."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match="working directory"):
        open_sink("sqlite:///x.db")
    assert open_sink(f"sqlite:///{tmp_path}/x.db").name


def test_options_and_escapes_are_read() -> None:
    """%hh is a byte; what follows ? are options."""
    path, options = parse_file_url("file:////data/a%3Fb%25%ff.jsonl?keep=2", {"keep": (1, 9)})
    assert (path, options) == ("/data/a?b%\udcff.jsonl", {"keep": 2})
    path, _ = parse_file_url("file:////data/caf\udce9.jsonl", {})
    assert path == "/data/caf\udce9.jsonl"


@settings(max_examples=25, deadline=None)  # An unknown scheme looks through what is installed.
@given(st.text(st.characters(), max_size=50))
def test_any_text_opens_or_is_refused_in_a_sentence(text: str) -> None:
    """Never another exception."""
    for url in (text, f"file://{text}", f"sqlite:///{text}", f"file:///x?{text}"):
        try:
            open_sink(url)
        except ConfigError as error:
            assert str(error).isprintable()  # noqa: PT017


class Installed:
    """A sink as another package would bring it."""

    def __init__(self, url: str) -> None:
        self.name = url

    def write(self, batch: Batch) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution with entry points of every quality."""
    info = tmp_path / "extra-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[requestcov.sinks]\n"
        f"good = {__name__}:Installed\n"
        "absent = no_such_package:Sink\n"
        "wrong = builtins:len\n"
        "raises = builtins:int\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])


@pytest.mark.usefixtures("package")
def test_an_installed_package_adds_a_scheme() -> None:
    """By an entry point; one that does not work is refused at start-up."""
    assert isinstance(open_sink("good://host/x"), Installed)
    with pytest.raises(ConfigError, match=r"cannot be loaded.*no_such_package"):
        open_sink("absent://host")
    with pytest.raises(ConfigError, match="which is not a sink"):
        open_sink("wrong://host")
    with pytest.raises(ConfigError, match="failed with ValueError"):
        open_sink("raises://user:secret@host")
    with pytest.raises(ConfigError, match="absent, file, good, http, https, raises, sqlite, wrong"):
        open_sink("other://host")
