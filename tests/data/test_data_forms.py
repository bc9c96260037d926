"""Forms that rows come in: examples with raw outputs, chats, instruction rows, and texts that hold their answer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import BaseModel, Field, RootModel, SecretStr, computed_field

from extractft.data import Example, check_examples, load_examples, write_jsonl
from extractft.errors import DatasetError
from extractft.schema import Schema


class Person(BaseModel):
    name: str | None = None


SCHEMA = Schema.of(Person)
ANN = '{"name": "Ann"}'


def _refused(data: Any, schema: Schema[Any] = SCHEMA, **kwargs: Any) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        load_examples(data, schema, **kwargs)
    return caught.value


def _hints(error: DatasetError) -> str:
    return "\n".join(getattr(error, "__notes__", []))


class Other(BaseModel):
    """Another class with the same fields, as a schema loaded from an artifact has."""

    name: str | None = None

    @computed_field
    def shout(self) -> str:
        return f"{self.name}!"


@dataclasses.dataclass
class Plain:
    name: str


class Wrapped(RootModel[dict[str, str]]):
    pass


@pytest.mark.parametrize(
    "output",
    [
        {"name": "Ann"},
        ANN,
        json.dumps(ANN),
        f"```json\n{ANN}\n```",
        f"<think>\n\n</think>\n\n{ANN}",
        Person(name="Ann"),
        Other(name="Ann"),
        Plain("Ann"),
        Wrapped({"name": "Ann"}),
        {"name": np.str_("Ann")},
    ],
)
def test_every_output_of_an_example_becomes_an_instance(output: Any, tmp_path: Path) -> None:
    expected = [Example("Ann", Person(name="Ann"))]
    assert load_examples([Example("Ann", output)], SCHEMA) == expected
    assert load_examples([("Ann", output)], SCHEMA) == expected
    assert check_examples([Example("Ann", output)], SCHEMA, eval_examples=[Example("Bo", output)]).ok
    assert write_jsonl(tmp_path / "a.jsonl", [Example("Ann", output)], SCHEMA) == 1
    assert load_examples(tmp_path / "a.jsonl", SCHEMA) == expected


def test_instances_of_the_own_class_on_a_rebuilt_schema() -> None:
    rebuilt = Schema.from_dict(SCHEMA.to_dict())
    [example] = load_examples([Example("Ann", Person(name="Ann"))], rebuilt)
    assert rebuilt.canonical_value(example.output) == {"name": "Ann"}
    assert check_examples([Example("Ann", Person(name="Ann"))], rebuilt).ok


def test_examples_that_are_right_stay_the_same_objects() -> None:
    example = Example("Ann", Person(name="Ann"))
    assert load_examples([example], SCHEMA)[0] is example


def test_check_says_which_outputs_are_none() -> None:
    with pytest.raises(DatasetError) as caught:
        check_examples([Example("a", {"name": "a"}), Example("b", {"nme": 1})], SCHEMA)  # type: ignore[list-item]
    assert [(issue.row, issue.kind) for issue in caught.value.issues] == [(2, "unknown_key")]


def test_secrets_are_not_trained_as_stars() -> None:
    class Login(BaseModel):
        key: str

    class Source(BaseModel):
        key: SecretStr

    assert load_examples([("k", Source(key=SecretStr("abc")))], Schema.of(Login))[0].output.key == "abc"


def test_days_are_no_midnights() -> None:
    class Visit(BaseModel):
        day: str
        on: date

    stamp = pd.Timestamp("2024-03-01")
    nanos = np.datetime64("2024-03-01T00:00:00", "ns")
    for value in (stamp, nanos, date(2024, 3, 1)):
        [example] = load_examples(pa.Table.from_pylist([{"text": "x", "day": value, "on": value}]), Schema.of(Visit))
        assert example.output == Visit(day="2024-03-01", on=date(2024, 3, 1))
        [example] = load_examples([{"text": "x", "output": {"day": "2024-03-01", "on": value}}], Schema.of(Visit))
        assert example.output == Visit(day="2024-03-01", on=date(2024, 3, 1))


# Chats


def _chat(column: str = "messages", role: str = "role", content: str = "content", **names: str) -> dict[str, Any]:
    user, assistant = names.get("user", "user"), names.get("assistant", "assistant")
    return {column: [{role: user, content: "Ann"}, {role: assistant, content: names.get("answer", ANN)}]}


CHATS: dict[str, Any] = {
    "messages": _chat(),
    "ShareGPT": _chat("conversations", "from", "value", user="human", assistant="gpt"),
    "ShareGPT in messages": _chat("messages", "from", "value", user="human", assistant="gpt"),
    "roles in conversations": _chat("conversations"),
    "one conversation": _chat("conversation"),
    "Gemma": _chat(assistant="model"),
    "think block": _chat(answer=f"<think>\n\n</think>\n\n{ANN}"),
    "long thoughts": _chat(answer=f"<think>Is it {{Bo}}?\n</think>{ANN}"),
    "fence": _chat(answer=f"```json\n{ANN}\n```"),
    "fence without language": _chat(answer=f"```\n{ANN}\n```\n"),
    "system turns": {"messages": [{"role": "system", "content": "Extract."}, *_chat()["messages"]]},
    "developer turns": {"messages": [{"role": "developer", "content": "Extract."}, *_chat()["messages"]]},
    "parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "nn"}]},
            {"role": "assistant", "content": [{"type": "text", "text": ANN}]},
        ]
    },
    "record instead of its JSON": _chat(answer={"name": "Ann"}),  # type: ignore[arg-type]
    "JSON of the chat": {"messages": json.dumps(_chat()["messages"])},
    "columns of turns": {"messages": {"role": ["user", "assistant"], "content": ["Ann", ANN]}},
    "numpy": {"messages": np.array(_chat()["messages"], dtype=object)},
    "rendered text beside it": {**_chat(), "text": f"<|im_start|>user\nAnn<|im_end|>{ANN}"},
    "prompt and completion": {"prompt": "Ann", "completion": ANN},
    "prompt and completion as chats": {
        "prompt": [{"role": "system", "content": "Extract."}, {"role": "user", "content": "Ann"}],
        "completion": [{"role": "assistant", "content": ANN}],
    },
    "input and output": {"input": "Ann", "output": ANN},
}


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("wrap", [lambda row: [row], lambda row: pd.DataFrame([row])])
def test_chats(name: str, wrap: Callable[[Any], Any]) -> None:
    assert load_examples(wrap(CHATS[name]), SCHEMA) == [Example("Ann", Person(name="Ann"))]


def test_chats_in_csv(tmp_path: Path) -> None:
    pd.DataFrame([CHATS["JSON of the chat"]]).to_csv(tmp_path / "chats.csv")
    assert load_examples(tmp_path / "chats.csv", SCHEMA) == [Example("Ann", Person(name="Ann"))]


TURN = {"user": {"role": "user", "content": "Ann"}, "assistant": {"role": "assistant", "content": ANN}}


@pytest.mark.parametrize(
    ("turns", "kind"),
    [
        ([TURN["user"], TURN["assistant"]] * 2, "several_turns"),
        ([TURN["user"], TURN["user"], TURN["assistant"]], "several_turns"),
        ([TURN["user"], TURN["assistant"], TURN["user"]], "several_turns"),
        ([TURN["user"], {"role": "tool", "content": "{}"}, TURN["assistant"]], "several_turns"),
        ([TURN["user"], {"role": "assistant", "tool_calls": [{}]}, TURN["assistant"]], "several_turns"),
        ([TURN["assistant"], TURN["user"]], "several_turns"),
        ([TURN["user"]], "invalid_row"),
        ([], "invalid_row"),
        ("no JSON", "invalid_json"),
        ([{"role": "user", "content": [{"type": "image"}]}, TURN["assistant"]], "invalid_text"),
    ],
)
def test_chats_whose_text_cannot_be_known(turns: Any, kind: str) -> None:
    error = _refused([{"messages": turns}])
    assert [(issue.row, issue.kind) for issue in error.issues] == [(1, kind)]
    assert "Ann" not in str(error)


def test_rows_with_history() -> None:
    row = {"instruction": "Read.", "input": "Ann", "output": ANN, "system": "", "history": [["a", "b"]]}
    assert _refused([row]).issues[0].kind == "several_turns"
    assert load_examples([row | {"history": []}], SCHEMA)[0].text == "Ann"


# Instruction rows


def _rendered(name: str, instruction: str = "Extract the name.") -> dict[str, Any]:
    output = json.dumps({"name": name})
    given = f"{name} is here."
    text = (
        f"Below is an instruction.\n\n### Instruction:\n{instruction}\n\n### Input:\n{given}\n\n### Response:\n{output}"
    )
    return {"instruction": instruction, "input": given, "output": output, "text": text}


def test_the_rendered_text_of_alpaca_is_not_the_text() -> None:
    rows = [_rendered(name) for name in ("Ann", "Bob", "Cleo")]
    for data in (rows, pd.DataFrame(rows), [{**row, "text": None} for row in rows]):
        assert [example.text for example in load_examples(data, SCHEMA)] == [row["input"] for row in rows]


def test_a_text_beside_instruction_and_input_that_is_not_made_of_them() -> None:
    rows = [{**_rendered("Ann"), "text": "Bob was here."}]
    error = _refused(rows)
    assert error.issues[0].kind == "ambiguous_text"
    assert "'text'" in str(error)
    assert "'input'" in str(error)
    assert 'columns={"text": "input"}' in _hints(error)
    for column in ("text", "input"):
        assert load_examples(rows, SCHEMA, columns={"text": column})[0].text == rows[0][column]


def test_a_text_beside_an_instruction_alone_is_the_text() -> None:
    rows = [{"instruction": "Extract.", "text": "Ann", "output": ANN}]
    assert load_examples(rows, SCHEMA)[0].text == "Ann"


def _row(instruction: str, given: str | None, name: str) -> dict[str, Any]:
    return {"instruction": instruction, "input": given, "output": {"name": name}}


@pytest.mark.parametrize("blank", ["", " \n", None, "\u200b"])
def test_an_instruction_that_all_rows_share_is_no_text(blank: str | None) -> None:
    rows = [_row("Extract the name.", blank, name) for name in ("Ann", "Bob", "Cleo", "Dan")]
    error = _refused(rows)
    assert [(issue.row, issue.kind) for issue in error.issues] == [(row, "empty_text") for row in (1, 2, 3, 4)]
    filled = [_row("Extract the name.", f"{name} is here", name) for name in ("Eve", "Flo")]
    error = _refused([*filled, rows[0]])
    assert [issue.row for issue in error.issues] == [3]
    assert str(error).startswith("the data: 1 of 3 rows")


def test_the_context_is_the_input() -> None:
    rows = [{"instruction": "Who?", "context": name, "response": {"name": name}} for name in ("Ann", "Bob", "Cleo")]
    assert [e.text for e in load_examples(rows, SCHEMA, columns={"output": "response"})] == ["Ann", "Bob", "Cleo"]


def test_an_instruction_that_differs_is_the_text() -> None:
    rows = [_row(f"Extract the name: {name}", "", name) for name in ("Ann", "Bob", "Cleo")]
    assert [example.text for example in load_examples([*rows, rows[0]], SCHEMA)][:3] == [r["instruction"] for r in rows]
    contradicting = [*rows, _row("Extract the name: Ann", "", "An")]
    assert check_examples(load_examples(contradicting, SCHEMA), SCHEMA).of_kind("conflict")


# Texts that hold their answer


class Order(BaseModel):
    name: str
    count: int | None = None
    kind: Literal["a", "b"] = "a"
    note: str = Field(default="", alias="Note")


ORDER = Order(name='龙 "Bo"', count=2)
SPELLINGS = {
    "canonical": Schema.of(Order).canonical_json(ORDER),
    "spaced": '{ "name" : "龙 \\"Bo\\"",\n "count" : 2 }',
    "ASCII": '{"name": "\\u9f99 \\"Bo\\"", "count": 2}',
    "other order, defaults": '{"count": 2, "kind": "a", "name": "龙 \\"Bo\\"", "Note": ""}',
    "Python": repr({"name": '龙 "Bo"', "count": 2}),
    "escaped": json.dumps('{"name": "龙 \\"Bo\\"", "count": 2}', ensure_ascii=False),
    "within": '{"result": {"name": "龙 \\"Bo\\"", "count": 2}, "ok": true}',
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_texts_with_their_answer_are_found(name: str) -> None:
    schema = Schema.of(Order)
    texts = [f"### Input: [1] {{x}} 龙\n### Response: {SPELLINGS[name]}<|im_end|>", "龙 Bo wants 2", "2 {1, 2}"]
    rows = [Example(text, ORDER) for text in texts]
    [finding] = check_examples(rows[:1], schema).of_kind("answer_in_text")
    assert (finding.severity, finding.rows) == ("error", (1,))
    [finding] = check_examples(rows[1:] * 3 + rows[:1], schema).of_kind("answer_in_text")
    assert (finding.severity, finding.rows) == ("warning", (7,))
    assert check_examples(rows[:1], schema, eval_examples=rows[:1]).of_kind("answer_in_text")[1].split == "eval"
    assert not check_examples(rows[1:], schema).of_kind("answer_in_text")


def test_answers_that_say_nothing_are_not_looked_for() -> None:
    assert not check_examples([Example("a {} b", Person())], SCHEMA).of_kind("answer_in_text")
    assert not check_examples([Example('tags: ["a"]', ["a"])], Schema.of(list[str])).of_kind("answer_in_text")
    assert not check_examples([Example("5 {5}", 5)], Schema.of(int)).of_kind("answer_in_text")
    people = [Example(f"[{ANN}]", [Person(name="Ann")])]
    assert check_examples(people, Schema.of(list[Person])).of_kind("answer_in_text")
    other = [Example('{"name": "Bob"}', Person(name="Ann"))]
    assert not check_examples(other, SCHEMA).of_kind("answer_in_text")


# Words for absence

WORDS = [
    "NULL",
    "\\N",
    "None",
    "N/A",
    "无",
    "null",
    "n/a",
    "NaN",
    "nan",
    "-",
    "空",
    "未知",
    "不详",
    "暂无",
    "#N/A",
    "NA",
]


@pytest.mark.parametrize("word", WORDS)
def test_words_for_absence_are_named(word: str) -> None:
    names = [word if i % 4 == 0 else f"Person {i}" for i in range(40)]
    rows = [Example(f"Person {i} said hello", Person(name=name)) for i, name in enumerate(names)]
    [finding] = check_examples(rows, SCHEMA).of_kind("placeholder")
    assert (finding.severity, finding.field) == ("warning", "name")
    assert finding.rows == tuple(range(1, 41, 4))
    assert finding.message.startswith(f"10 of 40 values are {word!r}:")


def test_words_for_absence_in_lists_and_texts() -> None:
    schema = Schema.of(list[str])
    report = check_examples([Example("nan", ["无", "a"]), Example("b", ["N/A"]), Example("c", ["无"])], schema)
    items, texts = report.of_kind("placeholder")
    assert (items.field, items.rows) == ("*", (1, 2, 3))
    assert items.message.startswith("3 of 4 values are '无' (2), 'N/A' (1)")
    assert (texts.field, texts.rows) == ("", (1,))


def test_words_that_the_schema_allows_and_names_are_values() -> None:
    class Allowed(BaseModel):
        state: Literal["N/A", "ok"]
        either: Literal["无"] | str
        unit: str = "-"
        name: str

    rows = [Example("x", Allowed(state="N/A", either="无", name=name)) for name in ("Nan", "Na", "Nil", "No", "无忌")]
    assert not check_examples(rows, Schema.of(Allowed)).of_kind("placeholder")


# Proposals


@pytest.mark.parametrize(
    ("row", "proposal"),
    [
        ({"txt": "a", "output": {}}, "is 'txt' it?"),
        ({"Text": "a", "output": {}}, "is 'Text' it?"),
        ({"content": "a", "output": {}}, "is 'content' it?"),
        ({"text": "a", "lable": {}}, "found only 'text', 'lable'"),
        ({"text": "a", "label": {}}, "is 'label' it?"),
        ({"text": "a", "output": {"nmae": "b"}}, "is 'name' meant?"),
        ({"text": "a", "output": {"Name": "b"}}, "is 'name' meant?"),
    ],
)
def test_a_near_miss_proposes_the_right_name(row: dict[str, Any], proposal: str) -> None:
    for data in ([row], pd.DataFrame([row])):
        assert proposal in str(_refused(data))


@pytest.mark.parametrize(
    "columns", [{"text": "a", "output": "a"}, {"name": "text"}, ["text"], {"text": None}, {"text": "a", "name": "a"}]
)
def test_columns_that_cannot_be_meant(columns: Any) -> None:
    assert str(_refused([{"a": "x"}], columns=columns)).startswith("columns")


def test_a_near_miss_among_columns_of_fields() -> None:
    class Home(BaseModel):
        name: str
        address: str | None = None

    error = _refused(pd.DataFrame({"text": ["a"], "name": ["b"], "adress": ["c"]}), Schema.of(Home))
    assert "is 'adress' the column of 'address'?" in str(error)
    error = _refused([{"text": "a", "name": "b"}], Schema.of(Home), columns={"adress": "x"})
    assert "is 'address' meant?" in str(error)


# Values are shown to those who ask


def test_values_of_bad_rows_are_attributes_and_shown_on_request(tmp_path: Path) -> None:
    class Count(BaseModel):
        n: int

    rows = [("a", {"n": "Zyxwuth"}), ("", {"n": 1}), ("b", "{broken Qvorple")]
    error = _refused(rows, Schema.of(Count))
    assert [issue.value for issue in error.issues] == ["Zyxwuth", "", "{broken Qvorple"]
    for shown in (str(error), repr(error), repr(error.issues), _hints(error)):
        assert "Zyxwuth" not in shown
        assert "Qvorple" not in shown
    shown = str(_refused(rows, Schema.of(Count), show_values=True))
    assert "row 1, n: Input should be a valid integer, unable to parse string as an integer; found 'Zyxwuth'" in shown
    assert "found '{broken Qvorple'" in shown
    line = tmp_path / "a.jsonl"
    line.write_text("{broken Zyxwuth", encoding="utf-8")
    assert "Zyxwuth" in str(_refused(line, Schema.of(Count), show_values=True))
    assert "Zyxwuth" not in str(_refused(line, Schema.of(Count)))
    long = str(_refused([("a", {"n": "x" * 10_000})], Schema.of(Count), show_values=True))
    assert len(long) < 400
