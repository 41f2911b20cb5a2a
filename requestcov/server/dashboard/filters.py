"""What the address of a page asks for: which requests, sorted how, and searched for what.

Laws: an address is read strictly: what is unknown, given twice, too long or not
of its kind is refused with a sentence, and never left out in silence. What is
read is written back the same, so that every link keeps it. A name that would
not survive an address or a form (control characters, unpaired surrogates, an
empty one) is written as ``~`` and a digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from urllib.parse import parse_qsl, quote, urlencode

from requestcov.analysis.evidence import Selection

LONGEST = 4000
"""Characters of a value, at most: of an endpoint's name, say."""


class Refused(Exception):
    """An address cannot be read; the message says why, and what would be right."""


class Unknown(Exception):
    """An address names something that the store does not have; the message says what."""


@dataclass(frozen=True)
class Field:
    """Something that an address can hold.

    Attributes:
        name: in the address.
        parse: text to value; raises ValueError with what is allowed.
        default: its value where the address does not say.
    """

    name: str
    parse: Callable[[str], object]
    default: object = None


def text(name: str) -> Field:
    """A field that holds any text; nothing written is nothing asked."""
    return Field(name, lambda given: given.strip() or None)


def choice(name: str, allowed: Sequence[str]) -> Field:
    """A field that is one of these, the first of them where nothing is said."""

    def parse(given: str) -> str:
        if given not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return given

    return Field(name, parse, allowed[0])


def sort(*columns: str) -> Field:
    """A field that orders a table: a column's name, with ``-`` before it for the largest first."""
    bare = [column.removeprefix("-") for column in columns]
    return choice("sort", list(dict.fromkeys([*columns, *bare, *(f"-{column}" for column in bare)])))


def whole(name: str, default: int | None = None) -> Field:
    """A field that is a number from 1."""

    def parse(given: str) -> int:
        if not (given.isascii() and given.isdigit() and len(given) < 10 and int(given) > 0):
            raise ValueError("a whole number from 1 to 999999999")
        return int(given)

    return Field(name, parse, default)


def day(given: str) -> datetime | None:
    """A UTC day; None of an empty text, which an unfilled field of a form sends."""
    if not given:
        return None
    try:
        if len(given) != 10:
            raise ValueError
        return datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError("a day like 2026-11-22") from None


COMMON: tuple[Field, ...] = (text("service"), text("release"), Field("since", day), Field("until", day))
"""What every page takes, and every link keeps."""
KEPT = frozenset(field.name for field in COMMON)


def tag(name: str) -> str:
    """A name from the store as addresses and forms hold it."""
    if name and name.isprintable() and name == name.strip() and not name.startswith("~"):
        return name
    return "~" + blake2b(name.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def named(given: str, names: Iterable[str], kind: str) -> str:
    """The name that :func:`tag` made this of.

    Raises:
        Unknown: there is none.
    """
    if not given.startswith("~"):
        return given
    for name in names:
        if tag(name) == given:
            return name
    raise Unknown(f"No {kind} here is called {given}.")


@dataclass(frozen=True)
class Filters:
    """An address that was read.

    Attributes:
        given: what it says, as written.
        values: every field's value.
    """

    given: Mapping[str, str]
    values: Mapping[str, object]

    def __getitem__(self, name: str) -> object:
        return self.values[name]

    def text(self, name: str) -> str | None:
        """The value of a text field."""
        value = self.values[name]
        return None if value is None else str(value)

    def number(self, name: str) -> int | None:
        """The value of a field that is a number."""
        value = self.values[name]
        return value if isinstance(value, int) else None

    @property
    def kept(self) -> dict[str, str]:
        """What every link goes on with."""
        return {name: text for name, text in self.given.items() if name in KEPT and text}

    @property
    def narrowing(self) -> bool:
        """Whether fewer than all requests are asked about."""
        return bool(self.kept)


def read(query: bytes, fields: Iterable[Field]) -> Filters:
    """Read an address's query.

    Args:
        query: as it came, percent-encoded.
        fields: what the page takes beyond what every page does.

    Raises:
        Refused: see the laws above.
    """
    known = {field.name: field for field in (*COMMON, *fields)}
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=len(known) + 10
        )
    except (UnicodeError, ValueError):
        raise Refused("The address cannot be read: it is not UTF-8, or holds too much.") from None
    given: dict[str, str] = {}
    values: dict[str, object] = {name: field.default for name, field in known.items()}
    for name, said in pairs:
        if name not in known:
            raise Refused(f"This page knows no {_short(name)}: it takes {', '.join(sorted(known))}.")
        if name in given:
            raise Refused(f"The address gives {name} twice: once is enough.")
        if len(said) > LONGEST:
            raise Refused(f"{name} is too long: {LONGEST} characters are allowed.")
        try:
            value = known[name].parse(said)
        except ValueError as allowed:
            raise Refused(f"{name}={_short(said)} cannot be used: allowed is {allowed}.") from None
        given[name] = said
        values[name] = known[name].default if value is None else value
    since, until = values["since"], values["until"]
    if isinstance(since, datetime) and isinstance(until, datetime) and since > until:
        raise Refused("since is after until: exchange the two.")
    return Filters(given, values)


def selection(
    filters: Filters, services: Iterable[str], releases: Iterable[str], endpoint: str | None = None
) -> Selection:
    """The requests that are asked about.

    Raises:
        Unknown: the store has none of that name.
    """
    service, release = filters.text("service"), filters.text("release")
    since, until = filters["since"], filters["until"]
    return Selection(
        service=None if service is None else named(service, services, "service"),
        release=None if release is None else named(release, releases, "release"),
        endpoint=endpoint,
        since=since if isinstance(since, datetime) else None,
        until=until if isinstance(until, datetime) else None,
    )


def written(values: Mapping[str, object]) -> str:
    """A query that :func:`read` reads as these values; without those that are None."""
    pairs = [(name, str(value)) for name, value in values.items() if value is not None]
    return urlencode(pairs, quote_via=quote, safe="/{}:~")


def _short(said: str) -> str:
    return said if len(said) <= 100 else f"{said[:100]}…"
