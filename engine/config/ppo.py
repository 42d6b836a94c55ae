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

POLICY_FAMILIES = ("t5", "gpt2")
"""The model types, as a model's config.json names them, that can be tuned."""

KlPenalty = Literal["kl", "abs", "mse", "full"]


class PolicyConfig(Table, frozen=True, kw_only=True):
    """The model that is tuned. A name is a hub name, a local folder, `bundled:PART`, or a PPO run's id."""

    policy: str
    """Of the T5 or the GPT-2 family."""
    reference: str = ""
    """The frozen model that the KL is measured to; the policy as it begins where empty."""
    lora_rank: Natural = 0
    """Above 0: only adapters of this rank and the value head are trained (needs `peft`), and the reference is the same
    model with its adapters off."""
    lora_alpha: PositiveFloat = 16.0
    """What an adapter's output is scaled by, times the rank."""
    lora_modules: tuple[str, ...] = ()
    """Names of the layers that get adapters; `peft`'s choice for the family where empty."""
    kernels: Kernels = "fast"
    """`fast`: on a processor a T5 computes with looptop's own norms, attention and decoding loop. `transformers`: with
    those of transformers, as it always does on a GPU."""


class QueryConfig(Table, frozen=True, kw_only=True):
    """Where queries come from."""

    source: str
    """`newsroom` or `newsroom:SEED`, a data set's name on the hub, or a local CSV, JSONL or Parquet file."""
    split: str = "train"
    """Of a data set on the hub."""
    text_column: str = "text"
    prefix: str = ""
    """Put before every text, as `summarize: ` for T5."""
    max_query_tokens: Positive = 512
    """Longer queries are cut, counted, and named in the log."""
    max_queries: Positive | None = None
    """So many of the data set's texts at most."""
    held_out: Positive = 64
    """Queries that are never trained on and are answered at each evaluation."""


class GenerationConfig(Table, frozen=True, kw_only=True):
    """How responses are written. KL means something only where they are sampled from the model itself: the defaults."""

    max_new_tokens: Positive = 48
    min_new_tokens: Natural = 0
    temperature: PositiveFloat = 1.0
    top_k: Natural = 0
    """Only so many of the likeliest tokens; 0 takes all."""
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    num_beams: Positive = 1
    no_repeat_ngram_size: Natural = 0
    repetition_penalty: PositiveFloat = 1.0
    cut_penalty: NonNegativeFloat = 0.0
    """Taken off the reward of a response that was cut before its end."""

    def departures(self) -> list[str]:
        """The settings that make the sampled distribution another one than the model's."""
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
    """What the score is called in the journal, on the screen and in conditions: letters, digits and underscores."""
    weight: Real = 1.0
    model: str = ""
    """A sequence classifier: hub name, local folder, `bundled:PART`, or a reward run's id."""
    label: str = "LABEL_1"
    """The label whose logit is the score."""
    reads: Literal["response", "both"] = "response"
    """What the classifier is given: the response, or the query and the response."""
    max_tokens: Positive = 512
    """Longer texts are cut at their end."""
    function: str = ""
    """`module:function` or `file.py:function`, called with queries and responses, two lists of texts; gives as many
    numbers."""
    person: bool = False
    """What a person says: each batch is held before its update until it is rated (what is not, scores 0) and let go."""


class PpoSettings(Table, frozen=True, kw_only=True):
    """How a PPO batch is made and what it teaches: the names and defaults of TRL 0.11.4's `PPOConfig`."""

    batch_size: Positive = 32
    """The samples of a PPO batch. Where it is less than mini_batch_size x gradient_accumulation_steps, that product is:
    listing 7.6 says 4, 4 and 8 and means 32."""

    ppo_epochs: Positive = 4
    """Passes over each batch."""
    mini_batch_size: Positive = 4
    """Samples in one forward and backward pass."""
    gradient_accumulation_steps: Positive = 1
    """Mini-batches whose gradients go into one step of the optimiser."""

    kl_penalty: KlPenalty = "kl"
    """How a token's distance to the reference is measured; see `kl.kl_penalty`."""
    init_kl_coef: NonNegativeFloat = 0.2
    """beta, the weight of the KL in the reward, at the start."""
    adap_kl_ctrl: bool = True
    """Move beta so that the KL approaches `target`; otherwise it stays."""
    target: PositiveFloat = 6.0
    """A response's KL that the adaptive control aims at, in nats."""
    horizon: PositiveFloat = 10_000.0
    """Samples over which the adaptive control acts; more are slower."""

    gamma: Fraction = 1.0
    """What the next token's reward counts for in this one's return."""
    lam: Fraction = 0.95
    """lambda of the generalized advantage estimation."""
    whiten_rewards: bool = False
    """Bring the batch's token rewards to variance 1 before the advantages are computed."""

    cliprange: PositiveFloat = 0.2
    """How far from 1 the probability ratio counts in the policy loss."""
    cliprange_value: PositiveFloat = 0.2
    """How far from the old value a new one counts in the value loss."""
    vf_coef: NonNegativeFloat = 0.1
    """Weight of the value loss."""
    ratio_threshold: PositiveFloat = 10.0
    """A mini-batch whose mean ratio is above this teaches nothing."""
    early_stopping: bool = False
    """Leave out the remaining passes once the policy has moved too far from where the batch found it."""
    target_kl: PositiveFloat = 1.0
    """Early stopping acts above 1.5 times this."""

    use_score_scaling: bool = False
    """Divide scores by the standard deviation of all scores so far."""
    use_score_norm: bool = False
    """With `use_score_scaling`: take off the mean of all scores so far first."""
    score_clip: PositiveFloat | None = None
    """Scores beyond plus or minus this are cut to it."""

    @property
    def samples(self) -> int:
        """How many samples make a batch."""
        return max(self.batch_size, self.mini_batch_size * self.gradient_accumulation_steps)


class PpoTrainingConfig(TrainingConfig, frozen=True, kw_only=True):
    """The training arguments of a PPO run; a step is a batch."""

    learning_rate: PositiveFloat = 2e-5
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "constant"
    max_grad_norm: NonNegativeFloat = 0.0
    eval_steps: Positive = 20
    """Batches between two evaluations on the held-out queries."""
    per_device_eval_batch_size: Positive = 32
    kl_limit: PositiveFloat = 100.0
    """Where the mean KL of a batch's responses is above this, in nats, the run stops, with a checkpoint."""
    reference_responses: Natural = 2
    """Of each batch, so many samples are answered by the reference too, to be shown beside the policy's response."""


class PpoRunConfig(Table, frozen=True, kw_only=True):
    """All of a PPO run."""

    kind: Literal["ppo"] = "ppo"
    preset: str
    model: PolicyConfig
    data: QueryConfig
    generation: GenerationConfig
    rewards: tuple[RewardConfig, ...]
    ppo: PpoSettings
    training: PpoTrainingConfig

    def __post_init__(self) -> None:
        """Checks what no single key can say; msgspec names the place."""
        table = self.ppo
        group = table.mini_batch_size * table.gradient_accumulation_steps
        if table.samples % group or group % min(group, table.batch_size):
            raise ValueError(
                f"ppo.batch_size ({table.batch_size}) and ppo.mini_batch_size x ppo.gradient_accumulation_steps"
                f" ({group}) must be multiples one of the other"
            )
        if table.samples % self.training.processes:
            raise ValueError(
                f"training.processes ({self.training.processes}) must divide the {table.samples} samples of a batch"
            )
        if not self.rewards:
            raise ValueError("rewards: a PPO run needs at least one; give it a name and a model, function or person")
        names = [reward.name for reward in self.rewards]
        if len(set(names)) < len(names):
            raise ValueError(f"rewards: the names must differ, and they are: {', '.join(names)}")
        for reward in self.rewards:
            if sum((bool(reward.model), bool(reward.function), reward.person)) != 1:
                raise ValueError(
                    f"rewards.{reward.name}: give exactly one of model, function (module:function) and person"
                )
