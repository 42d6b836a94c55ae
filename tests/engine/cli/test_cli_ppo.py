"""PPO from the command line: a run in an engine process, held, judged, read, compared and used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from looptop.engine import config as configuration
from looptop.engine.cli.main import main
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.journal.records import RunState
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs import checkpoint
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.host import launch
from tests.engine.cli.commands import Capture, refused, shown, told
from tests.factories.ppo import TEXTS, ppo_config
from tests.factories.processes import kill_live_runs
from tests.factories.synthetic_ppo import Maker, make_run
from tests.support import eventually


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> PpoRunConfig:
    return ppo_config(tmp_path_factory.mktemp("t5"))


@pytest.fixture(autouse=True)
def nothing_goes_on() -> Iterator[None]:
    yield
    kill_live_runs()


@pytest.mark.slow
def test_train_compare_and_generate(tiny: PpoRunConfig, capsys: Capture, tmp_path: Path) -> None:
    configuration.save(tiny, tmp_path / "mine.toml")
    capsys.readouterr()
    assert main(["train", "ppo", "--config", str(tmp_path / "mine.toml"), "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert set(result) == {"run", "state", "reward", "kl", "split", "checkpoint", "step", "alerts", "seconds"}
    assert result["checkpoint"] == "best" and result["step"] > 0
    assert (result["run"], result["state"]) == ("ppo-1", "finished")
    assert "ppo-1  evaluation at step 0: reward " in err and ", kl " in err
    assert "held-out reward" in err

    comparison = told(capsys, "compare", "ppo-1", "--n", 6)
    assert comparison["n"] == len(comparison["rows"]) == 6
    figures = comparison["figures"]
    assert list(figures)[:3] == ["reward", "grammar", "neutral"]
    assert figures["reward"]["low"] <= figures["reward"]["difference"] <= figures["reward"]["high"]
    assert figures["reward"]["after"] == pytest.approx(result["reward"], abs=2.0)
    assert figures["kl"]["before"] == pytest.approx(0, abs=1e-5)
    assert all(row["query"] in TEXTS for row in comparison["rows"])
    assert json.loads((RunFolder.find("ppo-1").path / "comparison.json").read_text())["n"] == 6
    text = shown(capsys, "compare", "ppo-1", "--n", 6, "--pairs", 1)
    assert "95 % interval" in text and "The largest gains in reward:" in text and "before" in text

    (first,) = told(capsys, "generate", "ppo-1", TEXTS[0])["responses"]
    assert first["text"] == TEXTS[0] and 1 <= first["tokens"] <= 8
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS[:3]))
    several = told(capsys, "generate", "ppo-1", texts)["responses"]
    assert several[0] == first and len(several) == 3
    assert shown(capsys, "generate", RunFolder.find("ppo-1").model, TEXTS[0], "--max-new-tokens", 2).strip()
    assert "there is no text" in refused(capsys, "generate", "ppo-1", " ")
    assert "cannot be loaded" in refused(capsys, "generate", "nobody/nothing", "text")


def test_a_held_batch_is_driven_and_read_from_the_shell(tiny: PpoRunConfig, capsys: Capture) -> None:
    folder = launch(configuration.override(tiny, ["max_steps=100000", "eval_steps=100000"]))
    journal = PpoJournal(folder.db)
    eventually(lambda: journal.batch_span()[1] >= 2)
    assert told(capsys, "step", "ppo-1", "--to", "compared")["taken"]
    eventually(lambda: folder.state() is RunState.PAUSED)
    last = journal.last_batch()
    assert last is not None and last.stage == "compared"
    step = last.step

    listed = told(capsys, "batches", "ppo-1")["batches"]
    assert [each["batch"] for each in listed][-1] == step
    assert listed[-1]["stage"] == "compared" and listed[-2]["figures"]["objective/kl"] is not None
    assert "compared" in shown(capsys, "batches", "ppo-1", "--first", step)
    samples = told(capsys, "samples", "ppo-1", step, "--sort", "grammar")["samples"]
    scores = [sample["scores"]["grammar"] for sample in samples]
    assert len(samples) == 8 and scores == sorted(scores, reverse=True)
    tokens = told(capsys, "tokens", "ppo-1", step, 0)["tokens"]
    assert len(tokens) == next(sample["length"] for sample in samples if sample["row"] == 0)
    assert tokens[0]["advantage"] is None and tokens[0]["kl"] is not None
    assert "probability" in shown(capsys, "tokens", "ppo-1", step, 0)

    assert "uses that" in told(capsys, "reward", "ppo-1", step, 0, "2.5")["answer"]
    assert "left out" in shown(capsys, "reward", "ppo-1", step, 1, "--leave-out")
    assert "no longer left out" in shown(capsys, "reward", "ppo-1", step, 1, "none", "--leave-out")
    assert "--leave-out takes no number" in refused(capsys, "reward", "ppo-1", step, 1, "1.5", "--leave-out")
    assert "VALUE is missing: give a number, `none` to undo" in refused(capsys, "reward", "ppo-1", step, 1, "--rate")
    assert "there is no sample 9" in refused(capsys, "reward", "ppo-1", step, 9, "1")
    assert "is not a number" in refused(capsys, "reward", "ppo-1", step, 0, "much")
    for word in ("-inf", "-Infinity", "-nan"):
        assert f"'{word}' is not a number" in refused(capsys, "reward", "ppo-1", step, 0, word)
    assert told(capsys, "samples", "ppo-1", step)["samples"][0]["judgements"] == {"reward": 2.5}

    assert "before an update when kl > -1000" in shown(capsys, "break", "ppo-1", "kl > -1000")
    assert told(capsys, "break", "ppo-1")["breakpoints"] == ["kl > -1000"]
    assert "at column 4" in refused(capsys, "break", "ppo-1", "kl ! 8")
    shown(capsys, "continue", "ppo-1")
    eventually(lambda: journal.last_batch().step > step and folder.state() is RunState.PAUSED)  # type: ignore[union-attr]
    assert journal.state()[1].startswith("breakpoint kl > -1000: kl is ")

    # A signal while a batch is held: a checkpoint of the step before, then gone.
    owner = folder.owner()
    assert owner is not None
    os.kill(owner.pid, signal.SIGTERM)
    eventually(lambda: not folder.is_live(), limit=30)
    assert folder.state() is RunState.STOPPED
    held = journal.last_batch()
    assert held is not None
    assert checkpoint.newest_complete(folder.checkpoints) == folder.checkpoints / f"checkpoint-{held.step - 1}"
    assert "was updated already" in refused(capsys, "reward", "ppo-1", step, 0, "1")
    assert "kept" in shown(capsys, "reward", "ppo-1", step, 0, "1", "--rate")
    assert "is gone" in shown(capsys, "break", "ppo-1", "kl > -1000", "--remove")
    assert told(capsys, "break", "ppo-1")["breakpoints"] == []
    assert "is set, for when the run goes on" in shown(capsys, "break", "ppo-1", "nan")


@pytest.mark.parametrize(
    "words",
    [
        ("break", "ppo-1", "kl > 8", "--remove"),
        ("break", "ppo-1", "--remove", "kl > 8"),
        ("break", "--remove", "ppo-1", "kl > 8"),
        ("break", "ppo-1", "--json", "kl > 8", "--remove"),
    ],
)
def test_words_and_options_come_in_any_order(capsys: Capture, words: tuple[str, ...]) -> None:
    run = make_run(Maker(2, 4), state=RunState.STOPPED)
    shown(capsys, "break", run.id, "kl > 8")
    assert "is gone" in shown(capsys, *words)
    assert PpoJournal(run.db).breakpoints() == []
    assert "kept" in shown(capsys, "reward", run.id, 1, 2, "--rate", "-1.5")
    assert [judgement.value for judgement in PpoJournal(run.db).judgements()] == [-1.5]
    assert "--remove needs the CONDITION" in refused(capsys, "break", run.id, "--remove")
    for wrong, message in ((["break"], "required: RUN"), (["break", run.id, "kl > 8", "more"], "arguments: more")):
        with pytest.raises(SystemExit):
            main(wrong)
        assert message in capsys.readouterr().err
    assert "there is no run" in refused(capsys, "break", "--", "--odd")


def test_a_breakpoint_of_a_finished_run_says_that_it_cannot_take_effect(capsys: Capture) -> None:
    run = make_run(Maker(2, 4))
    sentence = "is set, but ppo-1 is finished: it cannot take effect unless the run is resumed"
    assert sentence in shown(capsys, "break", run.id, "kl > 8")
    assert "is gone" in shown(capsys, "break", run.id, "kl > 8", "--remove")
    shown(capsys, "break", run.id, "kl = 3")
    assert "is gone" in shown(capsys, "break", run.id, "kl=3", "--remove")
    assert "there is no breakpoint 'kl > 8'; there are: none" in refused(capsys, "break", run.id, "kl > 8", "--remove")
    assert "there is no figure 'kll'; did you mean 'kl'?" in refused(capsys, "break", run.id, "kll > 8")
    assert "is set" in shown(capsys, "break", run.id, "grammar < 0")


def test_a_run_of_another_kind_has_no_batches(capsys: Capture) -> None:
    RunFolder.create("vqa", configuration.preset("tiny"))
    for command in (["batches"], ["samples", "1"], ["break"], ["compare"]):
        word, *more = command
        assert refused(capsys, word, "vqa-1", *more) == "vqa-1 is not a PPO run; its kind is vqa"


def test_wrong_numbers_are_sentences(capsys: Capture) -> None:
    RunFolder.create("ppo", configuration.preset("tiny", "ppo"))
    assert refused(capsys, "samples", "ppo-1", 3) == "ppo-1 has no batch 3; it has none yet"
    assert "has no sample 0 of a batch 3" in refused(capsys, "tokens", "ppo-1", 3, 0)
    assert "has no batch from" in shown(capsys, "batches", "ppo-1")
    assert "too few to compare" in refused(capsys, "compare", "ppo-1", "--n", 1)
    assert "ppo-1 has no model yet" in refused(capsys, "compare", "ppo-1")
    assert "is not running" in refused(capsys, "step", "ppo-1", "--to", "scored")


def test_reading_batches_imports_no_heavy_library() -> None:
    RunFolder.create("ppo", configuration.preset("tiny", "ppo"))
    code = (
        "import sys; from looptop.engine.cli.main import main; main(['batches', 'ppo-1', '--json']);"
        " main(['break', 'ppo-1', 'kl > 3']); main(['samples', 'ppo-1', '1']);"
        " assert not {'torch', 'transformers', 'datasets', 'numpy'} & set(sys.modules), 'too much'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"batches": []' in done.stdout and "kl > 3" in done.stdout
