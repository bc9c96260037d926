"""What annotators give back: marks without numbers, changed values, several annotations, tasks without any."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_round_trips import SCHEMA, TEXT

from extractft.errors import DatasetError
from extractft.interchange import FormatName, InterchangeOptions, labeling_config, read_rows, rows_content
from extractft.schema import Schema


def place(words: str, label: str, own: str = "", after: int = 0, **more: Any) -> dict[str, Any]:
    """A mark as Label Studio writes it, positions in UTF-16."""
    start = TEXT.index(words, after)
    first = len(TEXT[:start].encode("utf-16-le")) // 2
    last = first + len(words.encode("utf-16-le")) // 2
    value = {"start": first, "end": last, "text": words, "labels": [label]}
    return {
        "id": own or f"{label}{start}",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": value,
        **more,
    }


def written(name: str, *words: str, own: str = "x") -> dict[str, Any]:
    return {"id": own, "from_name": name, "to_name": "text", "type": "textarea", "value": {"text": list(words)}}


def chosen(name: str, *choices: str) -> dict[str, Any]:
    return {"id": name, "from_name": name, "to_name": "text", "type": "choices", "value": {"choices": list(choices)}}


def task(*results: Any, **more: Any) -> dict[str, Any]:
    return {"id": 7, "data": {"text": TEXT}, "annotations": [{"result": list(results), "was_cancelled": False}], **more}


def record(*results: Any) -> Any:
    (row,) = read_rows([task(*results)], SCHEMA, "label-studio").rows
    return row.record


NEEDED = (place("Cafe\u0301 GmbH", "company"), chosen("field.kind", "receipt"))
SECOND = TEXT.index("Äpfel 2.5")


def test_marks_without_numbers_begin_a_new_item_when_the_field_is_taken() -> None:
    marks = [
        place("2.5", "lines.*.total"),
        place("Äpfel", "lines.*.name"),
        place("0.19", "lines.*.taxes.*.rate"),
        place("Äpfel", "lines.*.name", after=SECOND),
        place("and", "tags.*"),
        {**place("1,50", "lines.*.total", "a")},
        written("words", "1.5", own="a"),
    ]
    found = record(*NEEDED, *marks)
    assert found["tags"] == ["and"]
    assert found["lines"] == [
        {"name": "Äpfel", "total": 1.5},
        {"name": "Äpfel", "total": 2.5, "taxes": [{"rate": 0.19}]},
    ]


def test_items_close_up_where_one_was_removed() -> None:
    marks = [place("Äpfel", "lines.*.name", "a"), written("item", "4", own="a")]
    assert record(*NEEDED, *marks)["lines"] == [{"name": "Äpfel"}]


def test_a_choice_counts_before_the_marked_words() -> None:
    assert record(*NEEDED, place("paid", "paid"), chosen("field.paid", "false"))["paid"] is False


def test_values_without_a_place_are_written_as_lines() -> None:
    found = record(*NEEDED, written("other", 'tags.0 = "gift 🎁"', 'prices = {"a.b": 2}'))
    assert (found["tags"], found["prices"]) == (["gift 🎁"], {"a.b": 2.0})


def test_a_project_of_ones_own_is_read_by_the_names_of_its_fields() -> None:
    assert record(place("GmbH", "company"), chosen("kind", "invoice")) == {"company": "GmbH", "kind": "invoice"}
    assert record(written("company", "Cafe"), chosen("kind", "invoice"))["company"] == "Cafe"


def test_the_ground_truth_counts_else_what_was_changed_last() -> None:
    def made(words: str, **more: Any) -> dict[str, Any]:
        return {"result": [place(words, "company"), chosen("field.kind", "receipt")], **more}

    older, newer = made("GmbH", updated_at="2026-01-01T00:00:00Z"), made("Cafe", updated_at="2026-02-01T00:00:00Z")
    truth = made("Äpfel", ground_truth=True, updated_at="2025-01-01T00:00:00Z")
    cancelled = made("🎉", was_cancelled=True, updated_at="2027-01-01T00:00:00Z")
    for annotated, company in (([newer, older, cancelled], "Cafe"), ([newer, truth, older], "Äpfel")):
        found = read_rows([{"data": {"text": TEXT}, "annotations": annotated}], SCHEMA, "label-studio")
        assert found.rows[0].record["company"] == company


def test_tasks_that_nobody_labelled_are_left_out_and_counted() -> None:
    open_task = {"data": {"text": TEXT}, "annotations": []}
    found = read_rows([task(*NEEDED), open_task], SCHEMA, "label-studio")
    assert (len(found.rows), found.unlabelled) == (1, 1)
    with pytest.raises(DatasetError, match="found 1 tasks that nobody has labelled"):
        read_rows([open_task], SCHEMA, "label-studio")


def test_predictions_are_taken_if_asked_for() -> None:
    prediction = {"score": 0.5, "result": [*NEEDED[:1], {**NEEDED[1]}], "model_version": "m"}
    prediction["result"][0] = {**NEEDED[0], "score": 0.25}
    found = read_rows(
        [{"data": {"text": TEXT}, "predictions": [prediction]}],
        SCHEMA,
        "label-studio",
        InterchangeOptions(predictions=True),
    )
    assert found.rows[0].confidence == {"record": 0.5, "fields": {"company": 0.25}, "calibrated": False}


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([place("GmbH", "kompany")], "labels that are fields of the schema"),
        ([{**NEEDED[0], "value": {**NEEDED[0]["value"], "start": 1, "text": "GmbX"}}], "expected a place in the text"),
        ([place("GmbH", "company"), chosen("field.kind", "receipt", "invoice")], "expected one choice, found 2"),
        ([*NEEDED, written("other", "tags")], "expected lines such as"),
        ([*NEEDED, written("other", "tags = [")], "expected JSON"),
        ([place("GmbH", "company")], "kind"),
        ([*NEEDED, place("Äpfel", "lines.*.name", "a"), written("item", "first", own="a")], "number of an item"),
    ],
)
def test_what_cannot_be_read_is_told_without_the_text(results: list[Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        read_rows([task(*results)], SCHEMA, "label-studio")
    assert caught.value.issues[0].row == 1
    assert "GmbH" not in str(caught.value)


def test_exports_in_another_form_are_told_apart() -> None:
    with pytest.raises(DatasetError, match="export it as JSON, not as JSON-MIN"):
        read_rows([{"id": 1, "text": TEXT, "label": []}], SCHEMA, "label-studio")


def test_doccano_counts_code_units_unless_told() -> None:
    start = TEXT.index("🎉 receipt")
    for unit, first, last in (("characters", start, start + 1), ("utf-16", start + 3, start + 5)):
        line = {"id": 3, "text": TEXT, "label": [[first, last, "tags.*"], [first + 1 - 1, last, "company"]]}
        line["values"] = [{"path": "kind", "value": "receipt"}]
        (row,) = read_rows([line], SCHEMA, "doccano", InterchangeOptions(offsets=unit)).rows
        assert row.record == {"company": "🎉", "kind": "receipt", "tags": ["🎉"]}
    entities = [{"id": 1, "label": "company", "start_offset": 0, "end_offset": 4}]
    line = {
        "id": 3,
        "text": "GmbH",
        "entities": entities,
        "relations": [],
        "values": [{"path": "kind", "value": "receipt"}],
    }
    assert read_rows([line], SCHEMA, "doccano").rows[0].record["company"] == "GmbH"


def test_the_config_has_the_labels_of_the_rows_too() -> None:
    from schema_zoo import Tree

    schema: Schema[Any] = Schema.of(Tree)
    config = labeling_config(schema, ["children.*.children.*.name"])
    assert 'value="children.*.children.*.name"' in config


def test_a_task_is_the_same_whenever_it_is_written() -> None:
    rows = read_rows([task(*NEEDED)], SCHEMA, "label-studio").rows
    assert rows_content(rows, SCHEMA, "label-studio") == rows_content(rows, SCHEMA, "label-studio")


def test_line_ends_of_windows_count_once_in_a_browser() -> None:
    text = "Tea 🍵\r\nHouse\r\nreceipt"
    value = {"start": 7, "end": 20, "text": "House\nreceipt", "labels": ["company"]}
    mark = {"id": "a", "from_name": "label", "to_name": "text", "type": "labels", "value": value}
    given = {"data": {"text": text}, "annotations": [{"result": [mark, chosen("field.kind", "receipt")]}]}
    assert read_rows([given], SCHEMA, "label-studio").rows[0].record["company"] == "House\r\nreceipt"


def test_other_columns_are_kept_whatever_the_columns_are_called() -> None:
    row = {
        "complaint": "GmbH receipt",
        "label": {"company": "GmbH", "kind": "receipt"},
        "shop": 3,
        "when": float("nan"),
    }
    options = InterchangeOptions(columns={"text": "complaint", "output": "label"})
    (found,) = read_rows([row], SCHEMA, "rows", options).rows
    assert found.extra == {"shop": 3, "when": None}


def test_half_a_character_in_a_column_is_an_issue_of_its_row() -> None:
    row = {"text": "GmbH receipt", "output": {"company": "GmbH", "kind": "receipt"}, "shop": "\ud83d"}
    with pytest.raises(DatasetError, match="a column holds what JSON cannot"):
        rows_content(read_rows([row], SCHEMA).rows, SCHEMA, "doccano")


@pytest.mark.parametrize("name", ["label-studio", "doccano"])
def test_texts_without_a_record_are_tasks_to_be_labelled(name: FormatName, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("text,shop\nGmbH,3\n", "utf-8")
    rows = [{"id": "a", "text": TEXT}, {"text": "GmbH", "output": None, "error": "OutputInvalidError"}]
    found = read_rows(rows, SCHEMA, "rows", InterchangeOptions(unlabelled=True)).rows
    found += read_rows(tmp_path / "texts.csv", SCHEMA, "rows", InterchangeOptions(unlabelled=True)).rows
    content, written = rows_content(found, SCHEMA, name)
    assert (written.rows, written.unlabelled) == (3, 3)
    if name == "label-studio":
        tasks = json.loads(content)
        assert [task["annotations"] + task["predictions"] for task in tasks] == [[], [], []]
        assert tasks[0]["data"] == {"text": TEXT, "id": "a"}
    else:
        assert [json.loads(line)["label"] for line in content.splitlines()] == [[], [], []]
    with pytest.raises(DatasetError, match="openai needs a record"):
        rows_content(found, SCHEMA, "openai")
    with pytest.raises(DatasetError, match="'output'"):
        read_rows(rows, SCHEMA)


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "text", "start"]), inner),
    max_leaves=4,
)


def places_of(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a JSON value with each of its keys."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [found for key in keys for found in places_of(value[key])]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_stands_in_an_export_gives_a_row_or_an_error_of_ours(data: st.DataObject) -> None:
    whole = task(
        *NEEDED, place("Äpfel", "lines.*.name", "a"), written("item", "0", own="a"), written("other", "tags = []")
    )
    whole["annotations"][0]["result"][0] |= {"meta": {"text": ["fuzzy"]}, "score": 0.5}
    line = {"id": 1, "text": "GmbH", "label": [[0, 4, "company"]]}
    line["values"] = [{"path": "kind", "value": "receipt"}, {"start": 0, "end": 4, "label": "company", "items": ""}]
    name, row = data.draw(st.sampled_from([("label-studio", whole), ("doccano", line)]))
    row = copy.deepcopy(row)
    container, key = data.draw(st.sampled_from(places_of(row)))
    container[key] = data.draw(ANY_JSON)
    options = InterchangeOptions(predictions=data.draw(st.booleans()))
    try:
        (found,) = read_rows([row], SCHEMA, name, options).rows
    except DatasetError:
        return
    SCHEMA.parse_value(found.record)
    rows_content([found], SCHEMA, "doccano")
    rows_content([found], SCHEMA, "label-studio")
