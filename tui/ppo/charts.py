"""The charts of a PPO run: their curves, limits and targets."""

from __future__ import annotations

from dataclasses import replace

from looptop.tui.plots.curves import FIRST, ROLES, SECOND
from looptop.tui.plots.spec import ChartSpec, Line
from looptop.tui.ppo.snapshot import PpoSnapshot

DECIMALS = 2
MOST_CURVES = 4
"""Curves of one chart."""


def charts_of(snapshot: PpoSnapshot) -> tuple[ChartSpec, ...]:
    """The charts of a run, the most important first."""
    scores = [part.name for part in snapshot.rewards] or snapshot.names("scores/")
    quality = [*snapshot.names("quality/")][: MOST_CURVES - 1]
    named = [Line(f"scores/{name}", name, role) for name, role in zip(scores, ROLES[:MOST_CURVES], strict=False)]
    judged = [Line(f"quality/{name}", name, role) for name, role in zip(quality, ROLES[:MOST_CURVES], strict=False)]
    judged.append(Line("env/distinct", "distinct", ROLES[len(judged)]))
    charts = (
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
        ChartSpec("kl_coef", "KL coefficient", (Line("objective/kl_coef", "", FIRST),), decimals=3),
        ChartSpec("policy_loss", "policy loss", (Line("ppo/loss/policy", "", FIRST),), decimals=3),
        ChartSpec("value_loss", "value loss", (Line("ppo/loss/value", "", FIRST),), lowest=0.0),
        ChartSpec(
            "clipfrac",
            "clipped",
            (Line("ppo/policy/clipfrac", "policy", FIRST), Line("ppo/val/clipfrac", "value", SECOND)),
            lowest=0.0,
            decimals=3,
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
    # Figures of the same number of decimals stay in place while the cursor moves.
    return tuple(replace(chart, decimals=chart.decimals or DECIMALS) for chart in charts)
