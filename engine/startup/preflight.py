"""Checks a configuration before its run is created: the data, the models and the reward functions that it names.

A model that is not on this machine is searched for on the hub, if that can be reached. A reward function is called
with two texts, in a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from looptop.engine.config import RunConfig
from looptop.engine.config.ppo import PpoRunConfig, RewardConfig
from looptop.engine.config.reward import RewardRunConfig
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.errors import LooptopError, SettingError, error_text
from looptop.engine.models.folder_check import check_model_files
from looptop.engine.models.names import BUNDLED, read_json, resolve, resolve_adapters
from looptop.engine.models.uses import Use, index_of_label, refuse_use
from looptop.engine.paths import path_of
from looptop.engine.startup.sources import refuse_missing
from looptop.engine.startup.table_peek import TablePeek, peek
from looptop.engine.text import counted, visible
from looptop.engine.vqa.model import saved_models as vqa_models

FUNCTION_SECONDS = 120.0
"""How long a reward function may take for two texts, its imports included."""

HUB_SECONDS = 5.0

_HUB_NAME = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}(/[A-Za-z0-9_][\w.-]{0,95})?")
_TEXTS = (
    "The council of Oslo announced on Monday that a new tram line will open in two years.",
    "A hospital in Rome closed one of its two schools for nurses, and six teachers lost their work.",
)
_PARTS: dict[str, Use] = {
    "text_encoder": "text encoder",
    "image_encoder": "image encoder",
    "decoder": "decoder",
}
_MODEL_FILES = ("config.json", "adapter_config.json")


def refuse_unusable(config: RunConfig) -> None:
    """Checks the data, the models and the reward functions that a configuration names.

    Raises:
        SettingError: One of them cannot be used; says why.
    """
    if isinstance(config, VqaRunConfig):
        _check_vqa_data(config)
        if config.model.start_from:
            with _setting("model.start_from"):
                vqa_models.folder_of(config.model.start_from)
        else:
            for part, use in _PARTS.items():
                _check_use(f"model.{part}", getattr(config.model, part), use)
    elif isinstance(config, PpoRunConfig):
        _check_source(config)
        _check_texts(config)
        _check_use("model.policy", config.model.policy, "policy")
        if config.model.reference:
            _check_use("model.reference", config.model.reference, "policy")
        for reward in config.rewards:
            if reward.model:
                _check_reward_model(reward)
            elif reward.function:
                _check_function(reward, config)
    elif isinstance(config, RewardRunConfig):
        _check_source(config)
        _refuse_empty(config.data.source, peek(config.data.source, 1))
        _check_use("model.classifier", config.model.classifier, "classifier")


def refuse_unusable_data(config: RunConfig) -> None:
    """As `refuse_unusable`, the data alone: it loads nothing and calls nothing.

    Raises:
        SettingError: It cannot be used; says why.
    """
    refuse_missing(config)
    if isinstance(config, VqaRunConfig):
        _check_vqa_data(config)
    else:
        _check_source(config)
        if isinstance(config, PpoRunConfig):
            _check_texts(config)


@contextlib.contextmanager
def _setting(key: str) -> Iterator[None]:
    """Turns an error in the block into a `SettingError` of this setting, unless it names a setting itself."""
    try:
        yield
    except SettingError:
        raise
    except LooptopError as error:
        raise SettingError(key, str(error)) from None


def _check_vqa_data(config: VqaRunConfig) -> None:
    from looptop.engine.vqa.data.table import check_columns, find_tables  # imports the image library

    data = config.data
    if data.source == "easy-vqa":
        return
    if data.images and not path_of(data.images).is_dir():
        raise SettingError("data.images", f"data.images names {visible(data.images)}, which is no folder")
    if data.source == "vqa-v2":
        for key in ("annotations", "questions"):
            if not path_of(getattr(data, key)).is_file():
                raise SettingError(f"data.{key}", f"data.{key} names {visible(getattr(data, key))}, which is no file")
        return
    source = path_of(data.source)
    if not any((source / name).is_file() for name in ("state.json", "dataset_dict.json")):
        with _setting("data.source"):
            for table in find_tables(source).values():
                check_columns(table)
                _check_first_rows(table, data.images)


def _check_first_rows(table: Path, images: str) -> None:
    from looptop.engine.vqa.data.table import ImagesMissingError, check_first_rows

    try:
        check_first_rows(table, path_of(images) if images else None)
    except ImagesMissingError as error:
        raise SettingError("data.images" if images else "data.source", str(error)) from None


def _check_source(config: PpoRunConfig | RewardRunConfig) -> None:
    """Refuses a source that is not on this machine and cannot be the name of a data set on the hub."""
    source = config.data.source
    path = path_of(source)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise SettingError("data.source", f"{visible(source)} is neither a file nor a folder; give a table's file")
    if not (source.partition(":")[0] == "newsroom" or path.exists() or _is_hub_name(source)):
        raise SettingError(
            "data.source",
            f"there is nothing at {visible(source)}, and no data set on the hub can have this name; give newsroom, or a"
            " CSV, JSONL or Parquet file",
        )


def _check_texts(config: PpoRunConfig) -> None:
    """Refuses a local table that has no rows, lacks the text column, or has too few texts to hold some out."""
    data = config.data
    wanted, held_out = data.text_column, data.held_out
    if data.source.partition(":")[0] == "newsroom":
        return
    table = peek(data.source, held_out + 1)
    columns = table.columns
    _refuse_empty(data.source, table)
    if columns and wanted not in columns:
        raise SettingError(
            "data.text_column",
            f"{visible(config.data.source)} has no column '{visible(wanted)}'; its columns are:"
            f" {visible(', '.join(columns))[:300]}; choose one with data.text_column",
        )
    limits = [] if data.max_queries is None else [data.max_queries]
    if table.is_complete:
        limits.append(sum(isinstance(row.get(wanted), str) and bool(row[wanted].strip()) for row in table.rows))
    if limits and min(limits) <= held_out:
        raise SettingError(
            "data.held_out",
            f"{visible(data.source)} gives {counted(min(limits), 'text')}, and data.held_out is {held_out}; lower it"
            " or give more texts",
        )


def _refuse_empty(source: str, table: TablePeek) -> None:
    if table.is_complete and not table.rows:
        raise SettingError("data.source", f"{visible(source)} holds no row; give a table that has rows")


def _check_use(key: str, name: str, use: Use) -> Path | None:
    """Does what `_check_model` does, and refuses a model on this machine whose family rules out the use."""
    folder = _check_model(key, name)
    if folder is not None:
        with _setting(key):
            check_model_files(folder, weights=True)
            refuse_use(use, name, read_json(Path(resolve_adapters(str(folder))) / "config.json"))
    return folder


def _check_reward_model(reward: RewardConfig) -> None:
    key = f"rewards.{reward.name}.model"
    folder = _check_use(key, reward.model, "reward model")
    # A folder of adapters has no config.json; the adapters hold their labels.
    config = {} if folder is None else read_json(folder / "config.json")
    if config and "num_labels" not in config:  # Only old configurations have it; they do not name the labels.
        with _setting(f"rewards.{reward.name}.label"):
            try:
                index_of_label(reward.label, config.get("id2label"), config.get("label2id"))
            except LooptopError as error:
                raise LooptopError(f"the reward model {visible(reward.model)}: {error}") from None


def _check_model(key: str, name: str) -> Path | None:
    """Refuses the name of a model that is neither on this machine nor, as far as can be checked, on the hub.

    Returns:
        The model's folder; None for a model on the hub.
    """
    with _setting(key):
        resolved = resolve(name)
    if resolved != name or name.startswith(BUNDLED):
        return Path(resolved)
    path = path_of(name)
    if path.is_dir():
        if not any((path / file).is_file() for file in _MODEL_FILES):
            raise SettingError(key, f"{key} names the folder {visible(name)}, which holds no model: no config.json")
    elif path.exists():
        raise SettingError(key, f"{key} names the file {visible(name)}; name a model's folder")
    elif not _is_hub_name(name):
        raise SettingError(
            key, f"{key}: there is no folder {visible(name)}, and no model on the hub can have this name"
        )
    elif why := _why_not_on_hub(name):
        raise SettingError(key, f"{key}: there is no model '{visible(name)}': it is not a folder or a run, and {why}")
    return path if path.is_dir() else None


def _is_hub_name(name: str) -> bool:
    return _HUB_NAME.fullmatch(name) is not None and ".." not in name and "--" not in name


def _why_not_on_hub(name: str) -> str:
    """Why a model cannot be loaded from the hub; empty if it can, or if that is not known."""
    import huggingface_hub
    from huggingface_hub import constants, errors

    if any(isinstance(huggingface_hub.try_to_load_from_cache(name, file), str) for file in _MODEL_FILES):
        return ""
    if constants.HF_HUB_OFFLINE:
        return "this machine holds no copy of it and does not use the hub, because HF_HUB_OFFLINE is set"
    try:
        huggingface_hub.model_info(name, timeout=HUB_SECONDS)
    except errors.GatedRepoError:
        return ""
    except errors.RepositoryNotFoundError:
        return "the hub has no model of this name (or a private one, which needs `hf auth login`)"
    except Exception as error:
        # The class depends on the HTTP library that the hub's client uses. Other errors are left to the run.
        if any(base.__name__ in ("ConnectError", "ConnectionError") for base in type(error).__mro__):
            return f"this machine holds no copy of it and cannot reach the hub ({error_text(error)})"
        return ""
    return ""


def _check_function(reward: RewardConfig, config: PpoRunConfig) -> None:
    """Calls a reward function with two texts, in a process of its own."""
    key = f"rewards.{reward.name}.function"
    queries = [config.data.prefix + text for text in _sample_texts(config)]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "looptop.engine.ppo.reward_function", reward.name, reward.function],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(json.dumps([queries, list(_TEXTS)]).encode(), timeout=FUNCTION_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        raise SettingError(
            key,
            f"the reward function '{visible(reward.function)}' gave no answer for two sample texts within"
            f" {FUNCTION_SECONDS:.0f} s",
        ) from None
    finally:
        process.kill()
        process.wait()
    try:
        sentence = json.loads(output)
    except ValueError:
        sentence = (
            f"the reward function '{visible(reward.function)}' ended its process (exit code {process.returncode}) when"
            " it was tried on two sample texts"
        )
    if sentence:
        raise SettingError(key, str(sentence))


def _sample_texts(config: PpoRunConfig) -> tuple[str, str]:
    """Two queries. They come from the data if that is a local table, because a function may parse its queries."""
    cells = (row.get(config.data.text_column) for row in peek(config.data.source, 20).rows)
    texts = [text for text in cells if isinstance(text, str) and text.strip()]
    return (texts[0], texts[1]) if len(texts) > 1 else _TEXTS
