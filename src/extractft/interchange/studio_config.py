"""The labeling config of a Label Studio project for a schema. Knows the field tree and Label Studio's tags."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree import ElementTree

from extractft.interchange.marked_text import shown_label
from extractft.interchange.record_pieces import node_at
from extractft.schema import ArrayNode, BooleanNode, LiteralNode, MapNode, Node, NullNode, ObjectNode, RefNode, Schema
from extractft.schema.nodes import UnionNode, options_of
from extractft.schema.record_paths import join_path

__all__ = ["CHOICE", "ITEM", "LABEL", "OTHER", "TEXT", "WORDS", "choice_words", "choices_of", "labeling_config"]

TEXT, LABEL, ITEM, WORDS, OTHER = "text", "label", "item", "words", "other"
"""Names of the text, the labels, the item of a list, the value of a place in words, and all other values."""
CHOICE = "field."
"""Begins the name of the choices of a field."""
COLOURS = ("#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#e6ab02", "#a6761d", "#1f78b4", "#b2182b", "#666666")
MOST_CHOICES = 40
"""More allowed values than these are too many to show beside a text; they are written as words."""


def labeling_config(schema: Schema[Any], labels: Iterable[str] = ()) -> str:
    """The config, as XML.

    Args:
        schema: The schema of the records.
        labels: Labels that rows have, beside those of the schema: a recursive schema has no end of them.
    """
    view = ElementTree.Element("View")
    known = dict.fromkeys(_labels(schema.tree, schema, "", ()))
    known |= dict.fromkeys(labels)
    tag = ElementTree.SubElement(view, "Labels", name=LABEL, toName=TEXT)
    for number, label in enumerate(known or ("",)):
        colour = COLOURS[number % len(COLOURS)]
        ElementTree.SubElement(tag, "Label", value=shown_label(label), background=colour)
    ElementTree.SubElement(view, "Text", name=TEXT, value="$text", granularity="symbol")
    _words(view, WORDS, "The value, if it is not what the marked words say", perRegion="true")
    if any("*" in label for label in known):
        _words(
            view, ITEM, "Number of the item in its list, from 0; none: the item of the mark before", perRegion="true"
        )
    for label in known:
        _choices(view, label, schema)
    other = _words(view, OTHER, 'Values that no place says, one a line: field = JSON, such as note = "none"')
    other.set("editable", "true")
    other.set("rows", "2")
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def choices_of(label: str, node: Node | None, schema: Schema[Any]) -> dict[str, Any]:
    """The allowed values of a field by their words; empty if they are too many, or may be others as well."""
    if node is None or "*" in label or not label:
        return {}
    options = [option for option in options_of(node, schema.definitions) if not isinstance(option, NullNode)]
    values: list[Any] = []
    for option in options:
        if isinstance(option, BooleanNode):
            values += [True, False]
        elif isinstance(option, LiteralNode):
            values += [value for value in option.values if value is not None]
        else:
            return {}
    found = {choice_words(value): value for value in values}
    usable = len(found) == len(values) <= MOST_CHOICES and all(words.strip() for words in found)
    return found if usable else {}


def choice_words(value: Any) -> str:
    """An allowed value as a choice shows it."""
    return value if isinstance(value, str) else json.dumps(value)


def _words(view: ElementTree.Element, name: str, placeholder: str, **attributes: str) -> ElementTree.Element:
    settings = {"name": name, "toName": TEXT, "placeholder": placeholder, **attributes}
    return ElementTree.SubElement(view, "TextArea", settings)


def _choices(view: ElementTree.Element, label: str, schema: Schema[Any]) -> None:
    found = choices_of(label, node_at(label, schema), schema)
    if not found:
        return
    ElementTree.SubElement(view, "Header", value=label)
    tag = ElementTree.SubElement(view, "Choices", name=f"{CHOICE}{label}", toName=TEXT, choice="single-radio")
    for words in found:
        ElementTree.SubElement(tag, "Choice", value=words)


def _labels(node: Node, schema: Schema[Any], label: str, above: tuple[str, ...]) -> Iterator[str]:
    """The labels of all scalars beneath a node; a definition is not entered again beneath itself."""
    if isinstance(node, RefNode):
        if node.name not in above:
            yield from _labels(schema.definitions[node.name], schema, label, (*above, node.name))
    elif isinstance(node, UnionNode):
        for option in node.options:
            yield from _labels(option, schema, label, above)
    elif isinstance(node, ObjectNode | ArrayNode):
        for step, inner in _steps(node):
            yield from _labels(inner, schema, join_path(label, step), above)
    elif not isinstance(node, MapNode | NullNode):
        yield label


def _steps(node: ObjectNode | ArrayNode) -> Iterator[tuple[str, Node]]:
    if isinstance(node, ObjectNode):
        yield from ((field.name, field.node) for field in node.fields)
        return
    yield from ((str(position), inner) for position, inner in enumerate(node.prefix))
    if node.items is not None:
        yield "*", node.items
