"""Which known route template a path belongs to, found in one walk.

Laws: no framework's router is asked or copied; a template is read in the
notation it is stored in; literal segments win over parameters, typed over free
ones, single segments over tails. A walk visits each node of the tree at most
once, whatever the path. What cannot be read matches nothing: the caller falls
back to a name made from the path.
"""

from __future__ import annotations

import re
from typing import Generic, NamedTuple, TypeVar

from requestcov._names import fallback

T = TypeVar("T")

MAX_PATH = 2048
"""Longer paths are not looked up, in characters."""

_MAX_MIXED = 256  # of a segment such as {name}.json: its expression may try many splits
_MAX_DEPTH = 64
_MAX_PREFIX = 4

# {id}, {id:int}, {id:\d{4}}; <id>, <int:id>, <id:re:a|b>; *rest and *; :id of Pyramid and Bottle
_PARAMETER = re.compile(r"\{(?:[^{}]|\{[^{}]*\})*\} | <(?:[^<>]|<[^<>]*>)*> | \*\w* | (?<=/):\w+", re.VERBOSE)
_TAIL = re.compile(r"[<{]path:|:path[>}:]|^\*|[:<]re:.*[/.]|:filter|:path\b")
_NUMBER = re.compile(r"<int(?:\([^)]*\))?:\w+>|[<{]\w+:int(?:\([^)]*\))?[>}]")


class _Step(NamedTuple):
    kind: str  # literal, number, any, mixed: one segment; tail: all that is left
    text: str


def _steps(template: str, last_is_tail: bool) -> list[_Step]:
    found = list(_PARAMETER.finditer(template))
    marked, marks = _PARAMETER.sub("\0", template), iter(found)
    steps: list[_Step] = []
    segments = marked.split("/")[1:]
    left = len(found)
    for index, segment in enumerate(segments):
        count = segment.count("\0")
        if not count:
            steps.append(_Step("literal", segment))
            continue
        parameters = [next(marks)[0] for _ in range(count)]
        left -= count
        if any(_TAIL.search(text) for text in parameters) or (last_is_tail and not left):
            rest = "/".join(segments[index:])
            return [*steps, _Step("tail", re.escape(rest).replace(re.escape("\0"), ".+"))]
        if segment != "\0":
            steps.append(_Step("mixed", re.escape(segment).replace(re.escape("\0"), ".+")))
        elif _NUMBER.fullmatch(parameters[0]):
            steps.append(_Step("number", ""))
        else:
            steps.append(_Step("any", ""))
    return steps


class _Node(Generic[T]):
    __slots__ = ("any", "literals", "mixed", "number", "tails", "value")

    def __init__(self) -> None:
        self.value: T | None = None
        self.literals: dict[str, _Node[T]] = {}
        self.number: _Node[T] | None = None
        self.any: _Node[T] | None = None
        self.mixed: dict[str, tuple[re.Pattern[str], _Node[T]]] = {}
        self.tails: dict[str, tuple[re.Pattern[str], T]] = {}

    def add(self, steps: list[_Step], value: T) -> None:
        """Hang the value at the end of the steps; safe beside lookups and other additions."""
        node = self
        for kind, text in steps:
            if kind == "tail":
                node.tails.setdefault(text, (re.compile(text, re.DOTALL), value))
                return
            if kind == "literal":
                node = node.literals.setdefault(text, _Node())
            elif kind == "mixed":
                node = node.mixed.setdefault(text, (re.compile(text, re.DOTALL), _Node()))[1]
            elif kind == "number":
                node.number = node.number or _Node()
                node = node.number
            else:
                node.any = node.any or _Node()
                node = node.any
        node.value = value

    def find(self, segments: list[str], at: int) -> T | None:
        """The value of the best template for the segments from this index on."""
        if at == len(segments):
            return self.value
        segment = segments[at]
        child = self.literals.get(segment)
        if child is not None and (value := child.find(segments, at + 1)) is not None:
            return value
        if not segment:
            return None
        # {id} stands for a number where a name made from a path is looked up.
        if self.number is not None and (segment.isdigit() or segment == "{id}"):
            value = self.number.find(segments, at + 1)
            if value is not None:
                return value
        if self.mixed and len(segment) <= _MAX_MIXED:
            for pattern, child in list(self.mixed.values()):
                if pattern.fullmatch(segment) and (value := child.find(segments, at + 1)) is not None:
                    return value
        if self.any is not None and (value := self.any.find(segments, at + 1)) is not None:
            return value
        if self.tails:
            rest = "/".join(segments[at:])
            for pattern, value in list(self.tails.values()):
                if pattern.fullmatch(rest):
                    return value
        return None


class Templates(Generic[T]):
    """Templates of one HTTP method, each with a value."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def find(self, path: str) -> T | None:
        """The value of the template that the path belongs to, or None."""
        if len(path) > MAX_PATH:
            return None
        return self._root.find(path.split("/", _MAX_DEPTH), 1)

    def add(self, template: str, path: str, value: T) -> bool:
        """Add a template, as it was seen to match a path.

        The path settles what a template leaves open: whether a last ``{path}``
        runs over slashes, and a prefix of plain words before the template
        (a mount that an outer server knows of).

        Returns:
            False when the template cannot be read so that it matches the path;
            it is not added then.
        """
        segments = path.split("/", _MAX_DEPTH)
        if len(path) > MAX_PATH:
            return False
        forms = [_steps(template, last_is_tail) for last_is_tail in (False, True)]
        for length in range(min(_MAX_PREFIX, len(segments) - 1) + 1):
            prefix = "/" + "/".join(segments[1 : 1 + length])
            if fallback(prefix) != prefix:
                break
            for steps in forms:
                probe: _Node[T] = _Node()
                probe.add(steps, value)
                if probe.find(segments, 1 + length) is not None:
                    literals = [_Step("literal", word) for word in segments[1 : 1 + length]]
                    self._root.add([*literals, *steps], value)
                    return True
        return False
