"""A run of somebody else starts nothing on this machine until a person agrees."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
from pathlib import Path

import pytest

from looptop.engine.cli.main import main
from looptop.engine.config.reward import PreferenceConfig
from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.ppo.paired_comparison import compare_with_reference
from looptop.engine.ppo.preferences import load_pairs
from looptop.engine.ppo.responding import generate
from looptop.engine.runs import origins
from looptop.engine.runs.about import write_about
from looptop.engine.runs.delete import delete
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.notify import command_for
from looptop.engine.runs.origins import is_made_here, record_origin
from looptop.engine.runs.trust import untrusted
from looptop.engine.startup.host import relaunch
from looptop.engine.startup.run import lock_for_resume, resume
from tests.factories.ppo import ppo_config, save_policy
from tests.factories.runs import Steps, config
from tests.support import eventually


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The file that the stranger's code writes."""
    return tmp_path / "it ran"


@pytest.fixture
def theirs(tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A stopped PPO run of another home, with a command and a reward function in it."""
    here = os.environ["LOOPTOP_HOME"]
    monkeypatch.setenv("LOOPTOP_HOME", str(tmp_path / "their home"))
    evil = tmp_path / "evil.py"
    evil.write_text(
        f"open({str(mark)!r}, 'a').write('function ')\ndef score(queries, responses): return [0.0] * len(responses)\n"
    )
    run = RunFolder.create("ppo", ppo_config(tmp_path / "models", f"rewards.evil.function={evil}:score"))
    write_about(run.path, notify=f"echo command >> '{mark}'")
    journal = JournalWriter(run.db)
    journal.state(RunState.RUNNING)
    journal.metrics(1, {"env/reward_mean": 1.0})
    journal.state(RunState.STOPPED)
    journal.close()
    save_policy(run.model)
    monkeypatch.setenv("LOOPTOP_HOME", here)
    return run


def copied(run: RunFolder, name: str = "ppo-7") -> RunFolder:
    """Copies a run into this home, as a person does to see it in the list of runs."""
    runs = Path(os.environ["LOOPTOP_HOME"]) / "runs"
    runs.mkdir(exist_ok=True, mode=0o700)
    shutil.copytree(run.path, runs / name)
    return RunFolder(runs / name)


def says(words: list[str]) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return code, err.getvalue()


LOOKING = [
    ["show", "RUN"], ["show", "RUN", "--json"], ["logs", "RUN"], ["metrics", "RUN"], ["batches", "RUN"],
    ["break", "RUN"], ["runs"], ["runs", "--json"], ["export", "RUN", "--to", "jsonl", "--out", "OUT"],
    ["rename", "RUN", "a title"], ["note", "RUN", "a note"], ["attach", "RUN"], ["config"], ["doctor"],
    ["import", "FOLDER"], ["generate", "RUN", "the tram"], ["samples", "RUN", "1"], ["tokens", "RUN", "1", "0"],
    ["pause", "RUN"], ["continue", "RUN"], ["stop", "RUN"], ["step", "RUN"], ["checkpoint", "RUN"],
    ["ask", "IMAGE", "what?", "--model", "FOLDER"], ["train", "reward", "--data", "RUN"], ["delete", "RUN", "--yes"],
]  # fmt: skip


@pytest.mark.slow  # `train` starts a process that reads the data
def test_reading_a_run_starts_nothing(theirs: RunFolder, mark: Path, tmp_path: Path) -> None:
    here = copied(theirs)
    for name in (str(theirs.path), here.id):
        for words in LOOKING:
            given = {"RUN": name, "FOLDER": str(theirs.path), "OUT": str(tmp_path / "out" / Path(name).name)}
            _, err = says([given.get(word, word) for word in words if words[0] != "delete" or name == here.id])
            assert "Traceback" not in err, (words, err)
            assert not mark.exists(), words
    with contextlib.suppress(LooptopError):
        theirs.summary()
    assert not mark.exists()


@pytest.mark.parametrize("where", ["elsewhere", "copied into the home"])
def test_commands_that_would_start_something_need_trust(
    where: str, theirs: RunFolder, mark: Path, tmp_path: Path
) -> None:
    run = theirs if where == "elsewhere" else copied(theirs)
    name = str(run.path)
    for words in (["resume", name], ["compare", name], ["train", "--like", name, "--detach"]):
        code, err = says(words)
        assert code == 2 and err.count("\n") == 1 and "--trust" in err
        assert f"`{tmp_path}/evil.py:score`" in err and str(run.config_file) in err
        assert "def score(queries, responses)" in err, "what stands in its file"
        if words[0] == "resume":
            assert f"`echo command >> '{mark}'`" in err and str(run.path / "about.toml") in err
    for go_on in (resume, relaunch):
        with pytest.raises(LooptopError, match="--trust"):
            go_on(name)
    assert not mark.exists()


def test_trusted_functions_are_started_and_remembered_in_this_home(theirs: RunFolder, mark: Path) -> None:
    run = copied(theirs)
    again = resume(run.id, Steps(2), trust=True)
    assert again.wait(60) is RunState.FINISHED
    eventually(lambda: mark.exists() and "command" in mark.read_text())
    assert is_made_here(run.path)
    assert untrusted(run, resuming=True) == []
    # A run elsewhere needs agreement each time.
    with lock_for_resume(theirs, trust=True):
        pass
    assert not is_made_here(theirs.path)


def test_a_run_of_this_home_is_not_asked_about(mark: Path) -> None:
    run = RunFolder.create("vqa", config())
    write_about(run.path, notify=f"touch '{mark}'")
    again = resume(run.id, Steps(2))
    assert again.wait(60) is RunState.FINISHED
    eventually(mark.exists)


def test_a_run_with_nothing_to_start_needs_no_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.environ["LOOPTOP_HOME"]
    monkeypatch.setenv("LOOPTOP_HOME", str(tmp_path / "their home"))
    run = RunFolder.create("vqa", config())
    monkeypatch.setenv("LOOPTOP_HOME", here)
    assert not is_made_here(run.path)
    assert resume(str(run.path), Steps(2)).wait(60) is RunState.FINISHED


def test_a_copy_is_not_taken_for_the_run_it_was_made_from(tmp_path: Path) -> None:
    run = RunFolder.create("vqa", config())
    assert is_made_here(run.path)
    assert not is_made_here(copied(run, "vqa-8").path)
    # A copy that comes back has the token, but is another folder.
    back = tmp_path / "vqa-1"
    shutil.copytree(run.path, back)
    write_about(back, notify="evil")
    run.path.rename(tmp_path / "old")
    shutil.move(back, run.path)
    assert not is_made_here(run.path)


@pytest.mark.parametrize("how", ["unpacked over it", "unpacked in its place"])
def test_a_run_that_returns_with_other_commands_needs_trust(
    how: str, mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy has the token, and a file system may give a freed inode to the next folder."""
    good = tmp_path / "good.py"
    good.write_text("def score(queries, responses): return [0.0] * len(responses)\n")
    run = RunFolder.create("ppo", ppo_config(tmp_path / "models", f"rewards.mine.function={good}:score"))
    write_about(run.path, notify="true")
    assert untrusted(run, resuming=True) == []
    kept = {file.name: file.read_bytes() for file in run.path.iterdir() if file.is_file()}
    inode = run.path.stat().st_ino
    if how == "unpacked in its place":
        shutil.rmtree(run.path)
        run.path.mkdir(mode=0o700)
        monkeypatch.setattr(origins, "_inode", lambda folder: inode)
    for name, data in kept.items():
        (run.path / name).write_bytes(data.replace(b"good.py", b"evil.py").replace(b'"true"', b'"evil"'))
    (tmp_path / "evil.py").write_text(f"open({str(mark)!r}, 'w')\n")
    assert is_made_here(run.path)
    assert [each.text for each in untrusted(run, resuming=True)] == ["evil", f"{tmp_path}/evil.py:score"]
    for words in (["resume", run.id], ["compare", run.id], ["train", "--like", run.id, "--detach"]):
        code, err = says(words)
        assert code == 2 and "--trust" in err, words
    with pytest.raises(LooptopError, match="was not set by this home"):
        command_for(run.path, "true")
    assert not mark.exists()
    # A command that this home sets again, or a person agrees to, is this home's.
    write_about(run.path, notify="evil")
    assert [each.key for each in untrusted(run, resuming=True)] == ["rewards.mine.function"]
    assert command_for(run.path) == "evil"


def test_a_command_that_this_home_changes_is_its_own(tmp_path: Path) -> None:
    run = RunFolder.create("vqa", config())
    for words in (["notify", run.id, "first"], ["notify", run.id, "second"], ["rename", run.id, "a title"]):
        assert main(words) == 0
    assert untrusted(run, resuming=True) == [] and command_for(run.path) == "second"
    # A new title does not make a stranger's command this home's.
    (run.path / "about.toml").write_text('notify = "evil"\n')
    assert main(["rename", run.id, "another"]) == 0
    assert [each.text for each in untrusted(run, resuming=True)] == ["evil"]


def test_runs_that_others_could_replace_are_not_this_homes() -> None:
    run = RunFolder.create("vqa", config())
    write_about(run.path, notify="true")
    run.path.parent.chmod(0o777)
    assert not is_made_here(run.path)
    with pytest.raises(LooptopError, match="can be written by everybody"):
        command_for(run.path)


def test_another_run_under_the_number_of_a_deleted_one_is_not_trusted(tmp_path: Path) -> None:
    run = RunFolder.create("vqa", config())
    shutil.copytree(run.path, tmp_path / "copy")
    origin = Path(os.environ["LOOPTOP_HOME"]) / "origins" / run.id
    assert origin.exists() and origin.stat().st_mode & 0o777 == 0o600
    assert origin.parent.stat().st_mode & 0o777 == 0o700
    delete(run)
    assert not origin.exists()
    shutil.move(tmp_path / "copy", run.path)
    assert not is_made_here(run.path)


def test_a_run_that_could_not_be_deleted_is_trusted_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder.create("vqa", config())

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with pytest.raises(LooptopError, match=r"cannot delete .*busy"):
            delete(run)
    assert is_made_here(run.path)
    delete(run)
    assert not run.path.exists()


def test_a_run_where_others_can_write_is_not_this_homes() -> None:
    run = RunFolder.create("vqa", config())
    run.path.chmod(0o777)
    assert not is_made_here(run.path)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"token": "", "inode": 0}', b"\xff"])
def test_a_damaged_record_counts_as_missing(damage: bytes) -> None:
    run = RunFolder.create("vqa", config())
    (Path(os.environ["LOOPTOP_HOME"]) / "origins" / run.id).write_bytes(damage)
    assert not is_made_here(run.path)
    record_origin(run.path)
    assert is_made_here(run.path)
    (run.path / "origin").unlink()
    assert not is_made_here(run.path)


def test_a_command_is_made_safe_to_show(tmp_path: Path) -> None:
    run = RunFolder.create("ppo", ppo_config(tmp_path / "models"))
    write_about(run.path, notify="\x1b]0;x\x07 \u202e rm" + " " * 5000 + "end")
    (run.path / "origin").unlink()
    (only,) = untrusted(run, resuming=True)
    text = str(only)
    assert "\x1b" not in text and "\u202e" not in text and "characters more" in text


def test_a_run_elsewhere_is_compared_and_used_and_not_this_homes_run_of_the_same_id(tmp_path: Path) -> None:
    """Review: `compare /elsewhere/ppo-1` took this home's ppo-1 with the other one's configuration."""
    chosen = ppo_config(tmp_path / "models", "device=cpu")
    mine = RunFolder.create("ppo", chosen)
    theirs = RunFolder(tmp_path / "elsewhere" / mine.id)
    shutil.copytree(mine.path, theirs.path)
    save_policy(theirs.model)
    # This home's run has no model, so whatever is computed is of the other run.
    name = str(theirs.path)
    assert compare_with_reference(theirs, 2, device="cpu").n == 2
    assert [each.text for each in generate(name, ["the tram opened in Oslo"], device="cpu")]
    with pytest.raises(LooptopError, match="has no model yet"):
        generate(mine.id, ["the tram"], device="cpu")
    with pytest.raises(LooptopError, match=r"nothing was rated in ppo-1; .*`looptop reward .*/elsewhere/ppo-1 BATCH"):
        load_pairs(PreferenceConfig(source=name), "response", 1)
