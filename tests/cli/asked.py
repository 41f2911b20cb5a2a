"""A question asked of the command as a person would, in this process."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from requestcov.cli import main


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def ask_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The object that an answer is, with ``--format json``."""
    code, out, err = ask(capsys, *arguments, "--format", "json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def rows(out: str) -> list[list[str]]:
    """The cells of the first table, which are two spaces apart at least."""
    lines = out.splitlines()
    rule = next(at for at, line in enumerate(lines) if line.startswith("\u2500"))
    end = next((at for at, line in enumerate(lines) if at > rule and not line), len(lines))
    return [re.split(r" {2,}", line) for line in [lines[rule - 1], *lines[rule + 1 : end]]]
