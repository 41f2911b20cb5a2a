"""What is said of an endpoint's execution paths.

Law: every line stands as it is in the newest version of its file.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PathLine:
    """One line of a function's body: its number, and its text without the indent of the function."""

    number: int
    text: str


@dataclass(frozen=True, kw_only=True)
class PathPart:
    """Lines of one function.

    Attributes:
        path: relative to the project root.
        name: qualified name.
        line: of the ``def``.
        whole: whether the other path does not enter the function at all.
        lines: ascending.
    """

    path: str
    name: str
    line: int
    whole: bool
    lines: tuple[PathLine, ...]


@dataclass(frozen=True, kw_only=True)
class ExecutionPath:
    """The requests of an endpoint that ran the very same lines until the response was complete.

    Attributes:
        number: 1 is the most common.
        requests, weight: recorded, and what they stand for.
        share: their part of the weight of all requests of the endpoint, 0 to 1.
        failed: how many of them failed.
        failing: the failed ones' part of the weight of the path, 0 to 1.
        median_ms: half of the requests they stand for took no longer.
        releases: names, sorted.
        functions, lines: how many of them the path runs, as the files are now.
        changed: recorded lines that stand in none of those, since the function has changed or
            the source is missing; they tell paths apart, and cannot be shown.
        like: number of the path that differs in the fewest lines, of the fifty most common that
            are more common than this one; None for the first.
        adds, lacks: lines that this path runs and that one does not, and the reverse.
        changed_differs: whether the two differ in lines counted in ``changed``.
        background: recorded requests that ran something after the response.
    """

    number: int
    requests: int
    weight: float
    share: float
    failed: int
    failing: float
    median_ms: float
    releases: tuple[str, ...]
    functions: int
    lines: int
    changed: int
    like: int | None
    adds: tuple[PathPart, ...]
    lacks: tuple[PathPart, ...]
    changed_differs: bool
    background: int


@dataclass(frozen=True, kw_only=True)
class Folded:
    """The rarer paths together: how many they are, and their requests."""

    paths: int
    requests: int
    weight: float
    share: float
    failed: int
    failing: float


@dataclass(frozen=True, kw_only=True)
class Background:
    """What a function ran after responses were complete.

    Attributes:
        path, name, line: of the function.
        lines: body lines that ran only then, in any of the requests.
        requests: recorded ones in which any did.
        share: their part of the weight of all requests of the endpoint, 0 to 1.
    """

    path: str
    name: str
    line: int
    lines: tuple[int, ...]
    requests: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Paths:
    """The execution paths of one endpoint.

    Attributes:
        endpoint: ``GET /orders/{id}``.
        paths: the most common first.
        total: how many there are, shown or folded.
        folded: those not shown; None when all are.
        once: paths that one recorded request took.
        unseen: the chance that the next request recorded takes a path not seen yet: once / requests
            (Good, 1953, after Turing); None without requests.
        background: what ran after responses, the greatest share first.
    """

    endpoint: str
    paths: tuple[ExecutionPath, ...]
    total: int
    folded: Folded | None
    once: int
    unseen: float | None
    background: tuple[Background, ...]
