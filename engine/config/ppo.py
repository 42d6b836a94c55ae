"""The configuration of a run that fine-tunes a language model by PPO (listings 7.5 and 7.6)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from looptop.engine.config.training import TrainingConfig
from looptop.engine.config.types import (
    Fraction,
    Kernels,
    Natural,
    NonNegativeFloat,
    Positive,
    PositiveFloat,
    Real,
    Table,
)
from looptop.engine.text import counted

POLICY_FAMILIES = ("t5", "gpt2")
"""The model types that can be tuned, as in `model_type` of a model's config.json."""

KlPenalty = Literal["kl", "abs", "mse", "full"]


class PolicyConfig(Table, frozen=True, kw_only=True):
    """The model that is tuned. A model's name is a hub name, a local folder, `bundled:PART`, or a PPO run's id."""

    policy: str
    """A model of the T5 or the GPT-2 family."""
    reference: str = ""
    """The frozen model that the KL is measured against; if empty, the policy before training."""
    lora_rank: Natural = 0
    """If above 0, only adapters of this rank and the value head are trained (needs `peft`), and the reference is the
    same model with its adapters switched off."""
    lora_alpha: PositiveFloat = 16.0
    """An adapter's output is scaled by `lora_alpha / lora_rank`."""
    lora_modules: tuple[str, ...] = ()
    """Names of the layers that get adapters; if empty, `peft`'s choice for the family."""
    kernels: Kernels = "fast"
    """`fast`: on a CPU a T5 computes with looptop's own norms, attention and decoding loop. `transformers`: with
    those of transformers, as it always does on a GPU."""


class QueryConfig(Table, frozen=True, kw_only=True):
    """Where queries come from."""

    source: Annotated[str, Meta(examples=["newsroom"])]
    """`newsroom` or `newsroom:SEED`, a data set's name on the hub, or a local CSV, JSONL or Parquet file."""
    split: str = "train"
    """The split of a data set on the hub."""
    text_column: str = "text"
    """The column of the table or data set that holds the texts."""
    prefix: str = ""
    """Text put before every query, such as `summarize: ` for T5."""
    max_query_tokens: Positive = 512
    """Longer queries are cut, counted, and named in the log."""
    max_queries: Positive | None = None
    """Use at most this many texts of the data set."""
    held_out: Positive = 64
    """Queries that are never trained on and are answered at each evaluation."""


class GenerationConfig(Table, frozen=True, kw_only=True):
    """How responses are generated. The KL is meaningful only for samples of the model itself: the defaults."""

    max_new_tokens: Positive = 48
    """The largest number of tokens in a response."""
    min_new_tokens: Natural = 0
    """The smallest number of tokens in a response; 0 for no limit."""
    temperature: PositiveFloat = 1.0
    """Below 1, likely tokens become likelier; above 1, rare ones do."""
    top_k: Natural = 0
    """Sample from this many of the most likely tokens; 0 for all."""
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """Sample from the most likely tokens that together have this probability; 1 for all."""
    num_beams: Positive = 1
    """Responses that are searched for at once; 1 samples instead."""
    no_repeat_ngram_size: Natural = 0
    """No sequence of this many tokens appears twice in a response; 0 for no such rule."""
    repetition_penalty: PositiveFloat = 1.0
    """Above 1, tokens that the text already has become less likely."""
    cut_penalty: NonNegativeFloat = 0.0
    """Subtracted from the reward of a response that was cut off before its end."""

    def sampling_changes(self) -> list[str]:
        """The settings that make the sampled distribution differ from the model's, as `name = value`."""
        plain = GenerationConfig()
        names = [
            "min_new_tokens",
            "temperature",
            "top_k",
            "top_p",
            "num_beams",
            "no_repeat_ngram_size",
            "repetition_penalty",
        ]
        return [f"{name} = {getattr(self, name):g}" for name in names if getattr(self, name) != getattr(plain, name)]


class RewardConfig(Table, frozen=True, kw_only=True):
    """One part of the reward, which is their weighted sum. Exactly one of `model`, `function` and `person` is given."""

    name: Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
    """The score's name in the journal, on the screen and in conditions: letters, digits and underscores."""
    weight: Real = 1.0
    """The weight of this part in the sum."""
    model: str = ""
    """A sequence classifier: hub name, local folder, `bundled:PART`, or a reward run's id."""
    label: str = "LABEL_1"
    """The label whose logit is the score."""
    reads: Literal["response", "both"] = "response"
    """What the classifier reads: the response, or the query and the response."""
    max_tokens: Positive = 512
    """Longer texts are cut off at the end."""
    function: str = ""
    """`module:function` or `file.py:function`; called with queries and responses (two lists of texts), it returns a
    number for each."""
    person: bool = False
    """A person rates the responses: each batch is held before its update until it is rated and continued. Responses
    without a rating score 0."""


class PpoSettings(Table, frozen=True, kw_only=True):
    """The PPO algorithm, with the names and defaults of TRL 0.11.4's `PPOConfig`."""

    batch_size: Positive = 32
    """Samples of a PPO batch. If it is less than mini_batch_size x gradient_accumulation_steps, that product is used:
    listing 7.6 gives 4, 4 and 8 and means 32."""

    ppo_epochs: Positive = 4
    """Passes over each batch."""
    mini_batch_size: Positive = 4
    """Samples in one forward and backward pass."""
    gradient_accumulation_steps: Positive = 1
    """Mini-batches that share one step of the optimiser."""

    kl_penalty: KlPenalty = "kl"
    """How a token's distance from the reference is measured: the difference of the two log-probabilities (`kl`), its
    absolute value (`abs`), half its square (`mse`), or the KL over the whole vocabulary (`full`)."""
    init_kl_coef: NonNegativeFloat = 0.2
    """beta, the weight of the KL in the reward, at the start."""
    adap_kl_ctrl: bool = True
    """Adapt beta so that the KL approaches `target`; otherwise beta is constant."""
    target: PositiveFloat = 6.0
    """The KL of a response, in nats, that the adaptive control aims at."""
    horizon: PositiveFloat = 10_000.0
    """Samples over which the adaptive control acts; a larger value makes it slower."""

    gamma: Fraction = 1.0
    """The discount factor: how much the next token's reward counts in this token's return."""
    lam: Fraction = 0.95
    """lambda of generalized advantage estimation."""
    whiten_rewards: bool = False
    """Scale the batch's token rewards to variance 1 before the advantages are computed."""

    cliprange: PositiveFloat = 0.2
    """The probability ratio is clipped to this distance from 1 in the policy loss."""
    cliprange_value: PositiveFloat = 0.2
    """A new value is clipped to this distance from the old one in the value loss."""
    vf_coef: NonNegativeFloat = 0.1
    """Weight of the value loss."""
    ratio_threshold: PositiveFloat = 10.0
    """A mini-batch whose mean ratio is above this does not change the weights."""
    early_stopping: bool = False
    """Skip the remaining passes once the policy has moved too far from where it was at the start of the batch."""
    target_kl: PositiveFloat = 1.0
    """Early stopping applies above 1.5 times this KL."""

    use_score_scaling: bool = False
    """Divide scores by the standard deviation of all scores so far."""
    use_score_norm: bool = False
    """With `use_score_scaling`: subtract the mean of all scores so far first."""
    score_clip: PositiveFloat | None = None
    """Scores are clipped to plus or minus this."""

    @property
    def samples(self) -> int:
        """Samples of a batch."""
        return max(self.batch_size, self.mini_batch_size * self.gradient_accumulation_steps)


class PpoTrainingConfig(TrainingConfig, frozen=True, kw_only=True):
    """The training arguments of a PPO run; a step is a batch."""

    learning_rate: PositiveFloat = 2e-5
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "constant"
    max_grad_norm: NonNegativeFloat = 0.0
    eval_steps: Positive = 20
    """Batches between two evaluations on the held-out queries."""
    per_device_eval_batch_size: Positive = 32
    """Held-out queries that are answered together at an evaluation."""
    kl_limit: PositiveFloat = 100.0
    """If the mean KL of a batch's responses is above this, in nats, the run stops with a checkpoint."""
    reference_responses: Natural = 2
    """Samples of each batch that the reference answers too, to show its response beside the policy's."""


class PpoRunConfig(Table, frozen=True, kw_only=True):
    """The whole configuration of a PPO run."""

    kind: Literal["ppo"] = "ppo"
    preset: str
    model: PolicyConfig
    data: QueryConfig
    generation: GenerationConfig
    rewards: tuple[RewardConfig, ...]
    ppo: PpoSettings
    training: PpoTrainingConfig

    def __post_init__(self) -> None:
        """Checks what depends on several keys; msgspec adds the key to the message."""
        table = self.ppo
        group = table.mini_batch_size * table.gradient_accumulation_steps
        if table.samples % group or group % min(group, table.batch_size):
            raise ValueError(
                f"ppo.batch_size ({table.batch_size}) and ppo.mini_batch_size x ppo.gradient_accumulation_steps"
                f" ({group}) must be such that one is a multiple of the other"
            )
        if table.samples % self.training.processes:
            raise ValueError(
                f"training.processes ({self.training.processes}) must divide a batch's"
                f" {counted(table.samples, 'sample')}"
            )
        if not self.rewards:
            raise ValueError("rewards: a PPO run needs at least one; give it a name and a model, function or person")
        names = [reward.name for reward in self.rewards]
        if len(set(names)) < len(names):
            raise ValueError(f"rewards: the names must differ, but they are: {', '.join(names)}")
        for reward in self.rewards:
            if sum((bool(reward.model), bool(reward.function), reward.person)) != 1:
                raise ValueError(
                    f"rewards.{reward.name}: give exactly one of model, function (module:function) and person"
                )
