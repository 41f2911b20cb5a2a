"""What the sections of an HTML report are made from.

Laws: an endpoint has one number and a file one anchor throughout a report, so
that a section can point at another's without knowing it; nothing stored is
part of an anchor or a class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from requestcov.analysis.coverage import by_endpoint, by_file
from requestcov.analysis.coverage_results import EndpointCoverage, FileCoverage
from requestcov.analysis.evidence import Evidence, Selection, Timings, Traffic
from requestcov.analysis.gap import Gap
from requestcov.analysis.measured import Elsewhere
from requestcov.analysis.who_lines import LineAnswer, who_ran_lines

if TYPE_CHECKING:
    from requestcov.analysis.impact import Impact

MOST_ENDPOINTS = 10
"""Endpoints of which single requests are looked at, in each section that does."""


Place = Callable[[str, int], str | None]
"""A path and a line of its newest version -> the link to where they are shown, or None."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a report tells of.

    Attributes:
        evidence, selection: what there is, and what was asked for.
        holders: as :func:`requestcov.analysis.gather.holders`.
        by_release: the same evidence, with runs that tell releases apart.
        release: the evidence of one release alone.
        traffic, timings: the requests of an endpoint, read anew at each call.
        with_source: whether source texts are part of the report.
        impact: whom a change concerns; None: no change was named.
        gap: production beside a test-suite; None: no data of one was named.
        elsewhere: what commands and jobs ran, of each data file that was named.
        scripts: (module, qualified name) that an entry point of the project calls -> what that is.
    """

    evidence: Evidence
    selection: Selection
    holders: Callable[[str, Set[int]], int]
    by_release: Callable[[], Evidence]
    release: Callable[[str], Evidence]
    traffic: Callable[[str], Traffic]
    timings: Callable[[str], Timings]
    with_source: bool = True
    impact: Impact | None = None
    gap: Gap | None = None
    elsewhere: Sequence[Elsewhere] = ()
    scripts: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @cached_property
    def endpoints(self) -> tuple[EndpointCoverage, ...]:
        """Of every endpoint, the one with most traffic first."""
        return tuple(
            sorted(
                by_endpoint(self.evidence),
                key=lambda found: (-found.weight, -(found.seen or 0), found.route, found.method),
            )
        )

    @cached_property
    def files(self) -> tuple[FileCoverage, ...]:
        """Every file that requests ran, by path."""
        return by_file(self.evidence)

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """Endpoint -> its number, from 1."""
        return {found.endpoint: number for number, found in enumerate(self.endpoints, 1)}

    @cached_property
    def anchors(self) -> Mapping[str, str]:
        """Path -> the anchor of its source; of files whose source the report shows."""
        shown = [file.path for file in self.files if self.with_source and self._has_text(file)]
        return {path: f"f{number}" for number, path in enumerate(shown, 1)}

    @cached_property
    def who(self) -> Mapping[str, Mapping[int, LineAnswer]]:
        """Path -> line -> who ran it; of files whose source the report shows."""
        return {path: who_ran_lines(self.evidence, path) for path in self.anchors}

    @cached_property
    def answers(self) -> Mapping[LineAnswer, int]:
        """Who ran a line -> the answer's number, from 1; lines with the same one share it."""
        distinct = dict.fromkeys(answer for lines in self.who.values() for answer in lines.values())
        return {answer: number for number, answer in enumerate(distinct, 1)}

    @cached_property
    def busiest(self) -> tuple[str, ...]:
        """The endpoints of which single requests are looked at: those with most traffic."""
        return tuple(found.endpoint for found in self.endpoints if found.recorded)[:MOST_ENDPOINTS]

    def place(self, path: str, line: int, evidence: Evidence | None = None) -> str | None:
        """A link to a line, where it is shown.

        Args:
            path, line: in the version of the file that is the newest of the evidence.
            evidence: another than that of the whole report.
        """
        anchor = self.anchors.get(path)
        if evidence is not None and evidence.newest[path] != self.evidence.newest[path]:
            return None
        return None if anchor is None else f"#{anchor}-{line}"

    def function_place(self, path: str, name: str) -> str | None:
        """A link to the function of a name, told of another text of the file than the one shown.

        None where the file shown has none of that name, or several.
        """
        digest = self.evidence.newest.get(path)
        source = None if digest is None else self.evidence.source(path, digest)
        lines = [f.line for f in source.functions if f.name == name] if source is not None else []
        return self.place(path, lines[0]) if len(lines) == 1 else None

    def _has_text(self, file: FileCoverage) -> bool:
        return self.evidence.source(file.path, file.digest) is not None
