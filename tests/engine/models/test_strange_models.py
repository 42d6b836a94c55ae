"""A stranger's model cannot run code; nothing asks on the terminal; an error is one sentence."""

from __future__ import annotations

import ast
import builtins
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file

import looptop.engine
from looptop.engine import config
from looptop.engine.cli.main import main
from looptop.engine.config.ppo import RewardConfig
from looptop.engine.errors import LooptopError
from looptop.engine.models.folder_check import check_model_files
from looptop.engine.models.names import resolve
from looptop.engine.ppo.loading import load_policy, load_tokenizer
from looptop.engine.ppo.responding import generate
from looptop.engine.ppo.reward_training import load_classifier
from looptop.engine.ppo.rewards import Classifier
from looptop.engine.vqa.answers.answerer import Answerer
from looptop.engine.vqa.model.saved_models import folder_of
from looptop.engine.vqa.vqa_training import build_model
from tests.factories.ppo import save_classifier, save_policy

Load = Callable[[Path], Any]


@pytest.fixture(autouse=True)
def nothing_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_words: object) -> str:
        raise AssertionError("something asks on the terminal")

    monkeypatch.setattr(builtins, "input", ask)


def copy_vqa(folder: Path) -> None:
    shutil.copytree(folder_of("bundled"), folder)


def start_from(folder: Path) -> Any:
    chosen: Any = config.override(config.preset("tiny"), [f"start_from={folder}"])
    return build_model(chosen)


def copy_decoder(folder: Path) -> None:
    shutil.copytree(folder_of("bundled").parent / "decoder", folder)


def decoder(folder: Path) -> Any:
    chosen: Any = config.override(config.preset("tiny"), [f"model.decoder={folder}"])
    return build_model(chosen)


KINDS: dict[str, tuple[Callable[[Path], Any], Load]] = {
    "a VQA model": (copy_vqa, lambda folder: Answerer.load(str(folder), "cpu")),
    "start_from": (copy_vqa, start_from),
    "a part": (copy_decoder, decoder),
    "a policy": (save_policy, load_policy),
    "a policy's tokenizer": (save_policy, lambda folder: load_tokenizer(str(folder))),
    "generate": (save_policy, lambda folder: generate(str(folder), ["the tram"], device="cpu")),
    "a reward": (save_classifier, lambda folder: Classifier.load(RewardConfig(name="one", model=str(folder)), "cpu")),
    "a classifier": (save_classifier, lambda folder: load_classifier(str(folder))),
}
JSONS = ["config.json", "tokenizer_config.json", "preprocessor_config.json"]
AUTO_MAP = {
    "AutoConfig": "evil.Evil",
    "AutoModel": "evil.Evil",
    "AutoModelForCausalLM": "evil.Evil",
    "AutoModelForSequenceClassification": "evil.Evil",
    "AutoTokenizer": ["evil.Evil", "evil.Evil"],
    "AutoImageProcessor": "evil.Evil",
}


def plant(folder: Path) -> Path:
    """Code that creates a file when it runs."""
    mark = folder.parent / "it ran"
    for below in (folder, folder / "question_tokenizer", folder / "answer_tokenizer"):
        if below.is_dir():
            (below / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Evil: pass\n")
    return mark


def change(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("kind", KINDS)
def test_code_that_a_configuration_names_is_refused(kind: str, tmp_path: Path) -> None:
    save, load = KINDS[kind]
    save(tmp_path / "model")
    tried = 0
    for file in sorted((tmp_path / "model").rglob("*.json")):
        if file.name not in JSONS or (kind == "a policy" and file.name != "config.json"):
            continue
        whole = file.read_text()
        mark = plant(tmp_path / "model")
        change(file, auto_map=AUTO_MAP)
        with pytest.raises(LooptopError) as caught:
            load(tmp_path / "model")
        assert str(file) in str(caught.value) and "auto_map" in str(caught.value) and "\n" not in str(caught.value)
        assert not mark.exists()
        file.write_text(whole)
        tried += 1
    assert tried
    load(tmp_path / "model")


def test_code_in_a_part_of_a_configuration_is_refused(tmp_path: Path) -> None:
    copy_vqa(tmp_path / "model")
    file = tmp_path / "model/config.json"
    plant(tmp_path / "model")
    change(file, text_config=json.loads(file.read_text())["text_config"] | {"auto_map": AUTO_MAP})
    with pytest.raises(LooptopError, match="auto_map"):
        Answerer.load(str(tmp_path / "model"), "cpu")


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "experts_implementation"])
def test_kernels_from_the_hub_are_refused(key: str, tmp_path: Path) -> None:
    save_policy(tmp_path / "model")
    change(tmp_path / "model/config.json", **{key: {"": "evil/kernel"}})
    with pytest.raises(LooptopError, match=f"config.json names code from the hub \\({key}\\)"):
        load_policy(tmp_path / "model")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth", "pytorch_model-00001-of-00002.bin"])
@pytest.mark.parametrize("kind", ["a VQA model", "a part", "a policy", "a reward", "a classifier"])
def test_a_folder_with_only_a_pickle_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    save, load = KINDS[kind]
    save(tmp_path / "model")
    (tmp_path / "model/model.safetensors").unlink()
    torch.save({}, tmp_path / "model" / name)
    with pytest.raises(LooptopError, match=f"{name} is a pickle"):
        load(tmp_path / "model")


@pytest.mark.parametrize("beside", ["adapter_model.safetensors", "other.safetensors"])
def test_a_pickle_beside_another_file_of_weights_is_refused(beside: str, tmp_path: Path) -> None:
    save_policy(tmp_path / "model")
    (tmp_path / "model/model.safetensors").rename(tmp_path / "model" / beside)
    torch.save({}, tmp_path / "model/pytorch_model.bin")
    with pytest.raises(LooptopError, match=r"pytorch_model.bin is a pickle.* no model.safetensors"):
        load_policy(tmp_path / "model")


@pytest.mark.parametrize("part", ["pytorch_model.bin", "../base/model.safetensors", "/tmp/model.safetensors", 7, None])
def test_an_index_of_weights_names_files_of_its_folder_only(part: object, tmp_path: Path) -> None:
    save_policy(tmp_path / "base")
    save_policy(tmp_path / "model")
    (tmp_path / "model/model.safetensors").unlink()
    torch.save({}, tmp_path / "model/pytorch_model.bin")
    index = {"metadata": {}, "weight_map": {"shared.weight": part}}
    (tmp_path / "model/model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(LooptopError, match=r"index.json names weights that are not safetensors of its folder"):
        load_policy(tmp_path / "model")


def test_weights_in_several_files_are_loaded(tmp_path: Path) -> None:
    save_policy(tmp_path / "whole")
    policy = load_policy(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "model")
    (tmp_path / "model/model.safetensors").unlink()
    policy.save_pretrained(tmp_path / "model", max_shard_size="20KB")
    assert (tmp_path / "model/model.safetensors.index.json").is_file()
    again = load_policy(tmp_path / "model").state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in policy.state_dict().items())


def test_a_model_of_the_hub_with_only_a_pickle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the hub's client keeps what it has loaded; nothing is asked of a network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    kept = tmp_path / "models--somebody--model"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs/main").write_text("1" * 40)
    save_policy(kept / "snapshots" / ("1" * 40))
    where: dict[str, Any] = {"cache_dir": str(tmp_path), "local_files_only": True}
    load_policy("somebody/model", **where)
    weights = kept / "snapshots" / ("1" * 40) / "model.safetensors"
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    weights.unlink()
    with pytest.raises((LooptopError, OSError), match="safetensors"):
        load_policy("somebody/model", **where)


def test_an_adapter_without_weights_is_refused(tmp_path: Path) -> None:
    save_policy(tmp_path / "model")
    adapter = {"peft_type": "LORA", "base_model_name_or_path": str(tmp_path / "base")}
    (tmp_path / "model/adapter_config.json").write_text(json.dumps(adapter))
    with pytest.raises(LooptopError, match=r"describes an adapter, .* no adapter_model.safetensors"):
        load_policy(tmp_path / "model")


def test_what_an_adapter_stands_on_is_looked_at_too(tmp_path: Path) -> None:
    save_policy(tmp_path / "base")
    change(tmp_path / "base/config.json", auto_map=AUTO_MAP)
    (tmp_path / "model").mkdir()
    adapter = {"peft_type": "LORA", "base_model_name_or_path": str(tmp_path / "base")}
    (tmp_path / "model/adapter_config.json").write_text(json.dumps(adapter))
    (tmp_path / "model/adapter_model.safetensors").touch()
    with pytest.raises(LooptopError, match=r"base/config.json names code"):
        check_model_files(tmp_path / "model", weights=True)
    # One that stands on itself ends, too.
    change(tmp_path / "model/adapter_config.json", base_model_name_or_path=str(tmp_path / "model"))
    check_model_files(tmp_path / "model", weights=True)


BROKEN = {
    "nested": b'{"a":' * 100_000,
    "cut": b'{"model_type": "t5',
    "not UTF-8": b'{"model_type": "\xff"}',
    "a list": b"[]",
    "digits": b'{"vocab_size": ' + b"9" * 6000 + b"}",
    "nothing": b"",
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_configuration_is_a_sentence(kind: str, broken: str, tmp_path: Path) -> None:
    save, load = KINDS[kind]
    save(tmp_path / "model")
    for file in sorted((tmp_path / "model").rglob("*.json")):
        if file.name not in JSONS or (kind == "a policy" and file.name != "config.json"):
            continue
        whole = file.read_bytes()
        file.write_bytes(BROKEN[broken])
        with pytest.raises(LooptopError) as caught:
            load(tmp_path / "model")
        assert "\n" not in str(caught.value)
        file.write_bytes(whole)


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("words", [["ask", "IMAGE", "what?", "--model"], ["generate", "--text"]])
def test_commands_answer_a_broken_model_with_a_sentence(
    words: list[str], broken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_bytes(BROKEN[broken])
    folder = str(tmp_path / "model")
    arguments = ["generate", folder, "the tram"] if words[0] == "generate" else [*words, folder]
    assert main(arguments) == 2
    _, err = capsys.readouterr()
    assert err.startswith("looptop: ") and err.count("\n") == 1


def test_a_pipe_as_a_configuration_is_not_waited_for(tmp_path: Path) -> None:
    save_policy(tmp_path / "model")
    (tmp_path / "model/config.json").unlink()
    os.mkfifo(tmp_path / "model/config.json")
    with pytest.raises(LooptopError, match="is not a regular file"):
        load_policy(tmp_path / "model")


VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "spiece.model")


@pytest.mark.parametrize("instead", ["nothing", "a pipe", "a link to nothing"])
@pytest.mark.parametrize("kind", ["a VQA model", "a part", "a policy's tokenizer", "a reward", "a classifier"])
def test_a_tokenizer_without_a_vocabulary_is_refused(kind: str, instead: str, tmp_path: Path) -> None:
    save, load = KINDS[kind]
    save(tmp_path / "model")
    for file in [file for file in (tmp_path / "model").rglob("*") if file.name in VOCABULARIES]:
        file.unlink()
        if instead == "a pipe":
            os.mkfifo(file)
        elif instead == "a link to nothing":
            file.symlink_to(tmp_path / "nowhere")
    with pytest.raises(LooptopError) as caught:
        load(tmp_path / "model")
    assert "tokenizer" in str(caught.value) and "\n" not in str(caught.value)


def test_a_t5_tokenizer_of_one_piece_is_refused(tmp_path: Path) -> None:
    """transformers makes a vocabulary of special tokens and a word's beginning where there is no file."""
    shutil.copytree(resolve("bundled:summariser"), tmp_path / "model")
    generate(str(tmp_path / "model"), ["the tram"], device="cpu")
    (tmp_path / "model/tokenizer.json").unlink()
    with pytest.raises(LooptopError, match=r"has no vocabulary: its tokenizer\.json, .* is missing; download or save"):
        generate(str(tmp_path / "model"), ["the tram"], device="cpu")


def test_models_are_loaded_in_one_module_only() -> None:
    """Every `from_pretrained` of transformers is called by `engine.models.weights`, which says that no code may run."""
    package = Path(looptop.engine.__file__).parent
    own = {"VqaProcessor", "LoraConfig"}  # peft reads adapters' settings as JSON, and nothing else of them
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            called, keywords = node.func, {keyword.arg: keyword.value for keyword in node.keywords}
            if called.attr == "from_config":
                value = keywords.get("trust_remote_code")
                assert isinstance(value, ast.Constant) and value.value is False, f"{path}:{node.lineno}"
            if called.attr == "from_pretrained" and getattr(called.value, "id", "") not in own:
                # `load_part` and `load_complete_model` pass the word on.
                assert any(part.arg is None for part in node.keywords), f"{path}:{node.lineno}"
