from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel
from rich.console import Console

from extractft.data import CheckReport, Example, Finding, check_examples
from extractft.errors import DatasetError
from extractft.schema import Schema, Verbatim


class Line(BaseModel):
    item: str
    colour: Literal["red", "blue", "green"] | None = None


class Order(BaseModel):
    kind: Literal["order"] = "order"
    name: str
    email: str | None = None
    urgent: bool = False
    note: str | None = None
    lines: list[Line] = []


SCHEMA = Schema.of(Order)


def _order(text: str, **fields: Any) -> Example[Order]:
    return Example(text, Order(**fields))


def _many(count: int = 30) -> list[Example[Order]]:
    return [
        _order(f"Tom{i} wants a box{i}", name=f"Tom{i}", lines=[Line(item=f"box{i}", colour="red")])
        for i in range(count)
    ]


def _found(report: CheckReport, kind: str) -> Finding:
    [finding] = report.of_kind(kind)
    return finding


def _fields(report: CheckReport, kind: str) -> set[str]:
    return {finding.field for finding in report.of_kind(kind)}


def test_clean_rows_have_no_errors_and_no_warnings_about_rows() -> None:
    report = check_examples(_many(), SCHEMA, accepts=lambda _: True, token_count=lambda _: 5, max_length=10)
    assert report.ok
    assert {finding.kind for finding in report.warnings} == {"never_filled"}
    assert report.train_rows == 30


def test_duplicates_and_conflicts() -> None:
    rows = [
        _order("Tom", name="Tom"),
        _order(" TOM ", name="Tom"),
        _order("Ann", name="Ann"),
        _order("Ann", name="An"),
        _order("Ann", name="Ann"),
        _order("Bob", name="Bob"),
    ]
    report = check_examples(rows, SCHEMA)
    assert _found(report, "duplicate").rows == (2, 5)
    assert _found(report, "conflict").rows == (3, 4, 5)
    assert _found(report, "conflict").severity == "warning"
    assert check_examples(rows[:1], SCHEMA, eval_examples=rows[2:5]).of_kind("conflict")[0].split == "eval"


def test_leaks() -> None:
    rows = [_order("Tom, here", name="Tom"), _order("Ann", name="Ann")]
    held_out = [_order("Bob", name="Bob"), _order("tom,  HERE", name="Tom"), _order("Tom here!", name="Tom")]
    report = check_examples(rows, SCHEMA, eval_examples=held_out)
    assert _found(report, "leak").rows == (2,)
    assert _found(report, "leak").split == "eval"
    assert _found(report, "near_leak").rows == (3,)
    assert not check_examples(rows, SCHEMA, eval_examples=held_out[:1]).of_kind("leak")
    punctuation = check_examples([_order("?!", name="")], SCHEMA, eval_examples=[_order("...", name="")])
    assert not punctuation.of_kind("near_leak")


def test_values_that_are_not_in_their_text() -> None:
    rows = _many()
    rows[3] = _order("Tom3 wants a box3", name="Tim", lines=[Line(item="box3"), Line(item="crate")])
    rows[4] = _order("Café\n  du Nord", name="Cafe\u0301 du  Nord")
    report = check_examples(rows, SCHEMA)
    name, item = report.of_kind("ungrounded")
    assert (name.field, name.rows, name.severity) == ("name", (4,), "warning")
    assert (item.field, item.rows) == ("lines.*.item", (4,))
    assert "1 of 30" in name.message
    for row in range(20):
        rows[row] = _order(f"Tom{row}", name=f"customer {row}")
    assert [f.severity for f in check_examples(rows, SCHEMA).of_kind("ungrounded") if f.field == "name"] == ["info"]


def test_fields_never_filled_and_never_absent() -> None:
    report = check_examples(_many(), SCHEMA)
    assert _fields(report, "never_filled") == {"email", "urgent", "note"}
    assert _fields(report, "never_absent") == {"lines", "lines.*.colour"}
    rows = [
        *_many(),
        _order("Ann a@b.c box", name="Ann", email="a@b.c", urgent=True, note="box", lines=[Line(item="box")]),
    ]
    report = check_examples(rows, SCHEMA)
    assert _fields(report, "never_filled") == set()
    assert _fields(report, "never_absent") == {"lines"}
    report = check_examples([_order("a", name="a")], SCHEMA)
    assert _fields(report, "never_filled") == {"email", "urgent", "note", "lines"}


def test_blank_strings() -> None:
    report = check_examples([_order("a", name="a", note=" "), _order("b", name="b")], SCHEMA)
    assert _found(report, "blank_string").rows == (1,)
    assert _found(report, "blank_string").field == "note"
    assert not report.of_kind("ungrounded")


def test_enum_values() -> None:
    report = check_examples(_many(), SCHEMA)
    assert _found(report, "unseen_value").message == "no example has 'blue', 'green'"
    assert _found(report, "imbalance").field == "lines.*.colour"
    assert not check_examples(_many(5), SCHEMA).of_kind("imbalance")


def test_too_long() -> None:
    rows = _many()
    count = {e.text: n for n, e in enumerate(rows, 1)}
    report = check_examples(rows, SCHEMA, token_count=lambda e: count[e.text], max_length=28, eval_examples=rows[:1])
    assert _found(report, "too_long").rows == (29, 30)
    assert "the longest has 30" in _found(report, "too_long").message
    assert not report.ok
    assert [(issue.row, issue.kind) for issue in report.issues()] == [(29, "too_long"), (30, "too_long")]
    skipped = check_examples(rows, SCHEMA, token_count=lambda e: count[e.text], max_length=28, overlong="skip")
    assert skipped.ok
    assert _found(skipped, "too_long").severity == "warning"
    assert not check_examples(rows, SCHEMA, token_count=lambda _: 99).of_kind("too_long")


def test_rows_that_the_grammar_refuses() -> None:
    rows = _many()
    report = check_examples(rows, SCHEMA, eval_examples=rows[:3], accepts=lambda text: "Tom1" not in text)
    train, held_out = report.of_kind("refused")
    assert train.rows == (2, *range(11, 21))
    assert held_out.rows == (2,)
    assert report.issues()[-1].message.endswith("(held out)")
    assert "11 more" not in str(DatasetError("bad", issues=report.issues()))


def test_few_examples() -> None:
    assert check_examples(_many(19), SCHEMA).of_kind("few_examples")
    assert not check_examples(_many(20), SCHEMA).of_kind("few_examples")
    assert check_examples([], SCHEMA).ok


def test_report_reads_well() -> None:
    rows = [_order("[bold]x", name="[/red]"), *_many(12)]
    report = check_examples(rows, SCHEMA, accepts=lambda _: False)
    lines = str(report).splitlines()
    assert lines[0] == (f"13 training rows: 1 error, {len(report.warnings)} warnings, {len(report.infos)} notes")
    assert lines[1] == (
        "  error   refused: the grammar made from the schema refuses the output, so the model could never write it "
        "(rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 3 more)"
    )
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(report)
    shown = console.export_text()
    assert "lines.*.item" in shown
    assert "1 of 13" in shown
    for text in (shown, str(report), json.dumps(report.to_dict())):
        assert "[/red]" not in text
    assert json.loads(json.dumps(report.to_dict()))["findings"][0]["rows"] == list(range(1, 14))


class Node(BaseModel):
    label: str
    children: list[Node] = []


@pytest.mark.parametrize("type_", [Node, list[Node]])
def test_recursive_schemas(type_: Any) -> None:
    schema = Schema.of(type_)
    tree = Node(label="a", children=[Node(label="b", children=[Node(label="x")])])
    report = check_examples([Example("a b", tree if type_ is Node else [tree])], schema)
    prefix = "" if type_ is Node else "*."
    assert _fields(report, "ungrounded") == {f"{prefix}children.*.children.*.label"}


def test_scalar_schema() -> None:
    report = check_examples([Example("a b", "c"), Example("a c", "c")], Schema.of(str))
    assert report.of_kind("ungrounded")[0].rows == (1,)


def test_values_of_verbatim_fields_have_to_be_copies() -> None:
    class Copied(BaseModel):
        name: Annotated[str, Verbatim()]
        loose: Annotated[str | None, Verbatim(normalized=True)] = None

    rows = [Example(f"Tom{i} LIVES  here", Copied(name=f"Tom{i}", loose="lives here")) for i in range(30)]
    assert check_examples(rows, Schema.of(Copied)).ok
    rows[3] = Example("Tom LIVES  here", Copied(name="tom", loose="LIVES here"))
    report = check_examples(rows, Schema.of(Copied))
    (finding,) = report.errors
    assert (finding.kind, finding.rows, finding.field) == ("not_verbatim", (4,), "name")


def test_fields_that_could_be_verbatim_are_named() -> None:
    class Free(BaseModel):
        name: str
        mood: str

    rows = [Example(f"Tom{i} is fine", Free(name=f"Tom{i}", mood="happy")) for i in range(30)]
    found = check_examples(rows, Schema.of(Free)).of_kind("could_be_verbatim")
    assert [finding.field for finding in found] == ["name"]


def test_pieces_of_one_row_are_no_duplicates_of_each_other() -> None:
    class Filled(BaseModel):
        name: str | None = None

    pieces = [Example("filler", Filled())] * 3 + [Example("other", Filled()), Example("filler", Filled())]
    schema = Schema.of(Filled)
    plain = check_examples(pieces, schema).of_kind("duplicate")
    assert [finding.rows for finding in plain] == [(2, 3, 5)]
    sources = [5, 5, 5, 5, 7]
    report = check_examples(pieces, schema, train_sources=sources).renumbered(sources, [])
    assert [finding.rows for finding in report.of_kind("duplicate")] == [(7,)]
    alone = check_examples(
        pieces[:4], schema, eval_examples=pieces[:4], train_sources=sources[:4], eval_sources=sources[:4]
    )
    assert not alone.of_kind("duplicate")
    assert [finding.rows for finding in alone.renumbered(sources[:4], sources[:4]).of_kind("leak")] == [(5,)]
