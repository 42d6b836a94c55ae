"""Queries from files and data sets: what is held out, what is cut, what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest
from transformers import AutoTokenizer

from looptop.engine.config.ppo import QueryConfig
from looptop.engine.errors import LooptopError
from looptop.engine.ppo.data import load, load_unseen
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
