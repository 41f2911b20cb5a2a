"""What is said of coverage: of a function, a file, an endpoint, a release, and all together.

Law: fractions go from 0 to 1, and are None where there is nothing to divide by.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class Measured:
    """What has the four numbers of a coverage, whose fields each kind declares and explains."""

    executed: int
    executable: int
    taken: int | None
    branches: int | None

    @property
    def coverage(self) -> float | None:
        """executed / executable, 0 to 1; None where there is nothing to run, or nothing was reached."""
        return _fraction(self.executed, self.executable)

    @property
    def branch_coverage(self) -> float | None:
        """taken / branches, 0 to 1; None without branches."""
        return _fraction(self.taken, self.branches)


@dataclass(frozen=True, kw_only=True)
class FunctionCoverage(Measured):
    """One function of a file's newest version.

    Attributes:
        path: relative to the project root.
        name: qualified name.
        line: of the ``def``.
        executed, executable: numbers of body lines.
        taken, branches: numbers of ways on from body lines that have more than one; None
            when no request that ran the file was recorded with branches.
    """

    path: str
    name: str
    line: int
    executed: int
    executable: int
    taken: int | None
    branches: int | None


@dataclass(frozen=True, kw_only=True)
class FunctionUnion(FunctionCoverage):
    """One function as all requests of the selection together ran it.

    Attributes:
        endpoints: those that ran any line of its body, sorted.
    """

    endpoints: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Union(Measured):
    """What some requests ran, all together.

    Attributes:
        recorded: requests stored in the selection.
        weight: how many requests those stand for.
        failed: recorded requests with an exception or a status of 500 and up.
        executed, executable: body lines of the functions reached.
        taken, branches: of those functions, in files that were recorded with branches; else None.
        functions: those reached, by path and line.
        unread: distinct (file, line) recorded that could not be judged,
            because no source of that version is at hand or it cannot be parsed.
    """

    recorded: int
    weight: float
    failed: int
    executed: int
    executable: int
    taken: int | None
    branches: int | None
    functions: tuple[FunctionCoverage, ...]
    unread: int


@dataclass(frozen=True, kw_only=True)
class EndpointCoverage(Union):
    """One endpoint.

    Attributes:
        endpoint: ``GET /orders/{id}``.
        seen: requests that reached the wrappers; None when no ledger tells.
    """

    endpoint: str
    seen: int | None

    @property
    def method(self) -> str:
        """``GET``."""
        return self.endpoint.partition(" ")[0]

    @property
    def route(self) -> str:
        """``/orders/{id}``."""
        return self.endpoint.partition(" ")[2]


@dataclass(frozen=True, kw_only=True)
class ReleaseCoverage(Union):
    """One release, each file in the newest version that the release ran.

    Attributes:
        release: as recorded; ``""`` when requests named none.
        first: the UTC day of its first request, None in evidence that does not tell.
        endpoints: those recorded in it, sorted.
    """

    release: str
    first: datetime | None
    endpoints: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FileCoverage(Measured):
    """One file, in its newest version.

    Attributes:
        path, digest: of the newest version.
        versions: how many versions requests ran.
        endpoints: those that ran any line of a function body, sorted.
        executed, executable: lines of all function bodies of the file.
        taken, branches: of all its functions; None when none of its runs was recorded with branches.
        functions: every function of the file, in the order of the text.
        problem: why the file cannot be judged, else None.
    """

    path: str
    digest: str
    versions: int
    endpoints: tuple[str, ...]
    executed: int
    executable: int
    taken: int | None
    branches: int | None
    functions: tuple[FunctionUnion, ...]
    problem: str | None


def _fraction(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else part / whole
