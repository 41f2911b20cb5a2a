"""Safe, bounded names for endpoints: made of templates, and of paths without one.

Laws: a name made from a path holds plain words and placeholders, nothing else
of the path; a name is printable and short, whatever a client or an app says;
naming a name again changes nothing.
"""

from __future__ import annotations

import re

NOT_FOUND = "(not found)"
"""The one name for requests that were answered 404 and met no route."""

MAX_TEMPLATE = 200
"""Longest template kept, in characters."""

MAX_SEGMENTS = 8
"""How many segments of a path a fallback name looks at."""


def clean(template: object) -> str:
    """A template as it is stored: one leading slash, printable, at most MAX_TEMPLATE characters."""
    text = str(template)[: 4 * MAX_TEMPLATE]
    if not text.isprintable():
        text = "".join(char for char in text if char.isprintable())
    return text[:MAX_TEMPLATE] if text.startswith("/") else ("/" + text)[:MAX_TEMPLATE]


_REGEX_TOKEN = re.compile(
    r"""
    \\[AZzbB] | [\^$]                          # anchors: dropped
  | \\(?P<escaped>[^A-Za-z0-9])                # an escaped character: itself
  | \(\?P<(?P<name>\w+)> | (?P<lookaround>\(\?<?[!=]) | (?P<plain>\(\?:) | (?P<open>\()
  | (?P<close>\)) | (?P<many>[?*+])
    """,
    re.VERBOSE,
)
_REGEX_INSIDE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]", re.DOTALL)


def readable(pattern: str) -> str:
    r"""Django's ``re_path`` notation made like its ``path`` notation; others unchanged.

    ``^articles/(?P<year>[0-9]{4})/$`` becomes ``articles/<year>/``; a group
    without a name becomes ``<var>``.
    """
    if not (pattern.startswith("^") or pattern.endswith(("$", "\\Z", "\\z")) or "(" in pattern):
        return pattern
    parts: list[str] = []
    at = 0
    while match := _REGEX_TOKEN.search(pattern, at):
        parts.append(pattern[at : match.start()])
        at = match.end()
        if match["escaped"]:
            parts.append(match["escaped"])
        elif match["name"] or match["open"] or match["lookaround"]:
            at = _group_end(pattern, at)
            if not match["lookaround"]:
                parts.append(f"<{match['name'] or 'var'}>")
    parts.append(pattern[at:])
    return "".join(parts)


def _group_end(pattern: str, at: int) -> int:
    """Where the group that is open at this index has ended, in a regular expression."""
    depth = 1
    for match in _REGEX_INSIDE.finditer(pattern, at):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth == 0:
            return match.end()
    return len(pattern)


METHODS = frozenset(
    [
        *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"),
        *("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH"),
        "WEBSOCKET",
    ]
)


def known_method(method: str) -> str:
    """The method, or ``(other)`` for one that no RFC knows: a client may invent any text."""
    return method if method in METHODS else "(other)"


# One word: lower, UPPER, Capital or camelCase with at least two letters a hump. The
# possessive marks keep a long hostile segment from being tried in many ways.
_WORD = "(?:[A-Z]{2,12}+(?![a-z])|[A-Za-z][a-z]{0,18}+(?:[A-Z][a-z]{1,18}+){0,4}+)"
_KIND = re.compile(
    "(?P<uuid>[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})"
    "|(?P<hex>[0-9A-Fa-f]{8,})"
    # Up to four words and, at one place among them, up to three digits.
    f"|(?P<word>{_WORD}(?:[_.-]{_WORD}){{0,3}}+[0-9]{{0,3}}+(?:[_.-]{_WORD}){{0,2}})"
    "|(?P<placeholder>{(?:id|uuid|hex|token)})"
)
_MAX_WORD = 31


def fallback(path: str) -> str:
    """A name for a path without a route: ``/orders/123/x`` is ``/orders/{id}/x``.

    The first MAX_SEGMENTS segments; numbers become ``{id}``, UUIDs ``{uuid}``,
    eight or more hex digits ``{hex}``, and all else that is not a short plain
    word ``{token}``: e-mail addresses, dates, percent signs, other scripts. A
    word stays a word: a user name in a path that is one cannot be told apart.

    Returns:
        At most 256 characters, ASCII; ``fallback(fallback(p)) == fallback(p)``.
    """
    parts = path.split("/", MAX_SEGMENTS + 1)[: MAX_SEGMENTS + 1]
    if parts[0]:
        parts = ["", *parts[:MAX_SEGMENTS]]
    elif len(parts) == 1:
        return "/"
    for index, segment in enumerate(parts):
        if segment:
            parts[index] = _words.get(segment) or _name(segment)
    return "/".join(parts)


_words: dict[str, str] = {}  # most segments are words met before: this runs for every new path
_MAX_WORDS = 1024


def _name(segment: str) -> str:
    if segment.isdigit() and segment.isascii():
        return "{id}"
    kind = _KIND.fullmatch(segment)
    if kind is None:
        return "{token}"
    if kind.lastgroup == "placeholder":
        return segment
    if kind.lastgroup != "word":
        return f"{{{kind.lastgroup}}}"
    if len(segment) > _MAX_WORD:
        return "{token}"
    if len(_words) >= _MAX_WORDS:
        _words.clear()
    _words[segment] = segment
    return segment
