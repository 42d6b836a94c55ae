"""PPO as a person gets it: a run that can be held at every place, judged by hand, stopped, and goes on exactly."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

import looptop.engine as looptop
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunState
from looptop.engine.models.names import resolve
from looptop.engine.ppo.breakpoints import set_breakpoint
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.judgements import record_judgement
from looptop.engine.ppo.loading import load_policy
from looptop.engine.ppo.paired_comparison import compare_with_reference
from looptop.engine.ppo.records import TOKEN_COLUMNS
from looptop.engine.ppo.responding import generate
from looptop.engine.runs import checkpoint
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.run import Run
from tests.factories.ppo import ppo_config, save_decoder_classifier, save_one_token_policy
from tests.factories.ppo_runs import held, reply_to, resume, start
from tests.support import eventually, last


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PpoRunConfig]:
    return {family: ppo_config(tmp_path_factory.mktemp(family), family=family) for family in ("t5", "gpt2")}


@pytest.fixture
def tiny(models: dict[str, PpoRunConfig]) -> PpoRunConfig:
    return models["t5"]


def finished(run: Run) -> PpoJournal:
    assert run.wait() is RunState.FINISHED, run.reason
    return PpoJournal(run.folder.db)


def figures(journal: PpoJournal) -> dict[str, dict[int, float | None]]:
    """Every metric of every batch that does not depend on the clock."""
    return {
        name: {point.step: point.value for point in journal.values(name)}
        for name in journal.names()
        if not name.startswith(("time/", "train_")) and name not in ("samples_per_second", "seconds_left")
    }


def same(actual: Any, wanted: Any, tolerance: float = 1e-6) -> bool:
    if actual is None or wanted is None:
        return actual is wanted
    return math.isclose(actual, wanted, abs_tol=tolerance, rel_tol=tolerance)


@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_a_run_leaves_behind_every_batch_sample_and_token(models: dict[str, PpoRunConfig], family: str) -> None:
    run = start(models[family])
    journal = finished(run)
    result = run.result()
    assert [batch.step for batch in journal.batches()] == [1, 2, 3, 4]
    assert {batch.stage for batch in journal.batches()} == {"updated"}
    assert journal.batch_span() == (1, 4, 4)
    assert [point.step for point in journal.values("eval_reward")] == [0, 2, 4]
    for name in ("objective/kl", "ppo/policy/clipfrac", "ppo/val/var_explained", "env/reward_mean", "scores/grammar"):
        assert [point.step for point in journal.values(name)] == [1, 2, 3, 4], name
    best = max(journal.values("eval_reward")[1:], key=lambda point: point.value)  # type: ignore[arg-type, return-value]
    assert (result["step"], result["reward"]) == (best.step, pytest.approx(best.value))
    samples = journal.samples(3)
    assert [sample.row for sample in samples] == list(range(8))
    assert [sample.reference_response is not None for sample in samples] == [True] * 2 + [False] * 6
    for sample in samples:
        tokens = journal.tokens(3, sample.row)
        assert tokens is not None and set(tokens.columns) == set(TOKEN_COLUMNS)
        assert len(tokens.ids) == sample.length == len(tokens.texts) and all(tokens.counts)
        assert sum(tokens.columns["kl"]) == pytest.approx(sample.kl, abs=1e-4)
        assert sample.reward == pytest.approx(sample.scores["grammar"] + 0.5 * sample.scores["neutral"], abs=1e-5)
        assert sum(tokens.columns["advantage"]) / sample.length == pytest.approx(sample.advantage, abs=1e-4)
        assert max(tokens.columns["ratio"]) == pytest.approx(sample.ratio, abs=1e-5)
        coefficient = journal.figures(["objective/kl_coef"], 3, 3)[3]["objective/kl_coef"]
        assert coefficient is not None and sample.reward is not None
        wanted = [-coefficient * kl for kl in tokens.columns["kl"]]
        wanted[-1] += sample.reward
        assert tokens.columns["reward"] == pytest.approx(wanted, abs=1e-4)
    # In this tiny policy nothing ends by itself within eight tokens, or does at once; either way it is counted.
    assert all(sample.ended == (tokens_end(journal, 3, sample.row) == 1) for sample in samples)
    plain = AutoModelForSeq2SeqLM if family == "t5" else AutoModelForCausalLM
    assert plain.from_pretrained(run.folder.model).config.vocab_size == load_policy(run.folder.model).config.vocab_size
    assert AutoTokenizer.from_pretrained(run.folder.model)("the tram").input_ids
    assert "held-out reward" in (run.folder.model / "README.md").read_text()
    texts = {line["text"] for line in map(json.loads, Path(models[family].data.source).read_text().splitlines())}
    assert {sample.query for step in (1, 2, 3, 4) for sample in journal.samples(step)} <= texts


def tokens_end(journal: PpoJournal, step: int, row: int) -> int:
    table = journal.tokens(step, row)
    assert table is not None
    return table.ids[-1]


@pytest.mark.parametrize(
    ("family", "settings"),
    [("t5", ()), ("gpt2", ("use_score_scaling=true",)), ("t5", ("lora_rank=2", "lora_modules=q,v"))],
    ids=["t5", "gpt2, scores scaled", "t5 with adapters"],
)
def test_a_run_held_in_a_batch_stopped_and_resumed_is_an_undisturbed_one(
    models: dict[str, PpoRunConfig], family: str, settings: tuple[str, ...]
) -> None:
    expected = figures(finished(start(models[family], "max_steps=6", *settings)))
    run = start(models[family], "max_steps=6", *settings)
    run.pause()
    eventually(lambda: run.state is RunState.PAUSED)
    eventually(lambda: reply_to(run, run.step("compared")))
    held(run, "compared")
    for stage in ("updated", "generated", "scored", "compared"):
        run.step("next")
        step = held(run, stage)
    before = {sample.row: sample.response for sample in PpoJournal(run.folder.db).samples(step)}
    run.stop()
    assert run.wait() is RunState.STOPPED, run.reason
    assert checkpoint.newest_complete(run.folder.checkpoints) == run.folder.checkpoints / f"checkpoint-{step - 1}"
    again = resume(run)
    journal = finished(again)
    assert {sample.row: sample.response for sample in journal.samples(step)} == before
    actual = figures(journal)
    assert actual.keys() == expected.keys()
    for name, values in expected.items():
        assert actual[name].keys() == values.keys(), name
        for at, value in values.items():
            assert same(actual[name][at], value), (name, at)


def test_what_a_person_says_of_a_held_batch_goes_into_its_update_and_is_kept(tiny: PpoRunConfig) -> None:
    run = start(tiny, "max_steps=3")
    run.step("compared")
    step = held(run, "compared")
    journal = PpoJournal(run.folder.db)
    scored = journal.sample(step, 0)
    assert scored is not None and scored.reward is not None and scored.kl is not None and scored.advantage is None
    assert reply_to(run, record_judgement(run.folder, step, 0, "reward", 9.0, "test")).endswith("the update uses that")
    assert "left out" in reply_to(run, record_judgement(run.folder, step, 1, "leave_out", 1.0, "test"))
    assert "rated +1" in reply_to(run, record_judgement(run.folder, step, 2, "rating", 1.0, "test"))
    assert "there is no sample 8" in reply_to(run, record_judgement(run.folder, step, 8, "reward", 1.0, "test"))
    # The run is stopped and the batch is made again: what was said still holds.
    run.stop()
    assert run.wait() is RunState.STOPPED, run.reason
    again = resume(run)
    journal = finished(again)
    kept = {(each.row, each.kind): (each.value, each.by) for each in journal.judgements(step)}
    assert kept == {(0, "reward"): (9.0, "test"), (1, "leave_out"): (1.0, "test"), (2, "rating"): (1.0, "test")}
    first, second = journal.sample(step, 0), journal.sample(step, 1)
    assert first is not None and second is not None
    assert first.reward == pytest.approx(scored.reward), "the journal keeps what the models said"
    tokens = journal.tokens(step, 0)
    coefficient = journal.figures(["objective/kl_coef"], step, step)[step]["objective/kl_coef"]
    assert tokens is not None and coefficient is not None
    assert tokens.columns["reward"][-1] == pytest.approx(9.0 - coefficient * tokens.columns["kl"][-1], abs=1e-4)
    assert second.advantage is None and second.reward is not None
    left_out = journal.tokens(step, 1)
    assert left_out is not None and all(math.isnan(value) for value in left_out.columns["advantage"])
    with pytest.raises(looptop.LooptopError, match=f"batch {step} of {run.id} was updated already; a rating can"):
        record_judgement(run.folder, step, 0, "reward", 1.0, "test")
    record_judgement(run.folder, step, 3, "rating", -1.0, "test")
    assert journal.judgements(step)[-1].value == -1.0


def test_a_batch_that_is_left_out_whole_changes_no_weight(tiny: PpoRunConfig) -> None:
    # A person's reward holds every batch, also one that is made before a control could arrive.
    run = start(tiny, "max_steps=1", "rewards.me.person=true")
    step = held(run, "compared")
    for row in range(8):
        record_judgement(run.folder, step, row, "leave_out", 1.0, "test")
    run.continue_()
    finished(run)
    before, after = load_policy(tiny.model.policy).state_dict(), load_policy(run.folder.model).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any("no update is made" in event.text for event in run.journal.events())


def test_a_breakpoint_holds_the_run_before_the_update_and_is_kept_with_it(tiny: PpoRunConfig) -> None:
    run = start(tiny, "max_steps=1000", "eval_steps=1")
    run.step("generated")
    step = held(run, "generated")
    assert "there is no figure 'klx'; did you mean 'kl'?" in reply_to(run, set_breakpoint(run.folder, "klx > 1", "t"))
    assert reply_to(run, set_breakpoint(run.folder, "any sample.reward > -1000", "test")).startswith("holds the run")
    run.continue_()
    held(run, "compared", step)
    _, reason = run.journal.state()
    assert reason.startswith("breakpoint any sample.reward > -1000: reward of sample 0 is ")
    run.stop()
    run.wait()
    again = resume(run)
    held(again, "compared", step)
    assert PpoJournal(run.folder.db).breakpoints() == ["any sample.reward > -1000"]
    assert "is gone" in reply_to(again, set_breakpoint(run.folder, "any sample.reward > -1000", "test", remove=True))
    assert reply_to(again, set_breakpoint(run.folder, "ratio.max > 0.5", "test")).startswith(
        "holds the run after the update of a batch when ratio.max > 0.5"
    )
    again.continue_()
    # What is known only after the update holds the run at the batch's end.
    held(again, "updated", step)
    assert again.journal.state()[1].startswith("breakpoint ratio.max > 0.5: ratio.max is")
    again.stop(checkpoint=False)
    assert again.wait() is RunState.STOPPED


def test_a_checkpoint_of_a_held_batch_is_of_the_step_before_and_lets_nothing_go_on(tiny: PpoRunConfig) -> None:
    run = start(tiny, "max_steps=1000", "eval_steps=1000")
    run.step("scored")
    step = held(run, "scored")
    run.step()
    eventually(lambda: run.journal.last("objective/kl") is not None)
    held(run, "updated", step)
    run.step("scored")
    held(run, "scored", step + 1)
    assert reply_to(run, run.checkpoint()) == f"makes a checkpoint after step {step}"
    eventually(lambda: checkpoint.is_complete(run.folder.checkpoints / f"checkpoint-{step}"))
    assert run.state is RunState.PAUSED and held(run, "scored") == step + 1
    assert reply_to(run, run.checkpoint()) == f"there is a checkpoint of step {step} already"
    run.continue_()
    eventually(lambda: last(run.journal, "objective/kl").step > step)


def test_kl_that_runs_away_stops_the_run_with_a_checkpoint_and_says_so(tiny: PpoRunConfig) -> None:
    run = start(tiny, "max_steps=50", "learning_rate=3e-2", "kl_limit=5", "eval_steps=50")
    assert run.wait() is RunState.STOPPED, run.reason
    assert "above training.kl_limit (5)" in run.reason
    batch = PpoJournal(run.folder.db).last_batch()
    assert batch is not None and batch.stage == "compared"
    assert checkpoint.is_complete(run.folder.checkpoints / f"checkpoint-{batch.step - 1}")


def test_adapters_train_and_the_reference_is_the_model_without_them(tiny: PpoRunConfig) -> None:
    run = start(tiny, "lora_rank=2", "max_steps=3", "learning_rate=1e-2", "lora_modules=q,v", "kl_limit=1000")
    journal = finished(run)
    facts = journal.facts()
    assert 0 < facts["trainable_parameters"] < 0.2 * facts["parameters"]
    kl = [point.value for point in journal.values("objective/kl")]
    assert kl[0] == pytest.approx(0, abs=1e-4) and abs(kl[-1]) > 1e-3  # type: ignore[arg-type]
    before, after = load_policy(tiny.model.policy).state_dict(), load_policy(run.folder.model).state_dict()
    assert before.keys() == after.keys(), "the adapters are merged into a plain model"
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(".q." in name or ".v." in name or "v_head" in name for name in changed)


@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_a_live_or_stopped_run_with_adapters_answers_is_compared_and_is_a_policy(
    models: dict[str, PpoRunConfig], family: str
) -> None:
    modules = "q,v" if family == "t5" else "c_attn"
    rate = ["learning_rate=1e-2", "kl_limit=1000", "eval_steps=1", "max_steps=5000"]
    run = start(models[family], "lora_rank=2", f"lora_modules={modules}", *rate)
    eventually(lambda: max(checkpoint.steps(run.folder.checkpoints), default=0) >= 2)
    run.pause()
    eventually(lambda: run.state is RunState.PAUSED)
    newest = checkpoint.newest_complete(run.folder.checkpoints)
    assert newest is not None and not (newest / "config.json").exists()

    tuned = load_policy(resolve(run.id))
    assert isinstance(tuned, type(load_policy(models[family].model.policy)))
    assert float(tuned.v_head.summary.weight.detach().abs().max()) > 0, "the value head is the run's"
    responses = generate(run.id, ["the council in Oslo"], max_new_tokens=4)
    assert len(responses) == 1 and responses[0].tokens
    compared = compare_with_reference(run.folder, 4)
    assert any(abs(pair.kl) > 1e-3 for pair in compared.rows), "it is not the reference"
    run.stop(checkpoint=False)
    assert run.wait() is RunState.STOPPED
    assert generate(run.id, ["the council in Oslo"], max_new_tokens=4)

    more = start(models[family], f"policy={run.id}", "lora_rank=2", f"lora_modules={modules}", "max_steps=1")
    finished(more)
    with_whole_checkpoint = start(models[family], f"policy={newest}", f"reference={run.id}", "max_steps=1")
    finished(with_whole_checkpoint)


def test_adapters_that_are_damaged_are_refused_in_a_sentence(tiny: PpoRunConfig, tmp_path: Path) -> None:
    run = start(tiny, "lora_rank=2", "lora_modules=q,v", "max_steps=2", "eval_steps=1")
    finished(run)
    copied = tmp_path / "adapters"
    shutil.copytree(next(iter(checkpoint.steps(run.folder.checkpoints).values())), copied)
    assert load_policy(copied), "what the folder says of its model is enough"
    weights = load_file(copied / "adapter_model.safetensors")
    save_file(dict(list(weights.items())[1:]), copied / "adapter_model.safetensors")
    with pytest.raises(LooptopError, match=r"are incomplete: \S+ is missing; download or save the model again"):
        load_policy(copied)
    other = {name.replace("block.0", "block.9"): tensor.clone() for name, tensor in weights.items()}
    save_file(weights | other, copied / "adapter_model.safetensors")
    with pytest.raises(LooptopError, match=r"belong to another model: \S+ has no \S+block\.9\S+; correct base_model"):
        load_policy(copied)
    (copied / "adapter_model.safetensors").write_bytes(b"x")
    with pytest.raises(LooptopError, match=r"adapter_model.safetensors is damaged: its header"):
        load_policy(copied)
    (copied / "adapter_config.json").write_text("{}")
    with pytest.raises(LooptopError, match="does not name the model"):
        load_policy(copied)


def test_a_function_and_a_person_can_be_the_reward(tiny: PpoRunConfig, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def short(queries, responses):\n    return [-len(r.split()) for r in responses]\n"
    )
    rewards = (
        f'rewards=[{{name="short", function="{tmp_path}/mine.py:short"}}, {{name="taste", person=true, weight=3}}]'
    )
    run = start(tiny, rewards, "max_steps=1")
    step = held(run, "compared", 1)
    assert run.journal.state()[1].startswith("waits for ratings")
    record_judgement(run.folder, step, 2, "rating", 1.0, "test")
    run.continue_()
    journal = finished(run)
    for sample in journal.samples(1):
        words = len(sample.response.split())
        assert sample.scores == {"short": -words, "taste": 0.0}
        tokens = journal.tokens(1, sample.row)
        assert tokens is not None
        rated = 3.0 if sample.row == 2 else 0.0
        coefficient = 0.2
        last = tokens.columns["reward"][-1] + coefficient * tokens.columns["kl"][-1]
        assert last == pytest.approx(-words + rated, abs=1e-4)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "return [float('nan')] * len(responses)",
            "the reward mine gave nan for sample 0, which is not a finite number",
        ),
        ("return [1.0]", "the reward mine gave 1 score for 6 responses"),
        ("return 'good'", "gave 'good'; it must give a list of numbers, one for each response"),
        ("return ['good'] * len(responses)", "the reward mine gave 'good' for sample 0, which is not a finite number"),
        ("return None", "gave None; it must give a list of numbers"),
    ],
)
def test_a_reward_that_is_no_number_fails_the_run_in_a_sentence(
    tiny: PpoRunConfig, tmp_path: Path, body: str, sentence: str
) -> None:
    (tmp_path / "bad.py").write_text(f"def mine(queries, responses):\n    {body}\n")
    run = start(tiny, f'rewards=[{{name="mine", function="{tmp_path}/bad.py:mine"}}]', "eval_steps=1")
    assert run.wait() is RunState.FAILED
    assert sentence in run.reason and "\n" not in run.reason


def test_a_crash_in_a_reward_function_leaves_its_traceback_in_the_log(tiny: PpoRunConfig, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def mine(queries, responses):\n    return 1 / 0\n")
    run = start(tiny, f'rewards=[{{name="mine", function="{tmp_path}/bad.py:mine"}}]')
    assert run.wait() is RunState.FAILED
    assert run.reason == "ZeroDivisionError: division by zero"
    assert "bad.py" in run.folder.log.read_text()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["rewards.grammar.label=LABEL_7"], "it has no label 'LABEL_7'; its labels are: LABEL_0, LABEL_1"),
        (["rewards.grammar.model=nowhere/nothing"], "the reward model grammar (nowhere/nothing) cannot be loaded"),
        (["text_column=body"], "has no column 'body'; its columns are: text; choose one with --set data.text_column"),
        (["held_out=108"], "holds 108 texts, and data.held_out is 108"),
        (["policy=nowhere/nothing"], "the policy nowhere/nothing cannot be loaded"),
        (["data.source=nowhere/nothing"], "the data nowhere/nothing cannot be read"),
        (["lora_rank=2", "lora_modules=sideways"], "model.lora_modules does not fit the policy"),
        (['rewards=[{name="f", function="nowhere_at_all:f"}]'], "'nowhere_at_all:f' cannot be imported"),
    ],
)
def test_what_cannot_be_used_fails_the_run_in_a_sentence(tiny: PpoRunConfig, settings: list[str], said: str) -> None:
    run = start(tiny, *settings)
    assert run.wait() is RunState.FAILED
    assert said in run.reason and "\n" not in run.reason


def test_a_missing_reward_model_is_refused_before_a_run_is_made(tiny: PpoRunConfig) -> None:
    with pytest.raises(LooptopError, match=r"^rewards\.grammar\.model names /nowhere, which is not there$"):
        start(tiny, "rewards.grammar.model=/nowhere")
    assert not RunFolder.all()


def test_long_queries_are_cut_counted_and_reported(tiny: PpoRunConfig) -> None:
    run = start(tiny, "max_query_tokens=6", "max_steps=2")
    journal = finished(run)
    assert all(sample.query_cut for sample in journal.samples(1))
    assert last(journal, "env/query_cut").value == 1.0
    assert any("cut to 6 tokens: " in event.text for event in journal.events())


def test_a_cut_response_is_penalised_where_that_is_wanted(tiny: PpoRunConfig) -> None:
    journal = finished(start(tiny, "cut_penalty=5", "max_steps=1", "max_new_tokens=3"))
    for sample in journal.samples(1):
        plain = sample.scores["grammar"] + 0.5 * sample.scores["neutral"]
        assert sample.reward == pytest.approx(plain - (0 if sample.ended else 5), abs=1e-5)
    assert any(not sample.ended for sample in journal.samples(1))


def test_another_way_of_writing_is_warned_of(tiny: PpoRunConfig) -> None:
    journal = finished(start(tiny, "top_k=5", "min_new_tokens=2", "max_steps=1"))
    (warning,) = [event.text for event in journal.events() if event.level == "warning"]
    assert "min_new_tokens = 2, top_k = 5" in warning and "KL" in warning


def test_the_held_out_queries_disturb_nothing(tiny: PpoRunConfig) -> None:
    often, seldom = (finished(start(tiny, f"eval_steps={steps}")) for steps in (1, 4))
    assert [p.value for p in often.values("env/reward_mean")] == [p.value for p in seldom.values("env/reward_mean")]
    assert often.values("eval_reward")[-1].value == seldom.values("eval_reward")[-1].value


def test_listing_7_6_is_a_batch_of_32_with_one_step_a_pass(tiny: PpoRunConfig) -> None:
    settings = ["batch_size=4", "mini_batch_size=4", "gradient_accumulation_steps=8", "max_steps=1"]
    journal = finished(start(tiny, *settings))
    (batch,) = journal.batches()
    assert batch.samples == len(journal.samples(1)) == 32


@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_in_bf16_the_first_ratios_are_1_to_its_rounding_and_weights_stay_fp32(
    models: dict[str, PpoRunConfig], family: str
) -> None:
    run = start(models[family], "precision=bf16", "max_steps=2", "ppo_epochs=1", "mini_batch_size=8", "max_grad_norm=1")
    journal = finished(run)
    assert journal.facts()["precision"] == "bf16"
    for sample in journal.samples(1):
        assert sample.ratio == pytest.approx(1.0, abs=0.1)
        assert sample.kl == pytest.approx(0.0, abs=0.3), "policy and reference are the same model"
    assert all(weight.dtype is torch.float32 for weight in load_policy(run.folder.model).state_dict().values())


def test_other_optimisers_settings_are_trainers_own(tiny: PpoRunConfig) -> None:
    journal = finished(start(tiny, "lr_scheduler_type=linear", "warmup_steps=2", "max_steps=4", "weight_decay=0.1"))
    rates = [point.value for point in journal.values("learning_rate")]
    assert rates == pytest.approx([0.0, 5e-5, 1e-4, 5e-5])
    assert [point.value for point in journal.values("ppo/learning_rate")] == pytest.approx(rates)


END, BEYOND = 1, 24
"""Ids of the tokenizer that adds nothing: the end, and one that it has no word for."""


@pytest.mark.parametrize(("token", "response", "tokens"), [(END, "", 1), (BEYOND, "", 3)], ids=["end", "no word"])
def test_a_policy_that_writes_no_text_at_all_is_trained_shown_and_compared(
    token: int, response: str, tokens: int, tmp_path: Path
) -> None:
    policy = save_one_token_policy(tmp_path / "one-token", token)
    scorer = save_decoder_classifier(tmp_path / "scorer")
    chosen = ppo_config(
        tmp_path, f"policy={policy}", f"rewards.grammar.model={scorer}", f"rewards.neutral.model={scorer}",
        "max_new_tokens=3", "max_steps=2", "kl_limit=1000", family="gpt2",
    )  # fmt: skip
    run = start(chosen)
    journal = finished(run)
    samples = journal.samples(2)
    assert {sample.response for sample in samples} == {response} and {sample.length for sample in samples} == {tokens}
    assert all(math.isfinite(score) for sample in samples for score in sample.scores.values())
    shown = journal.tokens(2, 0)
    assert shown is not None and shown.texts == (["</s>"] if token == END else [f"<{token}>"] * 3)
    assert {each.response for each in generate(run.id, ["the tram", "the council"])} == {response}
    assert {pair.after for pair in compare_with_reference(run.folder, 3).rows} == {response}
