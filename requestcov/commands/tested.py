"""What a coverage.py data file says of the project's files: of a test-suite, or of commands and jobs.

Law: a data file does not say which text it is of. A text that cannot be it is not used; one that may
be another is, and what speaks against it is told.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Iterable

from requestcov._exclusions import exclude_lines
from requestcov._git import GitError, commit_of, content
from requestcov._source import Source, digest_of, parse
from requestcov._source_cache import SourceCache
from requestcov._tests_data import TestsData, fits, is_test, read_tests, strays
from requestcov.analysis.evidence import Evidence, source_here
from requestcov.analysis.gap import Gap, gap
from requestcov.analysis.measured import Elsewhere, Measured
from requestcov.commands.asking import NothingFound, Refused
from requestcov.config import Config
from requestcov.record import format_lines


def add_tests_text(command: argparse.ArgumentParser) -> None:
    """``--tests-root`` and ``--tests-commit``: which text the tests ran."""
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--tests-root",
        metavar="DIR",
        help="the project's folder as the tests ran it; default: the directory here",
    )
    which.add_argument(
        "--tests-commit", metavar="REV", help="in place of a folder: the commit that the tests ran"
    )


class Texts:
    """The texts that a data file's lines are taken to be of."""

    def __init__(self, data: str, root: str, commit: str | None = None, where: str = "here") -> None:
        """Nothing is read yet.

        Args:
            data: name of the data file.
            root: the folder with the files, or inside a working tree of git.
            commit: take the files from this one, not from the folder.
            where: how a sentence is to call the place.

        Raises:
            GitError: git is missing, or there is no such commit.
        """
        self.where = where
        self._root = root
        self._commit = None if commit is None else commit_of(commit, root)
        self._exclude = exclude_lines()
        self._cache = SourceCache()
        self._written = os.stat(data).st_mtime if os.path.isfile(data) else None

    def __call__(self, path: str) -> Source | None:
        """The text of a file, or None: there is none."""
        if self._commit is None:
            return source_here(self._root, path, self._exclude, self._cache)
        try:
            text = content(self._commit, path, self._root)
        except GitError:
            return None
        return parse(path, digest_of(text), text, self._exclude, self._cache)

    def doubt(self, source: Source, lines: Collection[int]) -> str | None:
        """What speaks against this being the text whose lines ran, in words; None: nothing."""
        if stray := strays(source, lines):
            return f"something ran on {_lines(stray)}, where it has no code"
        if self._commit is None and self._written is not None:
            try:
                changed = os.stat(os.path.join(self._root, *source.path.split("/"))).st_mtime
            except (OSError, ValueError):
                return None
            if changed > self._written:
                return "the file was written after the data"
        return None


def refuse_tests_text_alone(options: argparse.Namespace) -> None:
    """Where the data of the tests need not be given.

    Raises:
        Refused: only their text is.
    """
    for name in ("tests_root", "tests_commit"):
        if getattr(options, name) is not None and options.tests is None:
            option = "--" + name.replace("_", "-")
            raise Refused(f"{option} says which text the tests ran: name their data too, with --tests.")


def texts_of(options: argparse.Namespace, data: str, root: str) -> Texts:
    """As the options of :func:`add_tests_text` say.

    Raises:
        Refused: ``--tests-root`` is no directory.
        GitError: as for :class:`Texts`.
    """
    if options.tests_root is not None and not os.path.isdir(options.tests_root):
        raise Refused(f"--tests-root {options.tests_root!a} is not a directory.")
    where = options.tests_root or options.tests_commit
    named = "here" if where is None else f"in {where!a}"
    return Texts(data, os.path.abspath(options.tests_root or root), options.tests_commit, named)


def beside_tests(evidence: Evidence, name: str, texts: Texts) -> Gap:
    """Production beside a test-suite.

    Args:
        evidence: of the requests asked about.
        name: of the data file.
        texts: those that the tests ran.

    Raises:
        DataError: the data file is missing, or not coverage.py's.
        NothingFound: it has no file that requests ran.
    """
    # Here, for most who ask do not ask about tests, and the scope loads coverage.py.
    from requestcov.scope import Scope

    scope = Scope(Config.load())
    data = read_tests(
        name, evidence.newest, lambda file: scope.measures(file) and not is_test(scope.path(file))
    )
    if not data.files.keys() & evidence.newest.keys() and not data.ambiguous:
        raise NothingFound(f"{name!r} and the store have no file in common.")
    files = [measured(data, path, texts, "tests") for path in sorted({*evidence.newest, *data.files})]
    return gap(evidence, files, len(data.unmatched))


def ran_elsewhere(names: Iterable[str], paths: Collection[str], root: str) -> tuple[Elsewhere, ...]:
    """What commands, jobs and the like ran.

    Args:
        names: of the data files.
        paths: of the files that are judged, as in the store.
        root: the working tree.

    Raises:
        DataError: a data file is missing, or not coverage.py's.
        NothingFound: one has none of the files.
    """
    found = []
    for name in names:
        data = read_tests(name, paths)
        if not data.files and not data.ambiguous:
            raise NothingFound(f"{name!r} has none of the files that are judged here.")
        mine = sorted({*data.files, *data.ambiguous})
        texts = Texts(name, root)
        files = [measured(data, path, texts, "commands") for path in mine]
        found.append(Elsewhere(name, tuple(files), data.tests))
    return tuple(found)


def measured(data: TestsData, path: str, texts: Texts, whose: str) -> Measured:
    """A file of the store as the data has it.

    Args:
        whose: who ran it, in a word: ``tests``.
    """
    if path in data.ambiguous:
        return Measured(path, None, frozenset(), "several files of the data could be this one")
    source = texts(path)
    if source is None:
        problem = f"the file is not {texts.where}, so that the text of the {whose} is unknown"
        return Measured(path, None, frozenset(), problem)
    lines = data.lines(path) if path in data.files else frozenset[int]()
    if not fits(source, lines):
        return Measured(path, None, lines, f"the {whose} ran another text than the file {texts.where}")
    return Measured(path, source, lines, doubt=texts.doubt(source, lines) if lines else None)


def _lines(numbers: Collection[int]) -> str:
    return f"{'line' if len(numbers) == 1 else 'lines'} {format_lines(frozenset(numbers))}"
