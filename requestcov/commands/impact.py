"""``requestcov impact``: whom a change concerns."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from requestcov._coverage import read_settings
from requestcov._source import digest_of, parse
from requestcov._source_cache import SourceCache
from requestcov._tests_data import is_test
from requestcov.analysis.evidence import MAX_SOURCE, read_tree
from requestcov.analysis.gather import gather, runners
from requestcov.commands.asking import (
    Failing,
    Refused,
    add_format,
    add_selection,
    needs_extra,
    output,
    require_records,
    selection_of,
    store_of,
)
from requestcov.config import Config
from requestcov.reports import json
from requestcov.scope import Scope

if TYPE_CHECKING:
    from requestcov._diff import FileDiff
    from requestcov.analysis.impact import Impact, OldFile

DESCRIPTION = "Which endpoints run the lines that a diff changes, and which of those lines does nobody run?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which change, and on what to fail."""
    parser.add_argument(
        "diff", metavar="DIFF|-", nargs="?", help="a unified diff; - (default): standard input"
    )
    parser.add_argument("--git", metavar="A..B", help="in place of a diff: what changed between two commits")
    add_selection(parser)
    parser.add_argument(
        "--fail-on",
        choices=("endpoints", "unrun", "none"),
        default="none",
        help="exit with 3 when an endpoint runs a changed line, or when nobody runs one; default none",
    )
    add_format(parser)


def run(options: argparse.Namespace) -> None:
    """Print the answer."""
    with needs_extra():
        from requestcov._diff import read_diff
        from requestcov.analysis.impact import impact
    if options.format == "text":
        with needs_extra():
            from requestcov.reports.text import impact as text
    if options.git is not None and options.diff is not None:
        raise Refused("give a diff or --git, not both.")
    root = os.getcwd()
    base = None
    if options.git is not None:
        from requestcov._git import diff

        content, base = diff(options.git, root)
    else:
        content = _content(options.diff or "-")
    files = read_diff(content)
    place, selection = store_of(options), selection_of(options)
    evidence = gather(place, selection, root)
    old = _Old(root, base, evidence.newest)
    answer = impact(evidence, [old(file) for file in files], runners(place, selection))
    if options.format == "json":
        json.write({"impact": answer}, evidence.footing, selection, output())
    else:
        text.write_impact(answer, evidence, selection, output())
    require_records(evidence)
    _judge(answer, options.fail_on)


def _judge(answer: Impact, fail_on: str) -> None:
    if fail_on == "endpoints" and answer.endpoints:
        names = ", ".join(one.endpoint for one in answer.endpoints[:3])
        more = len(answer.endpoints) - 3
        raise Failing(f"changed lines are run by {names}{f' and {more} more' if more > 0 else ''}.")
    # Nobody expects a request to run the tests.
    unrun = sum(line.unrun for file in answer.files if not is_test(file.path) for line in file.lines)
    if fail_on == "unrun" and unrun:
        raise Failing(f"no recorded request runs {unrun} of the changed lines.")


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
        self._exclude = read_settings().exclude_lines
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
