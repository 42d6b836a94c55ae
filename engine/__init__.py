"""looptop's engine: trains, answers, scores and keeps runs, without a terminal.

The map of the package:

- `config` the configuration of a run, `presets/` the configurations that come with looptop
- `journal` the SQLite journal of a run; `runs` its folder, controls, checkpoints and alerts
- `launch` starts runs, each in a thread or a process of its own; `training` what all Trainers share
- `vqa` visual question answering: model, data, training, answers, accuracy
- `ppo` reinforcement learning from feedback, and reward models; `models` finds and loads models
- `asked` the questions that were asked and their answers: kept, searched, exported as training data
- `helpers` child processes that load torch for somebody else
- `compute` device, threads and precision; `machine` GPUs, terminal, file systems; `files` locks and private files
- `interchange` other programs' files
- `worlds` the generated worlds that the bundled models learned from, `bundle` rebuilds them, `bundled/` their weights
- `cli` the commands that need no screen

The public names below are loaded when they are first used, so importing this package is quick and loads neither torch
nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from looptop.engine.config import RunConfig as RunConfig
    from looptop.engine.config import override as override
    from looptop.engine.config import preset as preset
    from looptop.engine.errors import LooptopError as LooptopError
    from looptop.engine.journal.reader import Journal as Journal
    from looptop.engine.runs.folder import RunFolder as RunFolder
    from looptop.engine.runs.loop_run import LoopRun as LoopRun
    from looptop.engine.runs.loop_run import log as log
    from looptop.engine.startup.host import launch as launch
    from looptop.engine.startup.host import relaunch as relaunch
    from looptop.engine.startup.run import Run as Run
    from looptop.engine.startup.run import resume as resume
    from looptop.engine.startup.run import start as start
    from looptop.engine.training.callbacks import JournalCallback as JournalCallback
    from looptop.engine.vqa.answers.answerer import Answer as Answer
    from looptop.engine.vqa.answers.answerer import Answerer as Answerer
    from looptop.engine.vqa.model.vqa_model import VqaModel as VqaModel

_HOME_OF = {
    "Answer": "vqa.answers.answerer",
    "Answerer": "vqa.answers.answerer",
    "Journal": "journal.reader",
    "JournalCallback": "training.callbacks",
    "LoopRun": "runs.loop_run",
    "LooptopError": "errors",
    "Run": "startup.run",
    "RunConfig": "config",
    "RunFolder": "runs.folder",
    "VqaModel": "vqa.model.vqa_model",
    "launch": "startup.host",
    "log": "runs.loop_run",
    "override": "config",
    "preset": "config",
    "relaunch": "startup.host",
    "resume": "startup.run",
    "start": "startup.run",
}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'looptop.engine' has no attribute {name!r}")
    return getattr(import_module(f"looptop.engine.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
