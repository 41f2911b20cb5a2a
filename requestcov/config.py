"""One table of options; from it come Config, the environment, the CLI and the docs page.

Laws: precedence is code over environment over default; an empty variable is
an unset one; a value that cannot be used is refused here, at start-up, with
one sentence naming the option, the value and what is allowed. Building a
Config touches nothing: no file, no thread, no import.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from requestcov import _values
from requestcov.errors import ConfigError

PREFIX = "REQUESTCOV_"


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
    Option(
        "enabled", _values.boolean, True, "boolean", "Off: the wrapper hands every call straight to the app."
    ),
    Option("sample_rate", _values.number(0, 1), 0.01, "0 to 1", "Share of requests recorded by chance."),
    Option(
        "first",
        _values.integer(0, 10_000),
        5,
        "0 to 10000",
        "The first N requests of every endpoint, in every process, are always recorded.",
    ),
    Option(
        "source",
        _values.words,
        (),
        "list",
        "Directories or packages to measure. Empty: what coverage.py's configuration says, "
        "and else the working directory.",
    ),
    Option(
        "include", _values.words, (), "list", "Only files that match one of these patterns (coverage.py's)."
    ),
    Option("omit", _values.words, (), "list", "No file that matches one of these patterns (coverage.py's)."),
    Option("branch", _values.boolean, False, "boolean", "Record branches beside lines."),
    Option(
        "sinks",
        _values.words,
        ("sqlite:///requestcov.db",),
        "list of URLs",
        "Where records go: sqlite:///path.db, file:///path.jsonl, https://host:port of a collector, or a "
        "scheme that an installed package adds. Three slashes for a relative path, four for an absolute one.",
    ),
    Option(
        "keep_sources",
        _values.boolean,
        True,
        "boolean",
        "Send the text of each file version that ran to the sinks, once, so that lines can be shown as they "
        "were. Off: reports read the working directory instead.",
    ),
    Option(
        "exclude",
        _values.patterns,
        DEFAULT_EXCLUDE,
        "list of patterns",
        "Paths never recorded. A pattern matches the whole path; * is any run of characters, "
        "? one character.",
    ),
    Option(
        "exclude_methods",
        _values.methods,
        (),
        "list of methods",
        "HTTP methods never recorded, such as HEAD,OPTIONS.",
    ),
    Option("service", _values.text, "", "text", "Name of the service. Empty: the first source's name."),
    Option("release", _values.text, "", "text", "Name of the deployed version."),
    Option(
        "force_secret",
        _values.secret,
        "",
        "secret",
        "With it, a request whose header X-Requestcov-Force carries the same text is recorded. "
        "Empty: the header is ignored.",
        secret=True,
    ),
    Option(
        "max_per_second",
        _values.number(0, 100_000, " recordings a second"),
        10.0,
        "0 to 100000",
        "Recordings a second and process; what it turns away is not sampled. 0: no limit.",
    ),
    Option(
        "max_in_flight",
        _values.integer(1, 10_000, " recordings"),
        8,
        "1 to 10000",
        "Recordings at the same time in a process; further ones are dropped and counted.",
    ),
    Option(
        "max_duration",
        _values.number(0.001, 86_400, " seconds"),
        30.0,
        "seconds",
        "A recording is cut after this long, stored as partial, and counted.",
    ),
    Option(
        "queue_size",
        _values.integer(1, 1_000_000, " records"),
        256,
        "1 to 1000000",
        "Finished records waiting to be written; when full, new ones are dropped and counted.",
    ),
    Option(
        "batch_size",
        _values.integer(1, 100_000, " records"),
        500,
        "1 to 100000",
        "Records written at once at most.",
    ),
    Option(
        "flush_interval",
        _values.number(0.01, 3600, " seconds"),
        2.0,
        "seconds",
        "A record waits at most about this long before it is written.",
    ),
    Option(
        "token",
        _values.secret,
        "",
        "secret",
        "What an http(s) sink shows the collector, as Authorization: Bearer.",
        secret=True,
    ),
    Option(
        "spool",
        _values.path,
        "requestcov-spool",
        "path",
        "Directory in which an http(s) sink keeps what the collector has not acknowledged yet.",
    ),
    Option(
        "spool_size",
        _values.integer(65_536, 1 << 50, " bytes"),
        64 * 1024 * 1024,
        "65536 and up",
        "Bytes that the spool of a process and sink may take; when it is full the oldest batches are "
        "dropped and counted.",
    ),
    Option(
        "sink_timeout",
        _values.number(0.1, 600, " seconds"),
        10.0,
        "seconds",
        "An http(s) sink sends a batch and has the answer within this long in all, or tries again later.",
    ),
    Option(
        "proxy",
        _values.proxy,
        "",
        "URL",
        "Proxy of the http(s) sinks, http://host:port or https://host:port. The variables HTTP_PROXY and "
        "the like are not looked at.",
    ),
    Option(
        "ca_file",
        _values.path,
        "",
        "path",
        "PEM file of the authorities that an https sink trusts, instead of the system's and certifi's.",
    ),
    Option("labels", _values.labels, {}, "list of key=value", "Labels on every record of this process."),
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

_ORCHESTRATED = re.compile(
    PREFIX
    + r"([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)?)"
)


def is_others(name: str, value: str) -> bool:
    """Whether a variable under our prefix is none of ours: Kubernetes tells every container of every
    service, and one that is called requestcov-collector becomes REQUESTCOV_COLLECTOR_SERVICE_HOST.

    https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    """
    if _ORCHESTRATED.fullmatch(name) is None:
        return False
    return not name.endswith("_PORT") or "://" in value or name.endswith("_SERVICE_PORT")


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
    token: str = ""
    spool: str = "requestcov-spool"
    spool_size: int = 64 * 1024 * 1024
    sink_timeout: float = 10.0
    proxy: str = ""
    ca_file: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for option in OPTIONS:
            given = getattr(self, option.name)
            object.__setattr__(self, option.name, parse_option(option, given, option.name))

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={text!r}' for name, text in self.shown().items())})"

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Config:
        """The environment's values, overridden by the keyword options.

        Raises:
            ConfigError: naming the variable or option, the value, and what is allowed.
        """
        values = read_variables(
            os.environ if environ is None else environ,
            OPTIONS,
            SERVER_VARIABLES,
            lambda name: _unknown(name, lambda option: option.variable),
        )
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
                result[name] = redact(str(value))
        return result


def redact(text: str) -> str:
    """A text with the user, password and query of every URL in it hidden."""
    text = re.sub(r"://[^/\s]*@", "://(hidden)@", text)
    return re.sub(r"(://[^\s?,]*)\?[^\s,'\"]+", r"\1?(hidden)", text)


def read_variables(
    environ: Mapping[str, str],
    options: Iterable[Option],
    others: Container[str],
    unknown: Callable[[str], str],
) -> dict[str, Any]:
    """The values that an environment gives to the options of a table, by name.

    Args:
        others: variables that belong to another table.
        unknown: what is said of a variable that belongs to none.

    Raises:
        ConfigError: naming the variable, the value, and what is allowed.
    """
    known = {option.variable: option for option in options}
    values: dict[str, Any] = {}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in others or is_others(name, environ[name]):
            continue
        if name not in known:
            raise ConfigError(unknown(name))
        if environ[name].strip():
            values[known[name].name] = parse_option(known[name], environ[name].strip(), name)
    return values


def parse_option(option: Option, value: object, said: str) -> Any:
    """The value of an option.

    Args:
        said: what the option was called where the value was given.

    Raises:
        ConfigError: naming that, the value, and what is allowed.
    """
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
