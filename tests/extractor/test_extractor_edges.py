"""What users really send: odd texts, odd rows, odd places to write to. Nothing private comes back in a message."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, HttpUrl

from extractft import (
    Extractor,
    GenerationConfig,
    LoRAConfig,
    PromptConfig,
    Schema,
    TrainingConfig,
    Verbatim,
)
from extractft.artifact import load_manifest
from extractft.errors import (
    ArtifactError,
    ArtifactMismatchError,
    ArtifactNotFoundError,
    ConfigError,
    DatasetError,
    ExtractionError,
    InputTooLongError,
    SchemaError,
    TrainingError,
)
from extractft.testing import assert_roundtrip, byte_tokenizer, grammar_accepts, scripted_extractor

CONFIG = TrainingConfig(
    num_train_epochs=1, eval_fraction=0, per_device_train_batch_size=4, lora=LoRAConfig(r=2, lora_dropout=0)
)
SECRET = "SECRETXYZ"


class Order(BaseModel):
    item: str
    note: str | None = None


class Sparse(BaseModel):
    a: str | None = None
    b: int | None = None


ROWS = [("tea", Order(item="tea")), ("rice now", Order(item="rice", note="now")), ("salt", Order(item="salt"))]
LONG = (SECRET * 300, Order(item="x"))


@pytest.fixture(scope="module")
def untrained(tiny_base: Path) -> Extractor[Order]:
    return Extractor.from_base(Order, base_model=str(tiny_base), generation=GenerationConfig(keep_truncated=True))


def fit(tiny_base: Path, rows: Any, schema: Any = Order, config: TrainingConfig = CONFIG, **more: Any) -> Any:
    return Extractor.fit(schema, rows, base_model=str(tiny_base), config=config, **more)


@pytest.mark.parametrize(
    "text",
    [
        "👨‍👩‍👧 １２３\r\n",
        "e\u0301" * 20,
        "\x00a\x7f",
        "<|im_end|></think>" * 20,
        '{"item": "',
        "\u202e\ufeff.",
    ],
    ids=ascii,
)
def test_any_text_gives_a_valid_record(untrained: Extractor[Order], text: str) -> None:
    assert isinstance(untrained.extract(text), Order)


@pytest.mark.parametrize("text", [SECRET * 6000, SECRET + "\ud800", SECRET.encode(), [SECRET]])
def test_texts_that_cannot_be_asked_are_not_quoted(
    untrained: Extractor[Order], text: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(ExtractionError) as caught:
        untrained.extract(text)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET in caught.value.text
    assert SECRET not in caplog.text


def test_what_to_do_is_on_the_error_itself(untrained: Extractor[Order]) -> None:
    with pytest.raises(ExtractionError) as caught:
        untrained.extract("\ud800")
    assert "right encoding" in caught.value.__notes__[0]


def test_texts_are_read_a_batch_ahead_at_most(untrained: Extractor[Order]) -> None:
    read = itertools.count()
    outcomes = untrained.extract_many((f"text {next(read)}" for _ in itertools.count()), batch_size=2)
    assert next(read) == 0
    next(outcomes)
    assert next(read) <= 4


def test_an_endless_run_of_bad_texts_comes_out_as_it_goes(untrained: Extractor[Order]) -> None:
    read = itertools.count()
    texts = ("x" * 9000 for _ in iter(lambda: next(read), -1))
    outcomes = untrained.extract_many(texts, batch_size=2)
    assert all(isinstance(next(outcomes), InputTooLongError) for _ in range(5))
    assert next(read) <= 8


def test_bad_texts_keep_their_places(untrained: Extractor[Order]) -> None:
    texts = ["\ud800", "a", "\ud800", "\ud800", "\ud800", "b", "c", "\ud800"]
    kinds = [type(outcome) for outcome in untrained.extract_many(texts, batch_size=2)]
    assert kinds == [ExtractionError if text == "\ud800" else Order for text in texts]


def test_a_source_that_breaks_gives_what_it_gave_first(untrained: Extractor[Order]) -> None:
    def texts() -> Iterator[str]:
        yield "tea"
        raise OSError("the disk is gone")

    outcomes = untrained.extract_many(texts())
    assert isinstance(next(outcomes), Order)
    with pytest.raises(OSError, match="disk is gone"):
        next(outcomes)


def test_one_text_is_not_many(untrained: Extractor[Order]) -> None:
    with pytest.raises(TypeError, match="single str"):
        untrained.extract_many("tea")


@pytest.mark.parametrize("size", [0, -1])
def test_no_batch_is_smaller_than_one(untrained: Extractor[Order], size: int) -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        untrained.extract_many(["tea"], batch_size=size)


def test_row_numbers_are_those_of_the_data_even_when_rows_are_held_out(tiny_base: Path) -> None:
    rows = [*ROWS, LONG, *ROWS]
    found = set()
    for seed in range(4):
        with pytest.raises(DatasetError) as caught:
            fit(tiny_base, rows, config=CONFIG.replace(eval_fraction=0.5, seed=seed))
        assert [issue.row for issue in caught.value.issues] == [4]
        assert SECRET not in str(caught.value)
        found.add("held out" in str(caught.value))
    assert found == {True, False}


def test_rows_beyond_the_models_window_are_too_long(tiny_base: Path) -> None:
    rows = [*ROWS, ("x" * 4000, Order(item="x"))]
    with pytest.raises(DatasetError, match="row 4: more than max_length=4096"):
        fit(tiny_base, rows, config=CONFIG.replace(max_length=100_000))


def test_no_row_short_enough(tiny_base: Path) -> None:
    skipping = CONFIG.replace(overlong="skip")
    with pytest.raises(DatasetError, match="training rows of at most"):
        fit(tiny_base, [LONG], config=skipping)
    with pytest.raises(DatasetError, match="held-out rows of at most"):
        fit(tiny_base, ROWS, eval_data=[LONG], config=skipping)


def test_nothing_to_hold_out_is_said(tiny_base: Path, caplog: pytest.LogCaptureFixture) -> None:
    extractor = fit(tiny_base, ROWS[:1], config=CONFIG.replace(eval_fraction=0.1))
    assert extractor.metrics == {}
    assert "nothing could be held out" in caplog.text


def test_failures_on_empty_records_are_no_perfect_scores(tiny_base: Path) -> None:
    rows = [("x", Sparse()), ("y", Sparse()), ("z", Sparse())]
    extractor = fit(tiny_base, rows, Sparse, CONFIG.replace(generation=GenerationConfig(max_new_tokens=8)))
    report = extractor.evaluate(rows)
    assert report.field_f1 == report.valid_rate == report.exact_rate


@pytest.mark.parametrize("rows", [[{"text": SECRET, "output": {"item": 5, SECRET: SECRET}}], [(SECRET, "{" + SECRET)]])
def test_bad_rows_are_not_quoted(tiny_base: Path, rows: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(DatasetError) as caught:
        fit(tiny_base, rows)
    messages = [str(caught.value), *map(str, caught.value.issues), caplog.text, *getattr(caught.value, "__notes__", ())]
    assert not any(SECRET in message for message in messages)


def test_places_that_cannot_be_written_are_found_before_training(tiny_base: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(TrainingError, match="output_dir to write to"):
        fit(tiny_base, ROWS, output_dir=tmp_path / "file")
    (tmp_path / "run" / "extractor").mkdir(parents=True)
    (tmp_path / "run" / "extractor" / "thesis.txt").write_text("x")
    with pytest.raises(ArtifactError, match="other files"):
        fit(tiny_base, ROWS, output_dir=tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["extractor"]


@pytest.fixture(scope="module")
def saved(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory: Path = tmp_path_factory.mktemp("saved") / "extractor"
    fit(tiny_base, ROWS).save_pretrained(directory)
    return directory


def test_going_on_keeps_prompt_and_adapter_or_says_so(tiny_base: Path, saved: Path, tmp_path: Path) -> None:
    default = CONFIG.replace(lora=LoRAConfig())
    fit(tiny_base, ROWS, config=default, init_adapter=saved).save_pretrained(tmp_path / "next")
    assert load_manifest(tmp_path / "next").config.lora == CONFIG.lora
    with pytest.raises(ArtifactMismatchError, match="lora settings"):
        fit(tiny_base, ROWS, config=CONFIG.replace(lora=LoRAConfig(r=3)), init_adapter=saved)
    with pytest.raises(ArtifactMismatchError, match="prompt settings"):
        fit(tiny_base, ROWS, config=CONFIG.replace(prompt=PromptConfig(language="zh")), init_adapter=saved)


def test_the_saved_chat_template_is_the_one_that_counts(tiny_base: Path, saved: Path, tmp_path: Path) -> None:
    changed = tmp_path / "base"
    shutil.copytree(tiny_base, changed)
    template = changed / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_start|>", "<|im_start|>the "))
    loaded = Extractor.from_pretrained(saved, base_model=str(changed))
    assert loaded.render("tea") == Extractor.from_pretrained(saved).render("tea")
    assert "<|im_start|>the" not in loaded.render("tea")


def test_a_saved_extractor_moves_and_is_whole_or_says_so(saved: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "extractor"
    shutil.copytree(saved, moved)
    assert Extractor.from_pretrained(moved).extract("tea").model_dump().keys() == {"item", "note"}
    (moved / "tokenizer.json").unlink()
    with pytest.raises(ArtifactNotFoundError, match="tokenizer"):
        Extractor.from_pretrained(moved)


def test_home_is_home_everywhere(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    fit(tiny_base, ROWS, output_dir="~/run")
    assert isinstance(Extractor.from_pretrained("~/run/extractor", schema=Order).extract("tea"), Order)
    fit(tiny_base, ROWS, init_adapter="~/run/extractor")
    assert not (tmp_path / "~").exists()


def test_what_is_saved_holds_no_text(saved: Path) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    assert "rice now" not in json.dumps(manifest)
    assert "rice now" not in (saved / "README.md").read_text()


def test_doubles_have_no_model_to_save(tmp_path: Path) -> None:
    double = scripted_extractor(Order, {"tea": Order(item="tea")})
    with pytest.raises(ArtifactError, match="engine of its own"):
        double.save_pretrained(tmp_path / "x")


def test_decomposed_texts_and_records_are_the_same_as_composed_ones() -> None:
    decomposed = "cafe\u0301 \u1112\u1161\u11ab"
    double = scripted_extractor(Order, {decomposed: Order(item=decomposed)})
    report = double.evaluate([(decomposed, Order(item=decomposed))])
    assert report.exact_rate == report.field_f1 == 1


def test_settings_of_another_kind_are_named(tiny_base: Path) -> None:
    with pytest.raises(ConfigError, match="expected a TrainingConfig, found dict"):
        fit(tiny_base, ROWS, config={"seed": 1})  # type: ignore[arg-type]


def test_only_the_main_process_of_several_saves(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "1")
    fit(tiny_base, ROWS, config=CONFIG.replace(eval_fraction=0, num_train_epochs=1), output_dir=tmp_path / "run")
    assert not (tmp_path / "run" / "extractor").exists()


# --------------------------------------------------------------------------------------------------------- schemas


@pytest.fixture(scope="module")
def saved_full(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An extractor of a Schema that writes every key."""
    place = tmp_path_factory.mktemp("full") / "extractor"
    extractor = Extractor.fit(Schema.of(Order, omit_defaults=False), ROWS, base_model=str(tiny_base), config=CONFIG)
    assert extractor.schema.omit_defaults is False
    assert extractor.config.prompt.omit_defaults is False
    extractor.save_pretrained(place)
    return place


def test_a_schema_keeps_its_word_about_defaults(saved_full: Path, tiny_base: Path) -> None:
    full = Schema.of(Order, omit_defaults=False)
    assert Extractor.from_base(full, base_model=str(tiny_base)).schema.omit_defaults is False
    for schema in (None, Order, full):
        loaded = Extractor.from_pretrained(saved_full, schema=schema)
        assert loaded.schema.canonical_json(loaded.schema.parse('{"item":"a"}')) == '{"item":"a","note":null}'
    with pytest.raises(ArtifactMismatchError, match="omit_defaults"):
        Extractor.from_pretrained(saved_full, schema=Schema.of(Order))


def test_settings_that_contradict_a_schema_are_refused(tiny_base: Path) -> None:
    full, told = Schema.of(Order, omit_defaults=False), PromptConfig(omit_defaults=True)
    with pytest.raises(ConfigError, match="agree on omit_defaults"):
        Extractor.fit(full, ROWS, base_model=str(tiny_base), config=CONFIG.replace(prompt=told))
    with pytest.raises(ConfigError, match="agree on omit_defaults"):
        Extractor.from_base(full, base_model=str(tiny_base), prompt=told)


def test_with_the_class_nothing_is_rebuilt(saved_full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def beyond(data: Any) -> Any:
        raise SchemaError("cannot be rebuilt")

    monkeypatch.setattr(Schema, "from_dict", beyond)
    with pytest.raises(ArtifactError):
        Extractor.from_pretrained(saved_full)
    assert Extractor.from_pretrained(saved_full, schema=Order).schema.type is Order


def test_what_could_not_be_loaded_again_is_refused_before_a_model_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def beyond(data: Any) -> Any:
        raise SchemaError("cannot be rebuilt")

    monkeypatch.setattr(Schema, "from_dict", beyond)
    with pytest.raises(SchemaError, match="not be loaded again: cannot be rebuilt"):
        Extractor.fit(Order, ROWS, base_model="no/such-model", config=CONFIG)


class Odd(BaseModel):
    site: HttpUrl | None = None
    n: int | None = Field(default_factory=lambda: 1)
    code: str = Field("", pattern="^[A-Z]+$")


def test_what_was_fitted_can_be_loaded_with_its_class_and_without(tiny_base: Path, tmp_path: Path) -> None:
    rows = [(f"{i}", {"n": i, "code": "A"}) for i in range(3)]
    Extractor.fit(Odd, rows, base_model=str(tiny_base), config=CONFIG).save_pretrained(tmp_path / "x")
    for schema in (None, Odd):
        assert Extractor.from_pretrained(tmp_path / "x", schema=schema).schema.fingerprint == Schema.of(Odd).fingerprint


def test_verbatim_values_are_looked_up_in_the_composed_text() -> None:
    class Word(BaseModel):
        s: Annotated[str, Verbatim()]

    text, value = "e\u0301tude", "\u00e9tude"
    assert scripted_extractor(Word, {text: Word(s=value)}).extract(text).s == value
    assert grammar_accepts(Word, f'{{"s":"{value}"}}', byte_tokenizer(), text=text)
    assert not grammar_accepts(Word, '{"s":"other"}', byte_tokenizer(), text=text)


def test_the_doubles_keep_what_a_schema_says() -> None:
    full = Schema.of(Order, omit_defaults=False)
    tokenizer = byte_tokenizer()
    assert grammar_accepts(full, full.canonical_json(Order(item="a")), tokenizer)
    assert not grammar_accepts(full, '{"item":"a"}', tokenizer)
    assert scripted_extractor(full, {"a": Order(item="a")}).schema is full
    assert_roundtrip(Order(item="a"), tokenizer, schema=full)
