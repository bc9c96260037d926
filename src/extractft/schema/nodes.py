"""The field tree: what a schema says about its fields, and nothing of Pydantic.

Every later room walks this tree: the grammar, the prompt, the canonical JSON form. Nodes are plain frozen data and
compare by value. Knows JSON types and constraints; knows no Python class of the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from extractft.schema.markers import MergeRule, VerbatimKind

__all__ = [
    "MISSING",
    "ArrayNode",
    "BooleanNode",
    "Field",
    "IntegerNode",
    "JsonScalar",
    "LiteralNode",
    "MapNode",
    "Node",
    "NullNode",
    "NumberNode",
    "ObjectNode",
    "RefNode",
    "StringFormat",
    "StringNode",
    "UnionNode",
    "accepts_null",
    "children",
    "iter_nodes",
    "map_children",
    "options_of",
    "resolve",
]

JsonScalar = str | int | float | bool | None
StringFormat = Literal["date", "datetime", "time", "duration", "uuid", "decimal", "email", "uri"]


class _Missing:
    """The type of `MISSING`, of which there is one instance, in copies and pickles too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""No default: the key has to be there. (`None` is a default like any other.)"""


@dataclass(frozen=True, slots=True)
class StringNode:
    """A JSON string. `format` names what the string spells, `None` for free text.

    Attributes:
        format: The kind of value that the string spells.
        min_length: Fewest characters.
        max_length: Most characters.
        pattern: Regular expression that has to be found in the string, as the author wrote it.
        constraints: Further demands of Pydantic, by name: `ge gt le lt` (canonical JSON of the bound),
            `max_digits`, `decimal_places`, `multiple_of`, `timezone` (`"required"` or `"forbidden"`), `now`
            (`"past"` or `"future"`), `version` (of a UUID), `schemes` (of a URI, separated by commas),
            `regex_engine` (`"python-re"`: the pattern is one of Python's).
        verbatim: `"exact"` if it has to be copied from the text as it stands there, `"normalized"` if up to width,
            case and blanks, `None` if it may be anything.
    """

    format: StringFormat | None = None
    min_length: int = 0
    max_length: int | None = None
    pattern: str | None = None
    constraints: tuple[tuple[str, JsonScalar], ...] = ()
    verbatim: VerbatimKind | None = None

    def constraint(self, name: str) -> JsonScalar:
        """The named constraint, `None` if there is none."""
        return dict(self.constraints).get(name)


@dataclass(frozen=True, slots=True)
class IntegerNode:
    """A JSON integer; bounds are inclusive."""

    minimum: int | None = None
    maximum: int | None = None
    multiple_of: int | None = None


@dataclass(frozen=True, slots=True)
class NumberNode:
    """A JSON number."""

    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    multiple_of: float | None = None


@dataclass(frozen=True, slots=True)
class BooleanNode:
    """`true` or `false`."""


@dataclass(frozen=True, slots=True)
class NullNode:
    """`null`."""


@dataclass(frozen=True, slots=True)
class LiteralNode:
    """One of a few JSON scalars: `Literal` and `Enum`."""

    values: tuple[JsonScalar, ...]


@dataclass(frozen=True, slots=True)
class ArrayNode:
    """A JSON array: `prefix` for the positions of a tuple, `items` for the rest (`None`: no rest)."""

    items: Node | None
    prefix: tuple[Node, ...] = ()
    min_items: int = 0
    max_items: int | None = None
    unique: bool = False

    def item_node(self, index: int) -> Node | None:
        """The node of the item at a position; `None` behind the last one of a tuple."""
        return self.prefix[index] if index < len(self.prefix) else self.items


@dataclass(frozen=True, slots=True)
class MapNode:
    """A JSON object with keys that are data."""

    keys: StringNode | IntegerNode | LiteralNode
    values: Node
    min_items: int = 0
    max_items: int | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object.

    Attributes:
        name: Attribute on the Python side.
        key: Key in the canonical JSON; differs from `name` when there is an alias.
        node: The node of its value.
        default: Canonical JSON value of a static default, `MISSING` if there is none.
        required: True if the key has to be in the canonical JSON. With `omit_defaults`, a field with a default
            (or a default factory) is not required.
        description: The author's words about the field.
        merge: The rule for merging the values of a long text's windows, `None` for that of its kind.
    """

    name: str
    key: str
    node: Node
    required: bool
    default: Any = MISSING
    description: str | None = None
    merge: MergeRule | None = None


@dataclass(frozen=True, slots=True)
class ObjectNode:
    """A JSON object with known keys, in the order in which they are written."""

    name: str
    fields: tuple[Field, ...]
    description: str | None = None


@dataclass(frozen=True, slots=True)
class UnionNode:
    """One of several. `discriminator` is the key that tells object options apart, if there is one."""

    options: tuple[Node, ...]
    discriminator: str | None = None


@dataclass(frozen=True, slots=True)
class RefNode:
    """A definition by name: recursive models and models that are used more than once."""

    name: str


Node = (
    StringNode
    | IntegerNode
    | NumberNode
    | BooleanNode
    | NullNode
    | LiteralNode
    | ArrayNode
    | MapNode
    | ObjectNode
    | UnionNode
    | RefNode
)


def children(node: Node, *, map_keys: bool = False) -> Iterator[Node]:
    """The nodes right beneath a node, in the order in which they are written; a reference has none.

    Args:
        node: The node.
        map_keys: True if the keys of a map are wanted too, before its values.
    """
    match node:
        case ArrayNode():
            yield from node.prefix
            if node.items is not None:
                yield node.items
        case MapNode():
            if map_keys:
                yield node.keys
            yield node.values
        case ObjectNode():
            yield from (field.node for field in node.fields)
        case UnionNode():
            yield from node.options


def map_children(node: Node, change: Callable[[Node], Node]) -> Node:
    """The node with `change` applied to the nodes right beneath it."""
    match node:
        case ArrayNode():
            items = None if node.items is None else change(node.items)
            return replace(node, items=items, prefix=tuple(map(change, node.prefix)))
        case MapNode():
            return replace(node, values=change(node.values))
        case ObjectNode():
            fields = tuple(replace(field, node=change(field.node)) for field in node.fields)
            return replace(node, fields=fields)
        case UnionNode():
            return replace(node, options=tuple(map(change, node.options)))
    return node


def iter_nodes(root: Node, definitions: Mapping[str, Node] | None = None, *, map_keys: bool = False) -> Iterator[Node]:
    """Every node of a tree, parents before children.

    Args:
        root: The first node.
        definitions: Targets of the references, each walked once, where the first reference to it stands. Without
            them references are not followed.
        map_keys: True if the keys of maps are wanted too.
    """
    seen: set[str] = set()
    stack: list[Node] = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(list(children(node, map_keys=map_keys))))
        if definitions is not None and isinstance(node, RefNode) and node.name not in seen:
            seen.add(node.name)
            stack.append(definitions[node.name])


def resolve(node: Node, definitions: Mapping[str, Node]) -> Node:
    """The node itself, or what a reference refers to."""
    while isinstance(node, RefNode):
        node = definitions[node.name]
    return node


def options_of(node: Node, definitions: Mapping[str, Node]) -> tuple[Node, ...]:
    """The nodes that a value may belong to: references followed, unions (also nested ones) laid flat."""
    found: list[Node] = []
    names: set[str] = set()
    open_nodes: list[Node] = [node]
    while open_nodes:
        current = open_nodes.pop(0)
        if isinstance(current, RefNode):
            if current.name not in names:
                names.add(current.name)
                open_nodes.insert(0, definitions[current.name])
        elif isinstance(current, UnionNode):
            open_nodes[:0] = current.options
        else:
            found.append(current)
    return tuple(found)


def accepts_null(node: Node, definitions: Mapping[str, Node]) -> bool:
    """True if `null` is a value of the node, references followed."""
    options = options_of(node, definitions)
    return any(
        isinstance(option, NullNode) or (isinstance(option, LiteralNode) and None in option.values)
        for option in options
    )
