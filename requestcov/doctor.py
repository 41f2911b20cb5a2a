"""Would requests be recorded here, how, and what would stop it?

Laws: looks at this process, its environment and its directory, asks a
collector whether it would take batches, and stores nothing; the engine is
tried for real, on a function of its own, and its hooks are given back. What
only the app's code knows (options it passes) is said to be unknown, not
guessed.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

import coverage

from requestcov import __version__
from requestcov.config import OPTIONS, Config
from requestcov.engines import Choice, Collection, choose, merge, select
from requestcov.engines.monitoring import tool_taken_by
from requestcov.errors import ConfigError, StoreError
from requestcov.recorder import WHY
from requestcov.scope import Scope
from requestcov.sinks import open_sink
from requestcov.sinks.http import READABLE, HttpSink, readable_on_the_way
from requestcov.sinks.path import redact
from requestcov.sinks.sqlite import SqliteSink
from requestcov.storage import open_store

MOST_FILES = 50_000
"""Files looked at, at most, to tell what is in scope."""

LITTLE_SPACE = 100_000_000
"""Bytes free on a sink's disk below which a warning is given."""


@dataclass(frozen=True)
class Setting:
    """One option: its value as text, and the variable it came from, or ``"default"``."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True)
class Measured:
    """What is in scope.

    Attributes:
        root: directory that paths in records are relative to.
        sources: measured directories and files, absolute.
        configuration: coverage.py's configuration file, or None.
        files: how many Python files of the sources are measured.
        left_out: how many are not, by reason.
        complete: False when there were too many files to look at.
    """

    root: str
    sources: tuple[str, ...]
    configuration: str | None
    files: int
    left_out: Mapping[str, int]
    complete: bool


@dataclass(frozen=True)
class SinkCheck:
    """One sink: its URL without secrets, and why it cannot be written, or None."""

    name: str
    problem: str | None
    note: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """Everything ``requestcov doctor`` says.

    Attributes:
        versions: of what matters here, by name.
        engine: the choice, and why the other was not chosen.
        measured: the scope.
        sinks: one check each.
        settings: every option.
        problems: what would stop recording; sentences.
        notes: what is worth knowing; sentences.
    """

    versions: Mapping[str, str]
    engine: Choice
    measured: Measured
    sinks: tuple[SinkCheck, ...]
    settings: tuple[Setting, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def diagnose(environ: Mapping[str, str]) -> Diagnosis:
    """Look at everything that decides about recording.

    Args:
        environ: the environment to take options from.

    Raises:
        ConfigError: an option or a source cannot be used; that already stops the app.
    """
    config = Config.load(environ)
    scope = Scope(config)
    measured = _measured(scope)
    sinks = tuple(_check(url, config) for url in config.sinks)
    return Diagnosis(
        versions={
            "requestcov": __version__,
            "Python": f"{platform.python_implementation()} {platform.python_version()}",
            "coverage.py": coverage.__version__,
        },
        engine=choose(scope.branch),
        measured=measured,
        sinks=sinks,
        settings=tuple(_settings(config, environ)),
        problems=tuple(_problems(config, scope, measured, sinks)),
        notes=tuple(_notes(config, environ)),
    )


def try_engine(branch: bool) -> str | None:
    """Record a call with the engine that would be used; the reason if that fails."""
    name = _trial.__code__.co_filename
    active: ContextVar[Collection | None] = ContextVar("requestcov.doctor", default=None)
    engine = select(lambda filename: filename == name, active, branch=branch)
    collection = Collection()
    try:
        refused = engine.begin(collection)
        if refused is not None:
            return WHY.get(refused, refused)
        token = active.set(collection)
        halt, entered = engine.enter(collection)
        try:
            _trial()
        finally:
            halt()
            engine.leave(collection, entered)
            active.reset(token)
        lines = merge(engine.end(collection))
    finally:
        engine.close()
    return None if lines.get(name) else "a trial recording stayed empty: another tool is in the way"


def _trial() -> int:
    """Something to record."""
    total = 1
    return total + 1


def _problems(
    config: Config, scope: Scope, measured: Measured, sinks: tuple[SinkCheck, ...]
) -> Iterator[str]:
    if not config.enabled:
        yield "enabled is off: every call goes straight to the app."
    if not (config.sample_rate or config.first or config.force_secret):
        yield "sample_rate and first are 0 and force_secret is not set: no request is ever sampled."
    refused = try_engine(scope.branch)
    if refused is not None:
        yield f"The engine cannot record in this process: {refused}."
    if not measured.files:
        yield "No Python file is in scope: see source, include and omit."
    if not sinks:
        yield "There is no sink: what is recorded goes nowhere."
    for sink in sinks:
        if sink.problem is not None:
            yield f"Sink {sink.name}: {sink.problem}."


def _notes(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    yield "Options that the app's code passes are not known here; they win over these."
    if not config.release:
        yield "release is not set: reports cannot tell one deployment from another."
    has_gil = getattr(sys, "_is_gil_enabled", None)
    if has_gil is not None and not has_gil():
        yield "This Python runs without the GIL: recordings cost more, as no line is ever switched off."
    taken = tool_taken_by()
    if taken:
        users = ", ".join(f"{number} by {user}" for number, user in sorted(taken.items()))
        yield f"sys.monitoring tool ids in use: {users}."
    for what, function in (("This thread", sys.gettrace()), ("Every new thread", threading.gettrace())):
        if function is not None:
            kind = type(function)
            shown = getattr(function, "__qualname__", kind.__qualname__)
            yield f"{what} has a trace function, {getattr(function, '__module__', kind.__module__)}.{shown}."
    if environ.get("COVERAGE_PROCESS_START"):
        yield "COVERAGE_PROCESS_START is set: coverage.py measures every process of this environment."


def _settings(config: Config, environ: Mapping[str, str]) -> Iterator[Setting]:
    shown = config.shown()
    for option in OPTIONS:
        given = environ.get(option.variable, "").strip()
        yield Setting(option.name, shown[option.name], option.variable if given else "default")


def _measured(scope: Scope) -> Measured:
    files = 0
    left_out: Counter[str] = Counter()
    complete = True
    for looked_at, name in enumerate(_python_files(scope.sources)):
        if looked_at == MOST_FILES:
            complete = False
            break
        why = scope.why(name)
        files += not why
        if why:
            left_out[why] += 1
    return Measured(scope.root, scope.sources, scope.settings.file, files, dict(left_out), complete)


def _python_files(sources: tuple[str, ...]) -> Iterator[str]:
    for source in sources:
        if os.path.isfile(source):
            yield source
        for directory, inside, names in os.walk(source):
            inside[:] = sorted(name for name in inside if not name.startswith(".") and name != "__pycache__")
            yield from (os.path.join(directory, name) for name in sorted(names) if name.endswith(".py"))


def _check(url: str, config: Config) -> SinkCheck:
    """Whether a sink could be written now, as far as that can be told without writing."""
    try:
        sink = open_sink(url, config)
    except ConfigError as wrong:
        name = redact(url)
        return SinkCheck(name, str(wrong).removeprefix(f"Sink {name!r} cannot be used: ").rstrip("."))
    if isinstance(sink, HttpSink):
        return _check_collector(sink, config)
    path = getattr(sink, "path", None)
    if not isinstance(path, str):
        return SinkCheck(sink.name, None, "only its own package knows whether it can be written")
    problem = _check_directory(os.path.dirname(path)) or _check_file(path)
    if problem is None and isinstance(sink, SqliteSink) and os.path.exists(path) and os.path.getsize(path):
        try:
            open_store(path).close()
        except StoreError as wrong:
            problem = str(wrong).rstrip(".")
    return SinkCheck(sink.name, problem, None if problem else _space(path))


def _check_collector(sink: HttpSink, config: Config) -> SinkCheck:
    notes = []
    refusal = sink.refusal()
    unwritable = _check_directory(sink.spool.path)
    if unwritable is None:
        if refusal is not None:
            notes.append("until it takes them, records wait in the spool")
        free = _free(sink.spool.path)
        if free < config.spool_size:
            notes.append(
                f"only {free // 1_000_000} MB are free for the spool, which may take"
                f" {config.spool_size // 1_000_000}"
            )
    else:
        notes.append(
            f"{unwritable}: what cannot be sent at once stays in memory, and is lost with the process"
        )
    batches, records = sink.spool.held_on_disk()
    if batches:
        notes.append(f"{batches} batches with {records} records wait in {sink.spool.directory!a}")
    if readable_on_the_way(sink.name, config):
        notes.append(READABLE.format(sink.name))
    return SinkCheck(sink.name, refusal, "; ".join(notes) or None)


def _check_directory(directory: str) -> str | None:
    missing = not os.path.exists(directory)
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    if not os.path.isdir(directory):
        return f"{directory!a} is not a directory"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"the directory {directory!a} cannot be written by user {os.geteuid()}"
    owner = os.stat(directory).st_uid
    if not missing and owner not in (os.geteuid(), 0):
        return f"the directory {directory!a} belongs to user {owner}, and this process runs as {os.geteuid()}"
    return None


def _check_file(path: str) -> str | None:
    if not os.path.lexists(path):
        return None
    if not os.access(path, os.R_OK | os.W_OK):
        return f"{path!a} cannot be written by user {os.geteuid()}"
    owner = os.stat(path).st_uid
    if owner not in (os.geteuid(), 0):
        return f"{path!a} belongs to user {owner}, and this process runs as {os.geteuid()}"
    return None


def _free(directory: str) -> int:
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    return shutil.disk_usage(directory).free


def _space(path: str) -> str | None:
    free = _free(os.path.dirname(path))
    return f"only {free // 1_000_000} MB are free on its disk" if free < LITTLE_SPACE else None
