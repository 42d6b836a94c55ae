"""Queries from files and data sets: what is held out, what is cut, what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet
from transformers import AutoTokenizer

from looptop.engine.config.ppo import QueryConfig
from looptop.engine.errors import LooptopError
from looptop.engine.ppo.data import load, load_unseen, read_texts
from tests.factories.ppo import TEXTS, save_texts, save_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder, 64)
    return AutoTokenizer.from_pretrained(folder)


def config(source: Path | str, **options: object) -> QueryConfig:
    return QueryConfig(source=str(source), **{"held_out": 4, **options})  # type: ignore[arg-type]


def all_texts(queries: object) -> list[str]:
    return [queries[row].text for row in range(len(queries))]  # type: ignore[index,arg-type]


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet", "on disk"])
def test_every_kind_of_table_holds_the_same_texts(tmp_path: Path, tokenizer: object, ending: str) -> None:
    table = datasets.Dataset.from_dict({"text": TEXTS, "other": list(range(len(TEXTS)))})
    path = tmp_path / f"texts.{ending}"
    if ending == "jsonl":
        save_texts(path)
    elif ending == "json":
        path.write_text(json.dumps([{"text": text} for text in TEXTS]))
    elif ending == "csv":
        table.to_csv(str(path))
    elif ending == "parquet":
        table.to_parquet(str(path))
    else:
        table.save_to_disk(str(path))
    loaded = load(config(path, prefix="summarize: "), tokenizer, 64, 1)
    train, held_out = all_texts(loaded.train), all_texts(loaded.held_out)
    assert sorted([*train, *held_out]) == sorted("summarize: " + text for text in TEXTS)
    assert len(held_out) == 4 and not set(train) & set(held_out)
    query = loaded.train[0]
    assert query.ids[-1] == 1 and not query.cut
    assert query.text == "summarize: " + TEXTS[query.index]


def test_the_same_texts_are_held_out_again_and_others_by_another_seed(tmp_path: Path, tokenizer: object) -> None:
    path = save_texts(tmp_path / "texts.jsonl")
    one, two, other = (all_texts(load(config(path), tokenizer, 64, seed).held_out) for seed in (1, 1, 2))
    assert one == two != other
    unseen, quality = load_unseen(config(path), tokenizer, 64, 1, 3)
    assert all_texts(unseen) == one[:3] and quality is None
    another = save_texts(tmp_path / "more.jsonl", TEXTS[:5])
    unseen, _ = load_unseen(config(path), tokenizer, 64, 1, 3, str(another))
    assert set(all_texts(unseen)) < set(TEXTS[:5]) and len(unseen) == 3


def test_long_queries_are_cut_to_what_the_model_takes(tmp_path: Path, tokenizer: object) -> None:
    loaded = load(config(save_texts(tmp_path / "texts.jsonl"), max_query_tokens=9), tokenizer, 5, 1)
    query = loaded.train[0]
    assert query.cut and len(query.ids) == 5 and query.ids[-1] == 1
    assert loaded.train.cut == {query.index}


def test_empty_texts_are_left_out_and_reported(
    tmp_path: Path, tokenizer: object, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in ["", "  ", None, *TEXTS[:8]]))
    loaded = load(config(path), tokenizer, 64, 1)
    assert len(loaded.train) == 4
    assert "empty or no text, so left out: 3 of 11 texts" in caplog.text


@pytest.mark.parametrize(
    ("name", "body", "sentence"),
    [
        ("x.jsonl", '{"text": "a"}\n{"text', "cannot be read"),
        ("x.jsonl", '{"body": "a"}\n', "has no column 'text'; its columns are: body; choose one with"),
        ("x.jsonl", '{"text": ""}\n', "holds no text"),
        ("x.jsonl", '{"text": "a"}\n', "holds 1 text, and data.held_out is 4"),
        ("x.csv", "", "cannot be read"),
        ("x.parquet", "no parquet", "cannot be read"),
        ("x.txt", "a\n", "is not a table that can be read; its name must end in .csv, .jsonl, .json, .parquet"),
        ("x.jsonl", '{"text": "a"}\n\n{"text', "x.jsonl cannot be read: line 3, column 2: "),
        ("x.jsonl", '{"text": "a"}\n["b"]\n', "line 2 is not an object"),
        ("x.json", '[{"text": "a"}, 5]', "entry 2 is not an object"),
        ("x.jsonl", '{"text": "a", "text": "b"}\n', "more than one column is called 'text'"),
        ("x.jsonl", '{"text": "\\ud800"}\n', "line 1 is not UTF-8 text"),
        ("x.csv", "text,text\na,b\n", "more than one column is called 'text'"),
        ("x.csv", "text\na,b\nc\n", "its rows have more cells than its first line has names"),
        ("x.csv", 'text\n"a\nb\n', "EOF inside string"),
        ("newsroom:x", None, "write newsroom, or newsroom:SEED with a number"),
        ("nobody/nothing", None, "the data nobody/nothing cannot be read"),
    ],
)
def test_data_that_cannot_be_used_is_a_sentence(
    tmp_path: Path, tokenizer: object, name: str, body: str | None, sentence: str
) -> None:
    source: Path | str = name
    if body is not None:
        source = tmp_path / name
        source.write_text(body)
    with pytest.raises(LooptopError) as caught:
        load(config(source), tokenizer, 64, 1)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a*.csv", "a?.csv", "a[1].csv", "a[b.csv", "d[x]/a.csv", "x::a.csv", "a#b.csv"])
def test_the_name_of_a_file_is_no_pattern(tmp_path: Path, name: str) -> None:
    for other in ("a.csv", "a1.csv", "ab.csv"):
        (tmp_path / other).write_text("text\nof another file\n")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("text\nits own\n")
    assert read_texts(config(tmp_path / name)) == ["its own"]


@pytest.mark.parametrize(
    "texts",
    [
        ["NA", "None", "null", "nan", "N/A"],
        ["12", "13", "1.50"],
        ["True", "false"],
        ["2020-01-01", "2020-01-02T00:00:00"],
        [*map(str, range(12_000)), "abc"],
    ],
)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "json"])
def test_texts_that_look_like_something_else_are_texts(tmp_path: Path, ending: str, texts: list[str]) -> None:
    path = tmp_path / f"texts.{ending}"
    ids = [*range(len(texts) - 1), "the last"]
    if ending == "csv":
        path.write_text("id,text\n" + "".join(f"{key},{text}\n" for key, text in zip(ids, texts, strict=True)))
    else:
        lines = [json.dumps({"id": key, "text": text}) for key, text in zip(ids, texts, strict=True)]
        path.write_text("\n".join(lines) if ending == "jsonl" else f"[{', '.join(lines)}]")
    assert read_texts(config(path)) == texts
    assert read_texts(config(path, max_queries=2)) == texts[:2]


def test_parquet_that_is_no_text_is_a_sentence_that_names_the_file(tmp_path: Path) -> None:
    offsets, not_text = pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")
    parquet.write_table(
        pa.table({"text": pa.Array.from_buffers(pa.string(), 1, [None, offsets, not_text])}), tmp_path / "bytes.parquet"
    )
    with pytest.raises(LooptopError, match=r"bytes\.parquet cannot be read: it is not UTF-8 text"):
        read_texts(config(tmp_path / "bytes.parquet"))
    pictures = datasets.Features({"text": datasets.Image()})
    broken = datasets.Dataset.from_dict({"text": [{"bytes": b"no picture", "path": "x"}]}, features=pictures)
    broken.to_parquet(str(tmp_path / "pictures.parquet"))
    with pytest.raises(LooptopError, match=r"the column 'text' of .*pictures\.parquet holds no text"):
        read_texts(config(tmp_path / "pictures.parquet"))
    broken.save_to_disk(str(tmp_path / "pictures"))
    with pytest.raises(LooptopError, match=r"pictures cannot be read: cannot identify image file"):
        read_texts(config(tmp_path / "pictures"))


def test_a_file_that_cannot_be_read_puts_nothing_else_on_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    names = ["text", "text", "\x1b]0;title\x07"]
    parquet.write_table(pa.Table.from_arrays([pa.array(["a"])] * 3, names=names), tmp_path / "x.parquet")
    folder = tmp_path / "\x1b[31m"
    folder.mkdir()
    (folder / "x.parquet").write_bytes((tmp_path / "x.parquet").read_bytes())
    for source in (tmp_path / "x.parquet", folder):
        with pytest.raises(LooptopError) as caught:
            read_texts(config(source))
        assert "\x1b" not in str(caught.value)
    assert capfd.readouterr() == ("", "") and not caplog.records
