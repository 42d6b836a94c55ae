"""The settings of the data that a model is evaluated on. Imports neither torch nor a data library."""

from __future__ import annotations

import msgspec

from looptop.engine import config as configuration
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.vqa.data.split_name import source_and_split
from looptop.engine.vqa.model.saved_models import run_of


def evaluation_config(model: str, settings: tuple[str, ...]) -> VqaRunConfig:
    """The configuration of the run that made a model, or of the preset, with other settings of the data.

    Args:
        model: The model's name.
        settings: The other settings, as KEY=VALUE.

    Raises:
        LooptopError: The run does not answer questions, or there is no such setting.
    """
    run = run_of(model)
    config = configuration.override(run.config() if run else configuration.preset("tiny"), list(settings))
    if not isinstance(config, VqaRunConfig):
        assert run is not None  # The preset answers questions.
        raise LooptopError(
            f"{run.id} is a {config.kind} run; eval takes models that answer questions about images; see"
            f" `looptop show {run.shell_name}`"
        )
    return config


def config_of_data(model: str, data: str | None, settings: tuple[str, ...]) -> VqaRunConfig:
    """A configuration that names the data of an evaluation, and nothing else that may be missing on this machine.

    Args:
        model: The model's name.
        data: `SOURCE:SPLIT` or `SOURCE`; None for the model's own data.
        settings: Other settings of the data, as KEY=VALUE.

    Raises:
        LooptopError: As for `evaluation_config`.
    """
    of_data = evaluation_config(model, settings).data
    if data is not None:
        of_data = msgspec.structs.replace(of_data, source=source_and_split(data)[0] or of_data.source)
    preset = configuration.preset("tiny")
    assert isinstance(preset, VqaRunConfig)
    return msgspec.structs.replace(preset, data=of_data)
