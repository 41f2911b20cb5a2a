"""What parsing found in a text, remembered from one run of the command to the next.

Laws: an entry is known by everything its content follows from (the text, the
exclusions, the versions of Python, coverage.py and this form), so it can be
old but never wrong; entries are JSON and are checked like any input; a cache
that cannot be read or written costs time, never an answer. Only the user's own
directory is trusted.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
import zlib
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

FORM = 4
"""Of an entry; a change of what is remembered is another number."""

KEPT_SECONDS = 60 * 86_400
"""An entry that nobody has asked for in this time goes."""


def directory() -> Path:
    """``requestcov`` in the user's cache directory (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return Path(home if os.path.isabs(home) else os.path.expanduser("~/.cache"), "requestcov", "parsed")


def key_of(content: bytes, *said: str) -> str:
    """The name of the entry for a content, and for whatever else is said of it."""
    beside = json.dumps([FORM, sys.version_info[:3], _coverage_version(), *said])
    return blake2b(beside.encode() + b"\0" + content, digest_size=20).hexdigest()


@cache
def _coverage_version() -> str:
    """What coverage.py's file version.py says: to load the package would take most of a command's time."""
    spec = importlib.util.find_spec("coverage")
    if spec is None or spec.origin is None:
        return ""
    return Path(spec.origin).with_name("version.py").read_text("utf-8")


class SourceCache:
    """Entries in one directory, which is made when something is first put there."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = directory() if folder is None else folder
        self._usable: bool | None = None

    def get(self, key: str) -> Any:
        """What was put under a key; None when there is nothing, or nothing sound."""
        if not self._ready(make=False):
            return None
        path = self._folder / key
        try:
            found = json.loads(zlib.decompress(path.read_bytes()))
        except (OSError, ValueError, zlib.error, RecursionError):
            return None
        with suppress(OSError):
            os.utime(path)
        return found

    def put(self, key: str, entry: object) -> None:
        """Remember an entry, whole or not at all."""
        if not self._ready(make=True):
            return
        import tempfile  # It loads every archive's compression.

        content = zlib.compress(json.dumps(entry, separators=(",", ":")).encode(), 1)
        with suppress(OSError):
            handle, name = tempfile.mkstemp(dir=self._folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                os.replace(name, self._folder / key)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name)
                raise

    def _ready(self, make: bool) -> bool:
        if self._usable is None or (make and not self._usable):
            self._usable = self._prepare(make)
        return self._usable

    def _prepare(self, make: bool) -> bool:
        try:
            if make:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            state = self._folder.lstat()
            # Whoever else could write here could tell us anything about a text.
            if state.st_mode & 0o022 or (hasattr(os, "getuid") and state.st_uid != os.getuid()):
                return False
            if make:
                self._forget_old()
        except OSError:
            return False
        return True

    def _forget_old(self) -> None:
        oldest = time.time() - KEPT_SECONDS
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.stat().st_mtime < oldest:
                        os.unlink(entry.path)
