"""Each example as a user runs it: a program of its own that prints what it promises and leaves the run it names."""

from __future__ import annotations

import ast
import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs.folder import RunFolder

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ["ask", "ppo_reward", "train_vqa", "watch_loop", "watch_trainer"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the examples leave what they draw and save."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def example(name: str, *arguments: str, folder: Path) -> list[str]:
    """The lines that an example prints; fails with all of its output where it does."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{name}.py ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.splitlines()


def finished_run(run_id: str) -> RunFolder:
    """The only run there is, which must have this id and have finished."""
    (run,) = RunFolder.all()
    assert (run.id, run.state(), run.is_live()) == (run_id, RunState.FINISHED, False), run.summary().reason
    return run


def steps(run: RunFolder, metric: str) -> list[int]:
    return [point.step for point in Journal(run.db).values(metric)]


def test_every_example_is_listed_documented_and_tested_here() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert [file.stem for file in files] == NAMES
    listed = re.findall(r"^- \[`(\w+)\.py`\]\(\1\.py\): \S", (EXAMPLES / "README.md").read_text(), flags=re.M)
    assert sorted(listed) == NAMES
    for file in files:
        text = file.read_text()
        assert f"python examples/{file.name}" in (ast.get_docstring(ast.parse(text)) or ""), file
        assert not re.search(r"looptop\.engine\.\w", text), f"{file} uses more than the public names"


def test_ask_answers_about_a_drawn_image_and_about_a_given_one(folder: Path) -> None:
    answers = [line for line in example("ask", folder=folder) if "?" in line]
    assert [line.partition("?  ")[2].split()[0] for line in answers] == ["circle", "teal", "no"]

    image = Image.new("RGB", (64, 64), (250, 240, 240))
    ImageDraw.Draw(image).rectangle((16, 16, 48, 40), fill=(255, 0, 0))
    image.save(folder / "mine.png")
    answer, *others = example("ask", "mine.png", "what color is the shape?", folder=folder)
    assert re.fullmatch(r"what color is the shape\?  red \(\d+\.\d%\)", answer)
    assert len(others) == 2 and all(line.startswith("    or ") for line in others)
    assert RunFolder.all() == []


def test_train_vqa_trains_on_the_folder_it_draws_and_asks_the_model(folder: Path) -> None:
    lines = example("train_vqa", "--steps", "30", folder=folder)
    run = finished_run("vqa-1")
    (data,) = folder.glob("shapes-*")
    assert run.settings()["data"]["source"] == str(data)
    assert Journal(run.db).facts()["total_steps"] == 30
    assert steps(run, "loss") == list(range(1, 31))

    accuracy = Journal(run.db).values("eval_accuracy")
    assert len(accuracy) > 2 and accuracy[-1].value > accuracy[0].value  # type: ignore[operator]
    printed = [line for line in lines if "validation accuracy" in line]
    assert printed == [f"step {point.step}: validation accuracy {point.value:.1%}" for point in accuracy]
    with (data / "questions.csv").open() as table:
        answers = {row["answer"] for row in csv.DictReader(table)}
    asked = re.fullmatch(r"0\.png: what color is the shape\?  (\w+) \(\d+\.\d%\)", lines[-1])
    assert asked and asked[1] in answers, lines


def test_train_vqa_takes_a_folder_of_the_users(folder: Path) -> None:
    mine = folder / "mine"
    mine.mkdir()
    rows = ["image,question,answer"]
    for number in range(20):
        Image.new("RGB", (32, 32), (10 * number, 0, 0)).save(mine / f"{number}.png")
        rows.append(f"{number}.png,is it dark?,{'yes' if number < 10 else 'no'}")
    (mine / "table.csv").write_text("\n".join(rows))
    lines = example("train_vqa", "--data", str(mine), "--steps", "2", folder=folder)
    run = finished_run("vqa-1")
    assert run.settings()["data"]["source"] == str(mine)
    assert steps(run, "loss") == [1, 2]
    assert lines[-1].startswith("0.png: what color is the shape?  ")


def test_watch_trainer_leaves_a_run_of_the_users_trainer(folder: Path) -> None:
    lines = example("watch_trainer", "100", folder=folder)
    run = finished_run("trainer-1")
    assert run.about().title == "inside the circle"
    assert steps(run, "loss") == list(range(10, 101, 10))
    losses = Journal(run.db).values("eval_loss")
    assert [point.step for point in losses] == [50, 100]
    assert losses[1].value < losses[0].value  # type: ignore[operator]
    assert lines[-1] == f"trainer-1 kept {losses[0].value:.3f} at step 50, {losses[1].value:.3f} at step 100"


def test_watch_loop_leaves_a_run_of_a_bare_loop(folder: Path) -> None:
    first, last = example("watch_loop", "200", folder=folder)
    run = finished_run("trainer-1")
    assert run.about().title == "fits a sine"
    assert run.settings()["arguments"] == {"learning_rate": 0.01}
    assert Journal(run.db).facts()["total_steps"] == 200
    losses = Journal(run.db).values("loss")
    assert [point.step for point in losses] == list(range(1, 201))
    assert losses[-1].value < losses[0].value / 2  # type: ignore[operator]
    assert first == "trainer-1 trains for 200 steps"
    assert last == f"trainer-1 kept 200 losses, from {losses[0].value:.3f} to {losses[-1].value:.5f}"


def test_ppo_reward_tunes_by_the_function_in_the_example(folder: Path) -> None:
    lines = example("ppo_reward", "--batches", "3", folder=folder)
    run = finished_run("ppo-1")
    assert steps(run, "env/reward_mean") == [1, 2, 3]
    samples = PpoJournal(run.db).samples(3)
    assert samples
    for sample in samples:
        assert sample.scores["ten_words"] == pytest.approx(-abs(len(sample.response.split()) - 10) / 5)
        assert sample.reward == pytest.approx(sample.scores["ten_words"] + 0.5 * sample.scores["grammar"], abs=1e-4)

    scores = Journal(run.db).values("scores/ten_words")
    assert scores[2].value == pytest.approx(sum(sample.scores["ten_words"] for sample in samples) / len(samples))
    assert f"batch 1: score {scores[0].value:.2f}" in lines
    assert lines[0] == "ppo-1 tunes for 3 batches" and lines[-1].startswith("result: {'reward': ")
