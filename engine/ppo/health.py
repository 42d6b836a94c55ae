"""What a practitioner would look at in a batch's figures: marks, each with what was seen, what it usually means, and
what to try.

Pure functions of the figures that are journalled, the batch's own and those of batches before it; no torch.
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
"""A batch's metrics by name; None and NaN are no number."""

FIRST_BATCHES = 10
"""So many batches show what the model was like."""
RECENT_BATCHES = 60
"""So many batches back a change is looked for."""
FEW = 5
"""With fewer batches to compare with, nothing is said of a change."""

KL, RATIO, VALUE_LOSS = "objective/kl", "ppo/policy/ratio_max", "ppo/loss/value"
EXPLAINED, ENTROPY = "ppo/val/explained_centred", "ppo/policy/entropy"
REWARD, SPREAD, LENGTH, CUT, DISTINCT = "env/reward_mean", "env/reward_std", "env/length", "env/cut", "env/distinct"
FIGURES = (KL, RATIO, VALUE_LOSS, EXPLAINED, ENTROPY, REWARD, SPREAD, LENGTH, CUT, DISTINCT)
"""What is looked at, besides the data's own judge (`quality/...`)."""

KL_NEGATIVE = -1.0
KL_FAR, KL_FAR_AT_ONCE = 2.4, 4.0
"""Times its target: the median of the last batches, or a single batch."""
RATIO_HIGH, RATIO_JUMP = 3.0, 3.0
"""A jump: above the first, and above the second times what it usually is; above `RATIO_ALWAYS` it is one anyway."""
RATIO_ALWAYS = 10.0
VALUE_LOSS_JUMP = 4.0
"""Times what it usually is."""
UNEXPLAINED_BATCHES = 20
UNEXPLAINED = -0.2
"""The values add so much of the returns' variance to the advantages."""
ENTROPY_LEFT = 0.3
"""Of what it was."""
LONGER, SHORTER, TOKENS = 1.75, 0.5, 3.0
"""A drift: by one of these factors, and by so many tokens."""
CUT_SHARE = 0.25
DISTINCT_SHARE = 0.25
RISEN, FALLEN = 0.5, 0.05
"""Reward up by so many of its standard deviations while a share of something good is down by so much."""
SURELY = 4.0
"""A fall is more than noise where it is so many of its standard errors."""
PAID_BACK = 1.5
"""A fall is no loss where other qualities have risen by so many times as much."""
EPISODE_GAP = 10
"""A mark that comes again after fewer batches without it goes on with its episode."""

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
"""Each kind of mark in a word or two, what matters most first."""

ALERTS = ("reward_hacking", "same_response")
"""Kinds of marks that say the run does not learn what was wanted: an episode of one is an alert of the run."""


@dataclass(frozen=True)
class Settings:
    """What the run was told that the marks go by."""

    target: float
    """Of the KL."""
    adaptive: bool
    """Whether its coefficient moves."""
    max_new_tokens: int

    @classmethod
    def of(cls, config: PpoRunConfig) -> Settings:
        """Those of a run."""
        return cls(config.ppo.target, config.ppo.adap_kl_ctrl, config.generation.max_new_tokens)


@dataclass(frozen=True)
class Course:
    """A run's figures up to a batch.

    Attributes:
        now: The batch's.
        recent: Those of the batches before it, the newest last.
        first: Those of the run's first batches.
    """

    now: Figures
    recent: Sequence[Figures] = ()
    first: Sequence[Figures] = ()

    def value(self, name: str) -> float | None:
        """The batch's figure, where it is a number."""
        return _number(self.now.get(name))

    def usual(self, name: str) -> float | None:
        """The median of the batches before; None where they are few."""
        return _median(_values(self.recent, name))

    def at_first(self, name: str) -> float | None:
        """The median of the run's first batches; None where they are few."""
        return _median(_values(self.first, name))

    def lately(self, name: str, count: int) -> list[float]:
        """The last figures, the batch's own among them."""
        return _values([*self.recent[-(count - 1) :], self.now] if count > 1 else [self.now], name)


def look(course: Course, settings: Settings) -> tuple[Mark, ...]:
    """Everything about the last batch of a course that a practitioner would look at."""
    return tuple(mark for check in _CHECKS if (mark := check(course, settings)) is not None)


class Health:
    """Looks at every batch of a run; what came before is read from the journal once.

    Args:
        journal: A reader of the run's.
        settings: What the run was told.
    """

    def __init__(self, journal: PpoJournal, settings: Settings) -> None:
        self._journal = journal
        self._settings = settings
        self._recent: deque[Figures] | None = None
        self._first: list[Figures] = []
        self._open: dict[str, tuple[int, int]] = {}
        """By the kind of mark, the batch in which its last episode began, and the last one that had it."""

    def look(self, step: int, figures: Mapping[str, float]) -> tuple[Mark, ...]:
        """The marks of the next batch, which is then one of those before.

        Args:
            step: The batch's.
            figures: Its metrics.
        """
        if self._recent is None:
            self._read(step, figures)
        assert self._recent is not None
        kept = {name: value for name, value in figures.items() if name in FIGURES or _is_quality(name)}
        found = look(Course(kept, list(self._recent), self._first), self._settings)
        marks = tuple(self._in_its_episode(step, mark) for mark in found)
        self._recent.append(kept)
        if len(self._first) < FIRST_BATCHES:
            self._first.append(kept)
        return marks

    def _in_its_episode(self, step: int, mark: Mark) -> Mark:
        since, last = self._open.get(mark.kind, (step, step))
        if step - last > EPISODE_GAP:
            since = step
        self._open[mark.kind] = (since, step)
        return msgspec.structs.replace(mark, since=since)

    def _read(self, step: int, figures: Mapping[str, float]) -> None:
        """What a resumed run had seen; steps from this one on are gone back over."""
        names = [*FIGURES, *filter(_is_quality, figures)]
        recent = self._journal.figures(names, step - RECENT_BATCHES, step - 1)
        first = self._journal.figures(names, 1, min(FIRST_BATCHES, step - 1))
        self._recent = deque((recent[at] for at in sorted(recent)), maxlen=RECENT_BATCHES)
        self._first = [first[at] for at in sorted(first)]
        for batch in self._journal.batches(step - EPISODE_GAP, step - 1):
            for mark in batch.marks:
                self._open[mark.kind] = (batch.step if mark.since is None else mark.since, batch.step)


# What is looked for ---------------------------------------------------------------------------------------------------


def kl_negative(course: Course, _settings: Settings) -> Mark | None:
    """A distance below zero."""
    kl = course.value(KL)
    if kl is None or kl >= KL_NEGATIVE:
        return None
    return Mark(
        "kl_negative",
        f"The mean KL is {kl:.2f}, and a distance cannot be negative. Usually the responses are not drawn from the"
        " model itself: top_k, top_p, a temperature or a minimum length is set. Set generation back to its defaults.",
    )


def kl_high(course: Course, settings: Settings) -> Mark | None:
    """A policy that has left its reference behind."""
    now, lately = course.value(KL), course.lately(KL, FEW)
    if now is None:
        return None
    kl = now if now > KL_FAR_AT_ONCE * settings.target else statistics.median(lately)
    if kl <= KL_FAR * settings.target:
        return None
    how = "raise ppo.init_kl_coef" if settings.adaptive else "raise ppo.init_kl_coef or let it adapt (adap_kl_ctrl)"
    what = "The mean KL" if kl == now else "The median KL of the last batches"
    return Mark(
        "kl_high",
        f"{what} is {kl:.2f}, {kl / settings.target:.1f} times its target of {settings.target:g}. The policy has"
        " moved far from the reference; what it gains there can be reward without sense. Read the samples with the"
        f" highest KL; lower training.learning_rate, or {how}.",
    )


def ratio_jump(course: Course, _settings: Settings) -> Mark | None:
    """An update that moved single tokens too far."""
    ratio, usual = course.value(RATIO), course.usual(RATIO)
    if ratio is None or ratio <= RATIO_HIGH:
        return None
    if ratio <= RATIO_ALWAYS and (usual is None or ratio <= RATIO_JUMP * usual):
        return None
    said = "" if usual is None else f", usually {usual:.2f}"
    return Mark(
        "ratio_jump",
        f"The largest ratio of new to old probability is {ratio:.1f}{said}. One update has moved a token further than"
        " the clipping can take back. Lower training.learning_rate or ppo.ppo_epochs, or turn on ppo.early_stopping.",
    )


def value_loss_jump(course: Course, _settings: Settings) -> Mark | None:
    """Values that no longer fit the returns."""
    loss, usual = course.value(VALUE_LOSS), course.usual(VALUE_LOSS)
    if loss is None or usual is None or loss <= VALUE_LOSS_JUMP * usual:
        return None
    if loss <= max(_values(course.recent, VALUE_LOSS)):
        return None
    return Mark(
        "value_loss_jump",
        f"The value loss is {loss:.3g}, usually {usual:.3g}. The returns are of another size than the values were"
        " taught: a reward far out of the usual, or a policy that has changed at once. Look at the batch's best and"
        " worst samples; set ppo.score_clip or ppo.use_score_scaling, or lower training.learning_rate.",
    )


def unexplained(course: Course, _settings: Settings) -> Mark | None:
    """Values that vary against the returns; a bias that all of them share does no harm."""
    lately = course.lately(EXPLAINED, UNEXPLAINED_BATCHES)
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


def entropy_collapse(course: Course, _settings: Settings) -> Mark | None:
    """A policy that has stopped trying."""
    lately = course.lately(ENTROPY, 3)
    before = [value for value in (course.at_first(ENTROPY), course.usual(ENTROPY)) if value is not None]
    if not lately or not before or max(before) <= 0:
        return None
    entropy = statistics.median(lately)
    if entropy >= ENTROPY_LEFT * max(before):
        return None
    return Mark(
        "entropy_collapse",
        f"The entropy is {entropy:.3g} nats a token and was {max(before):.3g}. The policy is nearly sure of every"
        " token and tries nothing new, often with one phrase that the reward likes. Read the samples; raise"
        " ppo.init_kl_coef, lower training.learning_rate, or go back to an earlier checkpoint.",
    )


def length_drift(course: Course, _settings: Settings) -> Mark | None:
    """Responses that have grown or shrunk."""
    lately, first = course.lately(LENGTH, FEW), course.at_first(LENGTH)
    if not lately or first is None or first <= 0:
        return None
    length = statistics.median(lately)
    if SHORTER * first <= length <= LONGER * first or abs(length - first) < TOKENS:
        return None
    longer = length > first
    word, means = ("longer", "rewards length") if longer else ("shorter", "punishes every word that can be wrong")
    return Mark(
        "length_drift",
        f"Responses are {length:.0f} tokens long and were {first:.0f}. They get {word} where the reward, unasked,"
        f" {means}. Sort a batch's samples by length and compare their rewards; if it is so, correct the reward.",
    )


def cut(course: Course, settings: Settings) -> Mark | None:
    """Responses without an end."""
    share = course.value(CUT)
    if share is None or share < CUT_SHARE:
        return None
    return Mark(
        "cut",
        f"{100 * share:.0f} % of the responses were cut at {settings.max_new_tokens} tokens, before their end. Their"
        " reward is of half a text, and the model is not taught to stop. Raise generation.max_new_tokens, or set"
        " generation.cut_penalty.",
    )


def same_response(course: Course, _settings: Settings) -> Mark | None:
    """One answer for everything."""
    share = course.value(DISTINCT)
    if share is None or share > DISTINCT_SHARE:
        return None
    return Mark(
        "same_response",
        f"Only {100 * share:.0f} % of the batch's responses differ: nearly every query gets the same one. The policy"
        " has found one text that the reward likes and no longer reads the query. Go back to an earlier checkpoint;"
        " reward what depends on the query, raise ppo.init_kl_coef.",
    )


def reward_hacking(course: Course, _settings: Settings) -> Mark | None:
    """A reward that rises while what is good falls: more than by chance, and not paid back by other qualities."""
    lately = [*course.recent[-(FIRST_BATCHES - 1) :], course.now]
    older = course.recent[: -(FIRST_BATCHES - 1)][:FIRST_BATCHES]
    if len(lately) < FIRST_BATCHES:
        return None
    names = [DISTINCT, *filter(_is_quality, course.now)]
    for before in (course.first, older):
        spread = _mean(before, SPREAD)
        risen = _rise(before, lately, REWARD)
        if len(before) < FEW or spread is None or risen is None or risen <= RISEN * spread or risen <= 0:
            continue
        changes = {name: change for name in names if (change := _rise(before, lately, name)) is not None}
        fallen = [name for name in changes if changes[name] <= -FALLEN and _is_sure(before, lately, name)]
        rises = sum(change for change in changes.values() if change > 0)
        if not fallen or rises >= PAID_BACK * -sum(changes[name] for name in fallen):
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
    """Whether two stretches of batches differ by more than a figure's noise (Welch's test)."""
    was, now = _values(before, name), _values(after, name)
    if len(was) < FEW or len(now) < FEW:
        return False
    error = math.sqrt(statistics.variance(was) / len(was) + statistics.variance(now) / len(now))
    return abs(statistics.fmean(now) - statistics.fmean(was)) > SURELY * error


_CHECKS: tuple[Callable[[Course, Settings], Mark | None], ...] = (
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
    return statistics.median(values) if len(values) >= FEW else None


def _mean(batches: Sequence[Figures], name: str) -> float | None:
    values = _values(batches, name)
    return statistics.fmean(values) if values else None


def _rise(before: Sequence[Figures], after: Sequence[Figures], name: str) -> float | None:
    was, is_now = _mean(before, name), _mean(after, name)
    return None if was is None or is_now is None else is_now - was
