"""Configurations of other versions: older ones are read, newer ones are refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from looptop.engine import config
from looptop.engine.cli.main import main
from looptop.engine.config import versions
from looptop.engine.config.versions import Change
from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import RunFolder

RENAMED = (
    Change(2, "vqa", "training.rate", "training.learning_rate"),
    Change(3, "vqa", "model.merge", "model.fusion"),
    Change(3, "vqa", "data.shuffled", None),
)


@pytest.fixture
def third(monkeypatch: pytest.MonkeyPatch) -> None:
    """A looptop two versions later."""
    monkeypatch.setattr(versions, "VERSION", 3)
    monkeypatch.setattr(versions, "CHANGES", RENAMED)


@pytest.mark.parametrize("version", ["", "version = 1\n"])
def test_an_older_file_is_read_with_the_current_names(third: None, version: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'{version}[training]\nrate = 0.5\n[model]\nmerge = "mean"\n[data]\nshuffled = true\n')
    chosen = config.load(file)
    assert chosen.training.learning_rate == 0.5 and chosen.kind == "vqa"
    assert "shuffled" not in config.to_dict(chosen)["data"]


def test_an_old_name_in_a_new_file_is_still_an_error(third: None, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("version = 3\n[training]\nrate = 0.5\n")
    with pytest.raises(LooptopError, match="rate"):
        config.load(file)


def test_a_runs_file_has_a_version_and_older_files_are_read(third: None) -> None:
    run = RunFolder.create("vqa", config.preset("tiny"))
    text = run.config_file.read_text()
    assert text.startswith("version = 3\n")
    old = text.replace("version = 3\n", "").replace("learning_rate = ", "rate = ")
    run.config_file.write_text(old)
    assert run.config() == config.preset("tiny")
    assert "version" not in run.settings()


@pytest.mark.parametrize("version", ["2", "99", '"1"', "true", "1.5"])
def test_a_newer_or_strange_version_is_refused(
    version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f"version = {version}\n")
    with pytest.raises(LooptopError, match=r"newer looptop|must be a whole number") as caught:
        config.load(file)
    assert str(file) in str(caught.value)
    run = RunFolder.create("vqa", config.preset("tiny"))
    run.config_file.write_text(run.config_file.read_text().replace("version = 1\n", f"version = {version}\n"))
    assert main(["resume", run.id]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["runs"]) == 0


def test_what_is_printed_can_be_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--preset", "tiny"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("version = 1\n")
    (tmp_path / "mine.toml").write_text(text)
    assert config.load(tmp_path / "mine.toml") == config.preset("tiny")
