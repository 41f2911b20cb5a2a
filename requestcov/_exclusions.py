"""Which lines coverage.py's configuration leaves out, remembered from one run of the command to the next.

Laws: what is remembered counts only while every file that coverage.py would look for is
as it was, the ones that were not there too, in the same directory, with the same variables and version;
a configuration that takes values from the environment is read anew each time.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import Any

from requestcov._source_cache import SourceCache, key_of


def exclude_lines() -> tuple[str, ...]:
    """coverage.py's ``exclude_lines`` and ``exclude_also``, as regular expressions.

    Raises:
        ConfigError: the configuration cannot be parsed; the message is coverage.py's.
    """
    cache = SourceCache()
    variables = sorted(
        f"{name}={value}" for name, value in os.environ.items() if name.startswith("COVERAGE_")
    )
    key = key_of(os.fsencode(os.getcwd()), "exclusions", *variables)
    known = _remembered(cache.get(key))
    if known is not None:
        return known
    # Here, for loading coverage.py is what is to be saved.
    from requestcov._coverage import configuration_files, read_settings

    files = {name: _digest(name) for name in configuration_files()}
    found = read_settings().exclude_lines
    if None not in files.values():
        cache.put(key, {"files": files, "exclude_lines": found})
    return found


def _remembered(entry: Any) -> tuple[str, ...] | None:
    try:
        if any(_digest(name) != digest for name, digest in entry["files"].items()):
            return None
        return tuple(map(str, entry["exclude_lines"]))
    except (TypeError, ValueError, LookupError, AttributeError):
        return None


def _digest(name: str) -> str | None:
    """Of a file's content; ``""`` when there is no file; None when that is not all it depends on."""
    try:
        with open(name, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError:
        return None
    return None if b"$" in content else blake2b(content, digest_size=16).hexdigest()
