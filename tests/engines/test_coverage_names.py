"""Each coverage.py name that is not public, pinned use by use.

A failure here means that the installed coverage.py differs from those that
requestcov was written against, and says in what; ``requestcov/_coverage.py``
is the one place to adapt.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import coverage
import pytest
from coverage.numbits import numbits_to_nums

from requestcov import _coverage
from requestcov._decoding import decode_source
from requestcov.errors import ConfigError
from tests.engines.laboratory import make_module, oracle

VERSION = f"coverage.py {coverage.__version__}"


def tracer(data: dict[str, set[int]] | None = None, **given: Any) -> Any:
    """A CTracer that traces every file, in one context only, unless told otherwise."""
    collection = object()
    wanted: dict[str, Any] = {
        "should_trace": lambda name, frame: _coverage.disposition(name, True),
        "cache": {},
        "arcs": False,
        "starts_context": lambda frame: collection,
        "switch_context": lambda context: None,
        **given,
    }
    return _coverage.tracers(**wanted)({} if data is None else data)


TWO = """
def inner(x):
    y = x + 1
    return y

def outer(x):
    return inner(x)

def other():
    return 1
"""


def test_the_c_tracer_exists_and_has_the_attributes_that_are_set() -> None:
    """An extension type without __dict__: an attribute it does not know raises here."""
    from coverage.tracer import CTracer

    assert not hasattr(CTracer(), "__dict__"), (
        f"{VERSION}: CTracer takes any attribute now, so a renamed one would go unnoticed"
    )
    made = tracer()
    assert callable(made.start)
    assert callable(made.stop)
    with pytest.raises(AttributeError):
        made.no_such_attribute = 1


def test_start_sets_the_tracer_itself_as_trace_function_and_stop_takes_it_back() -> None:
    """``sys.gettrace() is tracer`` is how a foreign trace function is told from ours."""
    made = tracer()
    made.start()
    seen = sys.gettrace()
    made.stop()
    assert seen is made, f"{VERSION}: the trace function is no longer the CTracer object"
    assert sys.gettrace() is None


def test_a_stopped_tracer_of_another_thread_unsets_itself_at_its_next_event(tmp_path: Path) -> None:
    """What a cut from the drainer relies on: stop() from elsewhere cannot unset another thread's."""
    module = make_module(tmp_path, TWO)
    made = tracer()
    made.start()
    stopper = threading.Thread(target=made.stop)
    stopper.start()
    stopper.join()
    module.outer(1)
    left = sys.gettrace()
    sys.settrace(None)
    assert left is None, f"{VERSION}: a tracer stopped from another thread keeps tracing"


def test_lines_arrive_in_the_data_dict_by_source_file_name(tmp_path: Path) -> None:
    module = make_module(tmp_path, TWO)
    data: dict[str, set[int]] = {}
    made = tracer(data=data)
    made.start()
    module.outer(1)
    made.stop()
    assert data[str(module.__file__)] == oracle(lambda: module.outer(1), module.__file__) == {3, 4, 7}


def test_the_gate_is_asked_once_and_not_inside_a_context(tmp_path: Path) -> None:
    """should_start_context: at calls outside a context; switch_context(None) when its frame returns."""
    module = make_module(tmp_path, TWO)
    said: list[object] = []
    collection = object()

    def starts(frame: FrameType) -> object | None:
        if frame.f_code.co_filename == module.__file__:
            said.append(f"ask {frame.f_code.co_name}")
            return collection
        return None

    made = tracer(starts_context=starts, switch_context=lambda context: said.append(context))
    made.start()
    module.outer(1)
    module.other()
    made.stop()
    expected = ["ask outer", collection, None, "ask other", collection, None]
    assert said == expected, f"{VERSION}: the tracer asks for its context at other moments now"


def test_the_data_dict_can_be_changed_while_the_tracer_runs(tmp_path: Path) -> None:
    """switch_context changes ``tracer.data``; the frame that asked already writes to the new one."""
    module = make_module(tmp_path, TWO)
    mine: dict[str, set[int]] = {}
    nobodys: dict[str, set[int]] = {}
    made = tracer(
        data=nobodys,
        starts_context=lambda frame: mine if frame.f_code.co_name == "outer" else None,
        switch_context=lambda context: setattr(made, "data", nobodys if context is None else context),
    )
    made.start()
    module.other()
    module.outer(1)
    module.other()
    made.stop()
    assert mine[str(module.__file__)] == {3, 4, 7}
    assert nobodys.get(str(module.__file__), set()) == {10}


def test_should_trace_is_asked_once_a_file_and_its_answer_kept_in_the_cache(tmp_path: Path) -> None:
    first = make_module(tmp_path, TWO, "first")
    second = make_module(tmp_path, TWO, "second")
    asked: list[str] = []
    cache: dict[str, Any] = {}
    data: dict[str, set[int]] = {}

    def should_trace(name: str, frame: FrameType) -> Any:
        asked.append(os.path.basename(name))
        return _coverage.disposition(name, name == first.__file__)

    for _ in range(2):
        made = tracer(should_trace=should_trace, cache=cache, data=data)
        made.start()
        first.outer(1)
        second.outer(1)
        first.outer(2)
        made.stop()
    ours = [name for name in asked if name in ("first.py", "second.py")]
    assert ours == ["first.py", "second.py"], f"{VERSION}: the cache of dispositions is used differently"
    assert list(data) == [first.__file__]
    assert cache[str(first.__file__)].trace
    assert not cache[str(second.__file__)].trace


def test_the_disposition_has_the_fields_that_the_tracer_reads() -> None:
    from coverage.tracer import CFileDisposition

    answer = _coverage.disposition("/srv/app.py", True)
    fields = {name for name in dir(CFileDisposition) if not name.startswith("_")}
    expected = {
        "original_filename",
        "canonical_filename",
        "source_filename",
        "trace",
        "file_tracer",
        "has_dynamic_filename",
        "reason",
    }
    assert fields == expected, f"{VERSION}: CFileDisposition has other fields: {fields ^ expected}"
    assert answer.source_filename == "/srv/app.py"
    assert answer.trace
    assert answer.file_tracer is None


BRANCHING = """
def f(x, ys):
    if x:
        a = 1
    for y in ys:
        if y > 1:
            break
    else:
        a = 3
    try:
        a = 10 // x
    except ZeroDivisionError:
        a = 4
    finally:
        b = 5
    return [z for z in ys]

f(0, [])
f(1, [1, 2])
"""


def test_packed_arcs_unpack_as_coveragepy_itself_unpacks_them(tmp_path: Path) -> None:
    """The same run by coverage.py's own collector, whose data holds pairs."""
    module = make_module(tmp_path, BRANCHING)

    def run() -> None:
        module.f(0, [])
        module.f(1, [1, 2])

    data: dict[str, set[int]] = {}
    made = tracer(data=data, arcs=True)
    made.start()
    run()
    made.stop()
    packed = data[str(module.__file__)]
    assert all(isinstance(pair, int) for pair in packed), f"{VERSION}: arcs are no longer packed numbers"
    theirs = _arcs_by_coverage(str(module.__file__))
    # Theirs saw the module's body too, ours only the function's.
    body = {(a, b) for a, b in theirs if not (a in (-2, -16) or 3 <= abs(a) <= 16)}
    assert _coverage.unpack_arcs(packed) == theirs - body


def _arcs_by_coverage(file: str) -> set[tuple[int, int]]:
    """In a process of its own, for there may be one collector only."""
    code = (
        "import coverage, json, runpy\n"
        f"c = coverage.Coverage(data_file=None, branch=True, include=[{file!r}], config_file=False)\n"
        f"c.start(); runpy.run_path({file!r}); c.stop()\n"
        f"print(json.dumps(c.get_data().arcs({file!r})))"
    )
    environ = {**os.environ, "COVERAGE_CORE": "ctrace"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=environ
    )
    return {(a, b) for a, b in json.loads(done.stdout)}


@pytest.mark.parametrize(
    "arc", [(1, 2), (-1, 5), (7, -7), (268435455, 268435455), (-268435455, -268435455), (-1, -1), (0, 3)]
)
def test_every_packed_pair_has_its_two_numbers_and_signs(arc: tuple[int, int]) -> None:
    """28 bits a line number, then the two signs, as coverage.py's C code packs them."""
    first, second = arc
    packed = abs(first) | abs(second) << 28 | (first < 0) << 56 | (second < 0) << 57
    assert _coverage.unpack_arcs([packed]) == {arc}


def test_the_parser_tells_statements_first_lines_and_branches() -> None:
    parsed = _coverage.parse(BRANCHING, "f.py")
    assert parsed.statements == {2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 18, 19}
    assert parsed.excluded == set()
    assert parsed.branches == {(3, 4), (3, 5), (5, 6), (5, 9), (6, 5), (6, 7)} | {
        arc for arc in parsed.branches if arc[0] not in (3, 5, 6)
    }
    assert parsed.taken([(3, 4), (4, 5), (-2, 3)]) == {(3, 4)}


def test_the_parser_maps_lines_of_a_statement_to_its_first() -> None:
    parsed = _coverage.parse("a = [\n    1,\n    2,\n]\nif a and (\n    a\n):\n    b = 2\n", "f.py")
    assert parsed.statements == {1, 5, 8}
    assert parsed.first_lines([2, 3, 6, 8]) == {1, 5, 8}
    assert parsed.branches == {(5, 8), (5, -1)}
    assert parsed.taken([(6, 8), (5, -1)]) == {(5, 8), (5, -1)}


def test_the_parser_takes_out_what_the_pragma_excludes() -> None:
    text = "def f():  # pragma: no cover\n    return 1\n\na = 1\nif a:  # pragma:no cover\n    b = 1\n"
    parsed = _coverage.parse(text, "f.py")
    assert parsed.statements == {4}
    assert parsed.excluded == {1, 2, 5, 6}
    assert parsed.branches == set()


def test_the_parser_takes_out_what_the_given_expressions_exclude() -> None:
    text = "a = 1\nif a:  # debug\n    b = 1\nassert_never(a)\n"
    parsed = _coverage.parse(text, "f.py", ["# debug", "assert_never"])
    assert parsed.statements == {1}
    assert parsed.excluded == {2, 3, 4}


@pytest.mark.parametrize("text", ["def f(:\n", "x = (1\n", "\x00", "if x:\n  a\n b\n"])
def test_what_is_not_python_is_a_syntax_error(text: str) -> None:
    with pytest.raises(SyntaxError):
        _coverage.parse(text, "f.py")


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", '"""A docstring."""\n', "pass"])
def test_texts_without_much_in_them_can_be_parsed(text: str) -> None:
    assert len(_coverage.parse(text, "f.py").statements) <= 1


def test_the_coding_cookie_is_obeyed_when_source_is_read(tmp_path: Path) -> None:
    path = tmp_path / "latin.py"
    path.write_bytes("# coding: latin-1\nname = 'é'\n".encode("latin-1"))
    assert "é" in decode_source(path.read_bytes(), "latin.py")


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*/migrations/*", "/srv/app/migrations/0001.py", True),
        ("*/migrations/*", "/srv/app/views.py", False),
        ("/srv/app/*", "/srv/app/deep/er/views.py", True),
        ("/srv/app/*", "/srv/application/views.py", False),
        ("/srv/app/**/tests/*.py", "/srv/app/a/b/tests/test_x.py", True),
        ("/srv/app/v?ews.py", "/srv/app/views.py", True),
        ("/srv/app/views.py", "/srv/app/views.py", True),
        ("**/views.py", "/srv/app/views.py", True),
        ("/srv/app/[a-v]*.py", "/srv/app/views.py", True),
        ("/srv/app/[a-f]*.py", "/srv/app/tests.py", False),
    ],
)
def test_patterns_match_absolute_paths_as_documented(pattern: str, path: str, matches: bool) -> None:
    said = _coverage.pattern_matcher([pattern])(path)
    assert said is matches, f"{VERSION}: {pattern!r} on {path!r} is {said}"


def test_relative_patterns_are_made_absolute_when_they_are_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not when they are matched: matching happens inside requests."""
    monkeypatch.chdir(tmp_path)
    match = _coverage.pattern_matcher(["app/*", "one.py"])
    monkeypatch.chdir("/")
    assert match(str(tmp_path / "app" / "views.py"))
    assert match(str(tmp_path / "one.py"))
    assert not match("/app/views.py")
    assert not match(str(tmp_path / "other.py"))


def test_the_third_party_directories_are_those_that_packages_are_installed_in() -> None:
    found = _coverage.third_party_directories()
    assert all(isinstance(path, str) and os.path.isabs(path) for path in found), (
        f"{VERSION}: _add_third_party_paths no longer adds absolute paths to the set: {sorted(found)}"
    )
    home = os.path.realpath(sysconfig.get_path("purelib"))
    assert home in {os.path.realpath(path) for path in found}
    assert os.path.realpath(os.path.dirname(os.path.dirname(coverage.__file__))) in {
        os.path.realpath(path) for path in found
    }


def test_the_settings_are_read_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the public get_option; the name of the file is the one exception."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".coveragerc").write_text(
        "[run]\nsource = shop\nomit = */migrations/*\nbranch = true\n[report]\nexclude_also = debug\n"
    )
    settings = _coverage.read_settings()
    assert settings.source == ("shop",)
    assert settings.omit == ("*/migrations/*",)
    assert settings.include == ()
    assert settings.branch is True
    assert "debug" in settings.exclude_lines
    assert settings.file is not None, f"{VERSION}: the configuration no longer tells its file"
    assert os.path.samefile(settings.file, tmp_path / ".coveragerc")


def test_settings_that_cannot_be_read_are_a_configuration_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".coveragerc").write_text("[run]\nsource\n  = [\n[[\n")
    with pytest.raises(ConfigError, match=r"configuration cannot be used"):
        _coverage.read_settings()


def test_every_name_that_is_not_public_is_where_it_was() -> None:
    """The plain list, for the one who adapts it."""
    from coverage.config import config_files_to_try
    from coverage.files import GlobMatcher, prep_patterns
    from coverage.inorout import _add_third_party_paths
    from coverage.parser import PythonParser

    assert list(inspect.signature(_add_third_party_paths).parameters) == ["paths"]
    assert {".coveragerc", "setup.cfg", "pyproject.toml"} <= {name for name, *_ in config_files_to_try(True)}
    assert (Path(coverage.__file__).parent / "version.py").is_file()
    assert list(inspect.signature(prep_patterns).parameters) == ["patterns"]
    assert list(inspect.signature(GlobMatcher.match).parameters)[:2] == ["self", "fpath"]
    assert {"text", "filename", "exclude"} <= set(inspect.signature(PythonParser.__init__).parameters)
    assert numbits_to_nums(b"\x06") == [1, 2]
