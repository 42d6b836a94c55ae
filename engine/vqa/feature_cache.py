"""Caches the image encoder's features of image files in looptop's home, so that an image is encoded once.

    features/<digest of the encoder and its preprocessing>/<random name>.safetensors

Each file holds the features of some images, and in its metadata the key of each: a digest of the image file's path,
size and modification time. A file that is damaged counts as missing: its images are encoded again. It is deleted if
the damage shows while its features are read. Models with the same encoder share features.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from looptop.engine.errors import LooptopError
from looptop.engine.files.private import refuse_unsafe
from looptop.engine.files.replacing import remove_oldest, replace_private_with
from looptop.engine.home import home
from looptop.engine.vqa.batches import ENCODE_BATCH_SIZE, OnProblem, OnProgress, keep_image_features
from looptop.engine.vqa.model.processing import VqaProcessor
from looptop.engine.vqa.model.vqa_model import VqaModel

FORMAT = 1
"""Part of every digest, so that features of an older format are computed anew."""

MAX_BYTES = 2 * 2**30
"""The most that the features of all encoders take on the disk; the least recently used are deleted first."""

MIN_IMAGES_PER_FILE = 16
"""Features of fewer new images are not written: computing them again is faster than writing and reading a file."""

MAX_IMAGES_PER_FILE = 256
"""New images whose features are written together; if the process dies, at most this many images' features are lost."""

SUFFIX = ".safetensors"
_TENSOR = "features"
_KEYS = "images"

T = TypeVar("T")


class FeatureCache:
    """The features of image files that a model's encoder gives, cached on the disk. Not thread-safe.

    Args:
        model: In evaluation mode, in fp32.
        processor: The model's processor.
    """

    def __init__(self, model: VqaModel, processor: VqaProcessor) -> None:
        self.model = model
        self.processor = processor
        self.folder = home() / "features" / encoder_digest(model, processor)
        self._file_by_key = _read_file_by_key(self.folder)
        self._room = MAX_BYTES
        """Bytes that this object may still write. More would remove what it has just written."""

    def features(
        self,
        paths: Sequence[str],
        on_problem: OnProblem,
        on_progress: OnProgress = lambda text, done, total: None,
    ) -> dict[str, Tensor]:
        """The features of images, from the cache or computed; images that cannot be decoded are left out.

        Args:
            paths: Each image once.
            on_problem: Called with each image that cannot be decoded.
            on_progress: Called between batches that are encoded; may raise to stop.

        Returns:
            Features by path, `[1 or 1 + patches, image width]` on the CPU, in the order of the paths.
        """
        keys = {path: key for path in paths if (key := image_file_key(path)) is not None}
        cached = self._read(set(keys.values()))
        new = [path for path in paths if keys.get(path) not in cached]
        computed: dict[str, Tensor] = {}
        for first in range(0, len(new), MAX_IMAGES_PER_FILE):

            def report(text: str, done: int, total: int, first: int = first) -> None:
                on_progress(text, first + done, len(new))

            some = new[first : first + MAX_IMAGES_PER_FILE]
            part = keep_image_features(self.model, self.processor, some, on_problem, report)
            self._write({keys[path]: tensor for path, tensor in part.items() if path in keys})
            computed |= part
        features = {}
        for path in paths:
            tensor = computed.get(path)
            if tensor is None and path in keys:
                tensor = cached.get(keys[path])
            if tensor is not None:
                features[path] = tensor
        return features

    def _read(self, wanted: set[str]) -> dict[str, Tensor]:
        features: dict[str, Tensor] = {}
        by_file: dict[Path, list[str]] = {}
        for key in wanted & self._file_by_key.keys():
            by_file.setdefault(self._file_by_key[key], []).append(key)
        for file, keys in by_file.items():
            part = _features_in(file, keys)
            if len(part) < len(keys):
                with contextlib.suppress(OSError):
                    file.unlink()
                for key in [key for key, its_file in self._file_by_key.items() if its_file == file]:
                    del self._file_by_key[key]
                continue
            features |= part
            with contextlib.suppress(OSError):
                os.utime(file)
        return features

    def _write(self, features: dict[str, Tensor]) -> None:
        """Writes new features. Write errors are ignored: the cache only saves time."""
        size = sum(tensor.numel() * tensor.element_size() for tensor in features.values())
        if len(features) < MIN_IMAGES_PER_FILE or size > self._room:
            return
        self._room -= size
        file = self.folder / f"{secrets.token_hex(8)}{SUFFIX}"
        stacked = torch.stack(list(features.values())).contiguous()
        metadata = {_KEYS: json.dumps(list(features))}
        with contextlib.suppress(OSError, SafetensorError, LooptopError):
            replace_private_with(file, lambda draft: save_file({_TENSOR: stacked}, draft, metadata))
            self._file_by_key |= dict.fromkeys(features, file)
            remove_oldest(home() / "features", MAX_BYTES)


def encoder_digest(model: VqaModel, processor: VqaProcessor) -> str:
    """Identifies all that the features of an image depend on: weights, preprocessing, pooling and kind of device."""
    digest = hashlib.blake2b(digest_size=16)
    parts = [FORMAT, model.config.fusion, model.device.type, processor.image_processor.to_dict()]
    digest.update(json.dumps(parts, sort_keys=True, default=str).encode())
    digest.update(json.dumps(model.config.vision_config.to_dict(), sort_keys=True, default=str).encode())
    for name, weight in model.image_encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def image_file_key(path: str) -> str | None:
    """A key for this version of an image file, from its path, size and modification time; None without such a file."""
    try:
        facts = Path(path).stat()
    except (OSError, ValueError):
        return None
    name = os.fsencode(Path(path).absolute())
    return hashlib.blake2b(b"%b\0%d\0%d" % (name, facts.st_size, facts.st_mtime_ns), digest_size=16).hexdigest()


def chunks_of(paths: Sequence[str], model: VqaModel) -> list[list[str]]:
    """Cuts images into parts whose features take at most 256 MiB, of `ENCODE_BATCH_SIZE` to 4,096 images."""
    vision = model.config.vision_config
    vectors = 1 if model.config.fusion == "mean" else 1 + (vision.image_size // vision.patch_size) ** 2
    size = min(4096, max(ENCODE_BATCH_SIZE, 2**28 // (4 * vectors * vision.hidden_size)))
    return [list(paths[first : first + size]) for first in range(0, len(paths), size)]


def _read_file_by_key(folder: Path) -> dict[str, Path]:
    """The cache file that holds each image's features, by the image's key."""
    files: dict[str, Path] = {}
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        files |= dict.fromkeys(_open(file, _keys_in) or [], file)
    return files


def _features_in(file: Path, keys: Sequence[str]) -> dict[str, Tensor]:
    """Features by the image's key; none if the file is damaged."""

    def read(opened: Any) -> dict[str, Tensor]:
        row_of = {key: row for row, key in enumerate(_keys_in(opened))}
        stacked = opened.get_tensor(_TENSOR)
        if stacked.dim() != 3 or len(stacked) != len(row_of) or not torch.isfinite(stacked).all():
            return {}
        return {key: stacked[row_of[key]].clone() for key in keys}

    return _open(file, read) or {}


def _open(file: Path, read: Callable[[Any], T]) -> T | None:
    """The result of `read` for an opened cache file; None if the file is damaged."""
    with contextlib.suppress(OSError, SafetensorError, LooptopError, ValueError, KeyError, TypeError, RuntimeError):
        refuse_unsafe(file)
        with safe_open(file, framework="pt") as opened:
            return read(opened)
    return None


def _keys_in(opened: Any) -> list[str]:
    keys: list[str] = json.loads(opened.metadata()[_KEYS])
    return keys
