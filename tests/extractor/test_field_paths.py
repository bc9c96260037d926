"""One dialect for fields, wherever a user sees one: Python names, positions, `*` for a class of places."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from extractft.data import Example, check_examples, load_examples
from extractft.data.field_paths import field_path
from extractft.errors import DatasetError, MergeConflictError, OutputInvalidError, SchemaError
from extractft.evaluation import evaluate_records
from extractft.grounding import ground, merge
from extractft.schema import Merge, Schema
from extractft.testing import scripted_extractor


class Line(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    item: str = Field(alias="Item Name")
    total: int | None = Field(None, alias="Total Amount")


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    meows: str = Field(alias="Meows")


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    barks: str = Field(alias="Barks")


class Bill(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    buyer: str = Field(alias="Buyer Name")
    lines: list[Line] = Field(alias="Lines")
    notes: dict[str, str] = Field({}, alias="Notes")
    corner: tuple[str, str] | None = Field(None, alias="Corner")
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = Field(None, alias="Pet")

    @field_validator("buyer")
    @classmethod
    def no_nobody(cls, value: str) -> str:
        if value == "nobody":
            raise ValueError("nobody buys")
        return value


class Opinion(BaseModel):
    refused: ClassVar[str] = ""
    words: str = Field(alias="Words")

    @field_validator("words")
    @classmethod
    def other_words(cls, value: str) -> str:
        if value == cls.refused:
            raise ValueError("these words are refused")
        return value


class Said(BaseModel):
    notes: dict[str, list[Opinion]] = Field(alias="Notes")


SCHEMA = Schema.of(Bill)
TEXT = "Ann bought tea for 5 and cake for 7. Gift: yes please. North East. It barks loudly."
RECORD = Bill.model_validate(
    {
        "Buyer Name": "Ann",
        "Lines": [{"Item Name": "tea", "Total Amount": 5}, {"Item Name": "cake", "Total Amount": 7}],
        "Notes": {"Gift": "yes please"},
        "Corner": ["North", "East"],
        "Pet": {"kind": "dog", "Barks": "loudly"},
    }
)
PATHS = {
    "buyer", "lines.0.item", "lines.0.total", "lines.1.item", "lines.1.total", "notes.Gift", "corner.0", "corner.1",
    "pet.kind", "pet.barks",
}  # fmt: skip
PATTERNS = {"buyer", "lines.*.item", "lines.*.total", "notes.*", "corner.0", "corner.1", "pet.kind", "pet.barks"}


def test_spans_confidences_and_differences_name_the_same_places() -> None:
    extraction = scripted_extractor(Bill, {TEXT: RECORD}).inspect(TEXT)
    assert set(extraction.spans) == PATHS
    assert extraction.confidence is not None
    containers = {"lines", "notes", "corner", "pet"}  # how many items there are has a confidence too
    assert set(extraction.confidence.fields) - containers == PATHS
    other = Bill.model_validate(
        {
            "Buyer Name": "Bob",
            "Lines": [{"Item Name": "rice", "Total Amount": 1}, {"Item Name": "soup", "Total Amount": 2}],
            "Notes": {"Gift": "no"},
            "Corner": ["South", "West"],
            "Pet": {"kind": "dog", "Barks": "never"},
        }
    )
    report = evaluate_records(SCHEMA, [RECORD], [other], texts=[TEXT], keep_records=True)
    assert {error.path for error in report.errors or ()} == PATHS - {"pet.kind"}
    assert {error.field for error in report.errors or ()} == PATTERNS - {"pet.kind"}


def test_check_and_evaluation_name_the_same_fields() -> None:
    checked = {summary.path for summary in check_examples([Example(TEXT, RECORD)], SCHEMA).fields}
    evaluated = set(evaluate_records(SCHEMA, [RECORD], [RECORD]).fields)
    assert evaluated >= PATTERNS
    assert evaluated >= {path for path in checked if path in PATTERNS}
    assert checked - evaluated <= {"lines", "notes", "corner", "pet"}
    assert checked >= {"buyer", "lines.*.item", "lines.*.total", "notes.*", "pet.barks"}


@pytest.mark.parametrize(
    ("output", "field"),
    [
        ({"Lines": []}, "buyer"),
        ({"Buyer Name": "Ann", "Lines": [{"Item Name": "tea", "Total Amount": "x"}]}, "lines.0.total"),
        ({"Buyer Name": "Ann", "Lines": [{"item": "tea", "total": "x"}]}, "lines.0.total"),
        ({"Buyer Name": "Ann", "Lines": [{"Total Amount": 5}]}, "lines.0.item"),
        ({"Buyer Name": "Ann", "Lines": [], "Notes": {"secret": 5}}, "notes.*"),
        ({"Buyer Name": "Ann", "Lines": [], "Corner": ["a", 5]}, "corner.1"),
        ({"Buyer Name": "Ann", "Lines": [], "Pet": {"kind": "dog", "Barks": 5}}, "pet.barks"),
        ({"Buyer Name": "Ann", "Lines": [], "Pet": {"kind": "dog"}}, "pet.barks"),
        ({"Buyer Name": "nobody", "Lines": []}, "buyer"),
    ],
)
def test_issues_of_rows(output: Any, field: str) -> None:
    with pytest.raises(DatasetError) as caught:
        load_examples([{"text": "t", "output": output}], SCHEMA)
    assert [issue.field for issue in caught.value.issues] == [field]


def test_a_record_that_a_validator_refuses() -> None:
    text = "Said by Eve."
    said = Said.model_construct(notes={"Eve": [Opinion.model_construct(words="yes")]})
    extractor = scripted_extractor(Said, {text: said})
    Opinion.refused = "yes"
    with pytest.raises(
        OutputInvalidError, match=r"refused the record at notes\.\*\.0\.words \(value_error\)"
    ) as caught:
        extractor.extract(text)
    assert "Eve" not in str(caught.value), "a key of a mapping is data"


def test_keys_that_are_data_are_not_shown() -> None:
    schema: Schema[Any] = Schema.of(dict[str, int])
    assert field_path(("Ann Smith",), {"Ann Smith": "x"}, schema) == "*"
    assert field_path(("nowhere", 3), {"Ann": 1}, schema) == ""
    assert field_path((), None, schema) == ""


def test_merge_conflicts() -> None:
    class Part(BaseModel):
        total: Annotated[int | None, Merge("error")] = Field(None, alias="Total Amount")

    class Whole(BaseModel):
        part: Part = Field(alias="Part")

    with pytest.raises(MergeConflictError) as caught:
        merge(Schema.of(Whole), [{"Part": {"Total Amount": 1}}, {"Part": {"Total Amount": 2}}])
    assert caught.value.path == "part.total"


def test_schema_errors() -> None:
    class Bad(BaseModel):
        thing: object = Field(alias="Thing")

    class Holder(BaseModel):
        bad: list[Bad] = Field(alias="Bads")

    with pytest.raises(SchemaError) as caught:
        Schema.of(Holder)
    assert caught.value.path == "bad.*.thing"


def test_records_that_cannot_be_written() -> None:
    wrong = RECORD.model_copy(update={"lines": [Line.model_construct(item="tea", total="five")]})
    with pytest.raises(SchemaError) as caught:
        SCHEMA.canonical_json(wrong)
    assert caught.value.path == "lines.0.total"
    with pytest.raises(SchemaError) as caught:
        SCHEMA.canonical_json(RECORD.model_copy(update={"buyer": "nobody"}))
    assert caught.value.path == "buyer"


def test_paths_of_a_record_that_is_a_scalar() -> None:
    schema: Schema[Any] = Schema.of(str)
    assert set(ground(schema, "Ann", TEXT)) == set(evaluate_records(schema, ["Ann"], ["Ann"]).fields) == {""}
