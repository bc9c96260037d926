"""The field tree put into words: what a template needs to list the fields, and no more.

Says each thing once: plain text is not called text, what most fields are is not said at each of them, and a model that
is used twice is described where it stands first. Knows the tree and the words; knows no sentences and no layout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from extractft.prompt.phrasebook import Phrasebook, spell, spell_number
from extractft.schema import (
    MISSING,
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
    accepts_null,
)
from extractft.schema.nodes import children, iter_nodes, resolve
from extractft.schema.string_formats import STRING_FORMATS

__all__ = ["FieldEntry", "FieldOutline", "outline"]

MAX_PATTERN_LENGTH = 40
"""Characters of a regular expression that are still worth their tokens; the grammar enforces longer ones too."""
MAX_DEFAULT_LENGTH = 200
"""Characters of a default that are still worth their tokens."""


@dataclass(frozen=True, slots=True)
class FieldEntry:
    """One line of the list of fields.

    Attributes:
        key: Key in the JSON object; empty for what is numbered.
        number: Position among the options of a union or in a tuple, from 1; 0 for a field.
        type: The type in words; empty for plain text in a field.
        details: Constraints, default and mark (`required`, `optional`) in words.
        optional: True if the field may be absent (left out, or null where everything is written).
        description: The author's words, on one line.
        children: Fields of an object, of the objects in a list, or options of a union.
    """

    key: str
    number: int
    type: str
    details: tuple[str, ...]
    optional: bool
    description: str
    children: tuple[FieldEntry, ...]


@dataclass(frozen=True, slots=True)
class FieldOutline:
    """A schema in words.

    Attributes:
        root: `object`, `list`, or `value` for anything else.
        answer: The root as an entry without a key; its children are the fields.
        any_optional: True if some field may be absent.
        optional_marked: True if those are marked; if not, the required ones are, or all are alike.
        any_plain: True if some field is plain text and says nothing about its type.
        any_formed: True if some value has a form of its own, so that it may stand otherwise in the text.
    """

    root: str
    answer: FieldEntry
    any_optional: bool
    optional_marked: bool
    any_plain: bool
    any_formed: bool


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A node in words: its type, its constraints, and what is listed below it."""

    type: str
    details: tuple[str, ...] = ()
    children: tuple[FieldEntry, ...] = ()
    description: str | None = None


def outline(tree: Node, definitions: Mapping[str, Node], words: Phrasebook, *, omit_defaults: bool) -> FieldOutline:
    """Put a field tree into words.

    Args:
        tree: Root of the field tree.
        definitions: Targets of the references in it.
        words: Vocabulary of the prompt's language.
        omit_defaults: True if absent fields are left out; if not, they are null.
    """
    return _OutlineBuilder(tree, definitions, words, omit_defaults).outline()


class _OutlineBuilder:
    """Walks the tree once, from top to bottom: what was described stays described."""

    def __init__(self, tree: Node, definitions: Mapping[str, Node], words: Phrasebook, omit_defaults: bool) -> None:
        self.definitions = definitions
        self.words = words
        self.omit_defaults = omit_defaults
        nodes = list(iter_nodes(tree, definitions, map_keys=True))
        uses = Counter(node.name for node in nodes if isinstance(node, RefNode))
        named_root = next((RefNode(name) for name in uses if definitions[name] == tree), None)
        self.tree = named_root or tree
        self.named = {name for name, count in uses.items() if count > 1 or RefNode(name) == named_root}
        self.described: set[str] = set()
        fields = [field for node in nodes if isinstance(node, ObjectNode) for field in node.fields]
        fields = [field for field in fields if not _is_tag(field)]
        optional = sum(map(self.is_optional, fields))
        self.any_optional = optional > 0
        self.optional_marked = 0 < optional <= len(fields) / 2
        self.required_marked = len(fields) / 2 < optional < len(fields)
        self.any_plain = False
        self.any_formed = any(map(_has_form, nodes))

    def outline(self) -> FieldOutline:
        phrase = self.describe(self.tree)
        answer = FieldEntry("", 0, phrase.type, phrase.details, False, "", phrase.children)
        node = resolve(self.tree, self.definitions)
        root = "value"
        if isinstance(node, ObjectNode):
            root = "object"
        elif isinstance(node, ArrayNode) and not node.prefix:
            root = "list"
        return FieldOutline(root, answer, self.any_optional, self.optional_marked, self.any_plain, self.any_formed)

    def is_optional(self, field: Field) -> bool:
        """True if the field may be absent, in the way that this schema spells absence."""
        return not field.required if self.omit_defaults else accepts_null(field.node, self.definitions)

    def entry(self, field: Field) -> FieldEntry:
        optional = self.is_optional(field)
        phrase = self.describe(_without_null(field.node) if self.is_null_implied(field) else field.node)
        plain = phrase.type == self.words.text.one
        self.any_plain = self.any_plain or plain
        return FieldEntry(
            key=field.key,
            number=0,
            type="" if plain else phrase.type,
            details=(*phrase.details, *self.default(field), *self.mark(field)),
            optional=optional,
            description=_one_line(field.description or phrase.description),
            children=phrase.children,
        )

    def is_null_implied(self, field: Field) -> bool:
        """True if "or null" would repeat the rule about absent fields."""
        if not self.is_optional(field):
            return False
        return field.default is None if self.omit_defaults else not self.optional_marked

    def default(self, field: Field) -> list[str]:
        silent = field.default is MISSING or field.default in (None, "", [], {}) or _is_tag(field)
        spelled = "" if silent else spell(field.default)
        return [self.words.default.format(spelled)] if 0 < len(spelled) <= MAX_DEFAULT_LENGTH else []

    def mark(self, field: Field) -> list[str]:
        """`required` or `optional`, whichever fewer fields are; nothing where the type tells it."""
        if self.is_optional(field):
            marked = self.optional_marked and self.omit_defaults and not self.default(field) and not _is_tag(field)
            return [self.words.optional] if marked else []
        told = _is_tag(field) or accepts_null(field.node, self.definitions)
        return [self.words.required] if self.required_marked and not told else []

    def describe(self, node: Node, *, many: bool = False) -> _Phrase:  # noqa: C901 - one case for each kind of node
        """A node in words; `many` for the plural."""
        words = self.words
        match node:
            case StringNode():
                noun = words.formats[node.format] if node.format else words.text
                return _Phrase(noun.form(many), _string_details(node, words))
            case IntegerNode() | NumberNode():
                noun = words.integer if isinstance(node, IntegerNode) else words.number
                return _Phrase(noun.form(many), _number_details(node, words))
            case BooleanNode():
                return _Phrase(words.boolean.form(many))
            case NullNode():
                return _Phrase(words.null.form(many))
            case LiteralNode():
                return _Phrase(words.literal(node.values, many=many))
            case ArrayNode():
                return self.describe_array(node, many)
            case MapNode():
                return self.describe_map(node, many)
            case ObjectNode():
                children = tuple(self.entry(field) for field in node.fields)
                return _Phrase(words.object.form(many), (), children, node.description)
            case UnionNode():
                return self.describe_union(node, many)
            case RefNode():
                return self.describe_reference(node, many)

    def describe_reference(self, node: RefNode, many: bool) -> _Phrase:
        target = self.definitions[node.name]
        if node.name in self.described:
            noun = self.words.object if isinstance(target, ObjectNode) else self.words.value
            return _Phrase(self.words.above.format(noun.form(many), node.name))
        if node.name not in self.named:
            return self.describe(target, many=many)
        self.described.add(node.name)
        phrase = self.describe(target, many=many)
        return replace(phrase, type=self.words.named.format(phrase.type, node.name))

    def describe_array(self, node: ArrayNode, many: bool) -> _Phrase:
        words = self.words
        count = words.count(words.items, node.min_items or None, node.max_items) if node.items else ""
        details = (*([count] if count else []), *([words.unique] if node.unique else []))
        if node.prefix or node.items is None:
            return self.describe_tuple(node, many, details)
        item = self.describe(node.items, many=True)
        type_ = words.list_of.form(many).format(self.inline(item))
        return _Phrase(type_, details, item.children, item.description)

    def describe_tuple(self, node: ArrayNode, many: bool, details: tuple[str, ...]) -> _Phrase:
        """Scalars in one phrase; positions that have fields of their own as a numbered list."""
        words = self.words
        nested = self.is_nested(node)
        phrases = [self.describe(part) for part in node.prefix]
        if node.items is not None:
            rest = self.describe(node.items, many=True)
            type_ = words.rest.format(self.inline(rest))
            phrases.append(_Phrase(type_, (), rest.children, rest.description))
        if nested:
            return _Phrase(words.in_turn.form(many), details, _numbered(phrases))
        return _Phrase(words.tuple_of.format(words.listed.join(map(self.inline, phrases))), details)

    def describe_map(self, node: MapNode, many: bool) -> _Phrase:
        keys, values = self.describe(node.keys, many=True), self.describe(node.values, many=True)
        count = self.words.count(self.words.items, node.min_items or None, node.max_items)
        type_ = self.words.map_of.form(many).format(self.inline(keys), self.inline(values))
        return _Phrase(type_, (count,) if count else (), values.children)

    def describe_union(self, node: UnionNode, many: bool) -> _Phrase:
        """Scalars in one phrase; options that have fields of their own as a numbered list."""
        words = self.words
        options = [option for option in node.options if not isinstance(option, NullNode)]
        null = [words.null.one] if len(options) < len(node.options) else []
        if len(options) == 1:
            only = self.describe(options[0], many=many)
            type_ = words.either.join([self.inline(only), *null])
            return _Phrase(type_, (), only.children, only.description)
        if not any(self.is_nested(option) for option in options):
            phrases = [self.inline(self.describe(option, many=many)) for option in options]
            return _Phrase(words.either.join([*phrases, *null]))
        entries = _numbered([self.describe_option(option) for option in options])
        details = (words.told_apart.format(node.discriminator),) if node.discriminator else ()
        return _Phrase(words.either.join([words.following.form(many), *null]), details, entries)

    def describe_option(self, node: Node) -> _Phrase:
        """An option of a union; objects by their names, which tell them apart."""
        phrase = self.describe(node)
        target = resolve(node, self.definitions)
        if isinstance(target, ObjectNode) and phrase.type == self.words.object.one:
            return replace(phrase, type=self.words.named.format(phrase.type, target.name))
        return phrase

    def is_nested(self, node: Node) -> bool:
        """True if something will be listed below the node."""
        match node:
            case ObjectNode():
                return True
            case RefNode():
                return node.name not in self.described and self.is_nested(self.definitions[node.name])
        return any(map(self.is_nested, children(node)))

    def inline(self, phrase: _Phrase) -> str:
        """Type and constraints inside a longer phrase."""
        opening, closing = self.words.bracket
        return phrase.type + (opening + self.words.comma.join(phrase.details) + closing if phrase.details else "")


def _numbered(phrases: Sequence[_Phrase]) -> tuple[FieldEntry, ...]:
    return tuple(
        FieldEntry("", number, phrase.type, phrase.details, False, _one_line(phrase.description), phrase.children)
        for number, phrase in enumerate(phrases, start=1)
    )


def _string_details(node: StringNode, words: Phrasebook) -> tuple[str, ...]:
    count = words.count(words.characters, node.min_length if node.min_length > 1 else None, node.max_length)
    details = [count] if count else []
    if node.pattern is not None and len(node.pattern) <= MAX_PATTERN_LENGTH:
        details.append(words.pattern.format(node.pattern))
    return tuple(details)


def _number_details(node: IntegerNode | NumberNode, words: Phrasebook) -> tuple[str, ...]:
    limits: list[tuple[str, float | None]] = [(words.multiple_of, node.multiple_of)]
    if isinstance(node, NumberNode):
        limits = [(words.more_than, node.exclusive_minimum), (words.less_than, node.exclusive_maximum), *limits]
    interval = words.interval(node.minimum, node.maximum)
    said = [phrase.format(spell_number(limit)) for phrase, limit in limits if limit is not None]
    return (interval, *said) if interval else tuple(said)


def _has_form(node: Node) -> bool:
    """True if a value is written in a form of its own, whatever the text writes."""
    if isinstance(node, StringNode):
        return node.format is not None and STRING_FORMATS[node.format].in_texts == "otherwise"
    return isinstance(node, IntegerNode | NumberNode | BooleanNode | LiteralNode) and not _is_fixed(node)


def _is_tag(field: Field) -> bool:
    """True if the field has one value whatever the text says, there or left out."""
    return _is_fixed(field.node) and field.default is not None


def _is_fixed(node: Node) -> bool:
    return isinstance(node, LiteralNode) and len(node.values) == 1


def _without_null(node: Node) -> Node:
    """The node without `null` among what it allows, unless it allows nothing else."""
    match node:
        case LiteralNode() if len(node.values) > 1:
            return LiteralNode(tuple(value for value in node.values if value is not None))
        case UnionNode():
            options = tuple(_without_null(option) for option in node.options if not isinstance(option, NullNode))
            return options[0] if len(options) == 1 else UnionNode(options, node.discriminator)
        case _:
            return node


def _one_line(text: str | None) -> str:
    return " ".join(text.split()) if text else ""
