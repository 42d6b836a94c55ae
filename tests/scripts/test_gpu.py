"""`make gpu`: what a person who runs it gets, on a machine without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from scripts.gpu.__main__ import FAILED, NO_DEVICE, Runner, main
from scripts.gpu.checks import Check
from scripts.gpu.parts import PARTS, Part
from tests.factories.processes import has_ended
from tests.support import eventually

ROOT = Path(__file__).parents[2]


def run_parts(folder: Path, *names: str, seconds: float = 60.0) -> list[Check]:
    runner = Runner("cpu", True, None, folder, folder / "scratch", package="tests.scripts.parts")
    return runner.run([Part(name, "", seconds) for name in names])


def test_parts_run_on_a_processor_at_toy_size(tmp_path: Path) -> None:
    words = ["recordings", "responses", "machine", "--device", "cpu", "--quick", "--report", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", "scripts.gpu", *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert {check["part"] for check in report["checks"]} == {"recordings", "responses", "machine"}
    assert {check["state"] for check in report["checks"]} == {"ok"}
    assert report["machine"]["device"] == "cpu"
    assert report["machine"]["torch"]
    for check in report["checks"]:
        assert f"{check['part']:18}{check['name']}: {check['figure']}" in done.stdout
    assert f"{len(report['checks'])} checks, 0 failed" in done.stdout


def test_every_part_has_its_module_and_says_what_it_shows() -> None:
    for part in PARTS:
        assert (ROOT / "scripts" / "gpu" / "parts" / f"{part.name}.py").is_file()
        assert part.shows and part.seconds > 0


def test_without_a_gpu_it_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.gpu", "--report", str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == NO_DEVICE
    assert done.stdout == ""
    assert done.stderr == (
        "make gpu: there is no device 'cuda' on this machine; `make gpu DEVICE=cpu` runs the same checks at toy size"
        " on the CPU\n"
    )


def test_an_unknown_part_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recordngs", "--device", "cpu"]) == NO_DEVICE
    assert "there is no part 'recordngs'; the parts are: recordings, " in capsys.readouterr().err


def test_a_check_that_fails_keeps_none_of_the_others_from_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = run_parts(tmp_path, "fails")
    assert [(check.name, check.state, check.figure) for check in checks] == [
        ("one that does not hold", "failed", "one is missing (3 of 4)"),
        ("one that breaks", "failed", "ValueError: two"),
        ("one that cannot run", "not run", "peft is not installed"),
        ("one that holds", "ok", "4 of 4"),
    ]
    assert checks[3].values == {"count": 4}
    assert "failed  fails             one that breaks: ValueError: two" in capsys.readouterr().out
    assert "a library says something" in (tmp_path / "fails.log").read_text()
    assert "Traceback" in (tmp_path / "fails.log").read_text()


def test_a_part_that_hangs_is_cut_off_with_all_that_it_started_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its seconds begin where it hangs: a slow machine may take longer than they are to get there."""
    begin, show = threading.Timer.start, Runner._print
    limits: list[threading.Timer] = []

    def shown(runner: Runner, check: Check) -> None:
        show(runner, check)
        if check.name == "before it hangs":
            begin(limits[-1])

    monkeypatch.setattr(threading.Timer, "start", lambda timer: limits.append(timer))
    monkeypatch.setattr(Runner, "_print", shown)
    checks = run_parts(tmp_path, "hangs", "fails", seconds=1.0)
    hung = [check for check in checks if check.part == "hangs"]
    assert [(check.name, check.state) for check in hung] == [("before it hangs", "ok"), ("the part", "failed")]
    assert hung[1].figure == "cut off after 1 s"
    child = int(hung[0].values["pid"])
    eventually(lambda: has_ended(child))
    assert len([check for check in checks if check.part == "fails"]) == 4


def test_a_part_that_dies_says_its_last_words(tmp_path: Path) -> None:
    before, died = run_parts(tmp_path, "dies")
    assert before.state == "ok"
    assert (died.name, died.state) == ("the part", "failed")
    assert died.figure == "ended with exit code 7: a driver's last words"


def test_a_failure_is_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = [Check(part="recordings", name="a check", state="failed", figure="it does not hold")]
    monkeypatch.setattr(Runner, "run", lambda self, parts: failed)
    assert main(["recordings", "--device", "cpu", "--report", str(tmp_path)]) == FAILED
    assert json.loads((tmp_path / "report.json").read_text())["checks"][0]["state"] == "failed"
