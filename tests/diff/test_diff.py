"""The diff reader, against what git and diff -u themselves write."""

from __future__ import annotations

import contextlib
import os
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from requestcov._diff import Change, DiffError, read_diff


def git(where, *arguments):
    return subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "core.autocrlf=false", *arguments],
        cwd=where,
        check=True,
        capture_output=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
    ).stdout


def repository(where, files):
    git(where, "init", "-q", ".")
    write(where, files)
    git(where, "add", "-A")
    git(where, "commit", "-qm", "one")


def write(where, files):
    for name, content in files.items():
        file = where / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def names(content):
    return [(file.old, file.new, file.status) for file in read_diff(content)]


# Few different lines, so that they repeat; all the characters at which other tools break lines.
LINE = st.sampled_from(
    [b"a", b"b", b"", b"-- a", b"++ b", b"\\ x", b"x\x0cy", b"\xe2\x80\xa8", b"\xff", b"c\rd"]
)
TEXT = st.builds(
    lambda lines, end, last: end.join(lines) + (end if last and lines else b""),
    st.lists(LINE, max_size=12),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)


def removed_and_added(content):
    changes = read_diff(content)[0].changes
    return [number for change in changes for number in change.removed], sum(len(c.added) for c in changes)


@pytest.mark.parametrize("context", [0, 3])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=TEXT, new=TEXT)
def test_undoing_a_diff_gives_the_old_file_and_its_numbers_are_the_old_lines(tmp_path, context, old, new):
    """diff -u made it; -a because it takes some bytes for binary."""
    write(tmp_path, {"old": old, "new": new})
    made = subprocess.run(
        ["diff", "-a", f"-U{context}", "--label", "a/f.py", "--label", "b/f.py", "old", "new"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    ).stdout
    if old == new:
        assert read_diff(made) == ()
        return
    [file] = read_diff(made)
    assert file.undone(new) == old
    assert file.begins_with(old)
    removed, added = removed_and_added(made)
    lines = old.split(b"\n")[: old.count(b"\n") + (not old.endswith(b"\n") and bool(old))]
    kept = [line for number, line in enumerate(lines, 1) if number not in removed]
    assert all(1 <= number <= len(lines) for number in removed)
    assert len(kept) + added == new.count(b"\n") + (not new.endswith(b"\n") and bool(new))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=12)
)
@pytest.mark.parametrize("option", ["--src-prefix=a/", "--no-prefix", "--src-prefix=i/"])
def test_a_name_survives_gits_quoting(tmp_path_factory, option, name):
    if name in (".", "..") or name.lower().startswith(".git") or len(name.encode()) > 200:
        return
    if option != "--src-prefix=a/" and " " in name:
        return  # See below.
    where = tmp_path_factory.mktemp("names")
    write(where, {"one": b"1\n", "two": b"2\n", f"d/{name}": b""})
    made = subprocess.run(
        ["git", "diff", "--no-index", "--", os.devnull, f"d/{name}"],
        cwd=where,
        capture_output=True,
        check=False,
    ).stdout
    assert names(made) == [(None, f"d/{name}", "new")]
    repository(where, {f"d/{name}": b"1\n"})
    write(where, {f"d/{name}": b"2\n"})
    prefixes = (
        [option] if option == "--no-prefix" else [option, "--dst-prefix=w/" if "i/" in option else "-M"]
    )
    assert names(git(where, "diff", *prefixes)) == [(f"d/{name}", f"d/{name}", "modified")]
    (where / "d" / name).unlink()
    assert names(git(where, "diff", *prefixes)) == [(f"d/{name}", None, "deleted")]


def test_a_name_with_a_blank_and_other_prefixes_is_refused_not_misread(tmp_path):
    """Git's first line then does not tell where one name ends; unidiff gives up."""
    repository(tmp_path, {"a b.py": b"1\n"})
    write(tmp_path, {"a b.py": b"2\n"})
    with pytest.raises(DiffError, match="not a whole unified diff"):
        read_diff(git(tmp_path, "diff", "--no-prefix"))


def test_every_kind_of_change_of_git(tmp_path):
    text = b"".join(b"line %d\n" % number for number in range(20))
    repository(
        tmp_path,
        {"same.py": text, "mode.py": b"x\n", "bin": b"\0\1", "gone.py": b"1\n2\n", "empty.py": b"",
         "was.py": text + b"1\n", "pure b.py": text + b"2\n"},
    )  # fmt: skip
    git(tmp_path, "mv", "was.py", "is it.py")
    git(tmp_path, "mv", "pure b.py", "moved b.py")
    write(tmp_path, {"is it.py": b"first\n" + text + b"1\n", "bin": b"\0\2", "new.py": b"n\n"})
    (tmp_path / "mode.py").chmod(0o755)
    (tmp_path / "gone.py").unlink()
    (tmp_path / "empty.py").unlink()
    git(tmp_path, "add", "-A")
    assert sorted(names(git(tmp_path, "diff", "HEAD", "-M")), key=str) == sorted(
        [
            ("bin", "bin", "binary"),
            ("empty.py", None, "deleted"),
            ("gone.py", None, "deleted"),
            ("mode.py", "mode.py", "mode"),
            (None, "new.py", "new"),
            ("pure b.py", "moved b.py", "renamed"),
            ("was.py", "is it.py", "renamed"),
        ],
        key=str,
    )


def test_a_folder_named_like_a_prefix_is_kept_without_prefixes(tmp_path):
    repository(tmp_path, {"a/x.py": b"1\n", "a/gone.py": b"1\n"})
    write(tmp_path, {"a/x.py": b"2\n", "b/new.py": b"1\n"})
    (tmp_path / "a/gone.py").unlink()
    git(tmp_path, "add", "-A")
    found = names(git(tmp_path, "diff", "HEAD", "--no-prefix", "--no-renames"))
    assert found == [
        ("a/gone.py", None, "deleted"),
        ("a/x.py", "a/x.py", "modified"),
        (None, "b/new.py", "new"),
    ]


def test_changes_are_told_by_the_old_lines():
    content = b"--- a/f\n+++ b/f\n@@ -1,4 +1,5 @@\n one\n-two\n+2\n three\n+new\n+\n-four\n"
    assert read_diff(content)[0].changes == (
        Change((2,), 1, ("2",)),
        Change((4,), 3, ("new", "")),
    )


def test_lines_put_in_before_the_first_and_without_context():
    content = b"--- a/f\n+++ b/f\n@@ -0,0 +1 @@\n+top\n@@ -5,0 +7,1 @@\n+mid\n"
    assert [change.after for change in read_diff(content)[0].changes] == [0, 5]


def test_a_diff_that_got_crs_on_its_way_still_fits():
    made = b"--- a/f\r\n+++ b/f\r\n@@ -1,2 +1,2 @@\r\n one\r\n-two\r\n+2\r\n"
    [file] = read_diff(made)
    assert (file.old, file.new) == ("f", "f")
    assert file.begins_with(b"one\ntwo\n")
    assert file.undone(b"one\n2\n") is not None


def test_another_text_does_not_fit():
    [file] = read_diff(b"--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n")
    assert file.undone(b"one\ntwo\n") is None
    assert not file.begins_with(b"zero\none\ntwo\n")


def test_nothing_changes_nothing():
    assert read_diff(b"") == ()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"hello\nworld\n", "names no file"),
        (b"--- a/f\n+++ b/f\n@@ -1,3 +1 @@\n-a\n", "not a whole unified diff"),
        (b"@@ -1 +1 @@\n-a\n+b\n", "not a whole unified diff"),
        (b"diff --cc f\nindex 1,2..3\n--- a/f\n+++ b/f\n@@@ -1,1 -1,1 +1,1 @@@\n- a\n -b\n++c\n", "combined"),
    ],
)
def test_what_is_no_whole_diff_is_refused(content, why):
    with pytest.raises(DiffError, match=why):
        read_diff(content)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content):
    with contextlib.suppress(DiffError):
        read_diff(content)
