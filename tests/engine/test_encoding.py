"""Texts in any bytes come back from TOML as they were, and JSON always takes them."""

from __future__ import annotations

import json
import tomllib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.encoding import dump_toml, encode_json, escaped, parse_toml, restored, storable

ANY_TEXT = st.text(st.characters() | st.sampled_from('\ud800\udce9\udfff\\u0d5c\0\r\n"'), max_size=30)
DATA = st.dictionaries(ANY_TEXT, ANY_TEXT | st.lists(ANY_TEXT) | st.dictionaries(ANY_TEXT, ANY_TEXT), max_size=4)


@given(DATA)
def test_toml_gives_every_text_back(data: dict[str, object]) -> None:
    written = dump_toml(data)
    tomllib.loads(written.decode())
    assert parse_toml(written) == data


@given(ANY_TEXT)
def test_an_escaped_text_is_restored_and_can_be_encoded(text: str) -> None:
    assert restored(escaped(text)) == text
    escaped(text).encode()
    storable(text).encode()
    assert storable(storable(text)) == storable(text)


@given(DATA)
def test_json_takes_every_text(data: dict[str, object]) -> None:
    assert isinstance(json.loads(encode_json(data)), dict)


def test_json_takes_a_struct_whose_text_is_not_utf_8() -> None:
    class Person(msgspec.Struct):
        name: str

    assert encode_json(Person("caf\udce9")) == rb'{"name":"caf\\udce9"}'


@pytest.mark.parametrize("data", [b"title = \xff", b"x = " + b"[" * 10_000, b"x = " + b"1" * 6_000])
def test_what_is_no_toml_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_toml(data)
