"""Each format of strings, held to all that a format needs: the list of what is missing when one is added."""

from __future__ import annotations

import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import pytest
import regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ImportString, TypeAdapter, create_model
from schema_machine import LEAVES
from schema_zoo import ZOO, values
from test_schema_notes import ENFORCED
from test_schema_random_records import TYPES

sys.path.insert(0, str(Path(__file__).parents[1] / "grounding"))

import test_hostile_texts
import test_planted

from extractft.config import PromptConfig
from extractft.constraints import token_budget
from extractft.errors import SchemaError
from extractft.grounding import value_search
from extractft.prompt import render_system_prompt
from extractft.prompt.phrasebook import PHRASEBOOKS
from extractft.schema import Schema, StringFormat, StringNode
from extractft.schema.model_rebuilder import rebuild_type
from extractft.schema.nodes import iter_nodes
from extractft.schema.pydantic_scalars import SCALAR_PLANNERS
from extractft.schema.string_formats import STRING_FORMATS, format_regex, sample_text

FORMATS = get_args(StringFormat)


def rebuilt(name: Any) -> Any:
    return rebuild_type(StringNode(name), {})


def accepts(node: StringNode, text: str) -> bool:
    return regex.fullmatch(str(format_regex(node)), text) is not None


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_all_that_a_format_needs(name: Any) -> None:
    node, spec = StringNode(name), STRING_FORMATS[name]
    assert accepts(node, spec.sample), "an expression that accepts the sample"
    schema: Schema[Any] = Schema.of(rebuilt(name))
    assert schema.tree == node, "a type that is rebuilt with the same tree"
    assert schema.canonical_value(schema.parse(f'"{spec.sample}"')) == spec.sample, "a canonical sample that parses"
    for language, words in PHRASEBOOKS.items():
        noun = words.formats[name]
        assert all((noun.one, noun.many)), f"a noun in {language}"
    assert token_budget(schema, 0) >= len(sample_text(node)) + 3, "room in the budget, at a token a byte"
    finder = value_search._FORMATS[name]
    assert (finder is not None) == (spec.in_texts == "otherwise"), "a finder, where texts spell it in another form"


def test_no_table_has_a_format_of_its_own() -> None:
    assert set(STRING_FORMATS) == set(FORMATS)
    assert set(value_search._FORMATS) == set(FORMATS)
    for words in PHRASEBOOKS.values():
        assert set(words.formats) == set(FORMATS)


@pytest.mark.parametrize("language", PHRASEBOOKS)
def test_prompts_name_each_format(language: Any) -> None:
    fields: dict[str, Any] = {name: (rebuilt(name), ...) for name in FORMATS}
    schema: Schema[Any] = Schema.of(create_model("Record", **fields))
    prompt = render_system_prompt(schema, PromptConfig(language=language))
    for name in FORMATS:
        assert PHRASEBOOKS[language].formats[name].one in prompt


@pytest.mark.parametrize("name", FORMATS)
def test_values_are_written_within_the_expression_and_read_back(name: Any) -> None:
    """Canonical spellings are among those of the expression."""
    schema: Schema[Any] = Schema.of(rebuilt(name))

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(values(schema, schema.tree))
    def check(text: str) -> None:
        canonical = schema.canonical_value(schema.parse_value(text))
        assert accepts(StringNode(name), canonical), canonical
        assert schema.canonical_value(schema.parse_value(canonical)) == canonical

    check()


@pytest.mark.parametrize("name", [name for name in FORMATS if STRING_FORMATS[name].outline is None])
def test_what_the_expression_accepts_parses(name: Any) -> None:
    """Spellings of the expression are among those that Pydantic reads."""
    schema: Schema[Any] = Schema.of(rebuilt(name))

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(re.compile(str(format_regex(StringNode(name)))), fullmatch=True))
    def check(text: str) -> None:
        schema.parse_value(text)

    check()


def _planners(types: list[Any]) -> set[str]:
    """The names of the core schemas in some types."""
    found: set[str] = set()
    waiting: list[Any] = [TypeAdapter(type_).core_schema for type_ in types]
    while waiting:
        core = waiting.pop()
        if isinstance(core, dict):
            found |= {core["type"]} if isinstance(core.get("type"), str) else set()
            waiting += core.values()
        elif isinstance(core, list | tuple):
            waiting += core
    return found


def _formats(types: list[Any]) -> set[str]:
    nodes = [node for type_ in types for root in [Schema.of(type_)] for node in iter_nodes(root.tree, root.definitions)]
    return {node.format for node in nodes if isinstance(node, StringNode) and node.format is not None}


def test_lists_of_types_to_try_have_every_planner() -> None:
    assert set(SCALAR_PLANNERS) - _planners(LEAVES) == {"none"}, "which schema_machine puts beside other types"
    assert set(SCALAR_PLANNERS) - _planners(ZOO) == {"none", "multi-host-url"}, "whose values need a scheme"


def test_formats_that_the_grammar_enforces_are_tried_for_notes_and_by_random_records() -> None:
    enforced = {name for name, spec in STRING_FORMATS.items() if spec.outline is None}
    assert enforced <= _formats(ENFORCED)
    assert enforced <= _formats(TYPES)


@pytest.mark.parametrize("everything", [test_hostile_texts.Everything, test_planted.Everything])
def test_formats_that_have_a_finder_are_searched_for_in_hostile_texts(everything: type[BaseModel]) -> None:
    assert {name for name, finder in value_search._FORMATS.items() if finder is not None} <= _formats([everything])


NAMED = {
    "str": "str", "int": "int", "float": "float", "bool": "bool", "none": "None", "bytes": "bytes", "decimal": "Decimal",
    "date": "date", "time": "time", "datetime": "datetime", "timedelta": "timedelta", "uuid": "UUID", "url": "URLs",
    "multi-host-url": "PostgresDsn", "literal": "Literal", "enum": "Enum",
}  # fmt: skip
"""Words of the page for what each planner makes a node of."""
REFUSED = {"Any": Any, "object": object, "complex": complex, "Fraction": Fraction, "ImportString": ImportString}
PAGE = Path(__file__).parents[2] / "docs" / "schemas.md"


def _section(title: str) -> str:
    return PAGE.read_text("utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_page_names_every_type_that_works() -> None:
    assert set(NAMED) == set(SCALAR_PLANNERS)
    firsts = "\n".join(line.split(" | ")[0] for line in _section("What works").splitlines() if line.startswith("|"))
    assert [word for word in NAMED.values() if not re.search(rf"\b{word}\b", firsts)] == []


@pytest.mark.parametrize("word", REFUSED)
def test_the_page_names_types_that_are_refused(word: str) -> None:
    with pytest.raises(SchemaError):
        Schema.of(REFUSED[word])
    assert f"`{word}`" in _section("What is refused")
