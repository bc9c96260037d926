from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from complaints.generation import (
    GeneratedExample,
    TextBuilder,
    chance,
    distinct,
    fill,
    generator_command,
    load_faker,
    pick,
    write_jsonl,
)
from extractft.errors import MissingDependencyError


class Note(BaseModel):
    text: str
    copies: int | None = None


def note(text: str) -> GeneratedExample[Note]:
    return GeneratedExample(f"note {text}", Note(text=text), MappingProxyType({"text": (5, 5 + len(text))}))


def test_builder_needs_a_value_for_every_slot() -> None:
    with pytest.raises(KeyError):
        TextBuilder().write("我叫{name}，", {"email": "nafan@example.com"})


@given(st.lists(st.tuples(st.text("ab，。 ", max_size=4), st.text("xy龙琳", max_size=6)), max_size=8), st.text("ab"))
def test_builder_spans_are_exact(parts: list[tuple[str, str]], end: str) -> None:
    builder = TextBuilder()
    values = {f"items.{i}.name": value for i, (_, value) in enumerate(parts)}
    for i, (before, _) in enumerate(parts):
        builder.write(f"{before}{{items.{i}.name}}", values)
    builder.write(end)
    assert builder.text == "".join(before + value for before, value in parts) + end
    assert {path: builder.text[start:stop] for path, (start, stop) in builder.spans.items()} == values


def test_builder_refuses_a_second_place() -> None:
    builder = TextBuilder()
    builder.write("{name}", {"name": "龙琳"})
    with pytest.raises(ValueError, match=r"expected each path once, found 'name'"):
        builder.write("{name}", {"name": "龙琳"})


def test_values_are_not_templates() -> None:
    builder = TextBuilder()
    builder.write("<{a}{b}>", {"a": "{b}", "b": "x"})
    assert builder.text == "<{b}x>"
    assert builder.spans == {"a": (1, 4), "b": (4, 5)}


def test_fill_draws_each_slot_anew_and_fills_what_was_drawn() -> None:
    numbers = iter("123")
    slots = {"n": lambda: next(numbers), "twice": lambda: "{n}+{n}"}
    assert fill("{n}: {twice}", slots) == "1: 2+3"
    with pytest.raises(KeyError):
        fill("{unknown}", slots)


def test_pick_and_chance_follow_the_weights() -> None:
    rng = Random(0)
    drawn = [pick(rng, {"a": 3, "b": 1, "never": 0}) for _ in range(2000)]
    assert 0.70 < drawn.count("a") / 2000 < 0.80
    assert "never" not in drawn
    assert 0.2 < sum(chance(rng, 0.25) for _ in range(2000)) / 2000 < 0.3


def test_distinct_leaves_repeats_out_and_keeps_the_order() -> None:
    texts = iter(["a", "b", "a", "c", "b", "d"])
    assert [e.output.text for e in distinct(lambda: note(next(texts)), 4)] == ["a", "b", "c", "d"]


def test_distinct_gives_up_on_a_generator_that_repeats_itself() -> None:
    with pytest.raises(ValueError, match="expected 2 different texts, found no more than 1"):
        distinct(lambda: note("same"), 2)


def test_rows_hold_every_field_and_survive_the_file(tmp_path: Path) -> None:
    examples = [note("龙\n琳 "), note("\u3000")]
    write_jsonl(tmp_path / "rows.jsonl", examples)
    content = (tmp_path / "rows.jsonl").read_text("utf-8")
    assert "龙" in content
    rows = [json.loads(line) for line in content.split("\n")[:-1]]
    assert rows == [{"text": e.text, "output": {"text": e.output.text, "copies": None}} for e in examples]


def many(n: int, *, seed: int) -> list[GeneratedExample[Note]]:
    return [note(f"{seed}-{i}") for i in range(n)]


def test_command_writes_disjoint_rows_and_the_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = tmp_path / "any.py"
    schema.write_text("# schema\n", encoding="utf-8")
    tests = []
    for train in ("5", "7"):
        out = tmp_path / "deep" / train
        generator_command(many, schema, ["--train", train, "--test", "3", "--out", str(out), "--seed", "4"])
        rows = {
            name: [json.loads(line) for line in (out / f"{name}.jsonl").read_text("utf-8").splitlines()]
            for name in ("train", "test")
        }
        assert len(rows["train"]) == int(train)
        assert {r["text"] for r in rows["train"]}.isdisjoint(r["text"] for r in rows["test"])
        assert (out / "schema.py").read_text("utf-8") == "# schema\n"
        tests.append(rows["test"])
    assert tests[0] == tests[1], "the test rows do not depend on the number of training rows"
    assert "5 training rows and 3 test rows" in capsys.readouterr().out


def test_command_refuses_no_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        generator_command(many, tmp_path / "x.py", ["--train", "0", "--out", str(tmp_path)])
    assert "expected at least one row each, found --train 0" in capsys.readouterr().err


def test_missing_faker_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faker", None)
    with pytest.raises(MissingDependencyError, match="faker") as caught:
        load_faker(0)
    assert caught.value.__notes__ == ["Install it with: pip install faker"]


def test_faker_has_a_state_of_its_own() -> None:
    first = load_faker(3)
    names = [first.name() for _ in range(5)]
    load_faker(4).name()
    second = load_faker(3)
    assert [second.name() for _ in range(5)] == names
