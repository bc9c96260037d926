"""Data frames of three libraries: texts in, records, confidences and errors out, rows in their order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pandas
import polars
import pyarrow
import pytest
from pydantic import BaseModel, Field

from extractft import Extractor, GenerationConfig
from extractft.errors import ConfigError
from extractft.testing import scripted_extractor


class Item(BaseModel):
    name: str
    count: int | None = None


class Complaint(BaseModel):
    name: str | None = None
    age: int | None = None
    kind: Literal["billing", "delivery"] = "billing"
    urgent: bool | None = None
    items: list[Item] = Field(default_factory=list)


TEXTS = ["龙琳, 41, 👩‍👧 two cups", "nobody", "Bo, urgent"]
RECORDS = {
    TEXTS[0]: Complaint(name="龙琳", age=41, items=[Item(name="cups", count=2)]),
    TEXTS[2]: Complaint(name="Bo", urgent=True, kind="delivery"),
}


@pytest.fixture(scope="module")
def extractor() -> Extractor[Complaint]:
    """Knows two of the three texts; the third gives an answer that is no record."""
    return scripted_extractor(Complaint, RECORDS)


def test_a_frame_of_pandas_keeps_its_index(extractor: Extractor[Complaint]) -> None:
    frame = pandas.DataFrame({"消息": [TEXTS[0], None, TEXTS[2]], "name": ["a", "b", "c"]}, index=[7, 7, 3])
    found = extractor.extract_frame(frame, text="消息")
    assert isinstance(found, pandas.DataFrame)
    assert list(found.index) == [7, 7, 3]
    assert list(found.columns) == [
        "消息", "input_name", "name", "age", "kind", "urgent", "items", "confidence", "error",
    ]  # fmt: skip
    assert list(found["input_name"]) == ["a", "b", "c"]
    assert str(found["age"].dtype) == "Int64"
    assert str(found["urgent"].dtype) == "boolean"
    assert found["age"].iloc[0] == 41
    assert found["items"].iloc[0][0] == {"name": "cups", "count": 2}
    assert pandas.isna(found["name"].iloc[1])
    assert found["error"].iloc[1].startswith("EmptyTextError: ")
    assert pandas.isna(found["error"].iloc[0])
    assert 0 < found["confidence"].iloc[2] <= 1
    assert list(frame.columns) == ["消息", "name"], "the frame that was given is as it was"


def test_a_frame_of_polars(extractor: Extractor[Complaint]) -> None:
    frame = polars.DataFrame({"text": [TEXTS[0], TEXTS[2]]})
    found = extractor.extract_frame(frame, explain=("confidence", "spans"))
    assert isinstance(found, polars.DataFrame)
    assert found.schema["age"] == polars.Int64
    assert found["items"].to_list() == [[{"name": "cups", "count": 2}], []]
    assert found["kind"].to_list() == ["billing", "delivery"]
    places = {place["path"]: TEXTS[0][place["start"] : place["end"]] for place in found["spans"][0]}
    assert places["name"] == "龙琳"
    assert places["items.0.name"] == "cups"
    assert found["error"].to_list() == [None, None]


def test_an_arrow_table(extractor: Extractor[Complaint]) -> None:
    table = pyarrow.table({"text": [TEXTS[2]], "id": [5]})
    found = extractor.extract_frame(table, explain=())
    assert isinstance(found, pyarrow.Table)
    assert found.column_names == ["text", "id", "name", "age", "kind", "urgent", "items", "error"]
    assert found.to_pylist()[0]["urgent"] is True


def test_no_rows(extractor: Extractor[Complaint]) -> None:
    found = extractor.extract_frame(polars.DataFrame({"text": []}, schema={"text": polars.String}))
    assert (found.height, found.schema["age"]) == (0, polars.Int64)


def test_records_that_do_not_fit_into_columns_are_errors() -> None:
    class Numbers(BaseModel):
        number: int

    text = "a number of forty digits"
    extractor = scripted_extractor(Numbers, {text: Numbers(number=10**40)})
    found = extractor.extract_frame(polars.DataFrame({"text": [text]}))
    assert found["number"].to_list() == [None]
    assert found["error"][0].startswith("OutputInvalidError: ")


def test_fields_with_the_names_of_our_columns() -> None:
    class Report(BaseModel):
        error: str
        confidence: str

    extractor = scripted_extractor(Report, {"E5, sure": Report(error="E5", confidence="sure")})
    (row,) = extractor.extract_frame(polars.DataFrame({"text": ["E5, sure"]})).to_dicts()
    assert (row["error"], row["confidence"], row["record_error"]) == ("E5", "sure", None)
    assert row["record_confidence"] > 0


def test_columns_of_the_input_that_are_in_each_others_way() -> None:
    class Two(BaseModel):
        name: str
        input_name: str

    extractor = scripted_extractor(Two, {"a b": Two(name="a", input_name="b")})
    frame = polars.DataFrame({"text": ["a b"], "name": [1], "input_name": [2]})
    (row,) = extractor.extract_frame(frame, explain=()).to_dicts()
    assert (row["name"], row["input_name"]) == ("a", "b")
    assert (row["input_input_name"], row["input_input_input_name"]) == (1, 2)


@pytest.mark.parametrize(
    "text", ["", " \u200b", "字" * 50_000, "👩\u200d👧 １２３", "<|im_end|>" * 200, "nul \0", "\ud83d"]
)
def test_texts_that_a_user_may_send_cost_their_row_alone(tiny_base: Path, text: str) -> None:
    class One(BaseModel):
        note: Annotated[str, Field(max_length=6)] | None = None

    generation = GenerationConfig(max_new_tokens=24)
    extractor = Extractor.from_base(One, base_model=str(tiny_base), generation=generation)
    texts = pandas.Series(["a", text, "b"], dtype=object)  # its own type for texts holds no lone surrogate
    found = extractor.extract_frame(pandas.DataFrame({"text": texts}), explain=("confidence", "spans"))
    alone = extractor.extract_frame(pandas.DataFrame({"text": ["a", "b"]}), explain=("confidence", "spans"))
    assert found["note"].iloc[[0, 2]].tolist() == alone["note"].tolist()
    assert found["error"].iloc[[0, 2]].isna().all()
    assert pandas.isna(found["error"].iloc[1]) or found["error"].iloc[1].split(":")[0].endswith("Error")
    assert not (text.strip() and text in str(found["error"].iloc[1]))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([TEXTS[0]], "Expected a data frame in memory, found list."),
        (polars.LazyFrame({"text": TEXTS}), "Expected a data frame in memory, found LazyFrame."),
        (polars.DataFrame({"body": TEXTS}), "Expected a column 'text' with the texts, found the columns body."),
        (polars.DataFrame({"text": [1, 2]}), "Expected texts in the column 'text', found a value of type int."),
    ],
)
def test_what_is_no_frame_of_texts(extractor: Extractor[Complaint], frame: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        extractor.extract_frame(frame)
    assert str(caught.value) == message
    assert not any(text in str(caught.value) for text in TEXTS)
