"""Source texts for the dashboard's pages.

Laws: a text is shown if the store holds it, or if a file within the root holds
the very bytes that ran; a name that leads out of the root, by ``..``, as an
absolute path or through a link, leads nowhere. Each text is parsed once.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping

from requestcov._exclusions import exclude_lines
from requestcov._source import Source, digest_of, parse
from requestcov._source_cache import SourceCache
from requestcov.analysis.evidence import Version, read_file
from requestcov.storage import open_store
from requestcov.storage.results import StoredBlock
from requestcov.storage.sqlite import Store, unpack_source

MOST = 2000
"""Parsed texts that are kept, those asked for last."""


class Sources:
    """The source of a version of a file, or None; any thread may ask.

    Args:
        place: the store's path or URL.
        root: a directory whose files may be shown where the store lacks a text; None: none.
        give_way: called each time that a source is asked for, which analyses do all the time.

    Raises:
        ConfigError: coverage.py's configuration, which excludes lines, cannot be parsed.
    """

    def __init__(self, place: str, root: str | None, give_way: Callable[[], None]) -> None:
        self._place = place
        self._give_way = give_way
        self._root = None if root is None else os.path.realpath(root)
        self._exclude_lines = exclude_lines()
        self._cache = SourceCache()
        self._lock = threading.Lock()
        self._parsed: OrderedDict[Version, Source] = OrderedDict()
        self._packed: OrderedDict[Version, bytes] = OrderedDict()

    def read(self, store: Store, blocks: Mapping[int, StoredBlock]) -> None:
        """See :class:`requestcov.analysis.gather.Texts`: those that are not known yet."""
        with self._lock:
            known = {*self._parsed, *self._packed}
        found = store.packed_sources(
            number for number, block in blocks.items() if (block.path, block.digest) not in known
        )
        with self._lock:
            self._packed.update(found)
            while len(self._packed) > MOST:
                self._packed.popitem(last=False)

    def __call__(self, path: str, digest: str) -> Source | None:
        """See :class:`requestcov.analysis.gather.Texts`.

        Raises:
            StoreError: the store cannot be read.
        """
        self._give_way()
        key = (path, digest)
        with self._lock:
            if key in self._parsed:
                self._parsed.move_to_end(key)
                return self._parsed[key]
        content = self._content(path, digest) if digest else None
        if content is None:
            return None
        source = parse(path, digest, content, self._exclude_lines, self._cache)
        with self._lock:
            self._parsed[key] = source
            self._packed.pop(key, None)
            if len(self._parsed) > MOST:
                self._parsed.popitem(last=False)
        return source

    def leads_out(self, path: str) -> bool:
        """Whether a path names something that is not within the root."""
        if os.path.isabs(path) or ".." in path.split("/"):
            return True
        if self._root is None or "\0" in path:
            return False
        return os.path.lexists(os.path.join(self._root, path)) and within(self._root, path) is None

    def _content(self, path: str, digest: str) -> bytes | str | None:
        with self._lock:
            packed = self._packed.get((path, digest))
        if packed is not None:
            return unpack_source(packed)
        with open_store(self._place) as store:
            stored = store.source(path, digest)
        if stored is not None:
            return stored
        name = None if self._root is None else within(self._root, path)
        content = None if name is None else read_file(name)
        return content if content is not None and digest_of(content) == digest else None


def within(root: str, path: str) -> str | None:
    """Where a path really leads, if that is within the root.

    Args:
        root: a real path, without links.
        path: relative, with ``/``, as the store has it.
    """
    parts = path.split("/")
    if not path or os.path.isabs(path) or ".." in parts or "\0" in path or "\\" in path:
        return None
    try:
        real = os.path.realpath(os.path.join(root, *parts))
    except (OSError, ValueError):
        return None
    return real if os.path.commonpath([root, real]) == root and real != root else None
