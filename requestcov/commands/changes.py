"""Whom a change concerns, for the commands that take a diff or a range of commits.

Law: the old side of a file is git's own when git made the diff; else it is what undoing the diff
on the file here gives, or the file here when the diff is not applied yet, and never a guess.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from requestcov._exclusions import exclude_lines
from requestcov._source import digest_of, parse
from requestcov._source_cache import SourceCache
from requestcov.analysis.evidence import MAX_SOURCE, Evidence, Selection, read_tree
from requestcov.analysis.gather import runners
from requestcov.commands.asking import Refused, needs_extra
from requestcov.config import Config
from requestcov.scope import Scope

if TYPE_CHECKING:
    from requestcov._diff import FileDiff
    from requestcov.analysis.impact import Impact, OldFile


def concerned(
    evidence: Evidence, place: str, selection: Selection, root: str, *, diff: str | None, git: str | None
) -> Impact:
    """Whom a change concerns.

    Args:
        evidence, place, selection: what the store says, the store, and of which requests.
        root: the working tree.
        diff: a file with a unified diff, ``-`` for standard input; None with ``git``.
        git: a range of commits; None with ``diff``.

    Raises:
        Refused: the diff cannot be read, or what reads it is not installed.
        DiffError, GitError: it is no diff; git is missing or refuses.
    """
    with needs_extra():
        from requestcov._diff import read_diff
        from requestcov.analysis.impact import impact
    base = None
    if git is not None:
        from requestcov._git import diff as made_by_git

        content, base = made_by_git(git, root)
    else:
        content = _content(diff or "-")
    files = read_diff(content)
    old = _Old(root, base, evidence.newest)
    return impact(evidence, [old(file) for file in files], runners(place, selection))


def _content(name: str) -> bytes:
    """The diff.

    Raises:
        Refused: it cannot be read.
    """
    try:
        if name == "-":
            return sys.stdin.buffer.read()
        with open(name, "rb") as file:
            return file.read()
    except (OSError, ValueError) as wrong:
        reason = wrong.strerror if isinstance(wrong, OSError) else wrong
        raise Refused(f"the diff {name!r} cannot be read: {reason}.") from wrong


class _Old:
    """Finds the old text of a file of the diff."""

    def __init__(self, root: str, base: str | None, paths: Collection[str]) -> None:
        """Nothing is read yet.

        Args:
            root: the working tree.
            base: the commit that is the old side, if git made the diff.
            paths: of the files in the store.
        """
        self._root = root
        self._base = base
        self._paths = paths
        self._scope = Scope(Config.load())
        self._exclude = exclude_lines()
        self._cache = SourceCache()

    def __call__(self, diff: FileDiff) -> OldFile:
        from requestcov.analysis.impact import OldFile

        path, above = self._place(diff)
        if diff.binary:
            return OldFile(diff, path, None, "it is binary")
        if path not in self._paths and not self._measured(path):
            return OldFile(diff, path, None, "it is outside of what is measured here")
        if diff.old is None or not diff.hunks:
            return OldFile(diff, path, None)
        content = self._text(diff, path, above)
        if content is None:
            return OldFile(
                diff, path, None, "the diff fits neither as the new nor as the old side of the file here"
            )
        if len(content) > MAX_SOURCE:
            return OldFile(diff, path, None, "it is too large")
        return OldFile(diff, path, parse(path, digest_of(content), content, self._exclude, self._cache))

    def _measured(self, path: str) -> bool:
        return path.endswith(".py") and self._scope.measures(os.path.join(self._root, *path.split("/")))

    def _place(self, diff: FileDiff) -> tuple[str, str]:
        """The store's name of a file, and the folders that the diff names above it.

        A diff made above the project's root has longer names; whether the file is really that
        one its text tells.
        """
        told = [name for name in (diff.old, diff.new) if name is not None]
        for name in told:
            if name in self._paths:
                return name, ""
        if self._base is None:
            for name in told:
                fits = [path for path in self._paths if name.endswith("/" + path)]
                if fits:
                    path = max(fits, key=len)
                    return path, name.removesuffix(path)
        return told[0], ""

    def _text(self, diff: FileDiff, path: str, above: str) -> bytes | None:
        from requestcov._git import content

        assert diff.old is not None
        if self._base is not None:
            return content(self._base, diff.old, self._root)
        if diff.new is None:
            return diff.undone(b"")
        new = read_tree(self._root, diff.new.removeprefix(above))
        if new is not None and (undone := diff.undone(new)) is not None:
            return undone
        old = read_tree(self._root, path)
        return old if old is not None and diff.begins_with(old) else None
