"""One table of what the collector and the dashboard can be told: their flags, variables and docs page.

Laws: a flag wins over the environment, and that over the default; an empty variable is an
unset one; a value that cannot be used is refused at start-up with one sentence naming it and
what is allowed; a token is never a flag, which every user of the machine could read in the
list of processes.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from requestcov._values import has_controls, integer, number
from requestcov.config import OPTIONS, SERVER_VARIABLES, Config, Option, parse_option, read_variables
from requestcov.server.tokens import Tokens, load_tokens

DEFAULT_STORE = "sqlite:///requestcov.db"


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def _size(low: int, high: int) -> Callable[[object], int]:
    allowed = f"a number of bytes from {low} to {high}, such as 64000000 or 64M"
    whole = integer(low, high)

    def parse(value: object) -> int:
        found = re.fullmatch(r"([0-9]{1,18})([kmgt]?)b?", value.lower()) if isinstance(value, str) else None
        try:
            return whole(int(found[1]) * _UNITS[found[2]] if found else value)
        except ValueError:
            raise ValueError(allowed) from None

    return parse


def _text(value: object) -> str:
    if not isinstance(value, str) or has_controls(value):
        raise ValueError("a text without control characters")
    return value


def _list(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, Iterable) or not all(isinstance(item, str) for item in items):
        raise ValueError("a comma-separated list")
    return tuple(text for item in items if (text := _text(item.strip())))


_HOST = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9._-]{0,252}[a-z0-9_])?|\[[0-9a-f:.]{2,45}\]|\*")


def _hosts(value: object) -> tuple[str, ...]:
    hosts = tuple(host.lower() for host in _list(value))
    if not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError(
            "a comma-separated list of host names without ports, such as collector.example.org,*.internal,"
            "[::1], or * for any"
        )
    return hosts


@dataclass(frozen=True)
class Setting(Option):
    """One row of the table.

    Attributes:
        flag: on the command line; ``""``: none.
    """

    flag: str = ""


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "store",
        _text,
        "",
        "URL or path",
        "The SQLite store. Empty: the first sqlite sink in REQUESTCOV_SINKS, else sqlite:///requestcov.db.",
        flag="--store",
    ),
    Setting(
        "bind_host",
        _text,
        "127.0.0.1",
        "name or address",
        "Where to listen. Anything but this machine itself (127.0.0.1, ::1, localhost) needs tokens.",
        flag="--host",
    ),
    Setting(
        "bind_port",
        integer(0, 65_535),
        8650,
        "0 to 65535",
        "Which port to listen on; requestcov serve has 8321 unless told. 0: one that is free, which is "
        "printed.",
        flag="--port",
    ),
    Setting(
        "allowed_hosts",
        _hosts,
        (),
        "list of hosts",
        "Names by which clients may reach the server, without ports; *.example.org is every name below it. "
        "Empty: this machine's own where it listens on that alone, else any.",
        flag="--allowed-hosts",
    ),
    Setting(
        "write_tokens",
        _list,
        (),
        "list of secrets",
        "Tokens of which a sender must give one, each of 16 printable ASCII characters or more.",
        secret=True,
    ),
    Setting(
        "read_tokens",
        _list,
        (),
        "list of secrets",
        "Tokens of which a reader must give one, each of 16 printable ASCII characters or more.",
        secret=True,
    ),
    Setting(
        "write_token_file",
        _text,
        "",
        "path",
        "A file with further write tokens, one a line; # begins a comment.",
        flag="--write-token-file",
    ),
    Setting(
        "read_token_file",
        _text,
        "",
        "path",
        "A file with further read tokens, one a line; # begins a comment.",
        flag="--read-token-file",
    ),
    Setting(
        "workers",
        integer(1, 64),
        1,
        "1 to 64",
        "Processes of the collector, which share its port and its store.",
        flag="--workers",
    ),
    Setting(
        "max_body",
        _size(1_000, 1_000_000_000),
        16_000_000,
        "bytes",
        "The longest body the collector reads, as it is sent (compressed). Longer ones are refused with 413.",
        flag="--max-body",
    ),
    Setting(
        "max_document",
        _size(1_000, 1_000_000_000),
        64_000_000,
        "bytes",
        "The longest document the collector reads, decompressed. Longer ones are refused with 413.",
        flag="--max-document",
    ),
    Setting(
        "max_records",
        integer(1, 1_000_000),
        10_000,
        "1 to 1000000",
        "Records of one batch, at most. More are refused with 413.",
        flag="--max-records",
    ),
    Setting(
        "max_waiting",
        integer(1, 10_000),
        64,
        "1 to 10000",
        "Batches that wait in one process to be committed, at most. Further ones are refused with 503, "
        "and come again.",
        flag="--max-waiting",
    ),
    Setting(
        "body_timeout",
        number(0.1, 3600, " seconds"),
        20.0,
        "seconds",
        "Until the head of a request is whole, and then until its body is. A slower body is refused with "
        "408, a slower head closes the connection.",
        flag="--body-timeout",
    ),
    Setting(
        "daily_quota",
        _size(0, 10**15),
        0,
        "bytes",
        "What each write token may send a UTC day, decompressed. More is refused with 429. 0: no limit.",
        flag="--daily-quota",
    ),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}
_APPS = {option.variable for option in OPTIONS}


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """Every setting, checked. Give only what differs from the default.

    ``Settings(store="x.db")`` ignores the environment; :meth:`load` reads it.

    Raises:
        ConfigError: a value cannot be used, or (load) a variable is unknown.
    """

    store: str = ""
    bind_host: str = "127.0.0.1"
    bind_port: int = 8650
    allowed_hosts: tuple[str, ...] = ()
    write_tokens: tuple[str, ...] = ()
    read_tokens: tuple[str, ...] = ()
    write_token_file: str = ""
    read_token_file: str = ""
    workers: int = 1
    max_body: int = 16_000_000
    max_document: int = 64_000_000
    max_records: int = 10_000
    max_waiting: int = 64
    body_timeout: float = 20.0
    daily_quota: int = 0

    def __post_init__(self) -> None:
        for setting in SETTINGS:
            value = parse_option(setting, getattr(self, setting.name), setting.name)
            object.__setattr__(self, setting.name, value)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Self:
        """The environment's values, overridden by those given.

        Raises:
            ConfigError: naming the variable or setting, the value, and what is allowed.
        """
        environ = os.environ if environ is None else environ
        values = read_variables(environ, SETTINGS, _APPS, _unknown)
        return cls(**values | given)

    def place(self) -> str:
        """The store: a path or a URL.

        Raises:
            ConfigError: none is set, and the app's options cannot be used.
        """
        sinks = () if self.store else Config.load().sinks
        return self.store or next((sink for sink in sinks if sink.startswith("sqlite:")), DEFAULT_STORE)

    def writers(self) -> Tokens:
        """Who may send.

        Raises:
            ConfigError: as :func:`load_tokens`.
        """
        return load_tokens(self.write_tokens, self.write_token_file, "REQUESTCOV_WRITE_TOKENS")

    def readers(self) -> Tokens:
        """Who may look.

        Raises:
            ConfigError: as :func:`load_tokens`.
        """
        return load_tokens(self.read_tokens, self.read_token_file, "REQUESTCOV_READ_TOKENS")

    def environment(self) -> dict[str, str]:
        """The variables from which :meth:`load` makes the same settings, for processes started."""
        found: dict[str, str] = {}
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            found[_BY_NAME[name].variable] = ",".join(value) if isinstance(value, tuple) else str(value)
        return found


def add_flags(command: argparse.ArgumentParser, names: Iterable[str], **defaults: object) -> None:
    """Declare the flags of some settings; one that is not given is not in the namespace.

    Args:
        names: of the settings.
        **defaults: of the command, where it has its own.
    """
    for setting in (_BY_NAME[name] for name in names):
        if setting.flag:
            word = setting.kind.upper().split()[-1]
            command.add_argument(
                setting.flag,
                dest=setting.name,
                metavar="N" if word.isdigit() else word,
                default=argparse.SUPPRESS,
                help=_help(setting, defaults.get(setting.name, setting.default)).replace("%", "%%"),
            )


def given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings among a command's options, checked.

    Raises:
        ConfigError: naming the flag, the value, and what is allowed.
    """
    return {
        setting.name: parse_option(setting, getattr(options, setting.name), setting.flag)
        for setting in SETTINGS
        if setting.flag and hasattr(options, setting.name)
    }


def _help(setting: Setting, default: object) -> str:
    default = "" if default in ("", ()) else f" Default: {default}."
    return f"{setting.help}{default} ({setting.variable})"


def _unknown(name: str) -> str:
    known = sorted(_APPS | SERVER_VARIABLES)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
    return f"{name} is not an option of requestcov: {hint}"
