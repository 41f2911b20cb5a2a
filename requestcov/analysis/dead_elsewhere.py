"""What commands, jobs and the like ran of the code that is judged, as their coverage data says.

Law: lines come from the text that the data is of to the one that is judged by its digest or by
unchanged function, as recorded lines do; what has no place there is not said to have run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set

from requestcov._source import Source, carried
from requestcov.analysis.dead_results import ElsewhereData, RanElsewhere
from requestcov.analysis.measured import Elsewhere, Measured, NotCompared, doubtful
from requestcov.record import format_lines

_Spots = Mapping[int, frozenset[int]]
"""Line that is judged -> the lines of the data that it is made of."""


class Others:
    """Several data files beside the text that is judged."""

    def __init__(self, current: Mapping[str, Source], elsewhere: Iterable[Elsewhere]) -> None:
        """Place what ran.

        Args:
            current: path -> the text that is judged.
            elsewhere: the data files.
        """
        self._spots: list[tuple[Elsewhere, dict[str, _Spots]]] = []
        data = []
        for one in elsewhere:
            spots: dict[str, _Spots] = {}
            problems = []
            for file in one.files:
                source = current.get(file.path)
                if source is None:
                    problems.append(NotCompared(file.path, "the file is not judged"))
                elif file.source is None or file.problem or file.source.problem:
                    why = file.problem or (file.source and file.source.problem) or "its text is not at hand"
                    problems.append(NotCompared(file.path, why))
                else:
                    spots[file.path] = _placed(file, file.source, source)
            self._spots.append((one, spots))
            data.append(
                ElsewhereData(
                    data=one.data,
                    compared=len(spots),
                    not_compared=tuple(problems),
                    doubtful=doubtful(file for file in one.files if file.path in spots),
                )
            )
        self.data = tuple(data)

    def ran(self, path: str, lines: Set[int]) -> frozenset[int]:
        """Those of the lines that any of the data has."""
        return frozenset[int]().union(*(lines & spots.get(path, {}).keys() for _, spots in self._spots))

    def who(self, path: str, lines: Set[int]) -> tuple[RanElsewhere, ...]:
        """Of each data file that has any of the lines, which, and by which contexts."""
        return tuple(
            RanElsewhere(
                data=one.data,
                lines=format_lines(mine),
                contexts=tuple(
                    sorted(one.contexts(path, frozenset().union(*(spots[path][line] for line in mine))))
                ),
            )
            for one, spots in self._spots
            if (mine := frozenset(lines & spots.get(path, {}).keys()))
        )


def _placed(file: Measured, text: Source, judged: Source) -> _Spots:
    places = carried(text, judged)
    found: defaultdict[int, set[int]] = defaultdict(set)
    for line in file.lines:
        first = text.first.get(line, line)
        if first in places:
            found[places[first]].add(line)
    return {line: frozenset(lines) for line, lines in found.items()}
