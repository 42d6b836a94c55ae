"""Changes of a run's configuration when it is resumed: which are possible, and whether they prolong a finished run."""

from __future__ import annotations

from collections.abc import Sequence

from looptop.engine.config import RunConfig, override
from looptop.engine.config.catalogue import values_of
from looptop.engine.config.differences import value_text
from looptop.engine.errors import LooptopError, SettingError
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs import checkpoint
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.effects import refuse_settings_without_effect
from looptop.engine.text import counted

CHANGEABLE = (
    "training.num_train_epochs",
    "training.max_steps",
    "training.learning_rate",
    "training.lr_scheduler_type",
    "training.warmup_steps",
    "training.max_grad_norm",
    "training.eval_strategy",
    "training.eval_steps",
    "training.per_device_eval_batch_size",
    "training.early_stopping_patience",
    "training.answer_samples",
    "training.reference_responses",
    "training.kl_limit",
    "training.save_minutes",
    "training.logging_steps",
    "training.report_to",
    "training.on_alert",
    "training.dataloader_num_workers",
)
"""The settings that a resumed run can change. All others decide what the steps so far mean: the data and their order,
the model, what the optimiser remembers."""


def changed_config(folder: RunFolder, settings: Sequence[str]) -> RunConfig:
    """A run's configuration with the changes that it is to be resumed with.

    Args:
        folder: The run; not live.
        settings: `key=value`, as typed after `--set`; none for the configuration as it is.

    Raises:
        LooptopError: The run is finished and nothing prolongs it, a setting cannot be changed any more or has no
            effect, or nothing is left to train.
    """
    before = folder.config()
    config: RunConfig = override(before, settings)
    changed = changes_of(before, config)
    for key in changed:
        if key not in CHANGEABLE:
            raise SettingError(
                key,
                f"{key} cannot be changed when a run is resumed: its steps so far were made with"
                f" {value_text(values_of(before).get(key)) or 'none'}; start another one with `looptop train --like"
                f" {folder.shell_name}`",
            )
    refuse_settings_without_effect(config, before)
    finished = Journal(folder.db).state()[0] is RunState.FINISHED
    if not finished and not changed:
        return config
    newest = next(
        (path for path in checkpoint.steps(folder.checkpoints).values() if checkpoint.is_complete(path)), None
    )
    made = checkpoint.step_of(newest) if newest else 0
    if finished and not changed:
        raise LooptopError(
            f"{folder.id} is finished; prolong it: `looptop resume {folder.shell_name} --set {_prolonged(before)}`"
        )
    if finished and newest is None:
        raise LooptopError(
            f"{folder.id} is finished and has no checkpoint to go on from; start another one with `looptop train --like"
            f" {folder.shell_name}`"
        )
    planned = planned_steps(folder, before, config)
    if planned is not None and planned <= made:
        raise LooptopError(
            f"{folder.id} has made {counted(made, 'step')}, and with these settings it would make {planned:,}: raise"
            f" {'max_steps' if config.training.max_steps > 0 else 'num_train_epochs'}"
        )
    return config


def changes_of(before: RunConfig, after: RunConfig) -> dict[str, tuple[str, str]]:
    """The settings that differ, each with both values as text."""
    old, new = values_of(before), values_of(after)
    keys = dict.fromkeys([*old, *new])
    return {key: (value_text(old.get(key)), value_text(new.get(key))) for key in keys if old.get(key) != new.get(key)}


def planned_steps(folder: RunFolder, before: RunConfig, config: RunConfig) -> int | None:
    """How many steps a run will have made in the end with another configuration; None if that is not known yet."""
    if config.training.max_steps > 0:
        return config.training.max_steps
    total = Journal(folder.db).facts().get("total_steps")
    if not isinstance(total, int) or before.training.max_steps > 0:
        return None
    return round(total * config.training.num_train_epochs / before.training.num_train_epochs)


def _prolonged(config: RunConfig) -> str:
    """An example of a setting that makes a run longer."""
    if config.training.max_steps > 0:
        return f"max_steps={2 * config.training.max_steps}"
    return f"num_train_epochs={2 * config.training.num_train_epochs:g}"
