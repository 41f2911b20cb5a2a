"""Imports point down: docs/how-it-works.md draws the arrows, this holds them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.project.package import imports, modules

FOUNDATION = {"_values", "errors", "record", "config", "complaints", "native"}
MEASURING = FOUNDATION | {"_coverage", "_decoding", "scope"}
CARRYING = {
    "backoff",
    "checks",
    "drainer",
    "ledger",
    "outlet",
    "pipeline",
    "reading",
    "sinks",
    "storage",
    "wire",
}
LIVE = (
    MEASURING
    | CARRYING
    | {
        "_entry",
        "_names",
        "_templates",
        "assembler",
        "recording",
        "engines",
        "sampling",
        "routes",
        "recorder",
        "exchange",
        "options",
        "wsgi",
        "asgi",
        "",
    }
)

# A part (a module, or a folder of interchangeable ones) and the parts it may import.
ARROWS = {
    "errors": set(),
    "record": set(),
    "checks": {"record"},
    "reading": {"checks", "record"},
    "native": set(),
    "complaints": {"errors"},
    "_values": set(),
    "config": {"_values", "errors"},
    "options": set(),
    "_coverage": {"errors", "record"},
    "_decoding": set(),
    "scope": FOUNDATION | {"_coverage"},
    "_entry": set(),
    "sampling": FOUNDATION | {"_entry", "_names", "_templates"},
    "engines": MEASURING,
    "_names": set(),
    "_templates": {"_names"},
    "routes": FOUNDATION | {"_names"},
    "storage": FOUNDATION | {"checks", "reading"},
    "wire": FOUNDATION | {"checks", "reading", "storage"},
    "sinks": FOUNDATION | {"storage", "wire"},
    "ledger": FOUNDATION,
    "backoff": {"complaints"},
    "outlet": FOUNDATION | {"backoff", "ledger", "sinks"},
    "drainer": FOUNDATION | {"ledger", "outlet", "sinks"},
    "pipeline": FOUNDATION | {"drainer", "ledger", "outlet", "sinks"},
    "recording": FOUNDATION | {"engines", "routes", "sampling"},
    "assembler": MEASURING | {"engines", "recording"},
    "recorder": LIVE - {"recorder", "exchange", "options", "wsgi", "asgi", ""},
    "exchange": FOUNDATION | {"engines", "recorder", "recording", "routes"},
    "wsgi": FOUNDATION | {"_entry", "exchange", "options", "recorder", "recording", "routes"},
    "asgi": FOUNDATION | {"_entry", "exchange", "options", "recorder", "recording", "routes"},
    "": LIVE - {""},
    # The desk half. Of the live half it sees what the stores hold, and the scope.
    "_diff": {"errors"},
    "_git": {"errors"},
    "_tests_data": {"_source", "errors"},
    "_scripts": set(),
    "_source_cache": set(),
    "_exclusions": {"_coverage", "_source_cache"},
    "_ways": {"_coverage", "_source", "_source_cache"},
    "_source": {"_coverage", "_decoding", "_source_cache", "record"},
    "analysis": MEASURING | {"_diff", "_exclusions", "_source", "_source_cache", "_ways", "storage"},
    "doctor": LIVE,
    "reports": MEASURING | {"_source", "analysis", "doctor", "storage"},
    "server": MEASURING
    | {
        "",
        "_exclusions",
        "_source",
        "_source_cache",
        "analysis",
        "checks",
        "reports",
        "storage",
        "sinks",
        "wire",
    },
    "commands": LIVE
    | {
        "_diff",
        "_exclusions",
        "_git",
        "_scripts",
        "_source",
        "_source_cache",
        "_tests_data",
        "analysis",
        "doctor",
        "reports",
        "server",
    },
    "cli": {"", "commands", "errors"},
    "testing": LIVE | {"_source", "analysis", "reports"},
}
DESK = {
    "_diff",
    "_exclusions",
    "_git",
    "_scripts",
    "_source",
    "_source_cache",
    "_tests_data",
    "_ways",
    "analysis",
    "doctor",
    "reports",
    "server",
    "commands",
    "cli",
    "testing",
}

# In a folder of interchangeable modules, what those share; else they never import each other.
SHARED = {
    "engines": {"collection", "greenlets", "workers"},
    "sinks": {"path"},
    "storage": {"results"},
    "analysis": {
        "evidence",
        "history",
        "measured",
        "statistics",
        "contrast",
        "ranking",
        "significance",
        "tally",
        "durations",
    },
    "reports": {"terminal"},
    "commands": {"asking", "changes", "ranked", "tested", "writing"},
    "server": {"binding", "connections", "guard", "logs", "settings", "tokens"},
}

# Modules that a sink loads when it is configured, and what they need beyond the rest of the live half.
EXTRAS = {
    "requestcov.sinks.http_client": {"certifi", "httpcore", "httpx"},
    "requestcov.sinks.http_network": {"httpcore"},
}

TREES = modules()
NAMES = set(TREES)


def part_of(name):
    """``requestcov.engines.trace`` is of the part engines; ``requestcov`` itself of ``""``."""
    return name.split(".")[1] if "." in name else ""


def kind_of(name):
    """sqlite_schema and sqlite_writer are of one storage, sqlite; collector.app of the server's collector."""
    return "".join(name.split(".")[2:3]).split("_")[0]


def ours(tree):
    return {name for name in imports(tree, NAMES) if name.split(".")[0] == "requestcov"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_module_imports_only_parts_below_it(name):
    part = part_of(name)
    assert part in ARROWS, f"say in ARROWS what {part} may import"
    allowed = ARROWS[part] | {part}
    upward = {target for target in ours(TREES[name]) if part_of(target) not in allowed}
    assert not upward, f"{name} imports {sorted(upward)}"


@pytest.mark.parametrize("name", sorted(name for name in NAMES if name.count(".") == 2))
def test_interchangeable_modules_do_not_import_each_other(name):
    """So that each can be read, tested and replaced alone; only a folder's __init__ knows them all."""
    folder = part_of(name)
    siblings = {
        target
        for target in ours(TREES[name])
        if part_of(target) == folder and kind_of(target) not in {*SHARED[folder], kind_of(name), ""}
    }
    assert not siblings, f"{name} imports {sorted(siblings)}: move what they share, or put it in SHARED"


def test_the_live_half_never_imports_the_desk_half():
    assert not {part: ARROWS[part] & DESK for part in set(ARROWS) - DESK if ARROWS[part] & DESK}


def test_the_arrows_have_no_cycle():
    left = {part: set(below) for part, below in ARROWS.items()}
    while left:
        lowest = {part for part, below in left.items() if not below & set(left)}
        assert lowest, f"a cycle among {sorted(left)}"
        for part in lowest:
            del left[part]


@pytest.mark.parametrize("name", sorted(name for name in NAMES if part_of(name) not in DESK))
def test_the_live_half_imports_nothing_but_the_standard_library_and_coverage(name):
    outside = {target.split(".")[0] for target in imports(TREES[name], NAMES)}
    allowed = {"coverage", "requestcov"} | EXTRAS.get(name, set())
    assert outside <= set(sys.stdlib_module_names) | allowed


LOADED = """
import sys
started = set(sys.modules)
{statement}
new = set(sys.modules) - started
files = {{name: getattr(sys.modules[name], "__file__", None) or "" for name in new}}
print(*sorted({{name.partition(".")[0] for name, file in files.items() if "-packages" in file}}))
print(*sorted(name for name in new if name.startswith("requestcov.")))
"""


def fresh(code, folder):
    """What an interpreter of its own prints."""
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout


def loaded(statement, folder):
    """The packages and the parts of ours that a statement loads."""
    packages, ours_loaded = fresh(LOADED.format(statement=statement), folder).splitlines()
    return set(packages.split()), {part_of(name) for name in ours_loaded.split()}


@pytest.mark.parametrize(
    "statement",
    [
        "import requestcov",
        "from requestcov import *",
        "import requestcov.wsgi, requestcov.asgi",
        "from requestcov.sinks import open_sink; open_sink('sqlite:///x.db'); open_sink('file:///x.jsonl')",
    ],
)
def test_the_live_half_loads_no_desk_module_and_no_package_but_coverage(statement, tmp_path):
    """What runs in somebody's production process is what it needs, and no more."""
    packages, parts = loaded(statement, tmp_path)
    assert packages <= {"coverage", "requestcov"}
    assert not parts & DESK


def test_a_public_name_loads_what_it_needs_and_no_more(tmp_path):
    code = """
import requestcov, sys
assert not [name for name in sys.modules if name.startswith(("requestcov.", "coverage"))]
assert set(requestcov.__all__) <= set(dir(requestcov))
assert requestcov.Config is requestcov.config.Config
assert "requestcov.recorder" not in sys.modules
assert requestcov.WSGIMiddleware is requestcov.wsgi.WSGIMiddleware
assert "requestcov.asgi" not in sys.modules
assert not hasattr(requestcov, "WSGIMiddlewares")
"""
    fresh(code, tmp_path)


@pytest.mark.parametrize(
    "command", ["report", "show", "suspects", "slow", "hot", "paths", "thin", "releases", "who"]
)
def test_a_question_loads_neither_coverage_nor_what_only_apps_need(command, tmp_path):
    """What it takes to load them would be most of an answer's time."""
    code = f"from requestcov import cli, commands; commands.load({command!r})"
    packages, parts = loaded(code, tmp_path)
    assert packages <= {"requestcov"}
    assert not parts & (LIVE - FOUNDATION - {"", "storage", "_decoding"})
