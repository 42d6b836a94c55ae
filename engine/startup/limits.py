"""Settings that cannot work on this machine. Checked without torch, so the form can show them while a person types."""

from __future__ import annotations

import os
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.util import find_spec

from looptop.engine.compute.device_names import refuse_absent
from looptop.engine.config.settings import RunConfig
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.errors import LooptopError, SettingError
from looptop.engine.text import visible

LARGEST_SEED = 2**32 - 1
"""The largest seed that NumPy takes."""
MOST_PER_CORE = 8
"""Processes, threads and loading processes for each CPU core: more only wait for each other, and a thousand of them
leave the machine unusable."""

REPORTERS = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",), "trackio": ("trackio",)}
"""Trainer's reporters, each with the packages of which it needs one."""

_BITSANDBYTES = (
    "adamw_bnb_8bit adamw_8bit ademamix ademamix_8bit lion_8bit lion_32bit paged_adamw_32bit paged_adamw_8bit"
    " paged_ademamix_32bit paged_ademamix_8bit paged_lion_32bit paged_lion_8bit rmsprop_bnb rmsprop_bnb_8bit"
    " rmsprop_bnb_32bit"
)
_GALORE = (
    "galore_adamw galore_adamw_8bit galore_adafactor galore_adamw_layerwise galore_adamw_8bit_layerwise"
    " galore_adafactor_layerwise"
)
_NAMES_BY_PACKAGE = {
    "": "adamw_torch adamw_torch_fused adafactor sgd adagrad rmsprop",
    "torch_xla": "adamw_torch_xla",
    "torch_npu": "adamw_torch_npu_fused",
    "torchdistx": "adamw_anyprecision",
    "torchao": "adamw_torch_4bit adamw_torch_8bit",
    "bitsandbytes": _BITSANDBYTES,
    "galore_torch": _GALORE,
    "lomo_optim": "lomo adalomo",
    "grokadamw": "grokadamw",
    "schedulefree": "schedule_free_radam schedule_free_adamw schedule_free_sgd",
    "apollo_torch": "apollo_adamw apollo_adamw_layerwise",
    "optimi": "stable_adamw",
}
OPTIMIZERS = {name: package for package, names in _NAMES_BY_PACKAGE.items() for name in names.split()}
"""transformers' names of optimisers, each with the package that it needs besides torch; empty if it needs none."""


def impossible_values(config: RunConfig) -> dict[str, str]:
    """The settings with which the run cannot train on this machine, by key, each with a sentence."""
    return {error.key: str(error) for error in _impossible(config)}


def refuse_impossible(config: RunConfig, before: RunConfig | None = None) -> None:
    """Refuses values with which the run cannot train on this machine.

    Args:
        config: The run's configuration.
        before: The configuration that a resumed run has trained with so far. More processes, threads or loading
            processes than this machine has cores for are refused only if they are new: the run has trained with them.

    Raises:
        SettingError: There is one; names it.
    """
    for error in _impossible(config, before):
        raise error


def _impossible(config: RunConfig, before: RunConfig | None = None) -> Iterator[SettingError]:
    training = config.training
    try:
        refuse_absent(training.device)
    except LooptopError as error:
        yield SettingError("training.device", str(error))
    else:
        try:
            refuse_absent(training.device, training.precision)
        except LooptopError as error:
            yield SettingError("training.precision", str(error))
    if training.seed > LARGEST_SEED:
        yield SettingError("training.seed", f"training.seed is {training.seed}: it can be {LARGEST_SEED} at most")
    if problem := _optimizer_problem(training.optim):
        yield SettingError("training.optim", f"training.optim is '{visible(training.optim)}': {problem}")
    for reporter in training.report_to:
        packages = REPORTERS.get(reporter, ())
        if packages and not any(find_spec(package) for package in packages):
            yield SettingError(
                "training.report_to",
                f"training.report_to names {reporter}, which needs the package {packages[0]}; install it",
            )
            break
    cores = os.cpu_count() or 1
    for name in ("processes", "threads", "dataloader_num_workers"):
        value = getattr(training, name, 0)
        is_new = before is None or value != getattr(before.training, name, 0)
        if is_new and value > MOST_PER_CORE * cores:
            yield SettingError(
                f"training.{name}",
                f"training.{name} is {value:,}, and this machine has {cores} CPU cores; give at most"
                f" {MOST_PER_CORE * cores:,}",
            )
    if isinstance(config, VqaRunConfig) and config.data.end_at is not None:
        start, end = config.data.start_at or 0, config.data.end_at
        if end <= start:
            yield SettingError("data.end_at", f"data.end_at is {end:,}: it must be above data.start_at, {start:,}")


def _optimizer_problem(name: str) -> str:
    """Why the optimiser cannot be used; empty if it can."""
    package = OPTIMIZERS.get(name)
    if package is None:
        close = get_close_matches(name, OPTIMIZERS, n=3)
        return "transformers has no such optimiser; " + (
            f"did you mean {' or '.join(close)}?" if close else "choose adamw_torch, adafactor or sgd"
        )
    if package and find_spec(package) is None:
        return f"it needs the package {package}, which is not installed"
    return ""
