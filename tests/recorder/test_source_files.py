"""Whatever is in the source directory: huge files, generated code, odd names, files that change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest

import requestcov
from requestcov.storage import open_store
from tests.recorder.conftest import ORDER, PARCEL, load, serve

COMMAND = [sys.executable, "-m", "requestcov.cli"]


def show(bench, *arguments):
    """What the command prints about the database of the bench."""
    root = str(Path(requestcov.__file__).parent.parent)
    done = subprocess.run(
        [*COMMAND, "show", *arguments, "--store", str(bench.directory / "records.db")],
        env={**os.environ, "PYTHONPATH": root, "PYTHONIOENCODING": "utf-8:surrogateescape"},
        capture_output=True,
        timeout=60,
    )
    assert done.stderr == b""
    assert done.returncode == 0
    return done.stdout.decode("utf-8", "surrogateescape")


@pytest.fixture
def both(bench):
    """The options of a recorder that writes a file and a database."""
    return bench.options(sinks=(f"file:///{bench.path}", f"sqlite:///{bench.directory / 'records.db'}"))


def stored(bench):
    """The records of the database, equal to those of the file."""
    with open_store(str(bench.directory / "records.db")) as store:
        found = sorted(store.records(), key=lambda record: record.seq)
    kept = sorted(bench.records(), key=lambda record: record.seq)
    assert [record.blocks for record in found] == [record.blocks for record in kept]
    return found


def test_a_file_of_ten_thousand_lines_is_recorded_whole_and_stays_small(bench, both):
    file = bench.file.with_name("long.py")
    file.write_text("def work():\n    x = 0\n" + "    x += 1\n" * 9997 + "    return x\n")
    long = load(file, "long")
    recorder = bench.recorder(**both)
    serve(recorder, long.work)
    bench.records(recorder)
    (record,) = stored(bench)
    (block,) = record.blocks
    assert block.ranges == "2-10000"
    (line,) = [line for line in bench.path.read_bytes().splitlines() if b'"method"' in line]
    assert len(line) < 1000
    assert "10000" in show(bench, "long.py")


def test_code_without_a_file_is_not_measured(bench):
    recorder = bench.recorder()
    work = {}
    for name in ("<string>", "<attrs generated init>", "page.html", "/dev/null", ""):
        exec(compile("def work():\n    return 1\n", name, "exec"), work)
        serve(recorder, work["work"])
    assert [record.blocks for record in bench.records(recorder)] == [()] * 5


def test_code_that_claims_a_file_which_is_not_there_has_no_version(bench, both):
    """As generated modules do: its lines are counted, and shown without a text."""
    recorder = bench.recorder(**both)
    work = {}
    exec(compile("def work():\n    return 1\n", str(bench.file.with_name("made.py")), "exec"), work)
    serve(recorder, work["work"])
    bench.records(recorder)
    (record,) = stored(bench)
    (block,) = record.blocks
    assert (block.path.rpartition("/")[2], block.digest, block.lines) == ("made.py", "", {2})
    assert "made.py" in show(bench, "made.py")


def test_lines_beyond_the_end_of_a_file_break_nothing(bench, both):
    """Code compiled from a template carries the template's name and line numbers of its own."""
    (bench.file.parent / "page.py").write_text("{% for x in xs %}{{ x }}{% endfor %}\n")
    (bench.file.parent / "page.html").write_text("{{ xs }}\n")
    templates = jinja2.Environment(loader=jinja2.FileSystemLoader(bench.file.parent), autoescape=True)
    pages = [templates.get_template(name) for name in ("page.py", "page.html")]
    recorder = bench.recorder(**both)
    found = []
    serve(recorder, lambda: found.extend(page.render(xs=[1, 2]) for page in pages))
    assert found == ["12", "[1, 2]"]
    bench.records(recorder)
    (record,) = stored(bench)
    assert [block.path.rpartition("/")[2] for block in record.blocks] in (["page.py"], [])
    show(bench, "GET /")
    if record.blocks:
        assert "page.py" in show(bench, "page.py")


def test_code_generated_under_ever_new_names_is_bounded(bench):
    """What is remembered of names does not grow with them."""
    recorder = bench.recorder()
    for number in range(60_000):
        recorder.scope.measures(f"<template {number}>")
    assert len(recorder.scope._verdicts) <= 50_001
    serve(recorder, bench.shop.order)
    assert [bench.lines(record) for record in bench.records(recorder)] == [ORDER]


def test_a_measured_file_whose_name_is_not_utf8_comes_back_everywhere(bench, both):
    name = os.fsencode(bench.file.parent) + b"/caf\xe9.py"
    Path(os.fsdecode(name)).write_text(bench.file.read_text())
    cafe = load(os.fsdecode(name), "cafe")
    recorder = bench.recorder(**both)
    serve(recorder, cafe.order)
    bench.records(recorder)
    (record,) = stored(bench)
    (block,) = record.blocks
    assert os.fsencode(block.path).endswith(b"/caf\xe9.py")
    assert block.lines == ORDER
    assert block.digest
    with open_store(str(bench.directory / "records.db")) as store:
        assert store.source(block.path, block.digest) == bench.file.read_text()
    assert "number = 7" in show(bench, os.fsdecode(b"caf\xe9.py"))
    assert "GET /" in show(bench, "GET /")


@pytest.mark.parametrize("change", ["removed", "edited"])
def test_what_ran_is_still_shown_when_its_file_is_gone_or_another(bench, both, change):
    recorder = bench.recorder(**both)
    serve(recorder, bench.shop.order)
    assert recorder.flush(10.0)
    if change == "removed":
        bench.file.unlink()
    else:
        bench.file.write_text("# nothing as it was\n" * 20)
    serve(recorder, bench.shop.parcel)
    bench.records(recorder)
    first, second = stored(bench)
    assert first.blocks[0].digest == second.blocks[0].digest != ""
    shown = show(bench, "shop.py")
    assert "number = 7" in shown
    assert "nothing as it was" not in shown


def test_an_edit_before_the_first_request_shows_no_wrong_text(bench, both):
    """The lines are kept, of no known version: what ran is not what the file says now."""
    recorder = bench.recorder(**both)
    bench.file.write_text("# nothing as it was\n" * 20)
    later = recorder.scope._started + 60
    os.utime(bench.file, (later, later))
    serve(recorder, bench.shop.parcel)
    bench.records(recorder)
    (record,) = stored(bench)
    (block,) = record.blocks
    assert (block.digest, block.lines) == ("", PARCEL)
    assert "nothing as it was" not in show(bench, "shop.py")


def test_each_deployed_version_keeps_its_own_lines_and_text(bench, both):
    first = bench.recorder(**both | {"release": "1"})
    serve(first, bench.shop.order)
    assert first.flush(10.0)
    requestcov.recorder.close_all()
    bench.file.write_text("# one line more\n" + bench.file.read_text())
    newer = load(bench.file)
    second = bench.recorder(**both | {"release": "2"})
    serve(second, newer.order)
    assert second.flush(10.0)
    blocks = [record.blocks[0] for record in bench.records()]
    assert [block.lines for block in blocks] == [ORDER, {line + 1 for line in ORDER}]
    with open_store(str(bench.directory / "records.db")) as store:
        texts = [store.source(block.path, block.digest) for block in blocks]
    assert texts[1] == "# one line more\n" + texts[0]
    shown = show(bench, "shop.py", "--release", "1")
    assert "number = 7" in shown
    assert "one line more" not in shown


def test_sources_are_not_kept_where_that_is_switched_off(bench, both):
    """Lines and versions are recorded as ever; their text is in neither sink."""
    recorder = bench.recorder(**both | {"keep_sources": False})
    serve(recorder, bench.shop.order)
    bench.records(recorder)
    (record,) = stored(bench)
    (block,) = record.blocks
    assert (bool(block.digest), block.lines) == (True, ORDER)
    assert '"source":' not in bench.path.read_text()
    with open_store(str(bench.directory / "records.db")) as store:
        assert list(store.sources()) == []
    assert "number = 7" not in show(bench, "shop.py")
