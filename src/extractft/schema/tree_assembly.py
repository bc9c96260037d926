"""The builder's parts -> the finished tree: which keys are always written, which definitions stand on their own.

A definition stands on its own only if it refers to itself or is an object used more than once, whatever Pydantic
made of it: the tree, and with it the fingerprint, does not depend on Pydantic's version. Knows no Python class.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from extractft.schema.node_plan import Definition, FieldSpec, NodePlan
from extractft.schema.nodes import (
    ArrayNode,
    BooleanNode,
    Field,
    IntegerNode,
    LiteralNode,
    MapNode,
    Node,
    NullNode,
    NumberNode,
    ObjectNode,
    RefNode,
    StringNode,
    UnionNode,
    iter_nodes,
    map_children,
)
from extractft.schema.tree_builder import TreeBuilder

__all__ = ["Assembly", "assemble"]


@dataclass(frozen=True, slots=True)
class Assembly:
    """A finished tree."""

    tree: Node
    definitions: Mapping[str, Node]


def assemble(builder: TreeBuilder, root: NodePlan, *, omit_defaults: bool) -> Assembly:
    """Decide which keys are always written, then fold away the definitions that are used once."""
    tags = _tell_apart(builder)
    nodes: dict[str, Node] = {}
    specs = [spec for definition in builder.definitions.values() for spec in definition.fields]
    for spec in specs:
        spec.write.keep = spec.write.keep or not omit_defaults
    for spec in specs:
        spec.write.settle()
    for name, definition in builder.definitions.items():
        if definition.writer is None:
            assert definition.plan is not None
            nodes[name] = definition.plan.node
        else:
            fields = tuple(map(_field, definition.fields))
            nodes[name] = ObjectNode(definition.label, fields, definition.description)

    def with_tags(node: Node) -> Node:
        if isinstance(node, UnionNode):
            node = dataclasses.replace(node, discriminator=tags.get(node.options))
        return map_children(node, with_tags)

    tree = with_tags(root.node)
    nodes = {name: with_tags(node) for name, node in nodes.items()}
    tree, nodes = _fold(tree, nodes, lambda name: not isinstance(nodes[name], ObjectNode))
    uses = _uses(tree, nodes)
    return Assembly(*_fold(tree, nodes, lambda name: uses[name] == 1))


def _field(spec: FieldSpec) -> Field:
    writer = spec.write
    never_absent = writer.keep and not writer.loose and not writer.may_be_missing
    return Field(
        name=writer.name,
        key=writer.key,
        node=spec.node,
        required=not writer.optional or never_absent,
        default=writer.default,
        description=spec.description,
        merge=spec.merge,
    )


def _tell_apart(builder: TreeBuilder) -> dict[tuple[Node, ...], str]:
    """Make sure that the objects of each union stay apart when defaults are left out.

    If a key holds different literals in all of them, that key is always written, and is the discriminator; else all
    keys of all of them are, since Pydantic tells them by the keys that are there.
    """
    tags: dict[tuple[Node, ...], str] = {}
    for union in builder.unions:
        options, declared = union.options, union.discriminator
        objects = [d for d in _objects(options, builder) if d.writer is not None]
        if len(objects) < 2 and not any(isinstance(node, MapNode) for node in options):
            continue
        first = [spec.write.key for spec in objects[0].fields] if objects else []
        candidates = [declared, *first] if declared else first
        tag = next((key for key in candidates if len(objects) > 1 and _disjoint(key, objects)), None)
        if tag is not None:
            tags[options] = tag
        for twin in _twins(objects) if tag is None else ():
            builder.note("", f"{twin} cannot be told from another option of its union, which is read instead")
        for definition in objects:
            for spec in definition.fields:
                spec.write.keep = spec.write.keep or tag is None or spec.write.key == tag
    return tags


def _objects(options: tuple[Node, ...], builder: TreeBuilder) -> list[Definition]:
    return [builder.definitions[node.name] for node in options if isinstance(node, RefNode)]


def _disjoint(key: str, objects: list[Definition]) -> bool:
    seen: set[object] = set()
    for definition in objects:
        node = next((spec.node for spec in definition.fields if spec.write.key == key), None)
        if not isinstance(node, LiteralNode) or seen & set(node.values):
            return False
        seen.update(node.values)
    return True


def _twins(objects: list[Definition]) -> Iterator[str]:
    """The objects that have the keys of one before them, and no value that only one of the two takes."""
    for index, later in enumerate(objects):
        own = {spec.write.key: spec.node for spec in later.fields}
        for earlier in objects[:index]:
            other = {spec.write.key: spec.node for spec in earlier.fields}
            if own.keys() == other.keys() and not any(_excludes(own[key], other[key]) for key in own):
                yield later.label
                break


def _excludes(one: Node, other: Node) -> bool:
    """True if no JSON value is one and the other, as far as that can be told easily."""
    if isinstance(one, UnionNode):
        return all(_excludes(option, other) for option in one.options)
    if isinstance(other, UnionNode | LiteralNode) and not isinstance(one, LiteralNode):
        return _excludes(other, one)
    if isinstance(one, LiteralNode):
        if isinstance(other, LiteralNode):
            return not {(type(value), value) for value in one.values} & {(type(value), value) for value in other.values}
        return all(not isinstance(value, _JSON_TYPES.get(type(other), object)) for value in one.values)
    return _JSON_TYPES.get(type(one), object) != _JSON_TYPES.get(type(other), object) and not (
        isinstance(one, RefNode) or isinstance(other, RefNode)
    )


_JSON_TYPES: Mapping[type[Node], Any] = {
    StringNode: str,
    IntegerNode: (int, float),
    NumberNode: (int, float),
    BooleanNode: bool,
    NullNode: type(None),
    ArrayNode: list,
    MapNode: dict,
    ObjectNode: dict,
}


def _references(node: Node) -> Iterator[str]:
    return (inner.name for inner in iter_nodes(node) if isinstance(inner, RefNode))


def _uses(tree: Node, nodes: Mapping[str, Node]) -> Counter[str]:
    return Counter(name for node in (tree, *nodes.values()) for name in _references(node))


def _recursive(nodes: Mapping[str, Node]) -> set[str]:
    direct = {name: set(_references(node)) for name, node in nodes.items()}

    def reaches(start: str) -> bool:
        seen: set[str] = set()
        todo = list(direct[start])
        while todo:
            name = todo.pop()
            if name == start:
                return True
            if name not in seen:
                seen.add(name)
                todo.extend(direct[name])
        return False

    return {name for name in nodes if reaches(name)}


def _fold(tree: Node, nodes: Mapping[str, Node], foldable: Callable[[str], bool]) -> tuple[Node, dict[str, Node]]:
    """Put the definitions that need no name where they are used, and drop those that nothing uses."""
    recursive = _recursive(nodes)
    gone = {name for name in nodes if name not in recursive and foldable(name)}

    def fold(node: Node) -> Node:
        if isinstance(node, RefNode) and node.name in gone:
            return fold(nodes[node.name])
        return map_children(node, fold)

    tree = fold(tree)
    folded = {name: fold(node) for name, node in nodes.items() if name not in gone}
    used: dict[str, None] = {}
    todo = list(_references(tree))
    while todo:
        name = todo.pop(0)
        if name not in used:
            used[name] = None
            todo.extend(_references(folded[name]))
    return tree, {name: folded[name] for name in used}
