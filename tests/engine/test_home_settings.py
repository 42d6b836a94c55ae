"""The settings of the whole program: read from one file, each documented, mistakes named."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.cli.main import main
from looptop.engine.config.meanings import meanings
from looptop.engine.encoding import dump_toml
from looptop.engine.home_settings import HomeSettings, read_home_settings


def write(home: Path, text: str | bytes) -> None:
    (home / "settings.toml").write_bytes(text.encode() if isinstance(text, str) else text)


def test_without_a_file_all_settings_have_their_defaults() -> None:
    file = read_home_settings()
    assert file.settings == HomeSettings()
    assert not file.valid_keys
    assert not file.problems


def test_what_is_written_applies(home: Path) -> None:
    write(home, 'theme = "light"\nnotify = "true"\n')
    file = read_home_settings()
    assert file.settings == HomeSettings(theme="light", notify="true")
    assert file.valid_keys == {"theme", "notify"}


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ('thme = "light"', "thme", "did you mean 'theme'?"),
        ("stars = 5", "stars", "the keys are: notify, theme"),
        ('theme = "pink"', "theme", 'it must be one of: "last", "dark", "light"'),
        ("theme = 3", "theme", "it must be one of"),
        ("notify = ['a']", "notify", "it must be a text in quotes"),
        ("notify = [broken", "", "correct or remove the file"),
        (b"\xff\xfe", "", "cannot read"),
        ("a = " + "[" * 5000, "", "cannot read"),
    ],
)
def test_a_mistake_is_named_and_the_rest_applies(home: Path, text: str | bytes, key: str, words: str) -> None:
    write(
        home,
        text
        if isinstance(text, bytes) or not key
        else f'{text}\n{"notify" if key != "notify" else "theme"} = "dark"\n',
    )
    file = read_home_settings()
    (problem,) = file.problems
    assert problem.key == key
    assert words in problem.sentence
    assert str(home / "settings.toml") in problem.sentence
    if key:
        assert "dark" in (file.settings.notify, file.settings.theme)


def test_a_folder_in_its_stead_is_a_problem(home: Path) -> None:
    (home / "settings.toml").mkdir()
    (problem,) = read_home_settings().problems
    assert "is a folder" in problem.sentence


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text()), max_size=3))
def test_any_content_gives_settings_and_one_problem_for_each_other_key(data: dict[str, object]) -> None:
    from looptop.engine.home_settings import settings_path

    path = settings_path()
    path.write_bytes(dump_toml(data))
    file = read_home_settings()
    assert len(file.problems) + len(file.valid_keys) == len(data)


def test_the_command_documents_every_key_and_its_output_is_the_file(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(home, 'theme = "light"\n')
    assert main(["settings"]) == 0
    text = capsys.readouterr().out
    assert tomllib.loads(text) == {"theme": "light"}
    for name in msgspec.structs.fields(HomeSettings):
        assert meanings(HomeSettings)[name.name] in text
    assert main(["settings", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["settings"]["theme"] == {
        "value": "light",
        "default": "last",
        "is_set": True,
        "help": meanings(HomeSettings)["theme"],
    }
    assert report["path"] == str(home / "settings.toml")


def test_the_command_reports_mistakes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(home, "stars = 5\n")
    assert main(["settings"]) == 2
    assert "there is no setting 'stars'" in capsys.readouterr().err
    assert main(["doctor"]) == 0
    assert "there is no setting 'stars'" in capsys.readouterr().out
