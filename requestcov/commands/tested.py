"""What a coverage.py data file says of the project's files: of a test-suite, or of commands and jobs."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from requestcov._coverage import read_settings
from requestcov._tests_data import TestsData, fits, is_test, read_tests
from requestcov.analysis.evidence import Evidence, source_here
from requestcov.analysis.gap import Gap, gap
from requestcov.analysis.measured import Elsewhere, Measured
from requestcov.commands.asking import NothingFound
from requestcov.config import Config
from requestcov.scope import Scope


def beside_tests(evidence: Evidence, name: str, root: str) -> Gap:
    """Production beside a test-suite.

    Args:
        evidence: of the requests asked about.
        name: of the data file.
        root: the working tree.

    Raises:
        DataError: the data file is missing, or not coverage.py's.
        NothingFound: it has no file that requests ran.
    """
    scope = Scope(Config.load())
    data = read_tests(
        name, evidence.newest, lambda file: scope.measures(file) and not is_test(scope.path(file))
    )
    if not data.files.keys() & evidence.newest.keys() and not data.ambiguous:
        raise NothingFound(f"{name!r} and the store have no file in common.")
    exclude = read_settings().exclude_lines
    files = [
        _measured(data, path, root, exclude, "tests") for path in sorted({*evidence.newest, *data.files})
    ]
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
    exclude = read_settings().exclude_lines
    found = []
    for name in names:
        data = read_tests(name, paths)
        if not data.files and not data.ambiguous:
            raise NothingFound(f"{name!r} has none of the files that are judged here.")
        mine = sorted({*data.files, *data.ambiguous})
        files = [_measured(data, path, root, exclude, "commands") for path in mine]
        found.append(Elsewhere(name, tuple(files), data.tests))
    return tuple(found)


def _measured(data: TestsData, path: str, root: str, exclude: tuple[str, ...], whose: str) -> Measured:
    """A file of the store as the data has it; its text is the file here, if it can be that."""
    if path in data.ambiguous:
        return Measured(path, None, frozenset(), "several files of the data could be this one")
    source = source_here(root, path, exclude)
    if source is None:
        return Measured(
            path, None, frozenset(), f"the file is not here, so that the text of the {whose} is unknown"
        )
    lines = data.lines(path) if path in data.files else frozenset[int]()
    if not fits(source, lines):
        return Measured(path, None, lines, f"the {whose} ran another text than the file here")
    return Measured(path, source, lines)
