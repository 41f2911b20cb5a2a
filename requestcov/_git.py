"""What git knows: the diff of a range, and the old files.

Laws: git is run, never its files read; nothing is written; options and settings of the
person who runs it (colours, external tools, prefixes) do not change the answer.
"""

from __future__ import annotations

import subprocess

from requestcov.errors import RequestcovError


class GitError(RequestcovError):
    """Git is not there, or refuses; the message says what it said."""


def diff(revisions: str, directory: str) -> tuple[bytes, str]:
    """What changed in the folder, by names relative to it, and the commit that the old side is.

    Args:
        revisions: ``A..B``, ``A...B`` (from where the two parted), or ``A``: from there to the working tree.
        directory: inside a working tree.

    Raises:
        GitError: git is missing, this is no working tree, or the range names no commits.
    """
    if revisions.startswith("-"):
        raise GitError(f"{revisions!r} is no range of commits: name one like main..HEAD.")
    first, dots, second = revisions.partition("...")
    if dots:
        base = _run(directory, "merge-base", first or "HEAD", second or "HEAD").decode().strip()
        ends = [base, _commit(directory, second)]
    else:
        first, dots, second = revisions.partition("..")
        base = _commit(directory, first)
        ends = [base, _commit(directory, second)] if dots else [base]
    return (
        _run(
            directory, "-c", "core.quotePath=true", "diff", "--no-color", "--no-ext-diff", "--no-textconv",
            "--find-renames", "--relative", "--src-prefix=a/", "--dst-prefix=b/", "--unified=3",
            "--submodule=short", "--ignore-submodules=none", *ends, "--",
        ),
        base,
    )  # fmt: skip


def commit_of(revision: str, directory: str) -> str:
    """The commit that a revision names.

    Raises:
        GitError: git is missing, this is no working tree, or it names none.
    """
    if revision.startswith("-"):
        raise GitError(f"{revision!r} is no commit: name one like main.")
    return _commit(directory, revision)


def content(commit: str, path: str, directory: str) -> bytes:
    """A file as a commit has it, by its name relative to the folder.

    Raises:
        GitError: it has none of that name.
    """
    return _run(directory, "cat-file", "blob", f"{commit}:./{path}")


def _commit(directory: str, name: str) -> str:
    return (
        _run(directory, "rev-parse", "--verify", "--quiet", f"{name or 'HEAD'}^{{commit}}").decode().strip()
    )


def _run(directory: str, *arguments: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", "--no-pager", "--literal-pathspecs", *arguments],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise GitError("a range of commits needs git, which is not installed: give a diff instead.") from None
    except (OSError, ValueError) as wrong:
        raise GitError(f"git cannot be run here: {wrong}.") from wrong
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ").splitlines()
        asked = next((a.removesuffix("^{commit}") for a in arguments if a.endswith("^{commit}")), None)
        if said:
            raise GitError(f"git says: {said[0]}.")
        raise GitError(
            f"git knows no commit {asked!r} here." if asked else "git found no common commit of the two."
        )
    return done.stdout
