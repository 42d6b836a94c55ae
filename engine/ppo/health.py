"""Health checks of a PPO batch: each mark says what the figures show, what it usually means, and what to try.

Pure functions of the journal's figures of a batch and of the batches before it. Does not import torch.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.records import Mark
from looptop.engine.text import join_text

Figures = Mapping[str, float | None]
"""A batch's metrics by name; None and NaN mean that a figure is not known."""

FIRST_BATCHES = 10
"""The number of batches that show what the model was like at first."""
RECENT_BATCHES = 60
"""The number of batches in which a change is searched for."""
MIN_BATCHES = 5
"""With fewer batches to compare with, no change is reported."""

KL, RATIO, VALUE_LOSS = "objective/kl", "ppo/policy/ratio_max", "ppo/loss/value"
EXPLAINED, ENTROPY = "ppo/val/explained_centred", "ppo/policy/entropy"
REWARD, SPREAD, LENGTH, CUT, DISTINCT = "env/reward_mean", "env/reward_std", "env/length", "env/cut", "env/distinct"
FIGURES = (KL, RATIO, VALUE_LOSS, EXPLAINED, ENTROPY, REWARD, SPREAD, LENGTH, CUT, DISTINCT)
"""The figures that are checked, besides those of quality (`quality/...`)."""

KL_NEGATIVE = -1.0
KL_HIGH, KL_HIGH_IN_ONE_BATCH = 2.4, 4.0
"""KL is too high if the median of the last batches, or that of a single batch, is this many times its target."""
RATIO_HIGH, RATIO_JUMP, RATIO_ALWAYS = 3.0, 3.0, 10.0
"""A jump: above the first, and above the second times the usual ratio; above the third in any case."""
VALUE_LOSS_JUMP = 4.0
"""A value loss jumps if it is this many times the usual one."""
UNEXPLAINED_BATCHES, UNEXPLAINED = 20, -0.2
"""Explained variance of the returns; below 0 the values add to the variance of the advantages."""
ENTROPY_SHARE_LEFT = 0.3
"""Entropy has collapsed if this share of its earlier level is left."""
LONGER_FACTOR, SHORTER_FACTOR, MIN_DRIFT_TOKENS = 1.75, 0.5, 3.0
"""A drift: by one of these factors, and by at least this many tokens."""
CUT_SHARE, DISTINCT_SHARE = 0.25, 0.25
REWARD_RISE, QUALITY_FALL = 0.5, 0.05
"""Reward up by this many standard deviations while a share of something good is down by this much."""
SURE_STANDARD_ERRORS = 4.0
"""A fall of this many standard errors is more than noise."""
COMPENSATION_FACTOR = 1.5
"""A fall does not count if other qualities have risen by this many times as much."""
EPISODE_GAP = 10
"""A mark that returns within this many batches of its last one continues its episode."""

LABELS = {
    "reward_hacking": "cheating?",
    "same_response": "same response",
    "kl_negative": "KL < 0",
    "kl_high": "KL high",
    "ratio_jump": "ratio",
    "value_loss_jump": "value loss",
    "unexplained": "values",
    "entropy_collapse": "entropy",
    "length_drift": "length",
    "cut": "cut",
}
"""Each kind of mark in a word or two, the most important first."""

ALERT_KINDS = ("reward_hacking", "same_response")
"""Kinds of marks of a run that does not learn what was intended: an episode of one is an alert."""


@dataclass(frozen=True)
class Settings:
    """The settings of a run that the checks depend on."""

    target: float
    """The target of the KL."""
    adaptive: bool
    """Whether the KL coefficient adapts."""
    max_new_tokens: int

    @classmethod
    def of(cls, config: PpoRunConfig) -> Settings:
        """The settings of a run's configuration."""
        return cls(config.ppo.target, config.ppo.adap_kl_ctrl, config.generation.max_new_tokens)


@dataclass(frozen=True)
class History:
    """The figures of a run up to a batch.

    Attributes:
        now: The figures of the batch.
        recent: The figures of the batches before it, the newest last.
        first: The figures of the run's first batches.
    """

    now: Figures
    recent: Sequence[Figures] = ()
    first: Sequence[Figures] = ()

    def value(self, name: str) -> float | None:
        """The batch's figure; None if it is not known."""
        return _number(self.now.get(name))

    def usual(self, name: str) -> float | None:
        """The median of the batches before; None if they are too few."""
        return _median(_values(self.recent, name))

    def at_first(self, name: str) -> float | None:
        """The median of the run's first batches; None if they are too few."""
        return _median(_values(self.first, name))

    def lately(self, name: str, count: int) -> list[float]:
        """The figure in the last batches, this batch included."""
        return _values([*self.recent[-(count - 1) :], self.now] if count > 1 else [self.now], name)


def failed_checks(history: History, settings: Settings) -> tuple[Mark, ...]:
    """The marks of the last batch of a history."""
    return tuple(mark for check in _CHECKS if (mark := check(history, settings)) is not None)


class Health:
    """Checks every batch of a run; earlier batches are read from the journal once.

    Args:
        journal: Reads the run's journal.
        settings: The settings of the run.
    """

    def __init__(self, journal: PpoJournal, settings: Settings) -> None:
        self._journal = journal
        self._settings = settings
        self._recent: deque[Figures] | None = None
        self._first: list[Figures] = []
        self._open: dict[str, tuple[int, int]] = {}
        """By the kind of mark, the batch in which its last episode began, and the last one that had it."""

    def check(self, step: int, figures: Mapping[str, float]) -> tuple[Mark, ...]:
        """The marks of the next batch, which then counts among the earlier ones.

        Args:
            step: The batch's step.
            figures: The batch's metrics.
        """
        if self._recent is None:
            self._read(step, figures)
        assert self._recent is not None
        kept = {name: value for name, value in figures.items() if name in FIGURES or _is_quality(name)}
        marks = failed_checks(History(kept, list(self._recent), self._first), self._settings)
        marks = tuple(self._with_episode(step, mark) for mark in marks)
        self._recent.append(kept)
        if len(self._first) < FIRST_BATCHES:
            self._first.append(kept)
        return marks

    def _with_episode(self, step: int, mark: Mark) -> Mark:
        since, last = self._open.get(mark.kind, (step, step))
        if step - last > EPISODE_GAP:
            since = step
        self._open[mark.kind] = (since, step)
        return msgspec.structs.replace(mark, since=since)

    def _read(self, step: int, figures: Mapping[str, float]) -> None:
        """Reads the batches before a resume; those from this step on are made again."""
        names = [*FIGURES, *filter(_is_quality, figures)]
        recent = self._journal.figures(names, step - RECENT_BATCHES, step - 1)
        first = self._journal.figures(names, 1, min(FIRST_BATCHES, step - 1))
        self._recent = deque((recent[at] for at in sorted(recent)), maxlen=RECENT_BATCHES)
        self._first = [first[at] for at in sorted(first)]
        for batch in self._journal.batches(step - EPISODE_GAP, step - 1):
            for mark in batch.marks:
                self._open[mark.kind] = (batch.step if mark.since is None else mark.since, batch.step)


# The checks ----------------------------------------------------------------------------------------------------------


def kl_negative(history: History, _settings: Settings) -> Mark | None:
    """A distance below zero."""
    kl = history.value(KL)
    if kl is None or kl >= KL_NEGATIVE:
        return None
    return Mark(
        "kl_negative",
        f"The mean KL is {kl:.2f}, and a distance cannot be negative. Usually the responses are not drawn from the"
        " model itself: top_k, top_p, a temperature or a minimum length is set. Set generation back to its defaults.",
    )


def kl_high(history: History, settings: Settings) -> Mark | None:
    """A policy far from its reference."""
    now, lately = history.value(KL), history.lately(KL, MIN_BATCHES)
    if now is None:
        return None
    kl = now if now > KL_HIGH_IN_ONE_BATCH * settings.target else statistics.median(lately)
    if kl <= KL_HIGH * settings.target:
        return None
    how = "raise ppo.init_kl_coef" if settings.adaptive else "raise ppo.init_kl_coef or let it adapt (adap_kl_ctrl)"
    what = "The mean KL" if kl == now else "The median KL of the last batches"
    return Mark(
        "kl_high",
        f"{what} is {kl:.2f}, {kl / settings.target:.1f} times its target of {settings.target:g}. The policy has"
        " moved far from the reference; what it gains can be reward without sense. Read the samples with the"
        f" highest KL; lower training.learning_rate, or {how}.",
    )


def ratio_jump(history: History, _settings: Settings) -> Mark | None:
    """An update that moved single tokens too far."""
    ratio, usual = history.value(RATIO), history.usual(RATIO)
    if ratio is None or ratio <= RATIO_HIGH:
        return None
    if ratio <= RATIO_ALWAYS and (usual is None or ratio <= RATIO_JUMP * usual):
        return None
    usually = "" if usual is None else f", usually {usual:.2f}"
    return Mark(
        "ratio_jump",
        f"The largest ratio of new to old probability is {ratio:.1f}{usually}. One update has moved a token further"
        " than the clipping can undo. Lower training.learning_rate or ppo.ppo_epochs, or turn on ppo.early_stopping.",
    )


def value_loss_jump(history: History, _settings: Settings) -> Mark | None:
    """Values that do not fit the returns."""
    loss, usual = history.value(VALUE_LOSS), history.usual(VALUE_LOSS)
    if loss is None or usual is None or loss <= VALUE_LOSS_JUMP * usual:
        return None
    if loss <= max(_values(history.recent, VALUE_LOSS)):
        return None
    return Mark(
        "value_loss_jump",
        f"The value loss is {loss:.3g}, usually {usual:.3g}. The returns are of another size than the values were"
        " taught: a reward far out of the usual, or a policy that has changed suddenly. Read the batch's best and"
        " worst samples; set ppo.score_clip or ppo.use_score_scaling, or lower training.learning_rate.",
    )


def unexplained(history: History, _settings: Settings) -> Mark | None:
    """Values that vary against the returns; a bias that all of them share does no harm."""
    lately = history.lately(EXPLAINED, UNEXPLAINED_BATCHES)
    if len(lately) < UNEXPLAINED_BATCHES or max(lately) >= 0:
        return None
    explained = statistics.median(lately)
    if explained > UNEXPLAINED:
        return None
    return Mark(
        "unexplained",
        f"Apart from a bias that all values share, they have explained less than nothing of the returns for"
        f" {UNEXPLAINED_BATCHES} batches ({explained:.2f} of their variance). The advantages vary more with these"
        " values than they would without. Raise ppo.vf_coef or ppo.cliprange_value, or scale the rewards"
        " (ppo.use_score_scaling).",
    )


def entropy_collapse(history: History, _settings: Settings) -> Mark | None:
    """A policy that no longer explores."""
    lately = history.lately(ENTROPY, 3)
    before = [value for value in (history.at_first(ENTROPY), history.usual(ENTROPY)) if value is not None]
    if not lately or not before or max(before) <= 0:
        return None
    entropy = statistics.median(lately)
    if entropy >= ENTROPY_SHARE_LEFT * max(before):
        return None
    return Mark(
        "entropy_collapse",
        f"The entropy is {entropy:.3g} nats a token and was {max(before):.3g}. The policy is nearly sure of every"
        " token and tries nothing new, often with one phrase that the reward likes. Read the samples; raise"
        " ppo.init_kl_coef, lower training.learning_rate, or go back to an earlier checkpoint.",
    )


def length_drift(history: History, _settings: Settings) -> Mark | None:
    """Responses that have grown or shrunk."""
    lately, first = history.lately(LENGTH, MIN_BATCHES), history.at_first(LENGTH)
    if not lately or first is None or first <= 0:
        return None
    length = statistics.median(lately)
    if SHORTER_FACTOR * first <= length <= LONGER_FACTOR * first or abs(length - first) < MIN_DRIFT_TOKENS:
        return None
    longer = length > first
    word, means = ("longer", "rewards length") if longer else ("shorter", "punishes every word that can be wrong")
    return Mark(
        "length_drift",
        f"Responses are {length:.0f} tokens long and were {first:.0f}. They get {word} where the reward, unasked,"
        f" {means}. Sort a batch's samples by length and compare their rewards; if it is so, correct the reward.",
    )


def cut(history: History, settings: Settings) -> Mark | None:
    """Responses without an end."""
    share = history.value(CUT)
    if share is None or share < CUT_SHARE:
        return None
    return Mark(
        "cut",
        f"{100 * share:.0f} % of the responses were cut at {settings.max_new_tokens} tokens, before their end. Their"
        " reward is of half a text, and the model is not taught to stop. Raise generation.max_new_tokens, or set"
        " generation.cut_penalty.",
    )


def same_response(history: History, _settings: Settings) -> Mark | None:
    """One answer for everything."""
    share = history.value(DISTINCT)
    if share is None or share > DISTINCT_SHARE:
        return None
    return Mark(
        "same_response",
        f"Only {100 * share:.0f} % of the batch's responses differ: nearly every query gets the same one. The policy"
        " has found one text that the reward likes and no longer reads the query. Go back to an earlier checkpoint;"
        " reward what depends on the query, raise ppo.init_kl_coef.",
    )


def reward_hacking(history: History, _settings: Settings) -> Mark | None:
    """A reward that rises while a quality falls: more than by chance, and without other qualities rising as much."""
    lately = [*history.recent[-(FIRST_BATCHES - 1) :], history.now]
    older = history.recent[: -(FIRST_BATCHES - 1)][:FIRST_BATCHES]
    if len(lately) < FIRST_BATCHES:
        return None
    names = [DISTINCT, *filter(_is_quality, history.now)]
    for before in (history.first, older):
        spread = _mean(before, SPREAD)
        risen = _rise(before, lately, REWARD)
        if len(before) < MIN_BATCHES or spread is None or risen is None or risen <= REWARD_RISE * spread or risen <= 0:
            continue
        changes = {name: change for name in names if (change := _rise(before, lately, name)) is not None}
        fallen = [name for name in changes if changes[name] <= -QUALITY_FALL and _is_sure(before, lately, name)]
        rises = sum(change for change in changes.values() if change > 0)
        if not fallen or rises >= COMPENSATION_FACTOR * -sum(changes[name] for name in fallen):
            continue
        falls = [f"{_word(name)} fell from {_mean(before, name):.2f} to {_mean(lately, name):.2f}" for name in fallen]
        return Mark(
            "reward_hacking",
            f"The reward rose by {risen:.2f} while {join_text(falls, 'and')}, more than they vary by chance. The policy"
            " may be pleasing the reward models without doing the task. Read the batch's best samples: if they are"
            " not what you want, correct the reward, raise ppo.init_kl_coef, or stop at an earlier checkpoint.",
        )
    return None


def _word(name: str) -> str:
    return "the share of different responses" if name == DISTINCT else name.partition("/")[2]


def _is_sure(before: Sequence[Figures], after: Sequence[Figures], name: str) -> bool:
    """Whether a figure differs between two groups of batches by more than its noise (Welch's test)."""
    was, now = _values(before, name), _values(after, name)
    if len(was) < MIN_BATCHES or len(now) < MIN_BATCHES:
        return False
    error = math.sqrt(statistics.variance(was) / len(was) + statistics.variance(now) / len(now))
    return abs(statistics.fmean(now) - statistics.fmean(was)) > SURE_STANDARD_ERRORS * error


_CHECKS: tuple[Callable[[History, Settings], Mark | None], ...] = (
    reward_hacking,
    same_response,
    kl_negative,
    kl_high,
    ratio_jump,
    value_loss_jump,
    unexplained,
    entropy_collapse,
    length_drift,
    cut,
)


def _is_quality(name: str) -> bool:
    return name.startswith("quality/")


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _values(batches: Iterable[Figures], name: str) -> list[float]:
    return [value for batch in batches if (value := _number(batch.get(name))) is not None]


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if len(values) >= MIN_BATCHES else None


def _mean(batches: Sequence[Figures], name: str) -> float | None:
    values = _values(batches, name)
    return statistics.fmean(values) if values else None


def _rise(before: Sequence[Figures], after: Sequence[Figures], name: str) -> float | None:
    was, is_now = _mean(before, name), _mean(after, name)
    return None if was is None or is_now is None else is_now - was
