"""The charts of a PPO run: their curves, limits and targets."""

from __future__ import annotations

from dataclasses import replace

from looptop.tui.plots.curves import FIRST, ROLES, SECOND
from looptop.tui.plots.spec import ChartSpec, Line
from looptop.tui.ppo.snapshot import PpoSnapshot

DEFAULT_DECIMALS = 2
MAX_CURVES = 4
"""The most curves of the charts of scores and of quality."""


def charts_of(snapshot: PpoSnapshot) -> tuple[ChartSpec, ...]:
    """The charts of a run, the most important first."""
    scores = [part.name for part in snapshot.rewards] or snapshot.names("scores/")
    quality = [*snapshot.names("quality/")][: MAX_CURVES - 1]
    score_lines = [Line(f"scores/{name}", name, role) for name, role in zip(scores, ROLES[:MAX_CURVES], strict=False)]
    quality_lines = [
        Line(f"quality/{name}", name, role) for name, role in zip(quality, ROLES[:MAX_CURVES], strict=False)
    ]
    quality_lines.append(Line("env/distinct", "distinct", ROLES[len(quality_lines)]))
    charts = (
        ChartSpec(
            "reward",
            "reward",
            (Line("env/reward_mean", "", FIRST), Line("eval_reward", "held out", SECOND, dots=True)),
            spread="env/reward_std",
        ),
        ChartSpec("scores", "scores", tuple(score_lines)),
        ChartSpec(
            "kl",
            "KL",
            (Line("objective/kl", "", FIRST),),
            target=snapshot.setting("ppo", "target", 6.0) if snapshot.setting("ppo", "adap_kl_ctrl", True) else None,
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
        ChartSpec("quality", "quality", tuple(quality_lines), lowest=0.0, highest=1.0),
    )
    # With a fixed number of decimals, the figures stay in place while the cursor moves.
    return tuple(replace(chart, decimals=chart.decimals or DEFAULT_DECIMALS) for chart in charts)
