"""What failing requests run, ranked by the formulas of spectrum-based fault localisation.

Laws: a formula is a pure function of four counts; a score of 0 stands for
nothing that speaks against an element; where a formula divides by zero its
limit is taken. Elements with equal scores share their places.

Of an element (a line, say): ``ef`` failing and ``ep`` healthy requests ran it,
``nf`` failing and ``np`` healthy ones did not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from requestcov.analysis.contrast import LEAST, Contrast, Part, Tie
from requestcov.analysis.significance import adjusted, fisher


def ochiai(ef: float, ep: float, nf: float, np: float) -> float:
    """ef / √((ef+nf)(ef+ep)), 0 to 1: A. Ochiai 1957; for faults R. Abreu et al., TAICPART 2007."""
    return ef / math.sqrt((ef + nf) * (ef + ep)) if ef else 0.0


def tarantula(ef: float, ep: float, nf: float, np: float) -> float:
    """Share of the failing over the sum of both shares, 0 to 1: J. A. Jones, M. J. Harrold, ASE 2005."""
    if not ef:
        return 0.0
    failing = ef / (ef + nf)
    healthy = ep / (ep + np) if ep else 0.0
    return failing / (failing + healthy)


def dstar(ef: float, ep: float, nf: float, np: float) -> float:
    """ef² / (ep+nf), 0 to infinity: W. E. Wong et al., IEEE Transactions on Reliability 63, 2014."""
    if not ef:
        return 0.0
    return ef * ef / (ep + nf) if ep + nf else math.inf


def jaccard(ef: float, ep: float, nf: float, np: float) -> float:
    """ef / (ef+nf+ep), 0 to 1: P. Jaccard 1901; for faults M. Y. Chen et al., DSN 2002."""
    return ef / (ef + nf + ep) if ef else 0.0


FORMULAS: Mapping[str, Callable[[float, float, float, float], float]] = {
    "ochiai": ochiai,
    "tarantula": tarantula,
    "dstar": dstar,
    "jaccard": jaccard,
}


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A tie: lines and branches that equally many failing and healthy requests ran, or did not.

    Attributes:
        first, last: the places in the ranking that it takes, from 1.
        failing, healthy: requests of each group that ran it; of a missing one, that did not.
        ochiai, tarantula, dstar, jaccard: see analysis.ranking; dstar is None where it is infinite.
        chance: of so many failing ones if it had nothing to do with failing (Fisher).
        adjusted: the same, corrected for how many ties there are (Benjamini and Hochberg).
        parts: where it is.
    """

    first: int
    last: int
    failing: int
    healthy: int
    ochiai: float
    tarantula: float
    dstar: float | None
    jaccard: float
    chance: float
    adjusted: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class SuspectFunction:
    """A function, by the first of its lines and branches in a ranking.

    Attributes:
        path: of the file.
        function: qualified name.
        first, last: the places among functions that it shares with those first met in the same tie.
        lines, branches: of that tie, as in a part of it.
        failing, healthy: requests of each group that ran those.
    """

    path: str
    function: str
    first: int
    last: int
    lines: str
    branches: tuple[str, ...]
    failing: int
    healthy: int


def by_function(ties: Iterable[Suspect]) -> tuple[SuspectFunction, ...]:
    """The functions of a ranking, each once; ties as :func:`ranked` gives them."""
    found: list[SuspectFunction] = []
    known: set[tuple[str, str]] = set()
    for _, sharing in groupby(ties, lambda tie: (tie.first, tie.last)):
        new: dict[tuple[str, str], tuple[Suspect, Part]] = {}
        for tie in sharing:
            for part in tie.parts:
                if (part.path, part.function) not in known:
                    new.setdefault((part.path, part.function), (tie, part))
        found += [
            SuspectFunction(
                path=path,
                function=name,
                first=len(known) + 1,
                last=len(known) + len(new),
                lines=part.lines,
                branches=part.branches,
                failing=tie.failing,
                healthy=tie.healthy,
            )
            for (path, name), (tie, part) in new.items()
        ]
        known |= new.keys()
    return tuple(found)


def too_few(found: Contrast, failing: str = "failing", healthy: str = "healthy") -> str | None:
    """Why the groups are too small to be compared, or None."""
    for name, requests in ((failing, found.failing), (healthy, found.healthy)):
        if requests < LEAST:
            return f"{requests} {name} request{'' if requests == 1 else 's'} recorded, {LEAST} are needed"
    return None


def ranked(ties: Iterable[Tie], found: Contrast, formula: str) -> tuple[Suspect, ...]:
    """Ties that a larger share of the failing has, the highest score first; equal ones share their places.

    What is no more frequent among the failing speaks for nothing and has no place.
    """
    counted = [
        (tie, found.failing - tie.ef, found.healthy - tie.ep)
        for tie in ties
        if tie.ef * found.healthy > tie.ep * found.failing
    ]
    chances = [fisher(tie.ef, tie.ep, nf, np) for tie, nf, np in counted]
    scored = []
    for (tie, nf, np), chance, corrected in zip(counted, chances, adjusted(chances), strict=True):
        scores = {name: score(tie.ef, tie.ep, nf, np) for name, score in FORMULAS.items()}
        scored.append((scores, tie, chance, corrected))
    # Of equal scores the surer comes first; the places they share say that they are equal.
    scored.sort(key=lambda one: (-one[0][formula], one[2], one[1].parts[0].path, one[1].parts[0].first))
    return tuple(_placed(scored, formula))


def _placed(scored: Sequence[tuple[dict[str, float], Tie, float, float]], formula: str) -> Iterable[Suspect]:
    sizes: dict[float, int] = {}
    for scores, tie, _, _ in scored:
        sizes[scores[formula]] = sizes.get(scores[formula], 0) + tie.size
    before: dict[float, int] = {}
    above = 0
    for score, size in sizes.items():  # in the order of the scores
        before[score] = above
        above += size
    for scores, tie, chance, corrected in scored:
        score = scores[formula]
        yield Suspect(
            first=before[score] + 1,
            last=before[score] + sizes[score],
            failing=tie.ef,
            healthy=tie.ep,
            ochiai=scores["ochiai"],
            tarantula=scores["tarantula"],
            dstar=None if math.isinf(scores["dstar"]) else scores["dstar"],
            jaccard=scores["jaccard"],
            chance=chance,
            adjusted=corrected,
            parts=tie.parts,
        )
