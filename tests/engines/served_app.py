"""A WSGI app whose branches a collector can easily get wrong when events come twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PATHS = [
    "/loop/3",
    "/bad/1",
    "/bad/1",
    "/bad/0",
    "/loop/0",
    "/steps/2",
    "/deep/3",
    "/bad/1",
    "/loop/1",
    "/else",
]


def check(item: int) -> bool:
    if item > 0:
        raise ValueError(item)
    return True


def bad(n: int) -> str:
    for item in [n, n]:
        if check(item):
            continue
    return "good"


def loop(n: int) -> str:
    total = 0
    while n:
        total += n
        n -= 1
    else:
        total = -total
    return str(total)


def steps(n: int) -> Iterator[int]:
    for i in range(n):
        if i % 2:
            yield i
        else:
            yield -i


def deep(n: int) -> int:
    if n:
        n = deep(n - 1)
    return n


def app(environ: Any, start_response: Any) -> Iterator[bytes]:
    """Routes by hand."""
    parts = environ["PATH_INFO"].split("/")
    start_response("200 OK", [])
    if parts[1] == "loop":
        yield loop(int(parts[2])).encode()
    elif parts[1] == "bad":
        yield bad(int(parts[2])).encode()
    elif parts[1] == "steps":
        one, other = steps(int(parts[2])), steps(int(parts[2]))
        for a, b in zip(one, other, strict=True):
            yield f"{a}{b}".encode()
    elif parts[1] == "deep":
        yield str(deep(int(parts[2]))).encode()
    else:
        yield b"else"
