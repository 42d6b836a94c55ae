"""The real program, as a person meets it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from looptop.engine.asked.questions import AskedQuestions
from looptop.engine.config import preset
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.runs.about import write_about
from looptop.engine.runs.folder import RunFolder, RunLock, RunState
from tests.support import eventually
from tests.terminal.tty import COLD, COLD_PROGRAM, WARM_PROGRAM, Tty

FULL = r"0\.png · the image"
HEAVY = ("torch", "transformers", "datasets", "numpy")


def test_it_opens_answers_a_question_and_quits_leaving_the_terminal_as_it_was() -> None:
    with Tty(WARM_PROGRAM) as tty:
        tty.until(FULL)
        tty.send("awhat is the color of the triangle?\r")
        tty.until(r"red +\d+\.\d% confidence")
        tty.until("the data says: red")
        tty.send("what shape is it?\r")  # no letter of it is a command
        tty.until(r"what shape is it\?(?s:.*)what shape is it\?")
        tty.send("\x1b")
        tty.until("a ask")
        tty.until("Earlier questions · 2")
        tty.send("q")  # asks nothing: both questions are kept
        assert tty.until_gone() == 0
        assert tty.restored()
    asked = AskedQuestions()
    questions = [each.question for each in asked.entries(asked.ids()).values()]
    assert questions == ["what is the color of the triangle?", "what shape is it?"]


def test_the_screens_change_and_help_and_the_log_open() -> None:
    with Tty() as tty:
        tty.until(FULL)
        tty.send("2")
        tty.until("New run")
        tty.send("1")
        tty.until(FULL)
        tty.send("\x1bOP")
        tty.until("─ Help ─")
        tty.send("q")
        tty.until(FULL)
        tty.send("\x03")
        assert tty.until_gone() == 0
        assert tty.restored()


def test_keys_that_come_at_once_act_one_after_the_other() -> None:
    """`a` opens the question, `o` a dialog, `/` a filter: what comes in the same moment is typed there."""
    with Tty() as tty:
        tty.until(FULL)
        tty.send("aquick question?\r")
        tty.until(r"quick question\?(?s:.*)quick question\?")
        tty.until("leave field")  # the line of keys is drawn last
        tty.send("\x1b")
        tty.until("a ask")
        tty.send("oq/no-such.png\r")
        tty.until("there is no image")
        tty.until(r"/q/no-such\.png")
        tty.until("leave field")
        tty.send("\x1b")
        tty.until("a ask")
        tty.send("/1q4")
        tty.until("1q4")


def test_ctrl_c_leaves_from_the_question() -> None:
    with Tty() as tty:
        tty.until(FULL)
        tty.send("ahalf a question\x03")
        assert tty.until_gone() == 0
        assert tty.restored()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_and_restores_the_terminal(number: signal.Signals) -> None:
    with Tty() as tty:
        tty.until(FULL)
        os.kill(tty.pid, number)
        assert tty.until_gone() == 0
        assert tty.restored()


def test_a_terminal_that_goes_away_ends_the_app_and_its_answering_process() -> None:
    with Tty([sys.executable, "-m", "looptop.tui.entry"]) as tty:
        tty.until("ready")
        children = psutil.Process(tty.pid).children(recursive=True)
        assert children
        tty.hang_up()
        tty.until_gone()
        eventually(lambda: not any(child.is_running() for child in children))


def test_an_input_that_ends_leaves_without_spinning() -> None:
    """Without SIGHUP: a program that ignores it in its own session, whose terminal closes."""
    script = (
        "import contextlib, signal, looptop.tui.terminal.driver as terminal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN); terminal.signals = lambda leave: contextlib.nullcontext()\n"
        "from looptop.tui.opening import run_app; raise SystemExit(run_app())"
    )
    with Tty([sys.executable, "-c", COLD + script]) as tty:
        tty.until(FULL)
        tty.hang_up()
        tty.until_gone()


def test_a_terminal_that_stops_reading_does_not_keep_the_app() -> None:
    with Tty(WARM_PROGRAM) as tty:
        tty.until("ready")
        # Nothing is read any more, while every key draws the screen anew: the terminal's buffer fills up.
        for _ in range(400):
            tty.send("\x1b")
            tty.send("d")
        time_left = time.monotonic() + 20
        os.kill(tty.pid, signal.SIGTERM)
        while tty.alive() and time.monotonic() < time_left:
            time.sleep(0.01)
        assert not tty.alive()


def test_what_is_printed_meanwhile_does_not_reach_the_screen(home: Path) -> None:
    script = (
        "import os, threading; from looptop.tui.ask.screen import AskScreen; warm = AskScreen._warm\n"
        "def noisy(self): os.write(1, b'NOISE1'); os.write(2, b'NOISE2'); warm(self)\n"
        "AskScreen._warm = noisy\n"
        "AskScreen._decorated_handlers = {k: [(noisy if f is warm else f, s) for f, s in v]"
        " for k, v in AskScreen._decorated_handlers.items()}\n"
        "from looptop.tui.opening import run_app; raise SystemExit(run_app())"
    )
    with Tty([sys.executable, "-c", script]) as tty:
        tty.until("ready")
        tty.send("\x03")
        assert tty.until_gone() == 0
        assert b"NOISE" not in bytes(tty.raw)
    assert (home / "app.log").read_bytes().startswith(b"NOISE1NOISE2")
    assert (home / "app.log").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_the_app_never_holds_torch() -> None:
    with Tty(WARM_PROGRAM) as tty:
        tty.until("ready")
        tty.send("\x1b2")
        tty.until("New run")
        assert "torch" not in tty.libraries()


def test_nothing_heavy_is_imported_on_the_way_to_the_first_paint() -> None:
    words = f"import sys, looptop.tui.app; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_quitting_while_a_run_goes_on_says_how_to_come_back() -> None:
    run = RunFolder.create("vqa", preset("tiny"))
    with RunLock(run.lock, run.id):
        writer = JournalWriter(run.db)
        writer.state(RunState.RUNNING)
        writer.facts(total_steps=100)
        writer.metrics(5, {"loss": 1.0})
        writer.flush()
        script = (
            "import looptop.tui.app as app; from looptop.engine.runs.folder import RunFolder\n"
            "init = app.LooptopApp.__init__\n"
            "def started(self, **k): init(self, **k); self.started_here.append(RunFolder.find('vqa-1'))\n"
            "app.LooptopApp.__init__ = started\n"
            "from looptop.tui.opening import run_app; raise SystemExit(run_app())"
        )
        with Tty([sys.executable, "-c", COLD + script]) as tty:
            tty.until(FULL)
            tty.send("\x1b2")
            tty.until("step 5 of 100")
            tty.send("q")
            tty.until("goes on without this screen")
            tty.send("l")
            assert tty.until_gone() == 0
            assert tty.restored()
            assert "vqa-1 goes on" in tty.text() and "looptop logs vqa-1 -f" in tty.text()
        writer.close()


@pytest.mark.parametrize(("cols", "rows"), [(80, 24), (200, 60)])
def test_sizes(cols: int, rows: int) -> None:
    with Tty(cols=cols, rows=rows) as tty:
        tty.until(FULL)
        tty.send("awhat is the red shape?\r")
        tty.until(r"triangle +\d+\.\d%(?s:.*)confidence(?s:.*)<end>")
        tty.send("\x03")
        assert tty.until_gone() == 0


def test_a_double_click_beside_the_palette_does_not_end_the_app() -> None:
    with Tty(cols=160) as tty:
        tty.until(FULL)
        for _ in range(3):
            tty.send("\x10")
            tty.until("Search for commands")
            tty.send("\x1b[<0;1;39M\x1b[<0;1;39m" * 2)
            tty.until(r"^(?!(?s:.*)Search for commands)")
        tty.send("\x03")
        assert tty.until_gone() == 0


def test_a_crash_of_the_app_is_an_exit_code(home: Path) -> None:
    script = (
        "import looptop.tui.ask.screen as ask\n"
        "def fails(self): raise ZeroDivisionError\n"
        "ask.AskScreen.action_view = fails\n"
        "from looptop.tui.entry import main; raise SystemExit(main())"
    )
    with Tty([sys.executable, "-c", COLD + script]) as tty:
        tty.until(FULL)
        tty.send("v")
        assert tty.until_gone() == 1
        assert tty.restored()
    assert "ZeroDivisionError" in (home / "app.log").read_text()
    (home / "app.log").unlink()


def test_a_late_reply_of_the_terminal_is_not_typed() -> None:
    with Tty() as tty:
        tty.until(FULL)
        tty.send("a")
        tty.until("leave field")
        tty.send("what \x1b]11;rgb:3030/3434/4646\x1b\\is\x1b[?62;4c it\x1bP>|tmux 3.4\x1b\\?")
        tty.until("what is it[?] ")
        tty.send("\x03")
        assert tty.until_gone() == 0


def test_fg_in_a_shell_brings_the_whole_screen_back() -> None:
    run = RunFolder.create("vqa", preset("tiny"))
    writer = JournalWriter(run.db)
    writer.metrics(5, {"loss": 1.0})
    writer.state(RunState.FINISHED)
    writer.close()
    with Tty(["bash", "--norc", "--noprofile", "-i"]) as tty:
        tty.until("bash-")
        tty.send(f"{sys.executable} -m looptop.tui.entry attach {run.id}\r")
        for _ in range(2):
            tty.until("✓ finished(?s:.*)q quit")
            tty.send("\x1a")
            tty.until("Stopped")
            tty.screen.reset()  # as the shell's own screen, which pyte knows nothing of
            tty.send("fg\r")
        tty.until("looptop +1 Ask(?s:.*)✓ finished(?s:.*)q quit")
        tty.send("q")
        tty.until("bash-")
        tty.send("exit\r")
        tty.until_gone()


@pytest.mark.parametrize("term", [["TERM=DUMB"], ["TERM="], ["-u", "TERM"], ["TERM=emacs"]])
@pytest.mark.parametrize("words", [[], ["attach", "vqa-1"]])
def test_a_terminal_that_cannot_draw_gets_a_sentence(term: list[str], words: list[str]) -> None:
    RunFolder.create("vqa", preset("tiny"))
    with Tty(["/usr/bin/env", *term, *WARM_PROGRAM, *words]) as tty:
        assert tty.until_gone() == 2
        assert "this terminal cannot show the app" in tty.text()
        assert b"\x1b" not in bytes(tty.raw)


@pytest.mark.parametrize("term", ["vt100", "xterm-kitty"])
def test_a_terminal_that_can_draw_shows_the_app(term: str) -> None:
    with Tty(["/usr/bin/env", f"TERM={term}", *COLD_PROGRAM]) as tty:
        tty.until(FULL)
        tty.send("\x03")
        assert tty.until_gone() == 0


def test_a_home_that_cannot_be_written_can_be_looked_at(home: Path, tmp_path: Path) -> None:
    read_only = tmp_path / "read only"
    read_only.mkdir()
    mount = f"mount --bind '{home}' '{read_only}' && mount -o remount,ro,bind '{read_only}'"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted read-only here")
    run = RunFolder.create("vqa", preset("tiny"))
    write_about(run.path, title="important")
    writer = JournalWriter(run.db)
    writer.metrics(5, {"loss": 1.0})
    writer.state(RunState.FINISHED)
    writer.close()
    program = " ".join([sys.executable, "-m", "looptop.tui.entry"])

    def read_only_home(command: str) -> list[str]:
        return ["unshare", "-m", "sh", "-c", f"{mount}; export LOOPTOP_HOME='{read_only}'; {program} {command}"]

    for command, code, words in (
        ("runs", 0, "important"),
        ("show vqa-1", 0, "important"),
        ("rename vqa-1 x", 2, "cannot write to"),
        ("note vqa-1 x", 2, "Read-only file system"),
        ("notify vqa-1 x", 2, "Read-only file system"),
    ):
        done = subprocess.run(read_only_home(command), capture_output=True, text=True, check=False)
        assert done.returncode == code and words in done.stdout + done.stderr, done
        assert "Traceback" not in done.stderr
    with Tty(read_only_home("")) as tty:
        tty.until(FULL)
        tty.send("4")
        tty.until("vqa-1 .*important")
        tty.send("\r")
        tty.until("✓ finished(?s:.*)q quit")
        tty.send("q")
        assert tty.until_gone() == 0
