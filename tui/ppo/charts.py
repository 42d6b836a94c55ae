"""What is drawn of a PPO run: the charts, their curves, and where each figure should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from looptop.engine.journal.reader import Series
from looptop.tui.plots.curves import averages, envelope, numbers
from looptop.tui.plots.plot import FAINT, FIRST, SECOND, Axes, Curve
from looptop.tui.plots.raster import ROLES, TARGET
from looptop.tui.ppo.snapshot import PpoSnapshot

MOST = 4
"""Curves of one chart."""


class Line(NamedTuple):
    """One curve of a chart."""

    metric: str
    label: str
    role: int
    dots: bool = False


@dataclass(frozen=True)
class ChartSpec:
    """One chart."""

    key: str
    title: str
    lines: tuple[Line, ...]
    spread: str = ""
    """The metric of the first line's standard deviation, drawn around it."""
    target: float | None = None
    """Where the first line should be."""
    lowest: float | None = None
    highest: float | None = None

    @property
    def metrics(self) -> list[str]:
        """All that is read for it."""
        return [line.metric for line in self.lines] + ([self.spread] if self.spread else [])


def charts_of(snapshot: PpoSnapshot) -> tuple[ChartSpec, ...]:
    """The charts of a run, the most looked-at first."""
    scores = [part.name for part in snapshot.rewards] or snapshot.names("scores/")
    quality = [*snapshot.names("quality/")][: MOST - 1]
    named = [Line(f"scores/{name}", name, role) for name, role in zip(scores, ROLES, strict=False)]
    judged = [Line(f"quality/{name}", name, role) for name, role in zip(quality, ROLES, strict=False)]
    judged.append(Line("env/distinct", "distinct", ROLES[len(judged)]))
    return (
        ChartSpec(
            "reward",
            "reward",
            (Line("env/reward_mean", "", FIRST), Line("eval_reward", "held out", SECOND, dots=True)),
            spread="env/reward_std",
        ),
        ChartSpec("scores", "scores", tuple(named)),
        ChartSpec(
            "kl",
            "KL",
            (Line("objective/kl", "", FIRST),),
            target=snapshot.setting("ppo", "target", 6.0),
        ),
        ChartSpec("kl_coef", "KL coefficient", (Line("objective/kl_coef", "", FIRST),)),
        ChartSpec("policy_loss", "policy loss", (Line("ppo/loss/policy", "", FIRST),)),
        ChartSpec("value_loss", "value loss", (Line("ppo/loss/value", "", FIRST),), lowest=0.0),
        ChartSpec(
            "clipfrac",
            "clipped",
            (Line("ppo/policy/clipfrac", "policy", FIRST), Line("ppo/val/clipfrac", "value", SECOND)),
            lowest=0.0,
        ),
        ChartSpec(
            "explained",
            "expl. variance",
            (Line("ppo/val/explained_centred", "", FIRST),),
            highest=1.0,
        ),
        ChartSpec("entropy", "entropy", (Line("ppo/policy/entropy", "", FIRST),), lowest=0.0),
        ChartSpec("length", "length", (Line("env/length", "", FIRST),)),
        ChartSpec("ratio", "largest ratio", (Line("ppo/policy/ratio_max", "", FIRST),), target=1.0),
        ChartSpec("quality", "quality", tuple(judged), lowest=0.0, highest=1.0),
    )


def curves_of(spec: ChartSpec, series: dict[str, Series], weight: float) -> list[Curve]:
    """The curves of a chart, smoothed, what is in front last."""
    curves: list[Curve] = []
    mean = series.get(spec.lines[0].metric) if spec.lines else None
    spread = series.get(spec.spread)
    if mean is not None and spread is not None:
        (steps, middle), (around_steps, around) = (
            averages(each) if weight else (each.steps, numbers(each.mean)) for each in (mean, spread)
        )
        if steps == around_steps:
            for sign in (-1, 1):
                edge = [value + sign * wide for value, wide in zip(middle, around, strict=True)]
                curves.append(Curve(FAINT, steps, edge))
    if mean is not None and mean.steps and spec.target is not None:
        curves.append(Curve(TARGET, (mean.steps[0], mean.steps[-1]), (spec.target, spec.target)))
    if weight:
        # No peak is lost to the smoothing: the smallest and largest values stay, faint.
        for line in reversed(spec.lines):
            found = series.get(line.metric)
            if found is not None and not line.dots:
                curves.append(Curve(FAINT, *envelope(found)))
    for line in reversed(spec.lines):
        found = series.get(line.metric)
        if found is None or not found.steps:
            continue
        if line.dots:
            curves.append(Curve(line.role, found.steps, numbers(found.mean), dots=True))
        elif found.smoothed:
            curves.append(Curve(line.role, *averages(found)))
        else:
            curves.append(Curve(line.role, *envelope(found)))
    return curves


def axes_of(spec: ChartSpec, snapshot: PpoSnapshot) -> Axes:
    """All batches that there are; while the run is live a round number of them, so that they seldom change."""
    last = max(snapshot.last, 2)
    if snapshot.live:
        last = min(_round(last), max(snapshot.total, last))
    return Axes(min(snapshot.first, 1), last, spec.lowest, spec.highest)


def _round(count: int) -> int:
    """A round number, at least as large."""
    power = int(10 ** (len(str(count)) - 1))
    return next(part * power for part in (1, 2, 3, 5, 7, 10) if part * power >= count)
