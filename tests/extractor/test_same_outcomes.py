"""`extract`, `extract_many`, `inspect` and `inspect_many` give the same, whatever the schema's validators do."""

from __future__ import annotations

import copy
import io
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, field_serializer, field_validator, model_validator

from extractft import Extraction, Extractor, GenerationConfig, PromptConfig, Schema
from extractft.constraints import GrammarCompiler
from extractft.errors import ConfigError, EmptyTextError, ExtractionError, LowConfidenceError, OutputInvalidError
from extractft.prompt import ChatRenderer, render_system_prompt
from extractft.testing import ScriptedEngine, byte_tokenizer, scripted_extractor

SECRET = "SECRETXYZ"
OBJECT: Any = object()
RAISED = [
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    ZeroDivisionError,
    RecursionError,
    MemoryError,
    StopIteration,
]
RETURNED: dict[str, Any] = {"none": None, "number": 5, "object": OBJECT, "list": [SECRET], "function": len}


class Odd(BaseModel):
    name: str
    more: list[str] = []

    @field_validator("name")
    @classmethod
    def odd(cls, value: str) -> Any:
        for kind in RAISED:
            if value == kind.__name__:
                raise kind(SECRET)
        if value == "refused":
            raise ValueError(SECRET)
        return RETURNED.get(value, value)

    @field_serializer("name")
    def oddly_written(self, value: Any) -> Any:
        if value == "unwritable":
            raise IndexError(SECRET)
        return value

    @model_validator(mode="after")
    def odd_as_a_whole(self) -> Any:
        if self.name == "replaced":
            return None
        if self.name == "changed":
            self.more = [OBJECT]
        if self.name == "emptied":
            del self.__dict__["name"]
        return self


NAMES = [
    "fine",
    "龙琳",
    "refused",
    "unwritable",
    "replaced",
    "changed",
    "emptied",
    *(kind.__name__ for kind in RAISED),
    *RETURNED,
]
TEXTS = [*NAMES, "", "  \n", "\ufeff", "\u200b\u3000", "\ud800", "x" * 5000, None, 5, b"fine", ["fine"]]


def odd_extractor(**settings: Any) -> Extractor[Odd]:
    schema, tokenizer = Schema.of(Odd), byte_tokenizer()
    chat = ChatRenderer(tokenizer, render_system_prompt(schema, PromptConfig()))
    grammar = GrammarCompiler(tokenizer, vocab_size=len(tokenizer), end_token_id=chat.end_token_id)
    answers = {name: json.dumps({"name": name}, separators=(",", ":"), ensure_ascii=False) for name in NAMES}
    generation = GenerationConfig(**settings)
    engine = ScriptedEngine(answers, chat)
    return Extractor(schema, chat, engine, grammar, generation=generation, max_window=3000)


EXTRACTOR = odd_extractor()
SPLITTING = odd_extractor(split_long_texts=True)


def told(outcome: Any) -> Any:
    """What can be compared of an outcome."""
    if isinstance(outcome, ExtractionError):
        return type(outcome), str(outcome), outcome.text, outcome.raw_output, getattr(outcome, "__notes__", None)
    return repr(getattr(outcome, "__dict__", outcome))


def one_by_one(ask: Callable[[Any], Any], text: Any) -> Any:
    try:
        return ask(text)
    except ExtractionError as error:
        return error


@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=6), st.sampled_from([1, 2, 8]))
def test_extract_gives_what_extract_many_gives(texts: list[Any], batch_size: int) -> None:
    for extractor in (EXTRACTOR,) if "x" * 5000 in texts else (EXTRACTOR, SPLITTING):
        many = list(extractor.extract_many(texts, batch_size=batch_size))
        inspected = list(extractor.inspect_many(texts, batch_size=batch_size))
        assert len(many) == len(inspected) == len(texts)
        for text, outcome, explained in zip(texts, many, inspected, strict=True):
            assert told(one_by_one(extractor.extract, text)) == told(outcome)
            single = one_by_one(extractor.inspect, text)
            for found in (explained, single):
                output = found.output if isinstance(found, Extraction) else found
                assert told(output) == told(outcome)
            if isinstance(explained, Extraction):
                assert (explained.spans, explained.confidence, explained.explanation_error) == (
                    single.spans,
                    single.confidence,
                    single.explanation_error,
                )


@pytest.mark.parametrize("name", [*RETURNED, "replaced", "changed", "emptied"])
def test_a_record_without_places_is_given_and_says_so(name: str) -> None:
    found = EXTRACTOR.inspect(name)
    assert told(found.output) == told(EXTRACTOR.extract(name))
    assert found.spans == {}
    assert found.confidence is not None
    assert "spans (SchemaError)" in (found.explanation_error or "")
    assert SECRET not in (found.explanation_error or "")
    assert EXTRACTOR.inspect("fine").explanation_error is None


@pytest.mark.parametrize("name", [kind.__name__ for kind in RAISED] + ["refused"])
def test_a_validator_that_raises_anything_spoils_its_text_alone_and_quotes_nothing(name: str) -> None:
    before, broken, behind = EXTRACTOR.extract_many(["fine", name, "fine"])
    assert before == behind == Odd(name="fine")
    assert isinstance(broken, OutputInvalidError)
    assert SECRET not in str(broken)
    assert broken.__cause__ is None


def test_records_that_cannot_be_compared_are_wrong_and_spoil_no_other() -> None:
    rows = [(name, {"name": "fine"}) for name in NAMES]
    report = EXTRACTOR.evaluate(rows, keep_records=True)
    writable = {"fine", "龙琳", "unwritable"}
    assert report.rows == len(NAMES)
    assert report.valid == len(writable)
    assert report.invalid == len(NAMES) - len(writable)
    assert SECRET not in report.model_dump_json()
    assert EXTRACTOR.calibrate(rows * 2)["records"].count == 2 * len(writable)
    EXTRACTOR._explainer = EXTRACTOR._explainer.calibrated(None)


def test_confidence_can_be_asked_for_whatever_validators_do() -> None:
    outcomes = list(EXTRACTOR.extract_many(NAMES, min_confidence=1.0))
    for name, outcome in zip(NAMES, outcomes, strict=True):
        raised = name == "refused" or any(name == kind.__name__ for kind in RAISED)
        assert type(outcome) is (OutputInvalidError if raised else LowConfidenceError)


BLANK = ["", " ", "\n\t\r", "\u3000", "\xa0\u2009", "\u200b\u200d", "\ufeff", "\u2060\u00ad", "\x00", "\u202e"]


@pytest.mark.parametrize("text", BLANK, ids=ascii)
def test_a_blank_text_is_an_error_of_its_own_everywhere(text: str) -> None:
    asked: list[str] = []

    def answer(_: str) -> str:
        asked.append("x")
        return '{"name":"invented"}'

    extractor = scripted_extractor(Odd, {"fine": Odd(name="fine"), text: Odd(name="invented")})
    extractor._pipeline.engine._script = answer  # type: ignore[attr-defined]
    for ask in (extractor.extract, extractor.inspect):
        with pytest.raises(EmptyTextError, match="nothing but blanks") as caught:
            ask(text)
        assert caught.value.text == text
        assert caught.value.raw_output is None
        assert caught.value.__notes__
    for many in (extractor.extract_many([text]), extractor.inspect_many([text])):
        assert [type(outcome) for outcome in many] == [EmptyTextError]
    assert asked == []


def test_a_blank_piece_of_a_long_text_is_passed_over() -> None:
    extractor = scripted_extractor(
        Odd, {}, split_long_texts=True, max_text_tokens=40, overlap_tokens=0, max_new_tokens=200
    )
    seen: list[str] = []

    def answer(text: str) -> str:
        seen.append(text)
        return '{"name":"fine"}'

    extractor._pipeline.engine._script = answer  # type: ignore[attr-defined]
    text = "fine one here\n\n" + "\n" * 400 + "fine two here"
    assert extractor.extract(text) == Odd(name="fine")
    assert len(seen) >= 2
    assert all(piece.strip() for piece in seen)


class DataSplit:
    """As a `datasets.Dataset`."""

    column_names = ("text",)

    def __iter__(self) -> Iterator[dict[str, str]]:
        return iter([{"text": "fine"}])


FRAME = pd.DataFrame({"text": ["fine", "fine"], "id": ["1", "2"]})
NOT_TEXTS = {
    "DataFrame": (FRAME, r"data\['text'\]"),
    "dict": ({"text": ["fine"]}, "keys"),
    "Dataset": (DataSplit(), "column"),
    "matrix": (np.array([["fine"]]), "dimensions"),
    "str": ("fine", "extract"),
    "bytes": (b"fine", "decode"),
    "bytearray": (bytearray(b"fine"), "decode"),
    "set": ({"fine"}, "order"),
    "frozenset": (frozenset({"fine"}), "order"),
    "text file": (io.StringIO("fine\n"), "lines"),
    "binary file": (io.BytesIO(b"fine\n"), "lines"),
    "None": (None, "NoneType"),
    "number": (5, "int"),
}


@pytest.mark.parametrize("kind", NOT_TEXTS)
@pytest.mark.parametrize("verb", ["extract_many", "inspect_many"])
def test_what_is_no_column_of_texts_is_refused_at_once(kind: str, verb: str) -> None:
    given_, words = NOT_TEXTS[kind]
    with pytest.raises(TypeError, match=words):
        getattr(EXTRACTOR, verb)(given_)


TEXTS_OF_EVERY_SORT = {
    "list": ["fine", "fine"],
    "tuple": ("fine", "fine"),
    "generator": (text for text in ["fine", "fine"]),
    "Series": FRAME["text"].map(lambda _: "fine"),
    "Index": pd.Index(["fine", "fine"]),
    "array": np.array(["fine", "fine"]),
    "values of a dict": {1: "fine", 2: "fine"}.values(),
    "keys of a dict": {"fine": 1}.keys(),
    "map": map(str, ["fine", "fine"]),
}


@pytest.mark.parametrize("kind", TEXTS_OF_EVERY_SORT)
def test_any_ordered_iterable_of_texts_is_taken(kind: str) -> None:
    outcomes = list(EXTRACTOR.extract_many(TEXTS_OF_EVERY_SORT[kind]))
    assert outcomes
    assert all(outcome == Odd(name="fine") for outcome in outcomes)


def test_a_row_in_place_of_a_text_is_its_own_error_with_the_way_out() -> None:
    first, second = EXTRACTOR.extract_many([{"text": SECRET}, "fine"])  # type: ignore[list-item]
    assert isinstance(first, ExtractionError)
    assert "row['text']" in first.__notes__[0]
    assert SECRET not in str(first)
    assert second == Odd(name="fine")


class Unspeakable:
    def __str__(self) -> str:
        raise KeyError(SECRET)


def test_a_thing_that_cannot_even_be_shown_spoils_only_itself() -> None:
    first, second = EXTRACTOR.extract_many([Unspeakable(), "fine"])  # type: ignore[list-item]
    assert isinstance(first, ExtractionError)
    assert second == Odd(name="fine")


@pytest.mark.parametrize("copied", [pickle.dumps, copy.deepcopy, copy.copy])
def test_extractors_and_what_they_are_made_of_stay_in_their_process(copied: Any) -> None:
    runner = EXTRACTOR._pipeline
    for thing in (EXTRACTOR, runner, runner.grammar, runner.grammar.compile(EXTRACTOR.schema)):
        with pytest.raises(TypeError, match=type(thing).__name__) as caught:
            copied(thing)
        assert "from_pretrained" in caught.value.__notes__[0]


def test_settings_of_another_kind_are_named() -> None:
    runner = EXTRACTOR._pipeline
    parts = (runner.chat, runner.engine, runner.grammar)
    with pytest.raises(ConfigError, match="expected a GenerationConfig, found dict"):
        Extractor(EXTRACTOR.schema, *parts, generation={"batch_size": 2})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected a Schema, found ModelMetaclass"):
        Extractor(Odd, *parts)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="max_window"):
        Extractor(EXTRACTOR.schema, *parts, max_window=0)
    with pytest.raises(ConfigError, match="expected a PromptConfig, found dict"):
        Extractor.from_base(Odd, prompt={"language": "zh"})  # type: ignore[arg-type]
    for size in ("8", 2.5, True, 0):
        with pytest.raises(ConfigError, match="batch_size"):
            EXTRACTOR.extract_many(["fine"], batch_size=size)  # type: ignore[arg-type]
    for least in ("0.5", -1, float("nan")):
        with pytest.raises(ConfigError, match="min_confidence"):
            EXTRACTOR.extract_many(["fine"], min_confidence=least)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_is_no_failed_row(kind: type[BaseException]) -> None:
    class Interrupted(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def stop(cls, value: str) -> str:
            if value == "stop":
                raise kind
            return value

    extractor = scripted_extractor(Interrupted, {"fine": Interrupted(name="fine")})
    extractor._pipeline.engine._script = lambda text: json.dumps({"name": text}, separators=(",", ":"))  # type: ignore[attr-defined]
    with pytest.raises(kind):
        extractor.extract("stop")
    outcomes = extractor.extract_many(["fine", "stop", "fine"])
    assert next(outcomes) == Interrupted(name="fine")
    with pytest.raises(kind):
        next(outcomes)
    assert extractor.extract("fine") == Interrupted(name="fine")
