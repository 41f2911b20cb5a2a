"""Every touch of a coverage.py name that is not public, in one place.

Law: nothing else in requestcov imports such a name; tests/engines pins what is
used here, so that a coverage.py release that changes it fails loudly there.

coverage.py decides, as everywhere, which files match a pattern, which lines of
a text can run and which branches it has; its C tracer is the trace engine's
collector.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from coverage import Coverage
from coverage.config import config_files_to_try
from coverage.exceptions import CoverageException
from coverage.files import GlobMatcher, prep_patterns
from coverage.inorout import _add_third_party_paths
from coverage.parser import PythonParser

try:
    from coverage.tracer import CFileDisposition, CTracer
except ImportError:  # coverage.py was installed without a C compiler
    CFileDisposition = CTracer = None  # type: ignore[assignment,misc]

from requestcov.errors import ConfigError
from requestcov.record import Arc


@dataclass(frozen=True)
class Settings:
    """What coverage.py's own configuration file says, and what we ask of it."""

    source: tuple[str, ...]
    include: tuple[str, ...]
    omit: tuple[str, ...]
    exclude_lines: tuple[str, ...]
    branch: bool
    relative_files: bool
    file: str | None


def read_settings() -> Settings:
    """Read ``[tool.coverage]``, ``.coveragerc`` and the like from the working directory.

    Raises:
        ConfigError: the file cannot be parsed; the message is coverage.py's.
    """
    try:
        coverage = Coverage(data_file=None)
    except CoverageException as wrong:
        raise ConfigError(f"coverage.py's configuration cannot be used: {wrong}") from wrong

    def option(name: str) -> tuple[str, ...]:
        value: Any = coverage.get_option(name)
        return tuple(value) if value else ()

    return Settings(
        source=option("run:source") + option("run:source_pkgs") + option("run:source_dirs"),
        include=option("run:include"),
        omit=option("run:omit"),
        exclude_lines=option("report:exclude_lines") + option("report:exclude_also"),
        branch=bool(coverage.get_option("run:branch")),
        relative_files=bool(coverage.get_option("run:relative_files")),
        file=getattr(coverage.config, "config_file", None),
    )


def configuration_files() -> tuple[str, ...]:
    """Every file, there or not, that :func:`read_settings` looks for, the first found being taken."""
    return tuple(name for name, _, _ in config_files_to_try(True))


def pattern_matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """coverage.py's file patterns, as one function of an absolute path; no file is touched."""
    matcher = GlobMatcher(prep_patterns(patterns))
    return matcher.match


def third_party_directories() -> frozenset[str]:
    """Where installed packages live, by coverage.py's account."""
    paths: set[str] = set()
    _add_third_party_paths(paths)
    return frozenset(paths)


def monitors_branches() -> bool:
    """Whether coverage.py measures branches by sys.monitoring in this process just now."""
    if sys.version_info < (3, 14) or not any(
        sys.monitoring.get_tool(tool) == "coverage.py" for tool in range(6)
    ):
        return False
    current = Coverage.current()
    return current is None or bool(current.get_option("run:branch"))


@dataclass(frozen=True)
class Parsed:
    """What coverage.py's parser says of one source text.

    Attributes:
        statements: first lines of executable statements, exclusions removed.
        excluded: lines that an exclusion removed.
        multiline: any line of a statement to its first line.
        branches: every arc that leaves a line with more than one way on.
    """

    statements: frozenset[int]
    excluded: frozenset[int]
    multiline: dict[int, int]
    branches: frozenset[Arc]

    def first_lines(self, lines: Iterable[int]) -> frozenset[int]:
        """Lines as they ran to the first lines of their statements."""
        return frozenset(self.multiline.get(line, line) for line in lines)

    def taken(self, arcs: Iterable[Arc]) -> frozenset[Arc]:
        """Those of the arcs that ran which are branches, between first lines of statements."""
        return self.branches & {(self._first(a), self._first(b)) for a, b in arcs}

    def _first(self, line: int) -> int:
        first = self.multiline.get(abs(line), abs(line))
        return first if line > 0 else -first


def parse(text: str, filename: str, exclude_lines: Sequence[str] = ()) -> Parsed:
    """Parse one source text.

    Args:
        text: Python source.
        filename: for messages only.
        exclude_lines: regular expressions; empty: coverage.py's default pragma.

    Raises:
        SyntaxError: it is not Python of this interpreter's version.
    """
    exclude = (
        "|".join(f"(?:{e})" for e in exclude_lines) or r"#\s*(pragma|PRAGMA)[:\s]?\s*(no|NO)\s*(cover|COVER)"
    )
    parser = PythonParser(text=text, filename=filename, exclude=exclude)
    try:
        parser.parse_source()
        exits = parser.exit_counts()
        arcs = parser.arcs()
    except CoverageException as wrong:
        raise SyntaxError(str(wrong)) from wrong
    branching = {line for line, ways in exits.items() if ways > 1}
    return Parsed(
        statements=frozenset(parser.statements),
        excluded=frozenset(parser.excluded),
        multiline=dict(parser.multiline_map),
        branches=frozenset((a, b) for a, b in arcs if a in branching),
    )


def arcs(text: str, filename: str) -> frozenset[Arc]:
    """Every step from a statement to a next one that a text allows, between their first lines.

    Raises:
        SyntaxError: it is not Python of this interpreter's version.
    """
    parser = PythonParser(text=text, filename=filename, exclude="")
    try:
        parser.parse_source()
        return frozenset(parser.arcs())
    except CoverageException as wrong:
        raise SyntaxError(str(wrong)) from wrong


class TracerMissing(Exception):
    """coverage.py was installed without its C tracer."""


def tracers(
    *,
    should_trace: Callable[[str, Any], Any],
    cache: dict[str, Any],
    arcs: bool,
    starts_context: Callable[[Any], object | None] | None = None,
    switch_context: Callable[[Any], None] | None = None,
) -> Callable[[dict[str, set[int]]], Any]:
    """What makes CTracers that are alike, each for a dict that it is to fill.

    They ask ``starts_context`` at each call until it answers with an object. From then
    to the return of that frame they run at C speed in the context that
    ``switch_context`` was told of. Without ``starts_context`` they ask nothing.

    Raises:
        TracerMissing: there is no C tracer in this coverage.py.
    """
    if CTracer is None:
        raise TracerMissing("coverage.tracer cannot be imported")
    # The locks guard the dict of files; the GIL does that for plain dicts and sets. They are
    # called at every call of measured code: this is the cheapest callable without an effect.
    lock = gc.isenabled

    def make(data: dict[str, set[int]]) -> Any:
        # What only plugins for other languages need is left out.
        tracer: Any = CTracer()
        tracer.data = data
        tracer.should_trace = should_trace
        tracer.should_trace_cache = cache
        tracer.trace_arcs = arcs
        tracer.should_start_context = starts_context
        tracer.switch_context = switch_context
        tracer.concur_id_func = None
        tracer.lock_data = tracer.unlock_data = lock
        return tracer

    return make


def asks(function: object, should_trace: object) -> bool:
    """Whether a trace function is a CTracer made with that ``should_trace``."""
    return type(function) is CTracer and function.should_trace is should_trace


def tells(function: object, switch_context: object) -> bool:
    """Whether a trace function is a CTracer made with that ``switch_context``."""
    return type(function) is CTracer and function.switch_context is switch_context


def disposition(filename: str, trace: bool) -> Any:
    """The CTracer's answer object for one file name."""
    answer = CFileDisposition()
    answer.original_filename = answer.canonical_filename = answer.source_filename = filename
    answer.trace = trace
    answer.file_tracer = None
    answer.has_dynamic_filename = False
    answer.reason = ""
    return answer


def unpack_arcs(packed: Iterable[int]) -> frozenset[Arc]:
    """The CTracer's packed pairs: two 28-bit lines and a sign bit for each."""
    arcs = set()
    for pair in packed:
        first = pair & 0xFFFFFFF
        second = pair >> 28 & 0xFFFFFFF
        arcs.add((-first if pair >> 56 & 1 else first, -second if pair >> 57 & 1 else second))
    return frozenset(arcs)
