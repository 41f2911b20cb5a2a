"""One table of options; from it come Config, the environment, the CLI and the docs page.

Laws: precedence is code over environment over default; an empty variable is
an unset one; a value that cannot be used is refused here, at start-up, with
one sentence naming the option, the value and what is allowed. Building a
Config touches nothing: no file, no thread, no import.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from requestcov.errors import ConfigError

PREFIX = "REQUESTCOV_"

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = value.lower() if isinstance(value, str) else ""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"one of {', '.join(_TRUE)} or {', '.join(_FALSE)}")


_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def _number(low: float, high: float, unit: str = "") -> Callable[[object], float]:
    allowed = f"a number from {low:g} to {high:g}{unit}"

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError(allowed)
        # float() also reads "1_000" and other scripts' digits: nobody who writes those means them.
        if isinstance(value, str) and not _DECIMAL.fullmatch(value):
            raise ValueError(allowed)
        try:
            number = float(value)
        except OverflowError:
            raise ValueError(allowed) from None
        if math.isnan(number) or not low <= number <= high:
            raise ValueError(allowed)
        return number

    return parse


def _integer(low: int, high: int, unit: str = "") -> Callable[[object], int]:
    allowed = f"a whole number from {low} to {high}{unit}"

    def parse(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(allowed)
        return value

    return parse


def _words(value: object) -> tuple[str, ...]:
    """A comma-separated text, or any iterable of texts; ``\\,`` is a comma itself."""
    allowed = "a comma-separated list (write \\, for a comma inside an item)"
    if isinstance(value, str):
        parts = re.split(r"(?<!\\),", value)
        items = [part.replace("\\,", ",").strip() for part in parts]
    elif isinstance(value, Iterable):
        items = list(value)
        if not all(isinstance(item, str) for item in items):
            raise ValueError(allowed)
    else:
        raise ValueError(allowed)
    if any(has_controls(item) for item in items):
        raise ValueError(f"{allowed} without control characters")
    return tuple(item for item in items if item)


def _patterns(value: object) -> tuple[str, ...]:
    patterns = _words(value)
    if not all(pattern.startswith(("/", "*", "?")) for pattern in patterns):
        raise ValueError("a comma-separated list of patterns for the whole path, each from its first /")
    return patterns


def has_controls(text: str) -> bool:
    """Whether a text has characters that could break a log line, a header or a path."""
    return any(ord(char) < 32 or ord(char) == 127 for char in text)


def _methods(value: object) -> tuple[str, ...]:
    items = _words(value)
    for item in items:
        if not re.fullmatch(r"[A-Za-z]{1,20}", item):
            raise ValueError("a comma-separated list of HTTP methods, such as HEAD,OPTIONS")
    return tuple(item.upper() for item in items)


def _text(value: object) -> str:
    if not isinstance(value, str) or not _is_label(value):
        raise ValueError("a UTF-8 text of at most 200 characters without control characters")
    return value


def _is_label(text: str) -> bool:
    # A variable that is not UTF-8 arrives with lone surrogates, which no JSON or database takes.
    return len(text) <= 200 and not has_controls(text) and not re.search(r"[\ud800-\udfff]", text)


def _secret(value: object) -> str:
    allowed = "16 to 200 printable ASCII characters without spaces"
    if not isinstance(value, str):
        raise ValueError(allowed)
    if value and not re.fullmatch(r"[!-~]{16,200}", value):
        raise ValueError(allowed)
    return value


def _labels(value: object) -> dict[str, str]:
    allowed = "a comma-separated list of key=value"
    if isinstance(value, Mapping):
        pairs = [(key, item) for key, item in value.items()]
    else:
        pairs = []
        for item in _words(value):
            key, equals, label = item.partition("=")
            if not equals:
                raise ValueError(allowed)
            pairs.append((key.strip(), label.strip()))
    for key, item in pairs:
        if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", key):
            raise ValueError(f"{allowed}; a key is a letter and up to 63 letters, digits, _ . -")
        if not isinstance(item, str) or not _is_label(item):
            raise ValueError(
                f"{allowed}; a value is a UTF-8 text of at most 200 characters without control characters"
            )
    return dict(pairs)


@dataclass(frozen=True)
class Option:
    """One row of the table.

    Attributes:
        name: the Config field; the variable is ``REQUESTCOV_`` + upper case.
        parse: any given value to the field's value; its ValueError says what is allowed.
        default: the value when nothing is given.
        kind: what a person may write, for the docs page.
        help: one or two sentences.
        secret: never shown.
    """

    name: str
    parse: Callable[[object], Any]
    default: Any
    kind: str
    help: str
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable's name."""
        return PREFIX + self.name.upper()


DEFAULT_EXCLUDE = (
    "/static/*",
    "/assets/*",
    "/favicon.ico",
    "/robots.txt",
    "/health",
    "/healthz",
    "/livez",
    "/readyz",
    "/ping",
    "/metrics",
)

OPTIONS: tuple[Option, ...] = (
    Option("enabled", _boolean, True, "boolean", "Off: the wrapper hands every call straight to the app."),
    Option("sample_rate", _number(0, 1), 0.01, "0 to 1", "Share of requests recorded by chance."),
    Option(
        "first",
        _integer(0, 10_000),
        5,
        "0 to 10000",
        "The first N requests of every endpoint, in every process, are always recorded.",
    ),
    Option(
        "source",
        _words,
        (),
        "list",
        "Directories or packages to measure. Empty: what coverage.py's configuration says, "
        "and else the working directory.",
    ),
    Option("include", _words, (), "list", "Only files that match one of these patterns (coverage.py's)."),
    Option("omit", _words, (), "list", "No file that matches one of these patterns (coverage.py's)."),
    Option("branch", _boolean, False, "boolean", "Record branches beside lines."),
    Option(
        "sinks",
        _words,
        ("sqlite:///requestcov.db",),
        "list of URLs",
        "Where records go: sqlite:///path.db, file:///path.jsonl, or a scheme that an "
        "installed package adds. Three slashes for a relative path, four for an absolute one.",
    ),
    Option(
        "keep_sources",
        _boolean,
        True,
        "boolean",
        "Send the text of each file version that ran to the sinks, once, so that lines can be shown as they "
        "were. Off: reports read the working directory instead.",
    ),
    Option(
        "exclude",
        _patterns,
        DEFAULT_EXCLUDE,
        "list of patterns",
        "Paths never recorded. A pattern matches the whole path; * is any run of characters, "
        "? one character.",
    ),
    Option(
        "exclude_methods",
        _methods,
        (),
        "list of methods",
        "HTTP methods never recorded, such as HEAD,OPTIONS.",
    ),
    Option("service", _text, "", "text", "Name of the service. Empty: the first source's name."),
    Option("release", _text, "", "text", "Name of the deployed version."),
    Option(
        "force_secret",
        _secret,
        "",
        "secret",
        "With it, a request whose header X-Requestcov-Force carries the same text is recorded. "
        "Empty: the header is ignored.",
        secret=True,
    ),
    Option(
        "max_per_second",
        _number(0, 100_000, " recordings a second"),
        10.0,
        "0 to 100000",
        "Recordings a second and process; what it turns away is not sampled. 0: no limit.",
    ),
    Option(
        "max_in_flight",
        _integer(1, 10_000, " recordings"),
        8,
        "1 to 10000",
        "Recordings at the same time in a process; further ones are dropped and counted.",
    ),
    Option(
        "max_duration",
        _number(0.001, 86_400, " seconds"),
        30.0,
        "seconds",
        "A recording is cut after this long, stored as partial, and counted.",
    ),
    Option(
        "queue_size",
        _integer(1, 1_000_000, " records"),
        256,
        "1 to 1000000",
        "Finished records waiting to be written; when full, new ones are dropped and counted.",
    ),
    Option(
        "batch_size", _integer(1, 100_000, " records"), 500, "1 to 100000", "Records written at once at most."
    ),
    Option(
        "flush_interval",
        _number(0.01, 3600, " seconds"),
        2.0,
        "seconds",
        "A record waits at most about this long before it is written.",
    ),
    Option("labels", _labels, {}, "list of key=value", "Labels on every record of this process."),
)

_BY_NAME = {option.name: option for option in OPTIONS}

SERVER_VARIABLES = frozenset(
    PREFIX + name
    for name in (
        "STORE",
        "BIND_HOST",
        "BIND_PORT",
        "ALLOWED_HOSTS",
        "WRITE_TOKENS",
        "READ_TOKENS",
        "WRITE_TOKEN_FILE",
        "READ_TOKEN_FILE",
        "WORKERS",
        "MAX_BODY",
        "MAX_DOCUMENT",
        "MAX_RECORDS",
        "MAX_WAITING",
        "BODY_TIMEOUT",
        "DAILY_QUOTA",
    )
)
"""What the collector and the dashboard read (requestcov.server.settings): an app may find it around too."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Config:
    """Every option, checked. Give only what differs from the default.

    ``Config(sample_rate=1.0)`` ignores the environment; :meth:`load` reads it.

    Raises:
        ConfigError: a value cannot be used, or (load) a variable is unknown.
    """

    enabled: bool = True
    sample_rate: float = 0.01
    first: int = 5
    source: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    omit: tuple[str, ...] = ()
    branch: bool = False
    sinks: tuple[str, ...] = ("sqlite:///requestcov.db",)
    keep_sources: bool = True
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    exclude_methods: tuple[str, ...] = ()
    service: str = ""
    release: str = ""
    force_secret: str = ""
    max_per_second: float = 10.0
    max_in_flight: int = 8
    max_duration: float = 30.0
    queue_size: int = 256
    batch_size: int = 500
    flush_interval: float = 2.0
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for option in OPTIONS:
            given = getattr(self, option.name)
            object.__setattr__(self, option.name, _parse(option, given, option.name))

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={text!r}' for name, text in self.shown().items())})"

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Config:
        """The environment's values, overridden by the keyword options.

        Raises:
            ConfigError: naming the variable or option, the value, and what is allowed.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for name in sorted(environ):
            if not name.startswith(PREFIX) or name in SERVER_VARIABLES:
                continue
            option = _BY_NAME.get(name[len(PREFIX) :].lower())
            if option is None or option.variable != name:
                raise ConfigError(_unknown(name, lambda option: option.variable))
            if environ[name].strip():
                values[option.name] = _parse(option, environ[name].strip(), name)
        for name, value in options.items():
            if name not in _BY_NAME:
                raise ConfigError(_unknown(name, lambda option: option.name))
            values[name] = value
        return cls(**values)

    def shown(self) -> dict[str, str]:
        """Every option as text, secrets hidden: for ``requestcov doctor`` and logs."""
        result: dict[str, str] = {}
        for name in (row.name for row in fields(self)):
            value = getattr(self, name)
            if _BY_NAME[name].secret:
                result[name] = "set" if value else "not set"
            elif isinstance(value, tuple):
                result[name] = redact(", ".join(value))
            elif isinstance(value, Mapping):
                result[name] = ", ".join(f"{k}={v}" for k, v in value.items())
            else:
                result[name] = str(value)
        return result


def redact(text: str) -> str:
    """A text with the user, password and query of every URL in it hidden."""
    text = re.sub(r"://[^/\s]*@", "://(hidden)@", text)
    return re.sub(r"(://[^\s?,]*)\?[^\s,'\"]+", r"\1?(hidden)", text)


def _parse(option: Option, value: object, said: str) -> Any:
    try:
        return option.parse(value)
    except ValueError as allowed:
        shown = "(hidden)" if option.secret else redact(_short(value))
        raise ConfigError(f"{said}={shown} cannot be used: allowed is {allowed}.") from None


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an int of thousands of digits has no repr
        text = "(a number too long to show)"
    return text if len(text) <= 200 else f"{text[:200]}…"


def _unknown(name: str, named: Callable[[Option], str]) -> str:
    # Compared without the prefix: with it every variable would look like some other one.
    near = difflib.get_close_matches(name.removeprefix(PREFIX).lower(), _BY_NAME, n=1, cutoff=0.7)
    if near:
        hint = f"did you mean {named(_BY_NAME[near[0]])}?"
    else:
        hint = f"known are {', '.join(map(named, OPTIONS))}."
    return f"{name} is not an option of requestcov: {hint}"
