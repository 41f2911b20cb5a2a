"""``requestcov suspects`` and ``slow``, from a store to what a person reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from requestcov.cli import main
from tests.analysis.test_suspects import FAILING, HEALTHY, PAY, TEXT, mixed, request
from tests.reports.shop_store import write_store


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def store(records) -> None:
    write_store(Path("requestcov.db"), records, texts={"shop/pay.py": TEXT})


def test_suspects_are_shown_in_their_source(capsys):
    store(mixed())
    code, out, err = run(capsys, "suspects")
    assert (code, err) == (0, "")
    assert out.startswith("POST /pay\nfailing: an exception or a status of 500 and up: 3 recorded requests\n")
    assert "shop/pay.py:5-6,9-ended pay and 1" in out
    assert "  >  5          card = renew(card)" in out
    assert "failing requests did not run" in out
    assert "requests  0 seen" in out


def test_json_has_every_tie(capsys):
    store(mixed())
    code, out, _ = run(capsys, "suspects", "pay", "--format", "json", "--formula", "dstar")
    answer = json.loads(out)["suspects"]
    assert (code, answer["endpoint"], answer["formula"]) == (0, PAY, "dstar")
    assert answer["ran"][0]["parts"][0] == {
        "path": "shop/pay.py",
        "function": "pay",
        "lines": "5-6",
        "branches": ["9-ended"],
        "first": 5,
    }
    assert answer["ran"][0]["dstar"] is None


def test_slow_requests_are_shown_with_the_difference(capsys):
    store(
        [
            *(request(HEALTHY, duration_ms=10.0) for _ in range(20)),
            *(request(FAILING, duration_ms=250.0) for _ in range(3)),
        ]
    )
    code, out, err = run(capsys, "slow", "--threshold", "100")
    assert (code, err) == (0, "")
    assert "slow: more than 100.0 ms (as asked for): 3 recorded requests" in out
    assert "+240.0" in out


def test_groups_that_hardly_differ_are_said_to(capsys):
    store([request(HEALTHY), request(HEALTHY), request(FAILING, status=500), request(FAILING, status=500)])
    code, out, _ = run(capsys, "suspects")
    assert code == 0
    assert "Nothing stands out" in out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["suspects"], 1, "no recorded request failed: name an endpoint"),
        (["suspects", "pay"], 1, "0 failing requests recorded, 2 are needed"),
        (["suspects", "refund"], 1, "no endpoint here is called 'refund'"),
        (["suspects", "--label", "gold"], 2, "--label 'gold' is not KEY=VALUE"),
        (["suspects", "--error", "E", "--status", "500"], 2, "not allowed with argument"),
        (["suspects", "--top", "0"], 2, "--top 0 shows nothing"),
        (["suspects", "--formula", "magic"], 2, "invalid choice: 'magic'"),
        (["slow", "--threshold", "-1"], 2, "--threshold -1.0 is no duration"),
        (["slow", "--threshold", "nan"], 2, "is no duration"),
        (["slow"], 1, "slow request"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(capsys, arguments, code, said):
    store([request(HEALTHY) for _ in range(4)])
    found, _, err = run(capsys, *arguments)
    assert found == code
    assert said in err
    assert err.count("\n") <= 2


def test_hostile_names_do_nothing_to_a_terminal(capsys):
    evil = "app.\x1b[31mBad"
    store([*(request(HEALTHY) for _ in range(3)), *(request(FAILING, error=evil) for _ in range(2))])
    _, out, _ = run(capsys, "suspects", "--error", evil)
    assert "\x1b" not in out
    assert "\\x1b[31mBad" in out
