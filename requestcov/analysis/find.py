"""Which endpoint or file does a person mean?

Law: an exact name always wins; a shorter one counts only when it is
unambiguous. What is guessed is never silently one of several.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """Exactly one of the two is set."""

    endpoint: str | None = None
    path: str | None = None


class NotFound(LookupError):
    """Nothing, or too much, has such a name.

    Attributes:
        target: what was asked for.
        candidates: the several it could be, or names near it.
        ambiguous: which of the two.
    """

    def __init__(self, target: str, candidates: Sequence[str], ambiguous: bool) -> None:
        super().__init__(target)
        self.target = target
        self.candidates = tuple(candidates)
        self.ambiguous = ambiguous


def find(target: str, endpoints: Iterable[str], paths: Iterable[str]) -> Found:
    """Resolve a name; the first of these that fits anything decides.

    The endpoint or path itself; the same in any case; the route alone; the end
    of a path, at a ``/``; the beginning of an endpoint; any part of either.

    Raises:
        NotFound: no name fits, or the deciding rule fits several.
    """
    wanted = target.strip().removeprefix("./")
    low = wanted.casefold()
    named = [(name, Found(endpoint=name)) for name in sorted(endpoints)]
    named += [(name, Found(path=name)) for name in sorted(paths)]
    rules = (
        lambda name, found: name == wanted,
        lambda name, found: name.casefold() == low,
        lambda name, found: found.endpoint is not None and name.partition(" ")[2] == wanted,
        lambda name, found: found.path is not None and name.endswith("/" + wanted),
        lambda name, found: found.endpoint is not None and name.casefold().startswith(low),
        lambda name, found: low in name.casefold(),
    )
    for fits in rules if wanted else ():
        matches = [(name, found) for name, found in named if fits(name, found)]
        if len(matches) == 1:
            return matches[0][1]
        if matches:
            raise NotFound(target, [name for name, _ in matches], ambiguous=True)
    names = {name.casefold(): name for name, _ in named}
    near = difflib.get_close_matches(low, names, n=5, cutoff=0.5)
    raise NotFound(target, [names[name] for name in near], ambiguous=False)
