"""The recordings of TRL 0.11.4, and how looptop plays them again."""

from __future__ import annotations

import copy
import functools
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from looptop.engine.config.ppo import GenerationConfig, PpoSettings, RewardConfig
from looptop.engine.config.types import Kernels
from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.data import Query
from looptop.engine.ppo.loading import load_policy
from looptop.engine.ppo.policy import Policy
from looptop.engine.ppo.reference import Frozen
from looptop.engine.ppo.rewards import Reward
from looptop.engine.ppo.rollout import Responses, Rollout, SpecialIds
from looptop.engine.ppo.statistics import Statistics
from looptop.engine.ppo.step import BatchProgress, Hooks, PpoState, PpoStep, Setup

GOLDEN = Path(__file__).parents[2] / "golden" / "ppo_trl_0.11.4"
PAD, END = 0, 1


def read(name: str) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    return recorded


def steps(recorded: dict[str, Any]) -> list[dict[str, Any]]:
    """A recording's steps; the extra ones of the T5 were made of `default`'s samples and hold statistics alone."""
    given = read("default")["steps"]
    return [{**given[index], **step} for index, step in enumerate(recorded["steps"])]


def lay_out(name: str, folder: Path) -> Path:
    """One of the recordings' models (`reference`, `gpt2_reference`, ...) as a folder for `from_pretrained`."""
    path = folder / name
    path.mkdir(parents=True)
    shutil.copy(GOLDEN / ("gpt2_config.json" if name.startswith("gpt2_") else "config.json"), path / "config.json")
    shutil.copy(GOLDEN / f"{name}.safetensors", path / "model.safetensors")
    return path


def load(name: str, kernels: Kernels = "transformers") -> Policy:
    """One of the recordings' models, read once for all tests; transformers' attention is the one that TRL used."""
    return copy.deepcopy(_loaded(name, kernels))


@functools.cache
def _loaded(name: str, kernels: Kernels) -> Policy:
    attention = {"attn_implementation": "eager"} if kernels == "transformers" else {}
    with tempfile.TemporaryDirectory() as folder:
        return load_policy(lay_out(name, Path(folder)), kernels=kernels, **attention)


def settings_of(recorded: dict[str, Any]) -> PpoSettings:
    known = {field.name for field in msgspec.structs.fields(PpoSettings)}
    return PpoSettings(**{name: value for name, value in recorded["ppo"].items() if name in known})


def batch_of(step: dict[str, Any], policy: Policy) -> Batch:
    """TRL's responses begin with what the decoder was given; its mask starts behind the first generated token then."""
    given = policy.start_tokens
    responses = [response[given:] for response in step["responses"]]
    mask = step.get("response_masks") or [[0] * given + [1] * (len(response) - given) for response in responses]
    return Batch.of(step["queries"], responses, pad_id=PAD, end_id=END, mask=mask, start_tokens=given)


class RecordedStep(PpoStep):
    """A step that takes its responses from a recording instead of the policy, with TRL's mask."""

    recorded: dict[str, Any]
    """The recording's step that is next."""

    def generate(self, step: int, queries: Sequence[Query]) -> BatchProgress:
        """The recorded queries and responses."""
        given = self.policy.start_tokens
        asked = [Query(row, "", ids, False) for row, ids in enumerate(self.recorded["queries"])]
        responses = Responses([ids[given:] for ids in self.recorded["responses"]], [True] * len(asked))
        return BatchProgress(step, Rollout(asked, responses, [""] * len(asked)))

    def pad(self, rollout: Rollout) -> Batch:
        """The recorded batch, TRL's mask included."""
        return batch_of(self.recorded, self.policy)


class Replay:
    """Plays a recording's steps, each by the given settings, and keeps what a comparison needs.

    Args:
        recorded: The recording.
        models: What the names of the recording's models begin with.
        nudge: Of `NUDGES`, or 0 for the recorded weights.
        device: Where to compute.
        precision: Of the forward passes, as autocast has it.
        kernels: As in `model.kernels`.
    """

    def __init__(
        self,
        recorded: dict[str, Any],
        models: str = "",
        nudge: int = 0,
        device: str = "cpu",
        precision: torch.dtype = torch.float32,
        kernels: Kernels = "transformers",
    ) -> None:
        self.recorded = recorded
        self.settings = settings_of(recorded)
        self.policy = load(f"{models}policy_before", kernels)
        if nudge:
            self._change_last_digits(nudge)
        self.reference = load(f"{models}reference", kernels).requires_grad_(False).train(False)
        for model in (self.policy, self.reference):
            model.to(device)  # type: ignore[arg-type]  # a decorator of theirs hides the signature
            if precision is not torch.float32:
                # Around each forward pass alone: as long as autocast is on it keeps the weights that it has cast.
                model.forward = torch.autocast(torch.device(device).type, precision)(model.forward)
        optimizer = torch.optim.Adam(self.policy.parameters(), lr=recorded["ppo"]["learning_rate"])
        self.ppo_step: RecordedStep
        self.state = PpoState.begin(self.settings, recorded["ppo"]["seed"])
        reward = Reward((RewardConfig(name="recorded", person=True),), (lambda *_: self.ppo_step.recorded["scores"],))
        setup = Setup(
            Frozen(self.reference), reward, None, None, SpecialIds(PAD, END), GenerationConfig(), self.settings, 0
        )
        self.ppo_step = RecordedStep(self.policy, setup, self.state, Hooks(optimizer))
        self.steps = 0

    @torch.no_grad()
    def _change_last_digits(self, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        for parameter in self.policy.parameters():
            up_or_down = torch.randint(-1, 2, parameter.shape, generator=random)
            parameter.mul_(1 + up_or_down * torch.finfo(torch.float32).eps)

    def step(self, step: dict[str, Any]) -> tuple[Batch, Statistics]:
        """Plays one step.

        Returns:
            The step's batch, on the processor, and our statistics.
        """
        self.ppo_step.recorded = step
        self.steps += 1
        progress = self.ppo_step.run(self.policy, self.steps, ())
        assert progress.batch is not None
        return progress.batch.to("cpu"), progress.statistics


NUDGES = (1, 2, 3)
"""Replays whose weights differ in their last digit.

Processors add in different orders, and Adam divides a gradient by its own size: where the first one is nearly 0, its
rounding error decides by how much of the learning rate a weight moves. What such replays do not agree on among
themselves, a recording that was made on another processor cannot tell to the tolerance either.
"""


TOKENS = ("objective/logprobs", "objective/ref_logprobs")
SEEN_TOKENS = ("ppo/policy/advantages", "ppo/policy/ratio")


def spread_of(statistics: Statistics, nudged: Sequence[Statistics]) -> dict[str, float]:
    """How far those of the replays of `NUDGES` are from these at most, by statistic."""
    return {
        name: max(
            float(np.abs(np.asarray(other[name], np.float64) - np.asarray(value, np.float64)).max()) for other in nudged
        )
        for name, value in statistics.items()
    }


def compare_statistics(
    statistics: Statistics,
    recorded: dict[str, Any],
    replay: Replay,
    batch: Batch,
    spread: Mapping[str, float],
) -> None:
    """Every statistic of a step against its recording; raises with all that differ.

    Args:
        statistics: Ours.
        recorded: TRL's.
        replay: What made ours.
        batch: Of the step.
        spread: By statistic, as `spread_of` has it.
    """
    assert statistics.keys() == recorded.keys()
    width = len(recorded["objective/logprobs"][0])
    theirs = trl_mask(batch, width)
    worst = {}
    for name, value in statistics.items():
        ours, wanted = np.asarray(value, dtype=np.float64), np.asarray(recorded[name], dtype=np.float64)
        assert spread[name] <= 1e-3 * (1 + np.abs(wanted).max()), f"{name} is too uncertain to compare: {spread[name]}"
        if name in TOKENS:
            ours, wanted = ours[batch.mask.numpy()], wanted[theirs]
        if name in SEEN_TOKENS:
            # Sample after sample, in the order in which the passes saw them.
            order = seen_rows(replay, len(batch), ours.size // batch.mask[0].numel())
            ours = ours.reshape(len(order), -1)[batch.mask.numpy()[order]]
            wanted = wanted.reshape(len(order), -1)[theirs[order]]
        allowed = (1e-4 if name == "objective/kl_dist" else 1e-5) + 1e-4 * np.abs(wanted) + 2 * spread[name]
        excess = np.abs(ours - wanted) / allowed
        if not (excess <= 1).all():
            worst[name] = float(excess.max())
    assert not worst, f"outside of the tolerance by these factors: {worst}"


def trl_mask(batch: Batch, width: int) -> np.ndarray[Any, Any]:
    """Which of TRL's columns count: for a decoder-only model, its rows are query and response, padded behind both."""
    if batch.start_tokens:
        return batch.mask.numpy()
    mask = np.zeros((len(batch), width), dtype=bool)
    for row in range(len(batch)):
        first = int(batch.query_mask[row].sum()) - 1
        length = int(batch.response_mask[row].sum())
        mask[row, first : first + length] = batch.mask[row, :length].numpy()
    return mask


def seen_rows(replay: Replay, samples: int, seen: int) -> np.ndarray[Any, Any]:
    """The samples of the last step's passes, one after another, drawn again from the recording's seed."""
    order = np.random.RandomState(replay.recorded["ppo"]["seed"])
    state = replay.state.order.get_state()
    drawn: list[np.ndarray[Any, Any]] = []
    while not np.array_equal(order.get_state()[1], state[1]) or order.get_state()[2] != state[2]:  # type: ignore[index]
        drawn.append(order.permutation(samples))
    return np.concatenate(drawn[-(seen // samples) :])
