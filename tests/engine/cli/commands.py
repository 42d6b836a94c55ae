"""Commands as a person gives them, in the test's own process: what they print, and their exit codes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from looptop.engine.cli.main import main

Capture = pytest.CaptureFixture[str]


def say(capsys: Capture, *words: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    capsys.readouterr()
    try:
        code = main(list(map(str, words)))
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def shown(capsys: Capture, *words: object) -> str:
    """What a command prints."""
    code, out, err = say(capsys, *words)
    assert code == 0, err
    return out


def told(capsys: Capture, *words: object) -> Any:
    """The one JSON object of a command."""
    out = shown(capsys, *words, "--json")
    assert out.count("\n") == 1
    return json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def refused(capsys: Capture, *words: object) -> str:
    """The one sentence of a command that was used in a wrong way, or given what it cannot use."""
    code, out, err = say(capsys, *words)
    assert (code, out) == (2, ""), err
    assert err.startswith("looptop: ") and err.endswith("\n") and err.count("\n") == 1
    assert "\x1b" not in err and "Traceback" not in err
    return err.removeprefix("looptop: ").rstrip("\n")
