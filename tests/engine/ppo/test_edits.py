"""What a person changes in a batch by hand: bounds, warnings, a way out of a broken update; left-out samples."""

from __future__ import annotations

import math
import statistics

import pytest

from looptop.engine.cli.main import main
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunState
from looptop.engine.ppo.breakpoint_conditions import parse
from looptop.engine.ppo.breakpoints import set_breakpoint
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.judgements import check_value, drop_edits, far_reward_warning, record_judgement
from looptop.engine.runs.control import send
from looptop.engine.startup.run import Run, resume
from tests.factories.ppo import ppo_config
from tests.factories.ppo_runs import held, reply_to, start


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> PpoRunConfig:
    return ppo_config(tmp_path_factory.mktemp("t5"))


def held_in_a_batch(tiny: PpoRunConfig, *settings: str) -> tuple[Run, int]:
    run = start(tiny, "eval_steps=1000", *settings)
    run.step("compared")
    return run, held(run, "compared")


@pytest.mark.parametrize(
    ("kind", "value", "precision", "weight", "refused"),
    [
        ("reward", 1e308, "fp32", 1.0, "larger than fp32 can hold"),
        ("reward", -1e39, "fp32", 1.0, "larger than fp32 can hold"),
        ("reward", 1e38, "fp32", 1.0, ""),
        ("reward", 3.4e38, "bf16", 1.0, "larger than bf16 can hold"),
        ("reward", 7e4, "fp16", 1.0, "larger than fp16 can hold"),
        ("reward", 6.5e4, "fp16", 1.0, ""),
        ("reward", math.inf, "fp32", 1.0, "must be a finite number"),
        ("rating", math.nan, "fp32", 1.0, "must be a finite number"),
        ("rating", 3e4, "fp16", 3.0, "times its weight of 3 is larger than fp16"),
        ("rating", 3e4, "fp16", 0.1, ""),
        ("reward", None, "fp16", 1.0, ""),
        ("reward", 1e39, "unheard of", 1.0, "larger than unheard of"),
    ],
)
def test_a_value_that_the_run_cannot_compute_with_is_refused(
    kind: str, value: float | None, precision: str, weight: float, refused: str
) -> None:
    if not refused:
        check_value(kind, value, precision, weight)
        return
    with pytest.raises(LooptopError) as caught:
        check_value(kind, value, precision, weight)
    assert refused in str(caught.value)


def test_only_a_reward_far_from_its_batch_is_warned_of() -> None:
    rewards = [0.5, 1.0, -1.0, 2.0, math.nan]
    assert far_reward_warning(rewards, 1000.0).startswith(
        "1000 is far from the rewards of its batch, which go from -1 to 2; "
    )
    assert far_reward_warning(rewards, -50.0)
    assert (
        not far_reward_warning(rewards, 5.0)
        and not far_reward_warning(rewards, None)
        and not far_reward_warning([], 1e9)
    )
    assert far_reward_warning([1.0, 1.0], 3.0) and not far_reward_warning([1.0, 1.0], 1.05)


def test_a_value_is_refused_where_it_is_sent_and_where_it_is_taken(
    tiny: PpoRunConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    run, step = held_in_a_batch(tiny)
    with pytest.raises(LooptopError, match="the reward 1e\\+308 is larger than fp32 can hold"):
        record_judgement(run.folder, step, 0, "reward", 1e308, "test")
    with pytest.raises(LooptopError, match="must be a finite number"):
        send(run.folder, "reward", "test", batch=step, sample=0, value=math.inf)
    # Whoever writes the control past these checks is told by the run.
    past = send(run.folder, "reward", "test", batch=step, sample=0, value=1e308)
    assert reply_to(run, past).startswith("ignored: the reward 1e+308 is larger than fp32 can hold")
    assert main(["reward", run.id, str(step), "0", "1e308"]) == 2
    assert "larger than fp32 can hold" in capsys.readouterr().err
    assert main(["reward", run.id, str(step), "0", "1e38", "--rate"]) == 0
    assert PpoJournal(run.folder.db).judgements(step)[0].kind == "rating"
    far = reply_to(run, record_judgement(run.folder, step, 1, "reward", 12345.0, "test"))
    assert f"batch {step}, sample 1: 12345 is far from the rewards of its batch" in far
    assert far.endswith("its reward is 12345, and the update uses that")
    assert "far" not in reply_to(run, record_judgement(run.folder, step, 2, "leave_out", 1.0, "test"))


def test_an_edit_that_breaks_the_update_is_named_and_can_be_dropped(
    tiny: PpoRunConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    run, step = held_in_a_batch(tiny, "max_steps=4")
    record_judgement(run.folder, step, 3, "reward", 1e30, "test")
    reply_to(run, record_judgement(run.folder, step, 2, "leave_out", 1.0, "test"))
    record_judgement(run.folder, step, 1, "rating", 1.0, "test")
    run.continue_()
    assert run.wait() is RunState.FAILED
    assert f"batch {step}: ppo/" in run.reason and f"sample 3 of batch {step} has the edited reward 1e+30" in run.reason
    assert f"`looptop resume {run.id} --drop-edits`" in run.reason and "\n" not in run.reason
    # Resumed as it is, the batch is made again with it.
    again = resume(run.id)
    assert again.wait() is RunState.FAILED and "1e+30" in again.reason
    journal = PpoJournal(run.folder.db)
    assert main(["resume", run.id, "--drop-edits"]) == 0, capsys.readouterr().err
    assert f"2 edits of batch {step} dropped" in capsys.readouterr().err
    assert [(each.row, each.kind) for each in journal.judgements()] == [(1, "rating")], "a rating is kept"
    assert run.folder.state() is RunState.FINISHED
    with pytest.raises(LooptopError, match="has no edits to drop"):
        drop_edits(run.folder)


def test_samples_that_are_left_out_count_in_no_figure_and_no_condition(tiny: PpoRunConfig) -> None:
    run, step = held_in_a_batch(tiny, "max_steps=1000")
    journal = PpoJournal(run.folder.db)
    record_judgement(run.folder, step, 0, "reward", 1.5, "test")
    record_judgement(run.folder, step, 4, "reward", -50.0, "test")
    record_judgement(run.folder, step, 5, "reward", 60.0, "test")
    for row in (4, 5):
        reply_to(run, record_judgement(run.folder, step, row, "leave_out", 1.0, "test"))
    for text in ("any sample.reward < -40", "reward.max > 40", "reward.min < -40", "any sample.advantage == 0"):
        assert reply_to(run, set_breakpoint(run.folder, text, "test")).startswith("holds the run")
    run.step()
    held(run, "updated", step)
    assert "breakpoint" not in run.journal.state()[1]
    metrics = journal.figures(journal.names(), step, step)[step]
    kept = [sample for sample in journal.samples(step) if sample.row not in (4, 5)]
    used = [1.5 if sample.row == 0 else sample.reward for sample in kept]
    assert metrics["env/reward_used"] == pytest.approx(statistics.fmean(used), abs=1e-5)  # type: ignore[arg-type]
    assert metrics["env/reward_used"] == pytest.approx(metrics["ppo/mean_scores"], abs=1e-5)
    for name, values in (
        ("env/reward_mean", [sample.reward for sample in kept]),
        ("env/length", [float(sample.length) for sample in kept]),
        ("objective/kl", [sample.kl for sample in kept]),
        ("scores/grammar", [sample.scores["grammar"] for sample in kept]),
    ):
        assert metrics[name] == pytest.approx(statistics.fmean(values), abs=1e-5), name  # type: ignore[arg-type]
    assert metrics["env/distinct"] == pytest.approx(len({sample.response for sample in kept}) / len(kept))


def test_a_condition_names_a_sample_by_its_row_in_the_batch() -> None:
    samples = {"kl": [1.0, 30.0]}
    assert parse("any sample.kl > 20").met({}, samples, [0, 7]) == "kl of sample 7 is 30 (> 20)"
    assert parse("nan").met({}, {"kl": [1.0, math.nan]}, [2, 5]) == "kl of sample 5 is nan"
