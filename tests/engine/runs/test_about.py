"""Title and note of a run, the list of runs, and deleting runs."""

from __future__ import annotations

import os
import stat
import threading
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.cli.main import main
from looptop.engine.config import preset
from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.runs import listing
from looptop.engine.runs.about import About, read_about, write_about
from looptop.engine.runs.control import send
from looptop.engine.runs.delete import delete
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.listing import Summaries
from looptop.engine.startup.run import start
from tests.factories.processes import python, read_line
from tests.factories.runs import Steps, config, run_with_loss

TEXTS = st.text(st.characters() | st.sampled_from("\udce9\\u\0\r"), max_size=50)


@given(TEXTS.filter(lambda text: "\n" not in text), TEXTS)
def test_any_title_and_note_is_read_back_unchanged(title: str, note: str) -> None:
    folder = RunFolder.all()[0] if RunFolder.all() else RunFolder.create("vqa", preset("tiny"))
    write_about(folder.path, title=title, note=note)
    kept = read_about(folder.path)
    assert kept.title == title.strip()
    assert kept.note == note.strip()
    assert [each.title for each in Summaries().all()] == [kept.title]


def test_changing_one_text_keeps_the_others_and_the_file_is_private() -> None:
    folder = run_with_loss()
    write_about(folder.path, title="a title", notify="true")
    assert write_about(folder.path, note="a note") == About("a title", "a note", "true")
    assert write_about(folder.path, title="") == About("", "a note", "true")
    assert stat.S_IMODE((folder.path / "about.toml").stat().st_mode) == 0o600
    with pytest.raises(LooptopError, match="one line of at most 200"):
        write_about(folder.path, title="two\nlines")
    assert folder.summary().note == "a note"


@pytest.mark.parametrize("text", ["caf\udce9", "\ud800", "nul\0here", "caf\\udce9"])
def test_a_text_with_any_bytes_is_kept_and_loses_no_other_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_with_loss()
    write_about(folder.path, note="important", notify="true")
    assert main(["rename", folder.id, text]) == 0
    assert main(["note", folder.id, "second"]) == 0
    assert read_about(folder.path) == About(text, "second", "true")
    assert main(["runs"]) == 0
    assert main(["show", folder.id, "--json"]) == 0
    assert "\0" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content", [b'note = "important"\ntitle = \xff\n', b"title = 3\n", b'title = "x', b"[" * 9_999]
)
@pytest.mark.parametrize("words", [["rename", "vqa-1", "new"], ["note", "vqa-1", "new"], ["notify", "vqa-1"]])
def test_an_unreadable_file_is_left_unchanged(
    content: bytes, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_with_loss().path / "about.toml"
    path.write_bytes(content)
    assert main(words) == 2
    assert str(path) in capsys.readouterr().err
    assert path.read_bytes() == content


def test_keys_of_a_newer_looptop_are_kept() -> None:
    folder = run_with_loss()
    (folder.path / "about.toml").write_text('title = "old"\nstars = 5\n')
    write_about(folder.path, title="new")
    assert tomllib.loads((folder.path / "about.toml").read_text()) == {"title": "new", "stars": 5}


def test_unreadable_settings_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_with_loss()
    (home / "settings.toml").write_text("notify = [broken")
    assert main(["notify", folder.id]) == 2
    assert str(home / "settings.toml") in capsys.readouterr().err
    assert main(["notify", folder.id, "true"]) == 0  # the run's own goes before it
    assert (home / "settings.toml").read_text() == "notify = [broken"


def test_a_damaged_file_reads_as_empty() -> None:
    folder = run_with_loss()
    (folder.path / "about.toml").write_bytes(b"title = \xff\n")
    assert read_about(folder.path) == About()
    (folder.path / "about.toml").write_text("title = 3\n")
    assert read_about(folder.path) == About()


def test_a_summary_is_read_again_only_when_its_run_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_WORTH_WRITING", 1)
    runs = [run_with_loss(float(number)) for number in range(4)]
    read: list[str] = []
    plain = RunFolder.summary

    def counted(folder: RunFolder) -> object:
        read.append(folder.id)
        return plain(folder)

    monkeypatch.setattr(RunFolder, "summary", counted)
    known = Summaries()
    assert {each.id: each.loss for each in known.all()} == {"vqa-1": 0.0, "vqa-2": 1.0, "vqa-3": 2.0, "vqa-4": 3.0}
    assert len(read) == 4
    known.all()
    assert len(read) == 4
    # The next program reads them from the file.
    assert [each.loss for each in Summaries().all()] == [3.0, 2.0, 1.0, 0.0]
    assert len(read) == 4
    write_about(runs[0].path, title="new")
    writer = JournalWriter(runs[1].db)
    writer.metrics(2, {"loss": 7.0})
    assert writer.flush()
    changed = {each.id: each for each in known.all()}
    assert (changed["vqa-1"].title, changed["vqa-2"].loss) == ("new", 7.0)
    assert sorted(read[4:]) == ["vqa-1", "vqa-2"]
    writer.close()


def test_a_killed_run_is_interrupted_although_its_files_do_not_change() -> None:
    folder = run_with_loss(state=RunState.RUNNING)
    code = """
        import sys
        from pathlib import Path
        from looptop.engine.files.lock import RunLock
        lock = RunLock(Path(sys.argv[1])).acquire(heartbeat=False)
        print("held", flush=True)
        sys.stdin.read()
    """
    holder = python(code, folder.lock, stdin=-1)
    assert read_line(holder) == "held"
    known = Summaries()
    assert [(each.state, each.live) for each in known.all()] == [(RunState.RUNNING, "lock")]
    holder.kill()
    holder.wait()
    assert [(each.state, each.live) for each in known.all()] == [(RunState.INTERRUPTED, "")]


def test_a_damaged_list_of_summaries_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_WORTH_WRITING", 1)
    run_with_loss(5.0)
    Summaries().all()
    path = listing._path()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"\xc1 nothing")
    assert [each.loss for each in Summaries().all()] == [5.0]


def test_deleting_removes_the_whole_run_and_never_a_live_one() -> None:
    folder, other = run_with_loss(), run_with_loss()
    with RunLock(folder.lock, folder.id), pytest.raises(LooptopError, match="vqa-1 is live; stop it first"):
        delete(folder)
    assert folder.path.is_dir()
    (folder.path.parent / ".deleting-vqa-9-x" / "checkpoints").mkdir(parents=True)
    delete(folder)
    assert [path.name for path in other.path.parent.iterdir()] == [other.id]
    assert [run.id for run in RunFolder.all()] == [other.id]


def test_deleting_a_run_that_is_a_link_removes_only_the_link(tmp_path: Path) -> None:
    run = RunFolder.create("vqa", preset("tiny"))
    run.path.rename(tmp_path / "elsewhere")
    run.path.symlink_to(tmp_path / "elsewhere")
    delete(run)
    assert list(run.path.parent.iterdir()) == []
    assert (tmp_path / "elsewhere" / "config.toml").is_file()


def test_a_run_cannot_be_resumed_while_it_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_with_loss(state=RunState.STOPPED)
    tried: list[str] = []
    plain = os.rename

    def resume_meanwhile(*paths: object, **options: object) -> None:
        try:
            RunLock(folder.lock, folder.id).acquire()
        except LooptopError as error:
            tried.append(str(error))
        plain(*paths, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", resume_meanwhile)
    thread = threading.Thread(target=delete, args=(folder,))
    thread.start()
    thread.join()
    assert len(tried) == 1 and "is running already" in tried[0]
    assert not folder.path.exists()


def test_no_file_of_a_home_is_open_to_other_users(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_WORTH_WRITING", 1)
    before = os.umask(0)
    try:
        sent = threading.Event()
        run = start(config(), lambda context: Steps(3)(context) if sent.wait(60) else {})
        write_about(run.folder.path, title="a title", notify="echo told")
        send(run.folder, "checkpoint")
        sent.set()
        assert run.wait() is RunState.FINISHED
        Summaries().all()
    finally:
        os.umask(before)
    modes = {path.relative_to(home): stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")}
    assert {name for name, mode in modes.items() if mode & 0o077} == set()
    assert {"about.toml", "summaries.msgpack", "run.db", "log.txt", "config.toml"} <= {name.name for name in modes}
