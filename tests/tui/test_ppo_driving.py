"""The PPO screen's keys that change something: controls, judgements, breakpoints, files, comparisons, new runs."""

from __future__ import annotations

import json
import queue
import sys
from pathlib import Path

import pytest
from textual.widgets import Input

from looptop.engine.config import RunConfig, preset
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.helpers.process import HelperState
from looptop.engine.helpers.references import ReferenceReply, ReferenceRequest
from looptop.engine.journal.records import accepted, refused
from looptop.engine.ppo.journal import PpoJournal, write_judgement
from looptop.engine.runs import control
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.startup import host
from looptop.tui.plots.histogram import Histogram
from looptop.tui.ppo import comparer as comparing
from looptop.tui.ppo import references
from looptop.tui.ppo.batch_page import BatchPage
from looptop.tui.ppo.before_after_page import BeforeAfterPage
from looptop.tui.ppo.breakpoints import Breakpoints
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.small_ppo import held_run, small_run
from tests.factories.synthetic_ppo import make_comparison
from tests.tui.conftest import shown, until
from tests.tui.form_helpers import form_of, put, wrong
from tests.tui.ppo_helpers import SIZE, complete, crumbs, go, judgements

LEFT_ON = "ppo"


async def test_keys_send_controls_to_a_live_run(answers: QuickAnswers) -> None:
    with held_run() as (run, _):
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            await go(pilot, run)
            await pilot.press("space", "s", "S", "c", "X")
            await until(pilot, lambda: "Stop the run" in shown(app))
            await pilot.press("enter")
            await until(pilot, lambda: len(control.waiting_files(run)) == 5)
        taken = control.take(run)
    assert sorted((each.kind, each.to, each.by) for each in taken) == [
        ("checkpoint", "", "app"),
        ("continue", "", "app"),
        ("step", "", "app"),
        ("step", "next", "app"),
        ("stop", "", "app"),
    ]


async def test_a_held_batch_is_judged_by_keys(answers: QuickAnswers) -> None:
    with held_run(batches=4) as (run, _):
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            await go(pilot, run, "batch")
            await pilot.press("down", "e")
            await until(pilot, lambda: "reward of sample 1" in shown(app))
            await pilot.press("ctrl+u", *"best")
            await until(pilot, lambda: "that is no number" in shown(app))
            await pilot.press("enter", "ctrl+u", "minus", *"3.5")
            await until(pilot, lambda: "enter uses it" in shown(app))
            await pilot.press("enter", "x", "plus")
            await until(pilot, lambda: len(control.waiting_files(run)) == 3)
            await pilot.press("down", "minus", "enter", "e", "ctrl+u")
            await until(pilot, lambda: "removes your reward" in shown(app))
            await pilot.press("enter")
            await until(pilot, lambda: len(control.waiting_files(run)) == 5)
        taken = control.take(run)
    assert sorted((each.kind, each.batch or 0, each.sample or 0, each.value or 0.0) for each in taken) == [
        ("leave_out", 4, 1, 1.0),
        ("rating", 4, 1, 1.0),
        ("rating", 4, 2, -1.0),
        ("reward", 4, 1, -3.5),
        ("reward", 4, 2, 0.0),
    ]
    assert [each.value for each in taken if (each.kind, each.sample) == ("reward", 2)] == [None]


async def test_judgements_are_seen_in_the_table_and_in_the_sample(answers: QuickAnswers) -> None:
    with held_run(batches=4) as (run, writer):
        write_judgement(writer, 4, 0, "reward", 7.5, "app")
        write_judgement(writer, 4, 0, "rating", 2.0, "cli")
        write_judgement(writer, 4, 1, "leave_out", 1.0, "app")
        writer.flush()
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            screen = await go(pilot, run, "batch")
            await until(pilot, lambda: "2 judged" in shown(app))
            text = shown(app)
            assert "=+2" in text and "7.50" in text and " x " in text
            assert "1 rated: looptop train reward --data ppo-1" in text
            await pilot.press("minus")
            await until(pilot, lambda: [(each.kind, each.value) for each in control.take(run)] == [("rating", 1.0)])
            await pilot.press("enter")
            await until(pilot, lambda: "set by a person to +7.50" in shown(app) and "rated +2" in shown(app))
            await pilot.press("n")
            await until(pilot, lambda: "left out of the update by a person" in shown(app))
            write_judgement(writer, 4, 1, "leave_out", None, "app")
            writer.flush()
            await until(pilot, lambda: "left out of the update" not in shown(app))
            assert screen.navigation.level == "sample"


async def test_a_batch_that_was_updated_takes_only_ratings(answers: QuickAnswers) -> None:
    run = small_run(4)
    app = make_app(answers)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await go(pilot, run, "batch")
        await pilot.press("plus")
        await until(pilot, lambda: "1 rated" in shown(app))
        await pilot.press("x")
        await until(pilot, lambda: "was updated already" in shown(app))
        await pilot.press("plus")
        await until(pilot, lambda: judgements(run) == [(4, 0, "rating", 2.0, "app")])
        await until(pilot, lambda: " +2 " in shown(app))
        await pilot.press("minus")
        await until(pilot, lambda: judgements(run) == [(4, 0, "rating", 1.0, "app")])
        await until(pilot, lambda: " +1 " in shown(app))
        await pilot.press("minus")
        await until(pilot, lambda: judgements(run) == [])


async def test_the_runs_answer_is_shown(answers: QuickAnswers) -> None:
    with held_run() as (run, writer):
        app = make_app(answers)
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            await go(pilot, run)
            for kind, key, reply in (
                ("checkpoint", "c", accepted("checkpoint", "makes a checkpoint after step 3")),
                ("step", "S", refused("stopping", "the run is stopping")),
            ):
                await pilot.press(key)
                await until(pilot, lambda: control.waiting_files(run))
                (asked,) = control.take(run)
                assert asked.kind == kind
                writer.control_reply(asked.id, asked.kind, 3, reply)
                writer.flush()
                words = reply.message if reply.ok else f"ignored: {reply.message}"
                await until(pilot, lambda words=words: words in " ".join(shown(app).split()))  # type: ignore[misc]


async def test_a_control_for_a_run_that_is_over_says_so(answers: QuickAnswers) -> None:
    run = small_run(3)
    app = make_app(answers)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await go(pilot, run)
        await pilot.press("space")
        await until(pilot, lambda: "ppo-1 is not running, it is finished" in " ".join(shown(app).split()))


async def test_an_interrupted_run_can_be_resumed(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    run = small_run(3, state=None)
    resumed: list[str] = []
    monkeypatch.setattr(host, "relaunch", lambda name: resumed.append(name) or run)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, run)
        await until(pilot, lambda: "✗ interrupted" in shown(app) and "r resume" in shown(app))
        await pilot.press("r")
        await until(pilot, lambda: resumed == [str(run.path)])
        await until(pilot, lambda: app.started_here == [run])


async def test_breakpoints_are_listed_added_with_errors_as_typed_and_removed(answers: QuickAnswers) -> None:
    run = small_run(3, state=RunState.STOPPED)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, run)
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, Breakpoints) and "none is set" in shown(app))
        field = app.screen.query_one("#condition", Input)
        for typed, sentence in (
            ("kl >", "ends too early; expected a number"),
            ("kll > 3", "did you mean 'kl'"),
            ("__import__('os')", "has '(' at column"),
            ("kl > 8 or (reward.min < 0", "ends too early; expected ')'"),
            ("kl > 8 or (reward.min < 0 and not any sample.kl > 20)", "enter sets it"),
            ("any sample.kl > 20", "enter sets it"),
        ):
            field.value = typed
            await until(pilot, lambda sentence=sentence: sentence in " ".join(shown(app).split()))  # type: ignore[misc]
        await pilot.press("enter")
        await until(pilot, lambda: PpoJournal(run.db).breakpoints() == ["any sample.kl > 20"])
        field.value = "reward.std < 1"
        await pilot.press("enter")
        await until(pilot, lambda: "reward.std < 1: set" in shown(app) and shown(app).count("reward.std < 1") > 1)
        await pilot.press("down", "down", "x")
        await until(pilot, lambda: PpoJournal(run.db).breakpoints() == ["any sample.kl > 20"])
        await until(pilot, lambda: "removed" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: complete(app))


async def test_a_breakpoint_of_a_live_run_goes_to_the_run(answers: QuickAnswers) -> None:
    with held_run() as (run, _):
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            await go(pilot, run)
            await pilot.press("b", *"nan", "enter")
            await until(pilot, lambda: control.waiting_files(run))
        assert [(each.kind, each.condition) for each in control.take(run)] == [("break", "nan")]


async def test_a_sample_and_a_table_of_tokens_are_copied(answers: QuickAnswers) -> None:
    run = small_run(4)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot, run, "batch")
        sample = screen.query_one(BatchPage).rows[0].record
        await pilot.press("y")
        await until(pilot, lambda: "sample 0 is copied" in shown(app))
        assert sample.query in app.clipboard and sample.response in app.clipboard
        assert (sample.reference_response or "?") in app.clipboard and "reward: " in app.clipboard
        await pilot.press("enter", "enter")
        await until(pilot, lambda: "token 0" in crumbs(app) and " in all" in shown(app))
        await pilot.press("y")
        await until(pilot, lambda: "copied as a table" in shown(app))
        lines = app.clipboard.splitlines()
        table = PpoJournal(run.db).tokens(4, 0)
        assert table is not None and len(lines) == len(table.ids) + 1
        cells = dict(zip(lines[0].split("\t"), lines[1].split("\t"), strict=True))
        assert float(cells["kl"]) == pytest.approx(table.columns["kl"][0], rel=1e-4)


async def test_the_batch_and_the_screen_become_files_whose_names_are_shown(answers: QuickAnswers, home: Path) -> None:
    run = small_run(4)
    app = make_app(answers)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await go(pilot, run, "batch")
        await pilot.press("E")
        file = home / "exports" / "ppo-1-batch-4.jsonl"
        await until(pilot, lambda: any(str(file) in note.message for note in app._notifications))
        assert len([json.loads(line) for line in file.read_text().splitlines()]) == 8
        await pilot.press("P", "P")
        pictures = [home / "exports" / name for name in ("ppo-1-batch-4.svg", "ppo-1-batch-4-2.svg")]
        await until(pilot, lambda: all(picture.exists() for picture in pictures))
        assert "samples" in pictures[0].read_text() and pictures[0].stat().st_mode & 0o077 == 0


class QuickReference:
    """Responds at once; stands for the process with torch in it."""

    def __init__(self) -> None:
        self.asked: list[ReferenceRequest] = []
        self.replies: queue.Queue[ReferenceReply] = queue.Queue()
        self.error: str | None = None

    def start(self) -> None:
        pass

    def ask(self, request: ReferenceRequest) -> None:
        self.asked.append(request)
        response = None if self.error else "the reference's own words"
        self.replies.put(ReferenceReply(id=request.id, state=HelperState.READY, error=self.error, response=response))

    def read(self) -> ReferenceReply:
        return self.replies.get()

    def close(self) -> None:
        self.replies.put(ReferenceReply(state=HelperState.ENDED))


async def test_the_reference_is_asked_where_the_run_did_not(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = QuickReference()
    monkeypatch.setattr(references, "_make_helper", lambda: reference)
    run = small_run(4)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, run, "sample")
        await pilot.press("R")
        assert not reference.asked, "the run itself has asked it for this one"
        await pilot.press("5", "enter")
        await until(pilot, lambda: "R asks it now" in shown(app))
        reference.error = "the policy [/x] cannot be loaded"
        await pilot.press("R")
        await until(pilot, lambda: "the policy [/x] cannot be loaded" in shown(app))
        reference.error = None
        await pilot.press("R")
        await until(pilot, lambda: "the reference's own words" in shown(app))
        assert [(each.run, each.step, each.row) for each in reference.asked] == [(str(run.path), 4, 5)] * 2
        await pilot.press("n", "p")
        await until(pilot, lambda: "sample 5" in crumbs(app) and "the reference's own words" in shown(app))
        assert len(reference.asked) == 2


async def test_before_and_after_is_shown_figure_by_figure_and_pair_by_pair(answers: QuickAnswers) -> None:
    run = small_run(4)
    make_comparison(run, 40)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot, run)
        await pilot.press("a")
        await until(pilot, lambda: "40 queries of newsroom" in shown(app))
        page = screen.query_one(BeforeAfterPage)
        assert page.result is not None
        figure = page.result.figures["reward"]
        text = shown(app)
        for words in (f"{figure.difference:+.3f}", f"{figure.low:+.3f} {figure.high:+.3f}", "grammar", "neutral"):
            assert words in text
        changes = sorted(pair.change for pair in page.result.rows)
        assert f"{changes[-1]:+.2f}" in text and f"{changes[0]:+.2f}" not in text
        await pilot.press("t")
        await until(pilot, lambda: f"{changes[0]:+.2f}" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: screen.navigation.level == "run")


async def test_a_comparison_is_made_by_a_child_process(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    run = small_run(4)
    code = (
        "import sys; from pathlib import Path; from looptop.engine.runs.folder import RunFolder\n"
        "from tests.factories.synthetic_ppo import make_comparison; make_comparison(RunFolder(Path(sys.argv[1])), 12)"
    )
    broken = "import sys; sys.exit('warning\\nlooptop: the run [/x] has no model yet')"
    not_kept = "import sys; sys.stderr.write('looptop: cannot write it: Read-only file system\\n')"
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, run)
        await pilot.press("a")
        await until(pilot, lambda: "Nothing was compared yet" in shown(app))
        for program, words in (
            (broken, "the run [/x] has no model yet"),
            (not_kept, "cannot write it: Read-only file system"),
            (code, "12 queries of newsroom"),
        ):
            monkeypatch.setattr(comparing, "PROGRAM", (sys.executable, "-c", program))
            await pilot.press("C")
            await until(pilot, lambda words=words: words in shown(app), 60)  # type: ignore[misc]


async def test_the_form_has_the_names_of_trl_and_what_the_preset_says(answers: QuickAnswers) -> None:
    tiny = preset("tiny", "ppo")
    assert isinstance(tiny, PpoRunConfig)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        await until(pilot, lambda: form_of(app).table.count)
        draft = form_of(app).draft
        assert draft.text("ppo.init_kl_coef") == f"{tiny.ppo.init_kl_coef:g}"
        assert draft.text("rewards.neutral.weight") == "0.5"
        assert "ppo.gradient_accumulation_steps" in draft.keys
        await put(pilot, "preset", "book")
        await until(pilot, lambda: draft.text("model.policy") == "google/flan-t5-small")
        assert draft.text("ppo.gradient_accumulation_steps") == "8"


async def test_the_form_is_checked_as_it_is_typed(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        for key, value, words in (
            ("rewards.neutral.weight", "half", "half"),
            ("ppo.batch_size", "0", "0"),
            ("ppo.batch_size", "30", "multiple of"),
            ("training.learning_rate", "-1", "-1"),
        ):
            await put(pilot, key, value)
            await until(pilot, lambda key=key, words=words: words in wrong(app, key))  # type: ignore[misc]
            await pilot.press("backspace")
            await until(pilot, lambda key=key: not wrong(app, key))  # type: ignore[misc]


async def test_a_run_is_started_from_the_form_and_watched(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[RunConfig] = []

    def launch(config: RunConfig) -> RunFolder:
        started.append(config)
        return small_run(5)

    monkeypatch.setattr(host, "launch", launch)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        for key, value in (
            ("rewards.neutral.weight", "0.25"), ("generation.max_new_tokens", "16"), ("ppo.cliprange", "0.3"),
            ("ppo.adap_kl_ctrl", "false"), ("ppo.lam", "0.9"), ("training.seed", "7"),
        ):  # fmt: skip
            await put(pilot, key, value)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: complete(app))
    (config,) = started
    assert isinstance(config, PpoRunConfig)
    assert config.rewards[1].weight == 0.25 and config.generation.max_new_tokens == 16
    assert (config.ppo.cliprange, config.ppo.adap_kl_ctrl, config.ppo.lam) == (0.3, False, 0.9)
    assert config.training.seed == 7
    assert [run.id for run in app.started_here] == ["ppo-1"]


async def test_nothing_starts_with_missing_data(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        await put(pilot, "data.source", "nowhere.csv")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "there is no file nowhere.csv" in shown(app))
        assert not RunFolder.all()


async def test_a_reward_that_the_run_cannot_compute_with_is_refused_as_it_is_typed(answers: QuickAnswers) -> None:
    with held_run(batches=4) as (run, _):
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            await go(pilot, run, "batch")
            await pilot.press("e", "ctrl+u", *"1e308")
            await until(pilot, lambda: "the reward 1e+308 is larger than fp32 can hold" in shown(app))
            await pilot.press("enter", "escape")
            assert control.waiting_files(run) == []


async def test_a_sample_that_is_left_out_is_in_no_histogram(answers: QuickAnswers) -> None:
    with held_run(batches=4) as (run, writer):
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            screen = await go(pilot, run, "batch")
            bars = [screen.query_one(name, Histogram) for name in ("#reward-bars", "#kl-bars")]
            assert [sum(each._counts) for each in bars] == [8, 8]
            write_judgement(writer, 4, 1, "leave_out", 1.0, "app")
            writer.flush()
            await until(pilot, lambda: [sum(each._counts) for each in bars] == [7, 7])
