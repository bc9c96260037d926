"""A grammar in llama.cpp's own notation from a grammar schema, without whitespace.

The converter that llama.cpp has allows whitespace between the parts of a record, which our models never write. Knows
what the schemas of the benchmarks' sets have, so no patterns and no maps; bounds of numbers and least lengths are left
to the validation of the record.
"""

from __future__ import annotations

import json
from typing import Any

BASIC = {
    "string": r"""["] ([^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* ["]""",
    "integer": '"-"? ("0" | [1-9] [0-9]{0,15})',
    "number": '"-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
}
KNOWN = {
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minItems",
    "anyOf",
    "enum",
    "$ref",
    "$defs",
}
LEFT = {"minLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "x-guidance"}


class UnsupportedSchemaError(ValueError):
    """The schema has what this converter does not know."""


def gbnf(schema: dict[str, Any]) -> str:
    """The grammar of the records of a grammar schema.

    Raises:
        UnsupportedSchemaError: A keyword would be lost.
    """
    rules: dict[str, str] = {}
    for name, definition in schema.get("$defs", {}).items():
        rules[f"def-{name}"] = _expression(definition, rules)
    rules["root"] = _expression(schema, rules)
    return "\n".join(f"{name} ::= {rule}" for name, rule in rules.items())


def _expression(schema: dict[str, Any], rules: dict[str, str]) -> str:
    unknown = schema.keys() - KNOWN - LEFT
    if unknown:
        raise UnsupportedSchemaError(f"no rule for {', '.join(sorted(unknown))}")
    if "$ref" in schema:
        return "def-" + str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return "(" + " | ".join(_expression(option, rules) for option in schema["anyOf"]) + ")"
    if "enum" in schema:
        return "(" + " | ".join(_literal(_dumps(value)) for value in schema["enum"]) + ")"
    if schema["type"] == "object":
        return _object(schema, rules)
    if schema["type"] == "array":
        items = _expression(schema["items"], rules)
        filled = f'{items} ("," {items})*'
        return f'"[" {filled} "]"' if schema.get("minItems") else f'"[" ({filled})? "]"'
    rules[schema["type"]] = BASIC[schema["type"]]
    return str(schema["type"])


def _object(schema: dict[str, Any], rules: dict[str, str]) -> str:
    """Keys in order; a rule for what may follow from each key on, once with a comma before it and once without."""
    number = sum(name.startswith("object") for name in rules)
    prefix = f"object{number}"
    rules[prefix] = ""
    members = [
        (_literal(_dumps(key) + ":") + " " + _expression(value, rules), key in schema["required"])
        for key, value in schema["properties"].items()
    ]
    rest, first = '""', '""'  # what may follow when something was written, and when nothing was
    for place in reversed(range(len(members))):
        member, required = members[place]
        tail, head = f"{prefix}-tail{place}", f"{prefix}-head{place}"
        rules[tail] = f'"," {member} {rest}' + ("" if required else f" | {rest}")
        rules[head] = f"{member} {rest}" + ("" if required else f" | {first}")
        rest, first = tail, head
    rules[prefix] = f'"{{" {first} "}}"'
    return prefix


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _literal(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
