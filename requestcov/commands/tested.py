"""What a test-suite ran, for the commands that are given its data file."""

from __future__ import annotations

from requestcov._coverage import read_settings
from requestcov._tests_data import TestsData, fits, is_test, read_tests
from requestcov.analysis.evidence import Evidence, source_here
from requestcov.analysis.gap import Gap, Tested, gap
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
    files = [_tested(data, path, root, exclude) for path in sorted({*evidence.newest, *data.files})]
    return gap(evidence, files, len(data.unmatched))


def _tested(data: TestsData, path: str, root: str, exclude: tuple[str, ...]) -> Tested:
    """A file of the store as the tests ran it; their text is the file here, if it can be that."""
    if path in data.ambiguous:
        return Tested(path, None, frozenset(), "several files of the data could be this one")
    source = source_here(root, path, exclude)
    if source is None:
        return Tested(
            path, None, frozenset(), "the file is not here, so that the text of the tests is unknown"
        )
    lines = data.lines(path) if path in data.files else frozenset[int]()
    if not fits(source, lines):
        return Tested(path, None, lines, "the tests ran another text than the file here")
    return Tested(path, source, lines)
