"""From a sink's URL to a place on disk that is safe to write to.

Laws: what a URL says is checked at start-up and nothing is created then;
directories we make are 0700 and files 0600 whatever the umask; the last
component is never followed through a symbolic link; a directory or file that
belongs to somebody else (root apart) is refused, because its owner could read
or replace what we write.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote_to_bytes

from requestcov import native
from requestcov._values import has_controls
from requestcov.errors import ConfigError, SinkError

MAX_NAME = 200
"""Bytes in a file's name: 255 (NAME_MAX) less what rotation and setting aside append."""
MAX_PATH = 3800
"""Bytes in a path: 4096 (PATH_MAX) less the same."""
LOCK_SECONDS = 1.0
"""How long one attempt waits for a lock; the pipeline tries again later."""


def redact(url: str) -> str:
    """The URL as it may be shown: no userinfo, no query values, no fragment, no control characters."""
    shown = re.sub(r"(?<=://)[^/?#]*@", "***@", url)
    shown = re.sub(r"=[^&#]*", "=***", shown) if "?" in shown else shown
    shown = re.sub(r"#.*", "#***", shown, flags=re.DOTALL)
    shown = shown if len(shown) <= 200 else shown[:197] + "..."
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in shown)


def refuse(url: str, why: str) -> ConfigError:
    """The error for a URL that cannot be a sink; shows it redacted."""
    return ConfigError(f"Sink {redact(url)!r} cannot be used: {why}.")


def parse_file_url(url: str, allowed: Mapping[str, tuple[int, int]]) -> tuple[str, dict[str, int]]:
    """Read ``scheme:///relative`` or ``scheme:////absolute``, with whole-number options after ``?``.

    ``%hh`` in the path is that byte, so a path may hold ``?`` (``%3F``) and
    bytes that are not UTF-8 (they come back as ``os.fsdecode`` gives them). A
    relative path is resolved now: a later chdir does not move the sink.

    Args:
        url: what the configuration says.
        allowed: option name -> (lowest, highest).

    Returns:
        The absolute path, and the options given.

    Raises:
        ConfigError: says what is wrong with the URL and what would be right.
    """
    scheme, _, rest = url.partition("://")
    form = f"write {scheme}:///relative/path or {scheme}:////absolute/path"
    if has_controls(url):
        raise refuse(url, "it has control characters")
    if not rest.startswith("/"):
        host = re.split(r"[/?#]", rest, maxsplit=1)[0]
        what = "a user name or password" if "@" in host else f"the host {host!r}" if host else "no path"
        raise refuse(url, f"it names {what}, and a file is on this machine; {form}")
    if "#" in rest:
        raise refuse(url, "it has a fragment; write %23 for a # in the path")
    quoted, question, query = rest[1:].partition("?")
    raw = unquote_to_bytes(quoted.encode("utf-8", "surrogateescape"))
    if b"\0" in raw or has_controls(os.fsdecode(raw)):
        raise refuse(url, "its path has control characters")
    if not raw or raw.endswith((b"/", b"/.", b"/..")) or raw in (b".", b".."):
        raise refuse(url, f"it names no file; {form}")
    try:
        path = os.path.abspath(os.fsdecode(raw))
    except OSError as error:
        raise refuse(url, f"the working directory cannot be found ({error.strerror})") from error
    _check_place(url, path)
    return path, _options(url, query, allowed) if question else {}


def _check_place(url: str, path: str) -> None:
    raw = os.fsencode(path)
    if len(raw) > MAX_PATH or any(len(part) > 255 for part in raw.split(b"/")):
        raise refuse(url, f"its path is too long (at most {MAX_PATH} bytes, 255 a directory)")
    if len(os.path.basename(raw)) > MAX_NAME:
        raise refuse(url, f"its file name is too long (at most {MAX_NAME} bytes)")
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return  # Not there or not to be seen yet: the first write finds out.
    if stat.S_ISDIR(mode):
        raise refuse(url, "its path is a directory; name a file in it")
    if stat.S_ISLNK(mode):
        raise refuse(url, "its path is a symbolic link; name the file itself")
    if not stat.S_ISREG(mode):
        raise refuse(url, "its path is not a regular file")


def _options(url: str, query: str, allowed: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    known = f"known: {', '.join(sorted(allowed))}" if allowed else "there is none for this kind of sink"
    options: dict[str, int] = {}
    for item in query.split("&"):
        name, _, value = item.partition("=")
        if name not in allowed:
            raise refuse(url, f"{name!r} is not an option ({known})")
        if name in options:
            raise refuse(url, f"{name} is given twice")
        low, high = allowed[name]
        if not re.fullmatch(r"[0-9]{1,18}", value) or not low <= int(value) <= high:
            raise refuse(url, f"{name} must be a whole number from {low} to {high}")
        options[name] = int(value)
    return options


def make_directory(path: str) -> None:
    """Make the directory of a file, 0700, and refuse one of somebody else's.

    Raises:
        SinkError: the directory belongs to another user.
        OSError: it cannot be made.
    """
    directory = os.path.dirname(path)
    missing = []
    while not os.path.isdir(directory):
        missing.append(directory)
        parent = os.path.dirname(directory)
        if parent == directory:
            break
        directory = parent
    for directory in reversed(missing):
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:  # Another process was faster, or it is a file: the check below tells.
            continue
        os.chmod(directory, 0o700)
    directory = os.path.dirname(path)
    _refuse_foreign(directory, os.stat(directory).st_uid, "directory")


def check_file(path: str, info: os.stat_result) -> None:
    """Refuse what must not be written to.

    Raises:
        SinkError: a link, not a regular file, or another user's.
    """
    if stat.S_ISLNK(info.st_mode):
        raise SinkError(f"{path!a} is a symbolic link; requestcov does not write through links.")
    if not stat.S_ISREG(info.st_mode):
        raise SinkError(f"{path!a} is not a regular file.")
    _refuse_foreign(path, info.st_uid, "file")


def _refuse_foreign(path: str, owner: int, what: str) -> None:
    if owner not in (os.geteuid(), 0):
        raise SinkError(
            f"The {what} {path!a} belongs to user {owner}, and this process runs as user "
            f"{os.geteuid()}: change its owner, or choose a {what} of your own."
        )


def open_private(path: str, flags: int) -> tuple[int, bool]:
    """Open a regular file of ours, making it 0600 when it is not there.

    Returns:
        The file descriptor, and whether the file was made now.

    Raises:
        SinkError: a link, not a regular file, or another user's.
        OSError: it cannot be opened.
    """
    # O_NONBLOCK: opening a planted FIFO must not wait for its other end.
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    while True:
        try:
            fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            os.fchmod(fd, 0o600)
            return fd, True
        try:
            fd = os.open(path, flags)
        except FileNotFoundError:  # Rotated away in between.
            continue
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
                check_file(path, os.lstat(path))
            raise
        try:
            check_file(path, os.fstat(fd))
        except BaseException:
            os.close(fd)
            raise
        return fd, False


def lock(fd: int, path: str) -> None:
    """Take an exclusive flock, waiting LOCK_SECONDS at most.

    Raises:
        SinkError: another process held it all that time.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    pause = 0.0005
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise SinkError(f"{path!a} is locked by another process.") from None
        native.sleep(pause)
        pause = min(pause * 2, 0.02)


@contextmanager
def directory_lock(path: str) -> Iterator[None]:
    """Hold a lock on a file's directory: one process at a time creates or replaces the file.

    Raises:
        SinkError: another process held it too long.
        OSError: the directory cannot be opened.
    """
    directory = os.path.dirname(path)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock(fd, directory)
        yield
    finally:
        # Unlocked by hand: a child forked meanwhile shares the lock and keeps it past our close.
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


def sync_directory(path: str) -> None:
    """Make a file's new name survive a power cut."""
    fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
