"""A PPO run driven from a real terminal: a batch is held and judged, the terminal goes away, and the update uses it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pyte.screens import Char

from looptop.engine.config import override, preset
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.records import SampleRecord, TokenTable
from looptop.engine.runs.control import send, waiting_files
from looptop.engine.runs.folder import RunFolder, RunLock, RunState
from looptop.engine.startup.host import launch
from looptop.engine.startup.run import start
from tests.factories.ppo import tiny_settings
from tests.factories.synthetic_ppo import Maker, make_run
from tests.support import eventually
from tests.terminal.tty import WARM_PROGRAM, Tty

LONG = ("max_steps=5000", "eval_steps=5000")
CHANGE = 4.0
ROW = 2


def onto_the_screen(tty: Tty) -> None:
    tty.until("q quit")  # of the screen that was open last
    tty.send("3")
    tty.until("o open run|▶ running|⏸ paused")


def test_a_batch_is_held_judged_reopened_and_taught_as_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings = tiny_settings(tmp_path, *LONG)
    launch(override(preset("tiny", "ppo"), settings))
    with Tty(cols=160, rows=48) as tty:
        onto_the_screen(tty)
        tty.until(r"ppo-1(?s:.*)▶ running(?s:.*)batch reward(?s:.*)\n +[\d,]+ +-?\d", 90)
        tty.send("b")
        tty.until("Breakpoints of ppo-1")
        tty.send("length > 0\r")
        tty.until("holds the run before an update when length > 0|is held")
        tty.send("\x1b")
        tty.until(r"◉ compared  ○ updated  breakpoint length > 0: length is [\d.]+ \(> 0\)(?s:.*)8 of 8 samples")
        step = int(re.search(r"batch ([\d,]+)", tty.text())[1].replace(",", ""))  # type: ignore[index]
        run = RunFolder.find("ppo-1")
        before = PpoJournal(run.db).samples(step)
        assert before[ROW].reward is not None
        wanted = before[ROW].reward + CHANGE  # type: ignore[operator]
        tty.send("j" * ROW + "e")
        tty.until(f"reward of sample {ROW}")
        tty.send("\x15")
        tty.until("enter removes your reward")
        tty.send(f"{wanted!r}")
        tty.until("enter uses it")
        tty.send("\r")
        tty.until(r"\d judged")
        # The terminal goes; the run stays, and waits.
        tty.hang_up()
        tty.until_gone()
    assert run.is_live() and run.state() is RunState.PAUSED
    send(run, "stop")
    eventually(lambda: not run.is_live())

    with Tty(cols=160, rows=48) as tty:
        onto_the_screen(tty)
        tty.send("o")
        tty.until(r"Choose a PPO run(?s:.*)ppo-1 +■ stopped")
        tty.send("\r")
        tty.until(r"■ stopped(?s:.*)batch reward")
        tty.send("r")
        tty.until(rf"batch {step:,} .*⏸ paused(?s:.*)◉ compared(?s:.*)1 judged(?s:.*)= .*{wanted:.2f}", 90)
        journal = PpoJournal(run.db)
        assert [text_of(sample) for sample in journal.samples(step)] == [text_of(sample) for sample in before]
        assert [(each.row, each.kind, each.value) for each in journal.judgements(step)] == [(ROW, "reward", wanted)]
        tty.send("b")
        tty.until("Breakpoints of ppo-1(?s:.*)│ +length > 0 +│")  # in the list, not in a notice
        tty.send("\x1b[B")
        tty.until("x remove")
        tty.send("x")
        tty.until("none is set")
        tty.send("\x1b")
        tty.until("space pause")
        tty.send(" ")
        tty.until("▶ running")
        eventually(lambda: (batch := journal.batch(step)) is not None and batch.stage == "updated")
        tty.send("q")
        tty.until("goes on without this screen")
        tty.send("l")
        assert tty.until_gone() == 0 and tty.restored()
        assert "looptop attach ppo-1" in tty.text()
    taught = tokens(run, step)
    send(run, "stop", checkpoint=False)
    eventually(lambda: not run.is_live())

    # A twin that nobody touched: the same batch, its reward and return moved at the last token by what was changed,
    # its advantages (before they were whitened) by that times lambda for each token in between.
    twin = start(override(preset("tiny", "ppo"), [*settings, f"max_steps={step}"]))
    assert twin.wait() is RunState.FINISHED, twin.reason
    untouched = tokens(twin.folder, step)
    assert taught.ids == untouched.ids
    length = len(taught.ids)
    moved = [now - then for now, then in zip(raw_advantages(taught), raw_advantages(untouched), strict=True)]
    assert moved == pytest.approx([CHANGE * 0.95 ** (length - 1 - at) for at in range(length)], abs=1e-4)
    for name in ("return", "reward"):
        assert taught.columns[name][-1] - untouched.columns[name][-1] == pytest.approx(CHANGE, abs=1e-4)
    others = PpoJournal(twin.folder.db).tokens(step, ROW + 1)
    same = PpoJournal(run.db).tokens(step, ROW + 1)
    assert same is not None and others is not None
    assert same.columns["return"] == pytest.approx(others.columns["return"], abs=1e-5)


def test_attach_opens_the_run_that_was_named_and_leaves_the_live_one_alone() -> None:
    make_run(Maker(12, 8))
    live = make_run(Maker(3, 8), state=None)
    with RunLock(live.lock, live.id), Tty([*WARM_PROGRAM, "attach", "ppo-1"]) as tty:
        tty.until(r"ppo-1 +✓ finished(?s:.*)12 of 12 batches(?s:.*)\n +12 ")
        tty.send(" ")
        tty.until("ppo-1 is not running")
        assert "ppo-2" not in tty.text() and waiting_files(live) == []
        tty.send("q")
        assert tty.until_gone() == 0 and tty.restored()


def test_what_keys_draw_is_what_a_whole_redraw_shows() -> None:
    """Keys draw only what they change; the colours changed and changed back draw everything anew."""
    make_run(Maker(300, 16))
    with Tty(cols=160, rows=48) as tty:
        onto_the_screen(tty)
        tty.send("o")
        tty.until("Choose a PPO run(?s:.*)ppo-1")
        tty.send("\r")
        tty.until("quality(?s:.*)\n +300 ")
        for keys, then in (
            ("pp\x1b[Hn]]p[", r"\n +1 "),
            ("zpz\x1b[F", r"quality(?s:.*)\n +300 "),
            ("\r", "16 of 16 samples"),
            ("\x1b[C\x1b[C]\x1b[B[/reward<9\r", "by grammar, smallest first +/ reward<9"),
            ("\r", "= reward"),
            ("np\r", "token 0, id"),
            ("\x1b[Cvt\x1b[Btv", "token 2, id"),
        ):
            tty.send(keys)
            tty.until(then)
            if len(keys) > 3:
                same_after_a_redraw(tty)


def same_after_a_redraw(tty: Tty) -> None:
    before = settled(tty)
    tty.send("d")
    eventually(lambda: settled(tty)[1] != before[1])
    tty.send("d")
    eventually(lambda: settled(tty)[1][0] == before[1][0])
    after = settled(tty)
    assert after[0] == before[0]
    assert [y for y, line in enumerate(after[1]) if line != before[1][y]] == [], "lines in other colours"


def settled(tty: Tty) -> tuple[str, list[list[Char]]]:
    """The screen, its letters and its cells, once nothing has come for a while."""
    while True:
        before = len(tty.raw)
        tty.pump(0.3)
        if len(tty.raw) == before:
            buffer, width = tty.screen.buffer, tty.screen.columns
            return tty.text(), [[seen(buffer[y][x]) for x in range(width)] for y in range(tty.screen.lines)]


def seen(cell: Char) -> Char:
    """What is seen of a cell: of a blank only the background."""
    return cell if cell.data.strip() else Char(" ", bg=cell.bg)


def text_of(sample: SampleRecord) -> tuple[str, str]:
    return sample.query, sample.response


def tokens(run: RunFolder, step: int) -> TokenTable:
    table = PpoJournal(run.db).tokens(step, ROW)
    assert table is not None
    return table


def raw_advantages(table: TokenTable) -> list[float]:
    return [given - value for given, value in zip(table.columns["return"], table.columns["value"], strict=True)]
