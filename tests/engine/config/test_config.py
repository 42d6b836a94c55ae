"""A run's configuration: which settings are accepted, and the messages for the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from looptop.engine import config
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.startup.sources import with_absolute_paths, with_checked_sources


def test_both_presets_are_complete_and_have_the_chapters_values() -> None:
    assert config.presets() == ["tiny", "book"]
    book = config.preset("book")
    assert (book.model.text_encoder, book.model.image_encoder, book.model.decoder) == (
        "distilbert-base-uncased",
        "facebook/dino-vitb16",
        "gpt2",
    )
    assert book.training.per_device_train_batch_size == 16
    assert book.training.gradient_accumulation_steps == 4
    assert book.training.num_train_epochs == 1
    assert book.model.freeze == ("nothing",)


def test_the_ppo_presets_have_the_chapters_values() -> None:
    assert config.presets("ppo") == ["tiny", "book", "tiny-hackable"]
    book = config.preset("book", "ppo")
    assert isinstance(book, PpoRunConfig)
    assert (book.model.policy, book.data.source, book.data.prefix) == (
        "google/flan-t5-small",
        "argilla/news-summary",
        "summarize: ",
    )
    assert [(reward.model, reward.label, reward.weight) for reward in book.rewards] == [
        ("textattack/roberta-base-CoLA", "LABEL_1", 1.0),
        ("cardiffnlp/twitter-roberta-base-sentiment", "LABEL_1", 0.5),
    ]
    assert (book.ppo.batch_size, book.ppo.gradient_accumulation_steps, book.ppo.samples) == (4, 8, 32)
    assert (book.training.learning_rate, book.training.num_train_epochs) == (2e-5, 2.0)
    assert not book.generation.sampling_changes()


def test_a_reward_is_changed_by_its_name() -> None:
    chosen = config.override(
        config.preset("tiny", "ppo"), ["rewards.neutral.weight=2", "max_steps=3", "kl_penalty=abs"]
    )
    assert isinstance(chosen, PpoRunConfig)
    assert [reward.weight for reward in chosen.rewards] == [1.0, 2.0]
    assert chosen.training.max_steps == 3
    assert chosen.ppo.kl_penalty == "abs"
    more = config.override(chosen, ["rewards.short.function=mine.py:short", "rewards.short.weight=0.3"])
    assert isinstance(more, PpoRunConfig)
    assert [(reward.name, reward.weight) for reward in more.rewards][2:] == [("short", 0.3)]
    alone = config.override(chosen, ['rewards=[{name = "short", function = "mine.py:short"}]'])
    assert isinstance(alone, PpoRunConfig)
    assert [reward.name for reward in alone.rewards] == ["short"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rewards.tone.weight=2", "there is no 'tone' among the rewards, which are: grammar, neutral"),
        ("rewards.neutral.wieght=2", "'rewards.neutral.wieght'; did you mean 'rewards.neutral.weight'?"),
        ("rewards.grammar.weigth=2", "'rewards.grammar.weigth'; did you mean 'rewards.grammar.weight'?"),
        ("rewards.gramar.weight=2", "are: grammar, neutral; did you mean 'rewards.grammar.weight'?"),
        ("rewrads.grammar.weight=2", "'rewrads.grammar.weight'; did you mean 'rewards.grammar.weight'?"),
        ("rewards.mine.funtion=a.py:f", "did you mean 'rewards.mine.function', which makes a new one?"),
        (
            'rewards=[{name = "a", funtion = "a.py:f"}]',
            "no key 'rewards.a.funtion'; did you mean 'rewards.a.function'?",
        ),
        ("ppo.init_kl_coeff=2", "'ppo.init_kl_coeff'; did you mean 'ppo.init_kl_coef'?"),
        ("genration.top_k=2", "'genration.top_k'; did you mean 'generation.top_k'?"),
        ("rewards.neutral.reads=all", "rewards.neutral.reads is 'all': it must be one of: response, both"),
        ("rewards.neutral.person=true", "rewards.neutral: give exactly one of model, function"),
        ("rewards=[]", "a PPO run needs at least one"),
        ("rewards.neutral.name=grammar", "the names must differ, but they are: grammar, grammar"),
        ("batch_size=24", "must be such that one is a multiple of the other"),
        ("kl_penalty=foo", "ppo.kl_penalty is 'foo': it must be one of: kl, abs, mse, full"),
        ("score_clip=-1", "ppo.score_clip is -1.0: "),
        ("max_new_tokens=0", "generation.max_new_tokens is 0: "),
    ],
)
def test_a_bad_ppo_setting_is_one_sentence(setting: str, message: str) -> None:
    with pytest.raises(LooptopError) as caught:
        config.override(config.preset("tiny", "ppo"), [setting])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('kind = "ppo"\n')
    assert config.load(path) == config.preset("tiny", "ppo")
    with pytest.raises(LooptopError, match="configures a ppo run, not a vqa run; use `looptop train ppo`"):
        config.load(path, "vqa")
    path.write_text('kind = "gan"\n')
    with pytest.raises(LooptopError, match="kind is 'gan'; it must be one of: vqa, ppo, reward"):
        config.load(path)


def test_local_paths_still_work_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("texts.jsonl", "mine.py", "newsroom"):
        (tmp_path / name).write_text("")
    chosen = config.override(
        config.preset("tiny", "ppo"),
        ["data.source=texts.jsonl", "policy=somebody/something", 'rewards=[{name = "a", function = "mine.py:short"}]'],
    )
    absolute = with_absolute_paths(chosen)
    assert isinstance(absolute, PpoRunConfig)
    assert absolute.data.source == str(tmp_path / "texts.jsonl")
    assert absolute.model.policy == "somebody/something"
    assert absolute.rewards[0].function == f"{tmp_path}/mine.py:short"
    assert with_absolute_paths(config.preset("tiny", "ppo")) == config.preset("tiny", "ppo")
    with pytest.raises(LooptopError, match=r"there is no file nowhere\.csv"):
        with_checked_sources(config.override(chosen, ["data.source=nowhere.csv"]))
    with pytest.raises(LooptopError, match=r"policy names \./mine, which is not there"):
        with_checked_sources(config.override(chosen, ["policy=./mine"]))


def test_a_saved_configuration_is_read_back_the_same(tmp_path: Path) -> None:
    chosen = config.override(config.preset("tiny"), ["fusion=tokens", "freeze=encoders,decoder", "max_images=20"])
    config.save(chosen, tmp_path / "config.toml")
    assert config.load(tmp_path / "config.toml") == chosen


def test_a_file_needs_only_what_differs_from_its_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('preset = "book"\n[training]\nlearning_rate = 1e-3\n')
    chosen = config.load(path)
    assert chosen.training.learning_rate == 1e-3
    assert chosen.model == config.preset("book").model


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("learning_rate=1e-4", 1e-4),
        ("training.learning_rate=1", 1.0),
        ("num_train_epochs=3", 3.0),
        ("warmup_steps=10", 10.0),
        ("keep_features=false", False),
        ("freeze=text_encoder", ("text_encoder",)),
        ('freeze=["text_encoder", "decoder"]', ("text_encoder", "decoder")),
        ("fusion=tokens", "tokens"),
        ("start_from=vqa-3", "vqa-3"),
        ("source=007", "007"),
    ],
)
def test_typed_settings_are_parsed(setting: str, value: object) -> None:
    chosen = config.to_dict(config.override(config.preset("tiny"), [setting]))
    name = setting.partition("=")[0].rpartition(".")[2]
    (parsed,) = [table[name] for table in chosen.values() if isinstance(table, dict) and name in table]
    assert (tuple(parsed) if isinstance(parsed, list) else parsed) == value


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("learning_rat=1", "'learning_rat'; did you mean 'learning_rate'"),
        (
            "per_device_train_batch_size=-4",
            "is -4: it must be a whole number of at least 1",
        ),
        ("per_device_train_batch_size=2.5", "per_device_train_batch_size is 2.5: it must be a whole number"),
        ("learning_rate=fast", "learning_rate is 'fast': it must be a number"),
        ("num_train_epochs=inf", "num_train_epochs is inf"),
        ("learning_rate=nan", "learning_rate is nan: it must be a number above 0"),
        ("fusion=cat", "fusion is 'cat': it must be one of: mean, tokens"),
        ("freeze=encoder", "it must be one of: nothing, text_encoder"),
        ("learning_rate", "is not key=value"),
        ("model=3", "there is no setting 'model'"),
    ],
)
def test_a_wrong_setting_is_named_with_a_remedy(setting: str, words: str) -> None:
    with pytest.raises(LooptopError) as caught:
        config.override(config.preset("tiny"), [setting])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[training]\nepochs = 3\n", "there is no key 'training.epochs'"),
        ("[training]\nlearning_rate = '1'\n", "training.learning_rate is '1': it must be a number"),
        ("[model]\nfusion = 'sum'\n", "it must be one of: mean, tokens"),
        ("[training]\nmax_steps = 0\n", "training.max_steps is 0: give at least 1, or -1"),
        (
            "[training]\nnum_train_epochs = 1e9\n",
            "training.num_train_epochs is 1000000000.0: it must be a number of at most 1000000",
        ),
        ("trainig = 1\n", "there is no key 'trainig'; did you mean 'training'?"),
        ("[training]\nlearning_rat = 1\n", "'training.learning_rat'; did you mean 'training.learning_rate'?"),
        (
            "kind = 'ppo'\n[[rewards]]\nname = 'a'\nmodel = 'b'\n[[rewards]]\nname = 'tone'\nweigth = 2.0\n",
            "there is no key 'rewards.tone.weigth'; did you mean 'rewards.tone.weight'?",
        ),
        ("kind = 'ppo'\n[[rewards]]\nname = 'a'\nmdel = 'b'\n", "did you mean 'rewards.a.model'?"),
        ("[data]\nsorce = 'x'\n", "there is no key 'data.sorce'; did you mean 'data.source'?"),
        ("colour = 1\n", "there is no key 'colour'; a newer looptop may have it"),
        ("preset = 'huge'\n", "there is no preset 'huge'; the presets are: tiny, book"),
        ("preset = 3\n", "preset must be a name"),
        ("training = 3\n", "it must be a table"),
        ("[training\n", "is not valid TOML"),
        ("kind = 'ppo2'\n", "it must be one of"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(LooptopError) as caught:
        config.load(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_unreadable_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LooptopError, match="cannot read the configuration"):
        config.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"preset = '\xe9'")
    with pytest.raises(LooptopError, match="not UTF-8"):
        config.load(tmp_path / "latin.toml")


def test_checking_a_configuration_needs_no_torch() -> None:
    code = (
        "import sys; from looptop.engine import config; config.override(config.preset('tiny'), ['fusion=tokens']);"
        "print(sorted({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"


DAMAGED = {
    "nested lists": b"a = " + b"[" * 5000,
    "nested tables": b"a = " + b"{a = " * 5000,
    "a number of 6,000 digits": b"a = " + b"9" * 6000,
    "a large number": b"training.max_steps = " + b"9" * 30,
    "bytes": b"\xff\xfe",
    "zeros": bytes(100),
    "a list as kind": b"kind = []",
    "a table as kind": b"kind = {}",
    "a table as preset": b"preset = {}",
    "a number as table": b"training = 3",
    "rewards of another type": b"kind = 'ppo'\nrewards = [1]",
    "a nested value": b"data.source = " + b"[" * 90 + b"]" * 90,
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=list(DAMAGED))
def test_a_damaged_file_is_a_sentence_that_names_it(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(text)
    with pytest.raises(LooptopError) as caught:
        config.load(file)
    assert "mine.toml" in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("kind", ["vqa", "ppo", "reward"])
def test_any_value_of_any_key_is_accepted_or_refused_in_a_sentence(kind: str) -> None:
    whole = config.to_dict(config.preset("tiny", kind))
    values: list[object] = [
        None,
        "",
        "x",
        1,
        -1,
        1e300,
        float("nan"),
        2**70,
        [],
        [[]],
        {},
        {"a": {}},
        True,
        [{"name": 3}],
        "\ud800",
    ]
    for table, content in whole.items():
        keys = list(content) if isinstance(content, dict) else []
        for value in values:
            for key in [None, *keys]:
                data = whole | {table: value} if key is None else whole | {table: content | {key: value}}
                try:
                    config.from_dict(data)
                except LooptopError as error:
                    assert str(error).isprintable()


@pytest.mark.parametrize("value", ["9" * 6000, "[" * 5000, "{a = " * 3000, "\x00", "\ud800"])
def test_a_setting_that_cannot_be_read_is_refused_in_a_sentence(value: str) -> None:
    with pytest.raises(LooptopError):
        config.override(config.preset("tiny"), [f"learning_rate={value}"])
