"""Type checkers know what an extractor gives: the class that it was made for. Checked, never run.

`test_typed_extractor.py` lets mypy and pyright read it, strict and without plugins, as they would read a user's program.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict, Union, assert_type

from pydantic import BaseModel, Field

from extractft import (
    Confidence,
    EvaluationReport,
    Example,
    Extraction,
    Extractor,
    GenerationConfig,
    LoRAConfig,
    PromptConfig,
    Schema,
    Span,
    TrackingConfig,
    TrainingConfig,
    Verbatim,
)
from extractft.bulk import BulkConfig, RunSummary, run
from extractft.data import load_examples
from extractft.errors import ExtractionError
from extractft.extractor import WindowExtraction
from extractft.labelling import TeacherConfig
from extractft.serving import ServerConfig
from extractft.testing import scripted_extractor


class TypedRecord(BaseModel):
    name: Annotated[str, Verbatim]


class OtherRecord(BaseModel):
    total: int


@dataclass
class PlainRecord:
    name: str


class DictRecord(TypedDict):
    name: str


RECORDS = [Example("text", TypedRecord(name="Lin"))]


def makers(schema: Schema[TypedRecord], form: Any) -> None:
    config = TrainingConfig(seed=1, lora=LoRAConfig(r=8))
    assert_type(Extractor.fit(TypedRecord, RECORDS), Extractor[TypedRecord])
    assert_type(Extractor.fit(TypedRecord, "rows.jsonl", config=config, resume=True), Extractor[TypedRecord])
    assert_type(Extractor.fit(schema, RECORDS), Extractor[TypedRecord])
    assert_type(Extractor.fit(None, RECORDS, init_adapter="path"), Extractor[Any])
    assert_type(Extractor.from_base(TypedRecord, generation=GenerationConfig(batch_size=2)), Extractor[TypedRecord])
    assert_type(Extractor.from_base(schema, device="cpu"), Extractor[TypedRecord])
    assert_type(Extractor.from_base(form), Extractor[Any])
    assert_type(Extractor.from_pretrained("path"), Extractor[Any])
    assert_type(Extractor.from_pretrained("path", schema=TypedRecord), Extractor[TypedRecord])
    served = Extractor.from_pretrained("path", schema=TypedRecord, engine="http://localhost:8000")
    assert_type(served, Extractor[TypedRecord])
    assert_type(scripted_extractor(TypedRecord, {"text": TypedRecord(name="Lin")}), Extractor[TypedRecord])


def other_types() -> None:
    """What `typing` cannot follow is `Any`, not an error: unions, and types with notes."""
    assert_type(Extractor.fit(list[TypedRecord], []).extract("text"), list[TypedRecord])
    assert_type(Extractor.fit(dict[str, TypedRecord], []).extract("text"), dict[str, TypedRecord])
    assert_type(Extractor.fit(dict[str, Any], []).extract("text"), dict[str, Any])
    assert_type(Extractor.fit(PlainRecord, []).extract("text"), PlainRecord)
    assert_type(Extractor.fit(DictRecord, []).extract("text"), DictRecord)
    assert_type(Extractor.fit(TypedRecord | OtherRecord, []).extract("text"), Any)
    assert_type(Extractor.fit(Union[TypedRecord, OtherRecord], []).extract("text"), Any)  # noqa: UP007
    assert_type(
        Extractor.fit(Annotated[TypedRecord | OtherRecord, Field(description="One of two")], []), Extractor[Any]
    )
    assert_type(Extractor.from_base(list[TypedRecord]), Extractor[list[TypedRecord]])
    assert_type(Extractor.from_base(TypedRecord | None), Extractor[Any])
    assert_type(Extractor.from_pretrained("path", schema=list[TypedRecord]), Extractor[list[TypedRecord]])
    assert_type(Extractor.from_pretrained("path", schema=TypedRecord | OtherRecord), Extractor[Any])
    assert_type(Schema.of(TypedRecord), Schema[TypedRecord])
    assert_type(Schema.of(Schema.of(list[TypedRecord])), Schema[list[TypedRecord]])
    assert_type(Schema.of(TypedRecord | OtherRecord), Schema[Any])


def verbs(extractor: Extractor[TypedRecord]) -> None:
    assert_type(extractor.extract("text"), TypedRecord)
    assert_type(extractor.extract_many(["text"]), Iterator[TypedRecord | ExtractionError])
    assert_type(extractor.inspect("text"), Extraction[TypedRecord])
    assert_type(extractor.inspect_many(["text"]), Iterator[Extraction[TypedRecord] | ExtractionError])
    assert_type(extractor.inspect("text").output, TypedRecord)
    assert_type(extractor.inspect("text").confidence, Confidence | None)
    assert_type(extractor.inspect("text").windows, tuple[WindowExtraction[TypedRecord], ...])
    assert_type(extractor.inspect("text").spans["name"], tuple[Span, ...])
    assert_type(extractor.evaluate(RECORDS), EvaluationReport)
    assert_type(extractor.schema, Schema[TypedRecord])
    assert_type(extractor.schema.parse("{}"), TypedRecord)
    for outcome in extractor.extract_many(["text"]):
        if not isinstance(outcome, ExtractionError):
            assert_type(outcome, TypedRecord)


async def awaited_verbs(extractor: Extractor[TypedRecord]) -> None:
    assert_type(await extractor.aextract("text"), TypedRecord)
    assert_type(await extractor.ainspect("text"), Extraction[TypedRecord])
    assert_type(extractor.aextract_many(["text"]), AsyncIterator[TypedRecord | ExtractionError])
    async for outcome in extractor.aextract_many(["text"]):
        assert_type(outcome, TypedRecord | ExtractionError)


def rows_and_runs(extractor: Extractor[TypedRecord]) -> None:
    assert_type(load_examples("rows.jsonl", TypedRecord), list[Example[TypedRecord]])
    assert_type(load_examples("rows.jsonl", TypedRecord | OtherRecord, encoding="gb18030"), list[Example[Any]])
    assert_type(load_examples("rows.jsonl", TypedRecord)[0].output, TypedRecord)
    assert_type(run(extractor, "texts.jsonl", "records", config=BulkConfig(shard_rows=100)), RunSummary)


def settings_need_no_argument() -> None:
    TrainingConfig(learning_rate=1e-4).replace(seed=2)
    TrainingConfig()
    GenerationConfig(max_new_tokens=100)
    LoRAConfig()
    PromptConfig(template="{{ fields }}")
    TrackingConfig(mode="local")
    BulkConfig(min_confidence=0.9)
    ServerConfig(port=8001)
    TeacherConfig(model="qwen3")


def mistakes(extractor: Extractor[TypedRecord]) -> None:
    """Each is an error to both checkers; a comment that hides none is one as well."""
    Extractor.fit(TypedRecord, RECORDS, epochs=3)  # type: ignore[call-overload]
    Extractor.from_pretrained("path", schema=TypedRecord, device=0)  # type: ignore[call-overload]
    TrainingConfig(sed=1)  # type: ignore[call-arg]
    extractor.extract(["text"])  # type: ignore[arg-type]
    print(extractor.extract("text").nmae)  # type: ignore[attr-defined]
