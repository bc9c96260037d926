"""The options of a union laid flat, and what JSON cannot tell apart among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

from extractft.schema.container_writers import UnionWriter
from extractft.schema.node_plan import NodePlan
from extractft.schema.nodes import (
    BooleanNode,
    IntegerNode,
    LiteralNode,
    Node,
    NullNode,
    NumberNode,
    StringNode,
    UnionNode,
)
from extractft.schema.scalar_writers import Writer, dumps
from extractft.schema.string_formats import sample_text

__all__ = ["ambiguity_notes", "join_plans"]


def join_plans(plans: list[NodePlan], discriminator: str | None) -> NodePlan:
    """One plan for several options; nested unions are laid flat, and null comes last."""
    options: dict[str, Node] = {}  # by their spelling, since Literal[1] equals Literal[True]
    writers: list[Writer] = []
    for plan in plans:
        options.update((repr(node), node) for node in _options(plan.node))
        for write in plan.write.options if isinstance(plan.write, UnionWriter) else (plan.write,):
            if write not in writers:
                writers.append(write)
    nodes = sorted(options.values(), key=lambda node: isinstance(node, NullNode))  # null last, wherever it was said
    write = UnionWriter(tuple(writers)) if len(writers) > 1 else writers[0]
    return NodePlan(nodes[0] if len(nodes) == 1 else UnionNode(tuple(nodes), discriminator), write)


def _options(node: Node) -> tuple[Node, ...]:
    return node.options if isinstance(node, UnionNode) else (node,)


def ambiguity_notes(plan: NodePlan, plans: list[NodePlan], read: Callable[[str], Any]) -> Iterator[str]:
    """Options that are spelled alike and so always read as one: sentences for the user, without the path.

    Args:
        plan: The union.
        plans: Its options.
        read: Parses JSON text as Pydantic does for the union.
    """
    strings = [node for node in _options(plan.node) if isinstance(node, StringNode)]
    formatted = [node for node in strings if node.format is not None]
    if len(formatted) < len(strings) and any(_is_text(read, node) for node in formatted):
        yield "what is text or something spelled as text, such as a date, is always read as text"
    alike: dict[Node, list[Writer]] = {}
    for option in plans:
        if isinstance(option.node, StringNode) and option.write not in alike.setdefault(option.node, []):
            alike[option.node].append(option.write)
    if any(len(writers) > 1 for writers in alike.values()):
        yield "options that are spelled alike are always read as one of them"
    for value in _misread_values(_options(plan.node), read):
        yield f"{dumps(value)} is always read as a {'number' if isinstance(value, bool) else 'truth value'}"


def _misread_values(options: tuple[Node, ...], read: Callable[[str], Any]) -> list[bool | int | float]:
    """Truth values that Pydantic reads as numbers, and numbers that it reads as truth values, since True equals 1."""
    values: dict[str, bool | int | float] = {}
    for node in options:
        if isinstance(node, LiteralNode):
            values.update((dumps(value), value) for value in node.values if isinstance(value, bool | int | float))
        elif isinstance(node, BooleanNode):
            values.update({"false": False, "true": True})
        elif isinstance(node, IntegerNode | NumberNode):
            values.update({"0": 0, "1": 1})
    if len({isinstance(value, bool) for value in values.values()}) < 2:
        return []
    return [value for text, value in values.items() if _is_misread(read, text, value)]


def _is_misread(read: Callable[[str], Any], text: str, value: bool | int | float) -> bool:
    try:
        found = read(text)
    except Exception:  # out of bounds, or a user's validator
        return False
    plain = found.value if isinstance(found, Enum) else found
    return isinstance(plain, bool | int | float) and isinstance(plain, bool) != isinstance(value, bool)


def _is_text(read: Callable[[str], Any], node: StringNode) -> bool:
    """True if Pydantic reads text of the node's format as plain text."""
    sample = dumps(sample_text(node))
    try:
        return isinstance(read(sample), str)
    except Exception:  # a user's validator may raise anything; then nothing is known
        return True
