"""Real trainers of TRL with tiny models on the CPU: one callback makes each a run."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer, SFTConfig, SFTTrainer  # type: ignore[attr-defined]

import looptop.engine as looptop
from looptop.engine.journal.completions import read_completion_steps, read_completions
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.models.names import resolve
from looptop.engine.runs.control import send
from looptop.engine.runs.folder import RunFolder
from tests.support import eventually, wait_taken

pytestmark = pytest.mark.slow  # They train.

PLAIN: dict[str, Any] = {"report_to": "none", "use_cpu": True, "disable_tqdm": True, "bf16": False, "logging_steps": 1}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """The bundled decoder's tokenizer."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(resolve("bundled:decoder"))
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer  # type: ignore[no-any-return]


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    end = tokenizer.eos_token_id
    sizes: dict[str, Any] = {"vocab_size": len(tokenizer), "n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=end, eos_token_id=end, pad_token_id=end))


def shorter(completions: list[str], **_: Any) -> list[float]:
    return [-float(len(each)) for each in completions]


def red(completions: list[str], **_: Any) -> list[float | None]:
    return [1.0 if "red" in each else None for each in completions]


def rl_trainer(kind: str, model: Any, tokenizer: Any, folder: Path, callback: Any, **settings: Any) -> Any:
    config, trainer = {"grpo": (GRPOConfig, GRPOTrainer), "rloo": (RLOOConfig, RLOOTrainer)}[kind]
    arguments = config(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        num_generations=2,
        max_completion_length=4,
        beta=0.0,  # RLOO would fetch the reference model by its name otherwise
        **(PLAIN | {"max_steps": 3} | settings),
    )
    prompts = Dataset.from_dict({"prompt": ["yes", "no", "red blue", "circle"] * 2})
    return trainer(
        model=model,
        args=arguments,
        processing_class=tokenizer,
        reward_funcs=[shorter, red],
        train_dataset=prompts,
        eval_dataset=Dataset.from_dict({"prompt": ["triangle"]}),
        callbacks=[callback],
    )


def check_completions(run: RunFolder, steps: list[int]) -> None:
    """Completions of these steps, with rewards that are the functions', and advantages of both signs within a group."""
    journal = Journal(run.db)
    assert read_completion_steps(journal) == steps
    for step in steps:
        written = read_completions(journal, step)
        assert len(written) == 4
        for each in written:
            assert each.prompt in ("yes", "no", "red blue", "circle")
            assert each.rewards["shorter"] == -float(len(each.completion))
            assert each.rewards["red"] == (1.0 if "red" in each.completion else None)
            assert each.advantage is not None
        for first, second in (written[:2], written[2:]):
            assert first.prompt == second.prompt
            assert first.advantage == pytest.approx(-second.advantage, abs=1e-3)  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["grpo", "rloo"])
def test_the_callback_alone_journals_completions_as_the_trainer_has_them(
    kind: str, model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    callback = looptop.JournalCallback(name="mine")
    rl_trainer(kind, model, tokenizer, tmp_path, callback).train()
    (run,) = RunFolder.all()
    assert (run.id, run.state(), run.about().title) == ("trainer-1", RunState.FINISHED, "mine")
    check_completions(run, [1, 2, 3])
    rewards = Journal(run.db).values("rewards/shorter/mean")
    assert [point.step for point in rewards] == [1, 2, 3]
    means = [
        sum(each.rewards["shorter"] or 0.0 for each in read_completions(Journal(run.db), step)) / 4
        for step in (1, 2, 3)
    ]
    assert [point.value for point in rewards] == pytest.approx(means)  # it agrees with what TRL logs


def test_completions_are_the_same_where_the_trainer_writes_them_to_files_too(
    model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    rl_trainer("grpo", model, tokenizer, folder, looptop.JournalCallback(), log_completions=True).train()
    check_completions(RunFolder.find("trainer-1"), [1, 2, 3])
    # The files of an earlier training in the same folder are none of this one's.
    callback = looptop.JournalCallback()
    rl_trainer("grpo", model, tokenizer, folder, callback, log_completions=True, max_steps=1).train()
    check_completions(RunFolder.find("trainer-2"), [1])


def test_one_generation_used_for_several_steps_is_journalled_once_and_evaluations_are_not(
    model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    callback = looptop.JournalCallback()
    trainer = rl_trainer(
        "grpo", model, tokenizer, tmp_path, callback, steps_per_generation=2, max_steps=4, eval_strategy="steps",
        eval_steps=1, per_device_eval_batch_size=2, num_generations_eval=2,
    )  # fmt: skip
    trainer.train()
    journal = Journal(RunFolder.find("trainer-1").db)
    assert read_completion_steps(journal) == [1, 3]
    assert all(each.prompt != "triangle" for step in (1, 3) for each in read_completions(journal, step))
    assert [point.step for point in journal.values("eval_reward")] == [1, 2, 3, 4]


def test_a_live_grpo_trainer_is_paused_saved_and_stopped(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    callback = looptop.JournalCallback(name="live")
    trainer = rl_trainer("grpo", model, tokenizer, tmp_path, callback, max_steps=100_000, save_strategy="no")
    thread = threading.Thread(target=trainer.train)
    thread.start()
    eventually(RunFolder.all)
    (run,) = RunFolder.all()
    eventually(lambda: Journal(run.db).last("reward"))
    assert run.live_by() == "lock"
    assert "paused after step" in (wait_taken(run, send(run, "pause"), 60) or "")
    assert run.state() is RunState.PAUSED
    assert "makes a checkpoint" in (wait_taken(run, send(run, "checkpoint"), 60) or "")
    eventually(lambda: list(tmp_path.glob("checkpoint-*/trainer_state.json")))
    assert "stops after step" in (wait_taken(run, send(run, "stop"), 60) or "")
    thread.join(60)
    assert not thread.is_alive()
    assert (run.state(), run.live_by()) == (RunState.STOPPED, "")


def test_supervised_fine_tuning_is_a_run_too(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    texts = Dataset.from_dict({"text": ["yes no", "red circle", "blue triangle", "no"] * 4})
    arguments = SFTConfig(output_dir=str(tmp_path), max_steps=3, max_length=8, save_strategy="no", **PLAIN)
    callback = looptop.JournalCallback(name="tuned")
    SFTTrainer(
        model=model, args=arguments, processing_class=tokenizer, train_dataset=texts, callbacks=[callback]
    ).train()
    (run,) = RunFolder.all()
    assert run.state() is RunState.FINISHED
    assert [point.step for point in Journal(run.db).values("loss")] == [1, 2, 3]
    assert "mean_token_accuracy" in Journal(run.db).names()
    assert read_completion_steps(Journal(run.db)) == []


SCRIPT = """
    import sys
    from tests.factories.trainers import trainer
    from looptop.engine import JournalCallback
    from transformers import TrainerCallback

    class Breaks(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 2:
                raise {error}

    it = trainer({folder!r}, JournalCallback(name="breaks"), eval_strategy="no")
    it.add_callback(Breaks())
    it.train()
"""


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        ("ValueError('a \\x1b[2J bad batch')", RunState.FAILED, "ValueError: a ␛[2J bad batch"),
        ("KeyboardInterrupt", RunState.STOPPED, "stopped by the keyboard"),
    ],
)
def test_a_trainer_that_raises_has_failed_with_its_reason(
    error: str, state: RunState, reason: str, tmp_path: Path
) -> None:
    script = textwrap.dedent(SCRIPT.format(error=error, folder=str(tmp_path)))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    (run,) = RunFolder.all()
    summary = run.summary()
    assert (summary.state, summary.reason, summary.live) == (state, reason, "")
    assert [point.step for point in Journal(run.db).values("loss")] == [1]
