"""The command line itself: help, wrong use and exit codes. No test here trains or answers."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from pathlib import Path

import pytest

from looptop.engine import config
from looptop.engine.cli.main import COMMANDS, main
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.runs.folder import RunFolder
from tests.engine.cli.commands import Capture, refused, say, told

GOLDEN = Path(__file__).parents[2] / "golden" / "vqa_accuracy.json"


@pytest.fixture
def run() -> RunFolder:
    """A run that was stopped, as it lies on disk, with much in it that could act on a terminal."""
    folder = RunFolder.create("vqa", config.preset("tiny"))
    journal = JournalWriter(folder.db)
    journal.state(RunState.RUNNING)
    journal.facts(total_steps=9, device="a \x1b[31mprocessor", precision="bf16", n_train=1234)
    for step, loss in enumerate((1.5, float("nan"), 0.25), start=1):
        journal.metrics(step, {"loss": loss, "grad_norm": float("inf")})
    journal.metrics(3, {"eval_loss": 0.5, "eval_accuracy": 0.75})
    journal.event("data", "left out \x1b]0;title\x07 image", step=1, level="warning")
    journal.state(RunState.STOPPED, "stopped on \x1b[2J request")
    assert journal.close()
    folder.log.write_bytes("first line\nsecond \x1b[31mred\x9b\r\nbytes \xff\n".encode("latin-1"))
    return folder


# Help and wrong use -----------------------------------------------------------------------------------------------


def test_help_names_every_command(capsys: Capture) -> None:
    code, out, err = say(capsys, "--help")
    assert (code, err) == (0, "")
    assert all(f"  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(
    capsys: Capture, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = say(capsys, command, "--help")
    assert code == 0
    examples = out.partition("examples:")[2]
    assert f"looptop {command}" in examples
    paragraph = [line for line in examples.splitlines() if line[:1] not in ("", " ")]
    for line, following in itertools.pairwise(paragraph):
        full = len(f"{line} {following.split()[0]}") > 78
        assert full or line.endswith(":"), "the lines of a paragraph are as long as the terminal allows"


def test_version(capsys: Capture) -> None:
    assert say(capsys, "--version") == (0, "looptop 0.1.0\n", "")


def test_without_a_terminal_it_says_what_to_use_instead(capsys: Capture) -> None:
    assert main([], open_app=lambda _folder: pytest.fail("the app opened")) == 2
    told = capsys.readouterr().err
    assert "looptop demo" in told and "looptop ask" in told and "looptop --help" in told


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("trian vqa", "there is no command 'trian'; did you mean `looptop train`?"),
        ("\x1b[31m", "there is no command '␛[31m'; see `looptop --help`"),
        ("--frob", "unrecognized arguments: --frob; see `looptop --help`"),
        ("--", "unrecognized arguments: --; see `looptop --help`"),
        ("train", "say what to train: `looptop train vqa`, or `looptop train --like RUN`"),
        ("train gan", "argument kind: invalid choice: 'gan' (choose from 'vqa', 'ppo', 'reward'); see"),
        ("ask a.png", "the following arguments are required: QUESTION; see `looptop ask --help`"),
        ("ask a.png what? --top x", "argument --top: invalid int value: 'x'; see `looptop ask --help`"),
        ("ask a.png what? --top 0", "--top is 0; it must be from 1 to 100"),
        ("eval bundled --limit 0", "--limit 0 leaves no question; it must be at least 1"),
        ("train vqa --preset huge", "there is no preset 'huge'; the presets are: tiny, book"),
        ("train vqa --set x", "'x' is not key=value; write for example learning_rate=1e-4"),
        ("train vqa --set fusoin=mean", "there is no setting 'fusoin'; did you mean 'fusion'?"),
        ("train vqa --config none.toml", "cannot read the configuration none.toml: No such file or directory"),
        ("train vqa --preset tiny --config a", "argument --config: not allowed with argument --preset; see `looptop "),
        ("train vqa --data nowhere", "there is no data 'nowhere'; give easy-vqa, vqa-v2, or a folder with "),
        ("train vqa --data vqa-v2", "data.annotations is not given; say where it is with --set data.annotations=PATH"),
        ("train vqa --preset book", "data.annotations names v2_mscoco_train2014_annotations.json, which is not there;"),
        ("config --preset huge", "there is no preset 'huge'; the presets are: tiny, book"),
        ("show vqa-7", "there is no run 'vqa-7'; there are no runs yet"),
        ("metrics vqa-7", "there is no run 'vqa-7'; there are no runs yet"),
        ("logs vqa-7", "there is no run 'vqa-7'; there are no runs yet"),
        (
            "logs vqa-7 -f --json",
            "--follow cannot be combined with --json: a growing log is not one JSON object",
        ),
        ("resume vqa-7", "there is no run 'vqa-7'; there are no runs yet"),
        ("resume vqa-7 --detach", "unrecognized arguments: --detach; see `looptop resume --help`"),
        ("train vqa vqa", "unrecognized arguments: vqa; see `looptop train --help`"),
        ("pause vqa-7", "there is no run 'vqa-7'; there are no runs yet"),
        ("reward ppo-7 1 0 -1e308", "there is no run 'ppo-7'; there are no runs yet"),
        ("reward ppo-7 1 0 -1.5E+3", "there is no run 'ppo-7'; there are no runs yet"),
        ("reward ppo-7 1 0 --rate -.5e-3", "there is no run 'ppo-7'; there are no runs yet"),
        ("reward ppo-7 1 0 -inf", "there is no run 'ppo-7'; there are no runs yet"),
        ("predict bundled --questions none.json --images . --out r.json", "cannot read none.json: No such file"),
        ("predict bundled --questions q --images . --out no/r.json", "cannot write no/r.json: there is no folder "),
        ("score --annotations a.json --questions q.json --results r.json", "cannot read a.json: No such file or "),
    ],
)
def test_wrong_use_is_one_sentence(
    capsys: Capture, words: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, *words.split(" ")).startswith(expected)


def test_a_home_that_cannot_be_made(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOOPTOP_HOME", str(tmp_path / "file" / "home"))
    assert "set LOOPTOP_HOME to a folder you can write to" in refused(capsys, "runs")


def test_ctrl_c_is_one_line(capsys: Capture, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_folder: RunFolder) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "summary", interrupted)
    assert say(capsys, "runs") == (130, "", "looptop: interrupted\n")


def test_a_programming_error_keeps_its_traceback(
    capsys: Capture, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunFolder, "summary", lambda _folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["runs"])


# Runs -------------------------------------------------------------------------------------------------------------


def test_no_runs(capsys: Capture) -> None:
    code, out, _ = say(capsys, "runs")
    assert code == 0 and "looptop train vqa" in out
    assert told(capsys, "runs") == {"runs": []}


def test_runs(capsys: Capture, run: RunFolder) -> None:
    _, out, _ = say(capsys, "runs")
    header, line = out.splitlines()
    assert header.split()[:3] == ["run", "state", "step"]
    assert line.split()[:8] == ["vqa-1", "stopped", "3/9", "33", "%", "75.0", "%", "eval_accuracy,"]
    (listed,) = told(capsys, "runs")["runs"]
    assert (listed["id"], listed["state"], listed["step"], listed["eval_accuracy"]) == ("vqa-1", "stopped", 3, 0.75)


def test_show(capsys: Capture, run: RunFolder) -> None:
    code, out, _ = say(capsys, "show", "vqa-1")
    assert code == 0
    assert out.startswith("vqa-1 stopped: stopped on ␛[2J request\n")
    assert "warning: left out ␛]0;title␇ image" in out and "a ␛[31mprocessor bf16" in out
    assert "looptop resume vqa-1" in out
    assert "\x1b" not in out and "\x07" not in out
    shown = told(capsys, "show", "vqa-1")
    assert shown["config"]["training"]["learning_rate"] == config.preset("tiny").training.learning_rate
    assert (shown["facts"]["n_train"], shown["metrics"]["loss"]) == (1234, 0.25)
    assert [event["level"] for event in shown["events"]] == ["warning"]


def test_a_run_is_named_by_its_folder(capsys: Capture, run: RunFolder) -> None:
    assert told(capsys, "show", str(run.path))["id"] == "vqa-1"


def test_metrics(capsys: Capture, run: RunFolder) -> None:
    assert say(capsys, "metrics", "vqa-1", "loss")[1] == "1\t1.5\n2\tnan\n3\t0.25\n"
    points = told(capsys, "metrics", "vqa-1", "loss")["points"]
    assert [(point["step"], point["value"]) for point in points] == [(1, 1.5), (2, None), (3, 0.25)]
    names = told(capsys, "metrics", "vqa-1")["metrics"]
    assert names["eval_loss"] == {"step": 3, "value": 0.5}
    assert "eval_accuracy" in say(capsys, "metrics", "vqa-1")[1]
    assert refused(capsys, "metrics", "vqa-1", "los") == "vqa-1 has no metric 'los'; did you mean 'loss'?"


def test_logs_cannot_act_on_the_terminal(capsys: Capture, run: RunFolder) -> None:
    _, out, _ = say(capsys, "logs", "vqa-1")
    assert out == "first line\nsecond ␛[31mred\ufffd␍\nbytes \ufffd\n"
    assert say(capsys, "logs", "vqa-1", "-f")[1] == out
    assert told(capsys, "logs", "vqa-1")["lines"][0] == "first line"


@pytest.mark.parametrize("control", ["pause", "continue", "step", "checkpoint", "stop"])
def test_a_run_that_is_not_live_takes_no_control(capsys: Capture, run: RunFolder, control: str) -> None:
    assert "vqa-1 is not running, it is stopped; `looptop resume vqa-1`" in refused(capsys, control, "vqa-1")


def test_similar_ids_are_named(capsys: Capture, run: RunFolder) -> None:
    assert refused(capsys, "show", "vqa1") == "there is no run 'vqa1'; there are: vqa-1"


# Configuration and scores -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "preset"), [(kind, name) for kind in config.KINDS for name in config.presets(kind)])
def test_a_printed_configuration_can_be_read_again(capsys: Capture, kind: str, preset: str, tmp_path: Path) -> None:
    _, out, _ = say(capsys, "config", kind, "--preset", preset)
    (tmp_path / "mine.toml").write_text(out)
    assert (
        config.load(tmp_path / "mine.toml") == config.load(tmp_path / "mine.toml", kind) == config.preset(preset, kind)
    )
    assert {"version": 1} | told(capsys, "config", kind, "--preset", preset) == json.loads(
        json.dumps(tomllib.loads(out))
    )


@pytest.mark.parametrize(
    ("kind", "preset", "unset"),
    [
        ("vqa", "tiny", ["start_at", "end_at", "max_images", "max_questions"]),
        ("ppo", "tiny", ["max_queries", "score_clip"]),
        ("reward", "book", ["max_pairs"]),
    ],
)
def test_a_printed_configuration_names_what_has_no_value(
    capsys: Capture, kind: str, preset: str, unset: list[str], tmp_path: Path
) -> None:
    _, out, _ = say(capsys, "config", kind, "--preset", preset)
    assert re.findall(r"(?m)^# (\w+) =", out) == unset
    chosen = tomllib.loads(re.sub(r"(?m)^# (\w+) =", r"\1 = 3", out))
    del chosen["version"]
    assert all(any(table.get(name) == 3 for table in chosen.values() if isinstance(table, dict)) for name in unset)
    config.from_dict(chosen)
    if kind == "vqa":
        assert "\n# Use at most this many images of each split.\n# max_images =\n" in out


def test_score_prints_the_official_figures(capsys: Capture, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text("utf-8"))
    words = ["score"]
    for name in ("annotations", "questions", "results"):
        (tmp_path / name).write_text(json.dumps(golden[name]))
        words += [f"--{name}", str(tmp_path / name)]
    assert told(capsys, *words) == golden["expected"]["accuracy"]
    _, out, _ = say(capsys, *words)
    assert f"{golden['expected']['accuracy']['overall']:.2f}" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    "words",
    [
        "train ppo --set data.source=~nobody-here/x.txt --set data.split=test",
        "train reward --set data.source=~nobody-here/x.txt --set data.split=test",
        "train vqa --set data.source=~nobody-here --set validation_fraction=0.2",
        "train vqa --config ~nobody-here/mine.toml",
        "show ~nobody-here/ppo-1",
        "import ~nobody-here/logs",
        "ask ~nobody-here/1.png what --model ~nobody-here/model",
        "eval ~nobody-here/model",
        "predict bundled --questions ~nobody-here/q.json --images ~nobody-here --out ~nobody-here/r.json",
        "export ~nobody-here/ppo-1 --to csv",
    ],
)
def test_the_home_of_an_unknown_user_is_one_sentence(capsys: Capture, words: str) -> None:
    code, _, err = say(capsys, *words.split())
    assert code == 2 and err.startswith("looptop: ") and err.count("\n") == 1
