"""Every JSON answer is what docs/json.schema.json says, of a store with failures, releases and branches."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from requestcov.cli import main
from tests.analysis.test_suspects import FAILING, HEALTHY, TEXT, request
from tests.reports.shop_store import write_store

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "json.schema.json").read_text())
COMMANDS = {
    "report": ["report"],
    "report --by file": ["report", "--by", "file"],
    "report --by function": ["report", "--by", "function"],
    "report --by release": ["report", "--by", "release"],
    "hot": ["hot"],
    "paths": ["paths", "pay"],
    "thin": ["thin"],
    "dead": ["dead"],
    "releases": ["releases", "r1", "r2"],
    "suspects": ["suspects"],
    "slow": ["slow", "--threshold", "20"],
    "impact": ["impact", "change.diff"],
    "who": ["who", "shop/pay.py:5"],
    "gap": ["gap", "tests.coverage"],
    "export --to json": ["export", "--to", "json", "out.json"],
}


@pytest.fixture
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store, the working tree it came from, a diff of it, and the data file of its tests."""
    monkeypatch.chdir(tmp_path)
    arcs = {True: frozenset({(2, 4), (4, 5)}), False: frozenset({(2, 4), (4, 8)})}
    records = [
        *(request(HEALTHY, branches=arcs[False], duration_ms=10.0 + n) for n in range(8)),
        *(request(FAILING, branches=arcs[True], status=500, error="E.X") for _ in range(3)),
        *(request(HEALTHY | {5}, branches=arcs[True], duration_ms=90.0, trace_id="a" * 32) for _ in range(3)),
    ]
    later = timedelta(days=1)
    records += [replace(request(HEALTHY, branches=arcs[False], at=later), release="r2") for _ in range(4)]
    write_store(Path("requestcov.db"), records, texts={"shop/pay.py": TEXT}, seen={"POST /pay": 40})
    Path("shop").mkdir()
    Path("shop/pay.py").write_text(TEXT)
    Path("shop/unused.py").write_text("def never():\n    return 1\n")
    Path("change.diff").write_text(
        "--- a/shop/pay.py\n+++ b/shop/pay.py\n@@ -5,1 +5,1 @@\n-        card = renew(card)\n"
        "+        card = renew(card, 1)\n"
    )
    run = "import coverage\nc = coverage.Coverage(data_file='tests.coverage', source=['shop'])\n"
    run += "c.start()\nimport shop.pay\nshop.pay.pay(type('C', (), {'old': False}), 1) if 0 else None\n"
    run += "c.stop()\nc.save()\n"
    subprocess.run([sys.executable, "-c", run], check=True, timeout=60, cwd=tmp_path)


@pytest.mark.usefixtures("_shop")
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_an_answer_is_what_the_schema_says(name, capsys):
    command = COMMANDS[name]
    if name.startswith("export"):
        assert main(command) == 0
        text = Path("out.json").read_text()
    else:
        code = main([*command, "--format", "json"])
        text, err = capsys.readouterr()
        assert code in (0, 1), err
    answer = json.loads(text)
    validator = jsonschema.Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/requestcov {name}"})
    problems = [
        f"{'/'.join(map(str, error.path))}: {error.message[:200]}" for error in validator.iter_errors(answer)
    ]
    assert not problems


def test_the_schema_is_sound_and_has_every_command():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    described = {key.removeprefix("requestcov ") for key in SCHEMA["$defs"] if key.startswith("requestcov ")}
    assert described == set(COMMANDS)


@pytest.mark.usefixtures("_shop")
def test_a_key_that_is_not_described_is_noticed(capsys):
    """The schema forbids no further key, so each object is held to the keys that it describes."""
    main(["suspects", "--format", "json"])
    answer = json.loads(capsys.readouterr().out)["suspects"]
    assert set(answer) == set(SCHEMA["$defs"]["Suspects"]["properties"])
    assert set(answer["ran"][0]) == set(SCHEMA["$defs"]["Suspect"]["properties"])
