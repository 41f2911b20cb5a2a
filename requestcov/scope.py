"""Which files are measured, and what each is called.

Laws: deciding about a file name is pure string work with a cache, for it
happens inside requests, on event loops; whatever needs the file system is done
once when the Scope is built, or later by the drainer.
"""

from __future__ import annotations

import importlib.util
import os
import os.path
import time
from collections.abc import Callable
from hashlib import blake2b

import coverage

from requestcov import _coverage
from requestcov.config import Config
from requestcov.errors import ConfigError

SUFFIXES = (".py", ".pyw")
"""Code with any other file name (templates, ``<string>``) has no lines to show."""


class Scope:
    """The measured files of one process.

    Attributes:
        root: absolute directory that paths in records are relative to.
        sources: what is measured, as absolute paths, for people.
        settings: coverage.py's own configuration.
    """

    def __init__(self, config: Config) -> None:
        """Resolve the sources against the file system.

        Raises:
            ConfigError: a source is neither a directory nor a package that can be found.
        """
        self.settings = _coverage.read_settings()
        self.root = os.getcwd()
        self.branch = config.branch or self.settings.branch
        given = config.source or self.settings.source or (self.root,)
        said = "source" if config.source else "coverage.py's run:source"
        directories: dict[str, str] = {}
        for source in given:
            for directory in _locate(source, said):
                directories[directory] = directory
                directories[os.path.realpath(directory)] = directory
        self.sources = tuple(dict.fromkeys(directories.values()))
        third = {
            form for path in _coverage.third_party_directories() for form in (path, os.path.realpath(path))
        }
        self._third = tuple(path + os.sep for path in sorted(third))
        # A source inside site-packages was asked for by name: there, third party is the point.
        self._asked = tuple(form for form in directories if form.startswith(self._third))
        ours = [
            os.path.dirname(os.path.abspath(__file__)),
            os.path.dirname(os.path.abspath(coverage.__file__)),
        ]
        self._never = tuple(os.path.realpath(path) + os.sep for path in ours) + tuple(
            p + os.sep for p in ours
        )
        self._directories = tuple(sorted(directories.items(), key=lambda item: -len(item[0])))
        self._include = _matcher(config.include or self.settings.include)
        self._omit = _matcher(config.omit or self.settings.omit)
        self._verdicts: dict[str, bool] = {}
        self._started = time.time()
        self._identities: dict[str, tuple[str, str]] = {}
        self._texts: dict[tuple[str, str], bytes] = {}

    def measures(self, filename: str) -> bool:
        """Whether a code object's ``co_filename`` is measured. Never touches a file."""
        verdict = self._verdicts.get(filename)
        if verdict is None:
            verdict = self._decide(filename)
            # Generated code can have endless names; those are all refused, so forgetting is safe.
            if len(self._verdicts) > 50_000:
                self._verdicts.clear()
            self._verdicts[filename] = verdict
        return verdict

    def why(self, filename: str) -> str:
        """The reason for :meth:`measures`, for ``requestcov doctor``."""
        if not filename.endswith(SUFFIXES):
            return "not a Python file"
        path = self._absolute(filename)
        if path.startswith(self._never):
            return "part of requestcov or coverage.py"
        if not any(_inside(path, directory) for directory, _ in self._directories):
            return "outside the sources"
        if path.startswith(self._third) and not any(_inside(path, source) for source in self._asked):
            return "a third-party package inside the sources"
        if self._include is not None and not self._include(path):
            return "matches no include pattern"
        if self._omit is not None and self._omit(path):
            return "matches an omit pattern"
        return ""

    def _decide(self, filename: str) -> bool:
        return self.why(filename) == ""

    def _absolute(self, filename: str) -> str:
        # normpath and join are string work; abspath would ask for the working directory.
        return os.path.normpath(os.path.join(self.root, filename))

    def path(self, filename: str) -> str:
        """The name in records: relative to the root, or to the source's parent outside it."""
        absolute = self._absolute(filename)
        for directory, shown in self._directories:
            if _inside(absolute, directory):
                absolute = shown + absolute[len(directory) :]
                base = self.root if _inside(absolute, self.root) else os.path.dirname(shown)
                return os.path.relpath(absolute, base).replace(os.sep, "/")
        return absolute.replace(os.sep, "/")

    def identify(self, filename: str) -> tuple[str, str]:
        """``(path, digest)`` of a measured file, read once. For the drainer: touches the file.

        The digest is empty when the text cannot be read, or has changed since
        this process started and so may not be the text that ran. Where it may be
        readable later (no file descriptor was free), the next call tries again.
        """
        identity = self._identities.get(filename)
        if identity is None:
            path = self.path(filename)
            digest = ""
            try:
                with open(self._absolute(filename), "rb") as file:
                    text = file.read()
                    changed = os.fstat(file.fileno()).st_mtime
                if changed <= self._started:
                    digest = blake2b(text, digest_size=16).hexdigest()
                    self._texts[path, digest] = text
            except (FileNotFoundError, NotADirectoryError, ValueError):
                pass  # ValueError: a null character in a made-up name
            except OSError:
                return path, ""
            identity = self._identities[filename] = (path, digest)
        return identity

    def text(self, path: str, digest: str) -> bytes | None:
        """The source text of an identified file."""
        return self._texts.get((path, digest))


def _locate(source: str, said: str) -> list[str]:
    """The directories (or single files) of one source: a directory or an importable name."""
    if os.path.isdir(source):
        path = os.path.abspath(source)
        if path == os.path.dirname(path):
            raise ConfigError(f"{said}={source!r} cannot be used: a file system's root is not a source.")
        return [path]
    if source.endswith(SUFFIXES) and os.path.isfile(source):
        return [os.path.abspath(source)]
    allowed = "allowed is a directory, a .py file, or a package that can be imported from here"
    if not all(part.isidentifier() for part in source.split(".")):
        raise ConfigError(f"{said}={source!r} cannot be used: there is no such directory; {allowed}.")
    try:
        spec = importlib.util.find_spec(source)
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is not None and spec.submodule_search_locations:
        return [os.path.abspath(path) for path in spec.submodule_search_locations]
    if spec is not None and spec.origin and spec.origin.endswith(SUFFIXES):
        return [os.path.abspath(spec.origin)]
    raise ConfigError(f"{said}={source!r} cannot be used: nothing of that name is found; {allowed}.")


def _inside(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + os.sep)


def _matcher(patterns: tuple[str, ...]) -> Callable[[str], bool] | None:
    return _coverage.pattern_matcher(patterns) if patterns else None
