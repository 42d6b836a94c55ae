"""Unusable data, models and reward functions are refused before there is a run, each with the name of its setting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pyarrow
import pytest
from huggingface_hub import constants, errors
from pyarrow import parquet

from looptop.engine.cli.main import main
from looptop.engine.config import override, preset
from looptop.engine.config.ppo import QueryConfig
from looptop.engine.errors import SettingError
from looptop.engine.ppo.data import read_texts
from looptop.engine.ppo.reward_function import what_is_wrong
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup import host, preflight
from looptop.engine.startup.preflight import refuse_unusable
from looptop.engine.startup.table_peek import count_rows, peek

BROKEN = [
    ("return [1.0]", "the reward mine gave 1 score for 2 responses"),
    ("return [float('nan')] * 2", "the reward mine gave nan for sample 0, which is not a finite number"),
    ("return 'good'", "gave 'good'; it must give a list of numbers"),
    ("return {}['no such thing']", "failed on two sample texts: KeyError: 'no such thing' (mine.py line 2)"),
    ("raise SystemExit(3)", "failed on two sample texts: it ends the process (mine.py line 2)"),
    ("__import__('os')._exit(3)", "ended its process (exit code 3) when it was tried on two sample texts"),
    ("__import__('os').kill(__import__('os').getpid(), 9)", "ended its process (exit code -9)"),
]


def refused(kind: str, *settings: str) -> SettingError:
    with pytest.raises(SettingError) as error:
        host.launch(override(preset("tiny", kind), settings))
    assert RunFolder.all() == [], "nothing was made for it"
    assert "\n" not in str(error.value)
    return error.value


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"")
    error = refused("vqa", f"source={tmp_path}")
    assert (error.key, "holds no table; put a CSV, JSONL or JSON" in str(error)) == ("data.source", True)


def test_missing_files_are_refused_at_their_setting(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("image,question,answer\n")
    assert refused("vqa", f"source={tmp_path}/table.csv", "images=nowhere").key == "data.images"
    assert refused("vqa", "source=vqa-v2").key == "data.annotations"
    folders = [f"{name}={tmp_path}" for name in ("annotations", "questions", "images")]
    assert "which is no file" in str(refused("vqa", "source=vqa-v2", *folders))
    assert refused("vqa", "source=nowhere").key == "data.source"
    assert refused("ppo", "source=nowhere.csv").key == "data.source"
    assert refused("ppo", "policy=/nowhere/at/all").key == "model.policy"
    for kind in ("ppo", "reward"):
        assert refused(kind, "data.source=a/b/c").key == "data.source"


@pytest.mark.parametrize("kind", ["vqa", "ppo", "reward"])
@pytest.mark.parametrize("name", ["table.csv", "table.jsonl", "table.json", "table"])
def test_a_pipe_as_data_is_refused_and_not_waited_for(kind: str, name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    error = refused(kind, f"data.source={tmp_path / name}")
    assert error.key == "data.source" and "is neither a file nor a folder" in str(error)


def test_a_table_without_the_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("picture,question,answer\n")
    assert "must name the columns image, question and answer" in str(refused("vqa", f"source={tmp_path}"))
    (tmp_path / "texts.csv").write_text("body,other\n" + "text,more\n" * 65)
    (tmp_path / "texts.jsonl").write_text('{"body": "text"}\n')
    for suffix in ("csv", "jsonl"):
        error = refused("ppo", f"source={tmp_path}/texts.{suffix}")
        assert error.key == "data.text_column" and "has no column 'text'; its columns are: body" in str(error)
    refuse_unusable(override(preset("tiny", "ppo"), [f"source={tmp_path}/texts.csv", "text_column=body"]))


@pytest.mark.parametrize("kind", ["ppo", "reward"])
@pytest.mark.parametrize("name", ["header.csv", "nothing.csv", "nothing.jsonl", "blank.jsonl", "header.parquet"])
def test_a_table_without_a_row_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if name.endswith("parquet"):
        parquet.write_table(pyarrow.table({"text": pyarrow.array([], pyarrow.string())}), file)
    else:
        file.write_text({"header.csv": "text,query,chosen,rejected\n\n", "blank.jsonl": "\n"}.get(name, ""))
    error = refused(kind, f"data.source={file}")
    assert error.key == "data.source" and f"{file} holds no row" in str(error)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_too_few_texts_to_hold_some_out_are_refused(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"texts.{suffix}"
    texts = ["one", " ", "two", "three"]
    if suffix == "parquet":
        parquet.write_table(pyarrow.table({"text": texts}), file)
    elif suffix == "csv":
        file.write_text("text\n" + "\n".join(texts))
    else:
        file.write_text("\n\n".join(json.dumps({"text": text}) for text in texts))
    error = refused("ppo", f"data.source={file}", "held_out=3")
    assert error.key == "data.held_out" and "gives 3 texts, and data.held_out is 3" in str(error)
    refuse_unusable(override(preset("tiny", "ppo"), [f"data.source={file}", "held_out=2"]))
    error = refused("ppo", f"data.source={file}", "held_out=2", "max_queries=1")
    assert error.key == "data.held_out" and "gives 1 text," in str(error)


def test_the_names_of_a_tables_columns_may_follow_empty_lines(tmp_path: Path) -> None:
    file = tmp_path / "texts.csv"
    file.write_text("\n \r\ntext\na\nb\nc\n")
    assert (peek(str(file), 1).columns, count_rows(str(file))) == (["text"], 3)
    refuse_unusable(override(preset("tiny", "ppo"), [f"data.source={file}", "held_out=2"]))
    assert read_texts(QueryConfig(source=str(file))) == ["a", "b", "c"]


def test_a_table_that_cannot_be_read_is_left_to_the_run(tmp_path: Path) -> None:
    for name, data in (("a.jsonl", b"[1]\n"), ("b.jsonl", b"{"), ("c.csv", b"text\n\xff\n"), ("d.parquet", b"no")):
        (tmp_path / name).write_bytes(data)
        assert not peek(str(tmp_path / name), 9).is_complete
        refuse_unusable(override(preset("tiny", "ppo"), [f"source={tmp_path / name}"]))


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_a_table_of_questions_whose_images_are_missing_is_refused(suffix: str, tmp_path: Path) -> None:
    table, pictures = tmp_path / f"table.{suffix}", tmp_path / "pictures"
    pictures.mkdir()
    rows = [{"image": f"{number}.png", "question": "what?", "answer": "a"} for number in range(150)]
    if suffix == "csv":
        table.write_text("image,question,answer\n" + "".join(",".join(row.values()) + "\n" for row in rows))
    else:
        table.write_text(json.dumps(rows) if suffix == "json" else "\n".join(map(json.dumps, rows)))
    error = refused("vqa", f"data.source={tmp_path}")
    assert error.key == "data.source" and "none of the images that the first 100 rows of" in str(error)
    error = refused("vqa", f"data.source={tmp_path}", f"images={pictures}")
    assert error.key == "data.images" and f"is in {pictures}, not even 0.png; set data.images" in str(error)
    (pictures / "120.png").write_bytes(b"")
    assert refused("vqa", f"data.source={tmp_path}", f"images={pictures}").key == "data.images"
    (pictures / "99.png").write_bytes(b"")
    refuse_unusable(override(preset("tiny"), [f"data.source={tmp_path}", f"images={pictures}"]))
    table.write_text({"csv": "image,question,answer\n", "jsonl": "", "json": "[]"}[suffix])
    error = refused("vqa", f"data.source={tmp_path}")
    message = f"{table} is empty" if suffix == "jsonl" else f"no question of {table} can be used; it holds none"
    assert error.key == "data.source" and message in str(error)


def model(folder: Path, **config: object) -> str:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_a_label_that_a_reward_model_does_not_have_is_refused(tmp_path: Path) -> None:
    error = refused("ppo", "rewards.grammar.label=NOPE")
    assert error.key == "rewards.grammar.label"
    assert "the reward model bundled:grammar: it has no label 'NOPE'; its labels are: LABEL_0, LABEL_1" in str(error)
    assert refused("ppo", "rewards.neutral.label=3").key == "rewards.neutral.label"
    mine = model(tmp_path / "mine", model_type="roberta", id2label={"0": "bad", "1": "good"})
    settings = [f"rewards.grammar.model={mine}"]
    for label in ("good", "1"):
        refuse_unusable(override(preset("tiny", "ppo"), [*settings, f'rewards.grammar.label="{label}"']))
    assert "its labels are: bad, good" in str(refused("ppo", *settings, "rewards.grammar.label=GOOD"))
    old = model(tmp_path / "old", model_type="roberta", num_labels=5)
    refuse_unusable(override(preset("tiny", "ppo"), [f"rewards.grammar.model={old}", "rewards.grammar.label=LABEL_4"]))


@pytest.mark.parametrize(
    ("kind", "key", "name", "message"),
    [
        ("ppo", "model.policy", "bundled:grammar", "of the family 'roberta', which cannot be a policy; name a T5"),
        ("ppo", "model.reference", "bundled:vqa", "of the family 'looptop-vqa', which cannot be a policy"),
        (
            "ppo",
            "rewards.grammar.model",
            "bundled:image_encoder",
            "of the family 'vit', which cannot be a reward model",
        ),
        ("ppo", "rewards.grammar.model", "bundled:text_encoder", "is a DistilBertModel and has no classifier's head"),
        ("ppo", "rewards.grammar.model", "bundled:summariser", "is a T5ForConditionalGeneration and has no classifier"),
        ("reward", "model.classifier", "bundled:image_encoder", "of the family 'vit', which cannot be a classifier"),
        ("reward", "model.classifier", "bundled:vqa", "of the family 'looptop-vqa', which cannot be a classifier"),
        ("vqa", "model.text_encoder", "bundled:image_encoder", "of the family 'vit', which cannot be a text encoder"),
        ("vqa", "model.text_encoder", "bundled:summariser", "of the family 't5', which cannot be a text encoder"),
        ("vqa", "model.image_encoder", "bundled:decoder", "of the family 'gpt2', which cannot be an image encoder"),
        ("vqa", "model.decoder", "bundled:text_encoder", "of the family 'distilbert', which cannot be a decoder"),
        ("vqa", "model.decoder", "bundled:summariser", "of the family 't5', which cannot be a decoder"),
    ],
)
def test_a_model_of_a_family_that_cannot_serve_is_refused(kind: str, key: str, name: str, message: str) -> None:
    error = refused(kind, f"{key}={name}")
    assert error.key == key and f"{name} is " in str(error) and message in str(error)


def test_a_policy_of_adapters_is_of_the_family_below_them(tmp_path: Path) -> None:
    for base, whole in (("bundled:grammar", False), ("bundled:summariser", True)):
        adapters = tmp_path / base.partition(":")[2]
        adapters.mkdir()
        (adapters / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
        (adapters / "adapter_model.safetensors").write_bytes(b"")
        if whole:
            refuse_unusable(override(preset("tiny", "ppo"), [f"policy={adapters}"]))
        else:
            assert "'roberta', which cannot be a policy" in str(refused("ppo", f"policy={adapters}"))


def test_a_model_that_brings_code_is_refused(tmp_path: Path) -> None:
    mine = model(tmp_path / "mine", model_type="t5", auto_map={"AutoModel": "code.Model"})
    error = refused("ppo", f"policy={mine}")
    assert error.key == "model.policy" and "names code of its own" in str(error)


def test_the_checks_do_not_need_torch(tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("text\n" + "a text\n" * 70)
    code = (
        "import sys\nfrom looptop.engine.config import override, preset\n"
        "from looptop.engine.startup.preflight import refuse_unusable\n"
        f"refuse_unusable(override(preset('tiny', 'ppo'), ['source={tmp_path}/texts.csv']))\n"
        "refuse_unusable(preset('tiny'))\nprint('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("ppo", "model.policy"),
        ("ppo", "model.reference"),
        ("ppo", "rewards.grammar.model"),
        ("reward", "model.classifier"),
        ("vqa", "model.text_encoder"),
        ("vqa", "model.decoder"),
        ("vqa", "model.start_from"),
    ],
)
def test_a_model_that_does_not_exist_is_refused(
    kind: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, file = tmp_path / "empty", tmp_path / "file.bin"
    empty.mkdir()
    file.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    names = ["abc", "a/b/c", "two words", "bundled:nothing", str(empty), "empty", str(file), "owner/nothing", "-x"]
    for name in names:
        assert refused(kind, f"{key}={name}").key == key, name
    stopped = RunFolder.create("ppo", preset("tiny", "ppo"))
    with pytest.raises(SettingError, match=r"has no model yet|has no whole"):
        refuse_unusable(override(preset("tiny", kind), [f"{key}={stopped.id}"]))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.RepositoryNotFoundError, "the hub has no model of this name"),
        (errors.GatedRepoError, ""),
        (ConnectionError, "holds no copy of it and cannot reach the hub"),
        (TimeoutError, ""),
        (None, ""),
    ],
)
def test_the_hub_is_asked_if_it_can_be_reached(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception] | None, message: str
) -> None:
    def model_info(name: str, **_: object) -> None:
        assert name == "owner/something"
        if error is not None:
            raise error.__new__(error)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "model_info", model_info)
    config = override(preset("tiny", "ppo"), ["policy=owner/something"])
    if not message:
        refuse_unusable(config)
        return
    with pytest.raises(SettingError, match=message):
        refuse_unusable(config)


@pytest.mark.slow
def test_data_and_models_that_exist_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import sys\nprint('noise')\ndef mine(queries, responses):\n    return [1, 2.5]\n"
    )
    for kind in ("vqa", "ppo", "reward"):
        refuse_unusable(preset("tiny", kind))
    (tmp_path / "table.jsonl").write_text('{"image": "1.png", "question": "what?", "answer": "a"}\n')
    (tmp_path / "1.png").write_bytes(b"")
    refuse_unusable(override(preset("tiny"), [f"source={tmp_path}"]))
    refuse_unusable(override(preset("tiny"), ["start_from=bundled"]))
    refuse_unusable(override(preset("tiny", "ppo"), [f"rewards.mine.function={tmp_path}/mine.py:mine"]))


@pytest.mark.parametrize(("body", "message"), BROKEN)
def test_a_reward_function_that_cannot_work_is_refused(tmp_path: Path, body: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(f"def mine(queries, responses):\n    {body}\n")
    error = refused("ppo", f"rewards.mine.function={tmp_path}/mine.py:mine")
    assert error.key == "rewards.mine.function" and message in str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def mine(:\n", "cannot be imported: SyntaxError"),
        ("import no_such_module\n", "cannot be imported: No module named 'no_such_module'"),
        ("1 / 0\n", "cannot be imported: ZeroDivisionError: division by zero (mine.py line 1)"),
        ("other = 1\n", "there is no function 'mine'"),
        ("mine = 1\n", "there is no function 'mine'"),
    ],
)
def test_a_reward_function_that_cannot_be_loaded_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    assert message in what_is_wrong("mine", f"{tmp_path}/mine.py:mine", ["a", "b"], ["c", "d"])


def test_a_reward_function_that_hangs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "FUNCTION_SECONDS", 0.5)
    (tmp_path / "mine.py").write_text("import time\ntime.sleep(1e6)\n")
    assert "gave no answer" in str(refused("ppo", f"rewards.mine.function={tmp_path}/mine.py:mine"))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_reward_function_is_tried_on_texts_of_the_data(tmp_path: Path, suffix: str) -> None:
    lines = {"csv": "text\n1\n2\n", "jsonl": '{"text": "1"}\n{"text": "2"}\n'}
    (tmp_path / f"texts.{suffix}").write_text(lines[suffix])
    (tmp_path / "mine.py").write_text("def mine(queries, responses):\n    return [int(query) for query in queries]\n")
    settings = [
        "prefix=",
        "held_out=1",
        f"source={tmp_path}/texts.{suffix}",
        f"rewards.mine.function={tmp_path}/mine.py:mine",
    ]
    refuse_unusable(override(preset("tiny", "ppo"), settings))


def test_the_command_refuses_it_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "ppo", "--set", "rewards.grammar.model=abc"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "rewards.grammar.model: there is no model 'abc'" in err
    assert RunFolder.all() == []
