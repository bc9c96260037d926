"""Texts over the window, read piece by piece, with a script in place of a model."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, field_validator, model_validator

from extractft import Extraction, Extractor, GenerationConfig, Merge, PromptConfig, Schema, Verbatim
from extractft.constraints import GrammarCompiler
from extractft.errors import ExtractionError, InputTooLongError, MergeConflictError, OutputInvalidError
from extractft.extractor.long_texts import longest_window
from extractft.prompt import ChatRenderer, render_system_prompt
from extractft.testing import ScriptedEngine, byte_tokenizer


class Report(BaseModel):
    owner: str | None = None
    codes: list[Annotated[str, Verbatim()]] = []
    total: Annotated[int | None, Merge("error")] = None


LINE = "Nothing to see in line number {}, go on.\n"
TEXT = "".join(
    LINE.format(i) + {3: "Owner: Ann\n", 7: "code K-7\n", 12: "code K-12, code K-12\n", 18: "total 42\n"}.get(i, "")
    for i in range(20)
)
EXPECTED = Report(owner="Ann", codes=["K-7", "K-12", "K-12"], total=42)


def answer(piece: str) -> str:
    """What a perfect model would say of a piece."""
    assert "FAIL" not in piece
    found: dict[str, object] = {}
    if owner := re.search(r"Owner: (\w+)\n", piece):
        found["owner"] = owner[1]
    if codes := re.findall(r"code (K-\d+)\b(?=[,\n])", piece):
        found["codes"] = codes
    if total := re.search(r"total (\d+)\n", piece):
        found["total"] = int(total[1])
    return json.dumps(found, separators=(",", ":"))


def extractor_of(model: Any = Report, **settings: object) -> Extractor[Any]:
    tokenizer, spec = byte_tokenizer(), Schema.of(model)
    chat = ChatRenderer(tokenizer, render_system_prompt(spec, PromptConfig()))
    compiler = GrammarCompiler(tokenizer, vocab_size=len(tokenizer), end_token_id=chat.end_token_id)
    return Extractor(
        spec,
        chat,
        ScriptedEngine(answer, chat),
        compiler,
        generation=GenerationConfig.model_validate(settings),
        max_window=4096,
    )


SPLIT = {"max_text_tokens": 160, "split_long_texts": True, "overlap_tokens": 60}


def test_a_long_text_becomes_one_record() -> None:
    extractor = extractor_of(**SPLIT)
    found = extractor.inspect(TEXT)
    assert found.output == EXPECTED
    assert len(found.windows) > 5
    assert json.loads(found.raw_output)["codes"] == EXPECTED.codes
    assert found.text == TEXT


def test_places_are_those_in_the_whole_text() -> None:
    spans = extractor_of(**SPLIT).inspect(TEXT).spans
    values = {"owner": "Ann", "codes.0": "K-7", "codes.1": "K-12", "codes.2": "K-12", "total": "42"}
    assert set(spans) == set(values)
    for path, value in values.items():
        assert TEXT[spans[path][0].start : spans[path][0].end] == value
    assert spans["codes.1"][0].start < spans["codes.2"][0].start


def test_confidence_covers_all_pieces() -> None:
    extractor = extractor_of(**SPLIT)
    found = extractor.inspect(TEXT)
    assert found.confidence is not None
    assert set(found.confidence.fields) >= {"owner", "codes.0", "codes.1", "codes.2", "total"}
    single = extractor.inspect("Owner: Ann\n").confidence
    assert single is not None
    assert found.confidence.record < single.record


def test_short_and_long_texts_keep_their_order() -> None:
    extractor = extractor_of(**SPLIT)
    texts = ["Owner: Bo\n", TEXT, "\ud800", "code K-1\n", TEXT]
    outcomes = list(extractor.extract_many(texts))
    assert outcomes[0] == Report(owner="Bo")
    assert outcomes[1] == outcomes[4] == EXPECTED
    assert isinstance(outcomes[2], ExtractionError)
    assert outcomes[3] == Report(codes=["K-1"])


def test_without_being_asked_a_long_text_is_refused() -> None:
    with pytest.raises(InputTooLongError, match="max_text_tokens=160") as caught:
        extractor_of(max_text_tokens=160).extract(TEXT)
    assert any("split_long_texts" in note for note in caught.value.__notes__)
    with pytest.raises(InputTooLongError):
        extractor_of().extract("x" * 5000)


def test_what_the_model_can_take_is_the_limit_if_none_is_given() -> None:
    found = extractor_of(split_long_texts=True).inspect(TEXT * 8)
    assert len(found.windows) > 1
    assert found.output.owner == "Ann"


def test_pieces_that_contradict_each_other() -> None:
    with pytest.raises(MergeConflictError) as caught:
        extractor_of(**SPLIT).extract(TEXT + LINE.format(1) * 6 + "total 43\n")
    assert caught.value.path == "total"


def test_an_error_of_one_piece_is_the_text_s() -> None:
    class Strict(Report):
        def model_post_init(self, context: object) -> None:
            if "K-12" in self.codes:
                raise ValueError("no twelves")

    extractor = extractor_of(**SPLIT)
    strict: Extractor[Strict] = Extractor(
        Schema.of(Strict),
        extractor._pipeline.chat,
        extractor._pipeline.engine,
        extractor._pipeline.grammar,
        generation=extractor.generation,
        max_window=4096,
    )
    (outcome,) = strict.extract_many([TEXT])
    assert isinstance(outcome, OutputInvalidError)
    assert outcome.text == TEXT


class Odd(BaseModel):
    codes: list[str] = []

    @model_validator(mode="after")
    def check(self) -> Odd:
        if len(self.codes) > 1:
            raise ZeroDivisionError("secret")
        return self

    @field_validator("codes")
    @classmethod
    def unwritable(cls, codes: list[str]) -> list[str]:
        return ["\ud800"] if codes == ["K-13"] else codes


def test_validators_that_do_anything_spoil_their_text_alone() -> None:
    extractor = extractor_of(Odd, max_text_tokens=160, split_long_texts=True, overlap_tokens=20)
    long = "".join(LINE.format(i) + {2: "code K-2\n", 15: "code K-15\n"}.get(i, "") for i in range(20))
    outcomes = list(extractor.extract_many(["code K-1\n", long, "code K-3\n"]))
    assert [outcomes[0], outcomes[2]] == [Odd(codes=["K-1"]), Odd(codes=["K-3"])]
    assert isinstance(outcomes[1], OutputInvalidError)
    assert outcomes[1].text == long
    assert "merged" in str(outcomes[1])
    unlucky = list(extractor.inspect_many(["code K-1\n", "code K-13\n", "code K-3\n"]))
    # Places explain a record and are no part of it: one that cannot be written back is given without them.
    assert [type(outcome).__name__ for outcome in unlucky] == ["Extraction"] * 3
    for found in (unlucky[1], extractor.inspect("code K-13\n")):
        assert isinstance(found, Extraction)
        assert found.output.codes == ["\ud800"]
        assert found.spans == {}
        assert "spans" in (found.explanation_error or "")


def test_the_longest_window_leaves_room_for_its_record() -> None:
    for room in (10, 100, 1000):
        longest = longest_window(room, lambda tokens: 20 + tokens // 2)
        assert longest == 1 or longest + 20 + longest // 2 <= room
        assert longest + 1 + 20 + (longest + 1) // 2 > room
