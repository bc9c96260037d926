"""A type checker knows what an extractor gives: the class that it was made for. Checked by `make lint`, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from pydantic import BaseModel

from extractft import Extraction, Extractor, Schema
from extractft.errors import ExtractionError


class TypedRecord(BaseModel):
    name: str


async def typed_extractor(schema: Schema[TypedRecord], form: Any) -> None:
    loaded = Extractor.from_pretrained("path", schema=TypedRecord, engine="http://localhost:8000")
    assert_type(loaded, Extractor[TypedRecord])
    assert_type(loaded.extract("text"), TypedRecord)
    assert_type(loaded.inspect("text"), Extraction[TypedRecord])
    assert_type(loaded.extract_many(["text"]), Iterator[TypedRecord | ExtractionError])
    assert_type(await loaded.aextract("text"), TypedRecord)
    assert_type(loaded.aextract_many(["text"]), AsyncIterator[TypedRecord | ExtractionError])
    assert_type(Extractor.fit(TypedRecord, "rows.jsonl", resume=True), Extractor[TypedRecord])
    assert_type(Extractor.from_base(schema, device="cpu"), Extractor[TypedRecord])
    assert_type(Extractor.from_pretrained("path", schema=list[TypedRecord]), Extractor[list[TypedRecord]])
    assert_type(Extractor.from_pretrained("path"), Extractor[Any])
    assert_type(Extractor.from_base(form), Extractor[Any])
