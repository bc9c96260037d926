"""Pydantic types -> field tree and writers, by a walk over Pydantic's core schema.

The core schema says what *parsing* wants, which is what a model has to write; the JSON schema that Pydantic derives
from it is only asked where a type hides its shape behind a function. Knows no grammar and no prompt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic_core import core_schema

from extractft.errors import SchemaError
from extractft.schema import scalar_writers as w
from extractft.schema.constraint_notes import notes_of_chain, notes_of_leaf, notes_of_validator
from extractft.schema.container_writers import (
    ArrayWriter,
    FieldWriter,
    ForeignWriter,
    MapWriter,
    ObjectWriter,
    RootWriter,
    SecretWriter,
)
from extractft.schema.grammar_schema import uncounted_key_notes, unenforced_notes
from extractft.schema.json_schema_nodes import node_of_json_schema, node_writer, unexpressed_notes
from extractft.schema.markers import MERGE, STORED, TAG
from extractft.schema.node_plan import Core, Definition, FieldSpec, NodePlan, UnionSpec
from extractft.schema.nodes import (
    MISSING,
    ArrayNode,
    BooleanNode,
    IntegerNode,
    LiteralNode,
    MapNode,
    NullNode,
    RefNode,
    StringNode,
    UnionNode,
)
from extractft.schema.pydantic_access import (
    AROUND,
    HINT,
    UNKNOWN,
    check_key,
    class_identity,
    default_value,
    description,
    docstring,
    field_key,
    find_default,
    find_merge_rule,
    is_kept,
    is_list,
    iter_class_fields,
)
from extractft.schema.pydantic_scalars import SCALAR_PLANNERS
from extractft.schema.record_paths import join_path
from extractft.schema.subschemas import Subschemas
from extractft.schema.union_options import ambiguity_notes, join_plans

__all__ = ["TreeBuilder"]

_COLLECTIONS: Mapping[str, type[Any]] = {kind.__name__: kind for kind in (list, set, frozenset, deque, tuple)}


class TreeBuilder:
    """Walks one core schema. `build` returns the root's plan; `definitions` fills up on the way.

    Attributes:
        definitions: Every object and every recursive type met, by unique name.
        unions: The options of every union met, to find out which fields tell objects apart.
        notes: Constraints that only Pydantic checks.
        keeps_extras: True if Pydantic keeps keys that the schema does not list, somewhere in a record.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.definitions: dict[str, Definition] = {}
        self.unions: list[UnionSpec] = []
        self.notes: list[str] = []
        self.keeps_extras = False
        self._subschemas = Subschemas()
        self._by_key: dict[Any, str] = {}
        self._config: list[Mapping[str, Any]] = [{}]
        self._open: dict[str, str | None] = {}
        self._foreign_class = False
        self._merge_markers: set[int] = set()
        self._plans: dict[str, NodePlan] = {}

    def build(self) -> NodePlan:
        """Walk the whole core schema.

        Raises:
            SchemaError: Something in it cannot be extracted; `path` says where.
        """
        return self.visit(self.core, "")

    def visit(self, core: Core, path: str) -> NodePlan:
        """The plan of one place and all beneath it."""
        kind = core["type"]
        if kind in SCALAR_PLANNERS:
            plan = SCALAR_PLANNERS[kind](core, self._config[-1], path)
            stored = (core.get("metadata") or {}).get(STORED)
            plan = plan if stored is None else NodePlan(stored, node_writer(stored))
            self.note_all(path, unenforced_notes(plan.node), notes_of_leaf(core, self._config[-1]))
            return plan
        method = getattr(self, "_" + kind.replace("-", "_"), None)
        if method is None:
            found = UNKNOWN.get(kind, f"Pydantic's `{kind}`")
            raise SchemaError(f"expected a type that JSON can spell, found {found}", path=path).hint(HINT)
        with self._within_foreign(self._foreign_class and kind in AROUND):
            result: NodePlan = method(core, path)
        return result

    # -- what only stands around other schemas

    def _definitions(self, core: Core, path: str) -> NodePlan:
        self._subschemas.definitions.update((item["ref"], item) for item in core["definitions"])
        return self.visit(core["schema"], path)

    def _definition_ref(self, core: Core, path: str) -> NodePlan:
        ref = core["schema_ref"]
        if ref in self._plans:
            return self._plans[ref]
        if ref in self._open:
            known = self._by_key.get(class_identity(self._subschemas.definitions[ref]))
            if known is not None:
                return self._object_plan(known)
            # a type that refers to itself without being a class with fields: a RootModel, a type alias
            name: str = self._open[ref] or self._define(ref.split(":")[0].rsplit(".", 1)[-1])
            self._open[ref] = name
            return NodePlan(RefNode(name), lambda value, full: self._later(name)(value, full))
        self._open[ref] = None
        plan = self.visit(self._subschemas.definitions[ref], path)
        alias = self._open.pop(ref)
        if alias is not None:
            self.definitions[alias].plan = plan
            plan = NodePlan(RefNode(alias), plan.write)
        self._plans[ref] = plan
        return plan

    def _later(self, name: str) -> w.Writer:
        plan = self.definitions[name].plan
        assert plan is not None
        return plan.write

    def _wrapped(self, core: Core, path: str) -> NodePlan:
        if MERGE in (core.get("metadata") or {}) and id(core) not in self._merge_markers:
            raise SchemaError("Merge marks a field of a model, found it within a type", path=path)
        inner = core.get("json_schema_input_schema")
        plan = self.visit(inner if inner and inner["type"] != "any" else core["schema"], path)
        plan = self._told_by_json_schema(core, plan, path)
        self.note_all(path, notes_of_validator(core, tells_format=self._subschemas.tells_format(core)))
        if isinstance(plan.write, ObjectWriter):
            return plan
        if inner or "serialization" in core:
            return NodePlan(plan.node, self._foreign_writer(core, plan.write))
        return plan

    _function_before = _function_after = _function_wrap = _wrapped

    def _function_plain(self, core: Core, path: str) -> NodePlan:
        if getattr(core["function"]["function"], "__name__", "") == "import_string":
            raise SchemaError("ImportString would import whatever a model writes", path=path).hint("Use str.")
        inner = core.get("json_schema_input_schema")
        if inner and inner["type"] != "any":
            plan = self.visit(inner, path)
            return NodePlan(plan.node, self._foreign_writer(core, plan.write, str))
        said = self._subschemas.json_schema(core)
        node = node_of_json_schema(said)
        if node is None:
            raise SchemaError("a plain validator takes anything, so the shape of the value is unknown", path=path).hint(
                "Say what it takes: PlainValidator(..., json_schema_input_type=str)."
            )
        self.note_all(path, unenforced_notes(node), unexpressed_notes(said, node))
        return NodePlan(node, self._foreign_writer(core, node_writer(node), str))

    def _custom_error(self, core: Core, path: str) -> NodePlan:
        return self.visit(core["schema"], path)

    _default = _custom_error

    def _chain(self, core: Core, path: str) -> NodePlan:
        plan = self.visit(core["steps"][0], path)
        self.note_all(path, notes_of_chain(core["steps"][1:]))
        return NodePlan(plan.node, self._foreign_writer(core, plan.write))

    def _lax_or_strict(self, core: Core, path: str) -> NodePlan:
        with self._within_foreign(True):
            try:
                plan = self.visit(core["lax_schema"], path)
            except SchemaError:
                plan = self.visit(core["strict_schema"], path)
        return self._foreign(core, plan, path)

    def _json_or_python(self, core: Core, path: str) -> NodePlan:
        with self._within_foreign(True):
            plan = self.visit(core["json_schema"], path)
        return self._foreign(core, plan, path)

    @contextmanager
    def _within_foreign(self, value: bool) -> Iterator[None]:
        before, self._foreign_class = self._foreign_class, value
        try:
            yield
        finally:
            self._foreign_class = before

    def _foreign(self, core: Core, plan: NodePlan, path: str) -> NodePlan:
        """A class that JSON knows nothing of: paths, secrets, addresses."""
        plan = self._told_by_json_schema(core, plan, path)
        if isinstance(plan.node, StringNode):
            return NodePlan(plan.node, self._foreign_writer(core, SecretWriter(plan.write, always=False), str))
        hides = core.get("python_schema", {}).get("type") == "function-wrap"  # Secret[int], no Sequence[int]
        return NodePlan(plan.node, SecretWriter(plan.write, always=hides))

    def _foreign_writer(self, core: Core, write: w.Writer, *then: Callable[[Any], Any]) -> ForeignWriter:
        read = self._subschemas.reader(core, self._config[-1])
        return ForeignWriter(write, (self._subschemas.serialiser(core), *then), read)

    def _told_by_json_schema(self, core: Core, plan: NodePlan, path: str) -> NodePlan:
        """The plan of a free string with what only Pydantic's JSON schema says of it, such as its format."""
        node, sentences = self._subschemas.told(core, plan.node)
        self.note_all(path, sentences)
        return NodePlan(node, plan.write)

    # -- containers

    def _list(self, core: Core, path: str) -> NodePlan:
        items = self.visit(core.get("items_schema") or core_schema.any_schema(), join_path(path, "*"))
        unique = core["type"] in ("set", "frozenset")
        minimum, maximum = core.get("min_length") or 0, core.get("max_length")
        if unique and minimum > 1:
            self.note(path, f"at least {minimum} different items is checked after decoding, the grammar counts repeats")
        node = ArrayNode(items.node, min_items=minimum, max_items=maximum, unique=unique)
        return NodePlan(node, ArrayWriter(items.write, own=_COLLECTIONS[core["type"]]))

    _set = _frozenset = _deque = _list

    def _tuple(self, core: Core, path: str) -> NodePlan:
        schemas, variadic = core["items_schema"], core.get("variadic_item_index")
        if variadic is None:
            plans = [self.visit(item, join_path(path, str(i))) for i, item in enumerate(schemas)]
            nodes = tuple(plan.node for plan in plans)
            node = ArrayNode(None, nodes, min_items=len(nodes), max_items=len(nodes))
            return NodePlan(node, ArrayWriter(None, tuple(plan.write for plan in plans), own=tuple))
        if len(schemas) != 1:
            raise SchemaError("a tuple of fixed and repeated parts cannot be rebuilt; use a list or a model", path=path)
        return self._list({**core, "items_schema": schemas[0]}, path)

    def _dict(self, core: Core, path: str) -> NodePlan:
        key = self.visit(core.get("keys_schema") or core_schema.any_schema(), join_path(path, "*"))
        value = self.visit(core.get("values_schema") or core_schema.any_schema(), join_path(path, "*"))
        node = key.node
        if isinstance(node, BooleanNode):
            node = LiteralNode(("true", "false"))
        if not isinstance(node, StringNode | IntegerNode | LiteralNode) or (
            isinstance(node, LiteralNode) and not all(isinstance(item, str) for item in node.values)
        ):
            raise SchemaError("keys of a mapping have to be str, int or a fixed set of strings", path=path).hint(
                "JSON keys are strings; use a list of models with a key field instead."
            )
        order = tuple(check_key(str(item), path) for item in node.values) if isinstance(node, LiteralNode) else ()
        maps = MapNode(node, value.node, core.get("min_length") or 0, core.get("max_length"))
        self.note_all(path, uncounted_key_notes(maps))
        return NodePlan(maps, MapWriter(key.write, value.write, order))

    _ordered_dict = _defaultdict = _counter = _dict

    # -- unions

    def _nullable(self, core: Core, path: str) -> NodePlan:
        tag = (core.get("metadata") or {}).get(TAG)
        return self._join([self.visit(core["schema"], path), NodePlan(NullNode(), w.write_none)], tag, core, path)

    def _union(self, core: Core, path: str) -> NodePlan:
        stored = (core.get("metadata") or {}).get(STORED)
        if stored is not None:
            return NodePlan(stored, node_writer(stored))
        choices = [choice[0] if isinstance(choice, tuple) else choice for choice in core["choices"]]
        if self._foreign_class:  # "or an instance already": never in JSON
            choices = [choice for choice in choices if choice["type"] != "is-instance"]
        tag = (core.get("metadata") or {}).get(TAG)
        return self._join([self.visit(choice, path) for choice in choices], tag, core, path)

    def _tagged_union(self, core: Core, path: str) -> NodePlan:
        discriminator = core["discriminator"]
        plans = [self.visit(choice, path) for choice in core["choices"].values() if not isinstance(choice, str)]
        return self._join(plans, discriminator if isinstance(discriminator, str) else None, core, path)

    def _join(self, plans: list[NodePlan], discriminator: str | None, core: Core, path: str) -> NodePlan:
        plan = join_plans(plans, discriminator)
        if not self._foreign_class:
            self.note_all(path, ambiguity_notes(plan, plans, self._subschemas.reader(core, self._config[-1])))
        if isinstance(plan.node, UnionNode) and any(isinstance(node, RefNode) for node in plan.node.options):
            self.unions.append(UnionSpec(plan.node.options, discriminator))
        return plan

    # -- objects

    def _model(self, core: Core, path: str) -> NodePlan:
        cls = core["cls"]
        with self._configured(core.get("config")):
            if core.get("root_model"):
                plan = self.visit(core["schema"], path)
                return NodePlan(plan.node, RootWriter(cls, plan.write))
            return self._object(core, cls, path)

    def _dataclass(self, core: Core, path: str) -> NodePlan:
        with self._configured(core.get("config")):
            return self._object(core, core["cls"], path)

    def _typed_dict(self, core: Core, path: str) -> NodePlan:
        with self._configured(core.get("config")):
            label = core.get("cls_name") or getattr(core.get("cls"), "__name__", "Object")
            return self._object(core, None, path, label=str(label))

    def _named_tuple(self, core: Core, path: str) -> NodePlan:
        return self._object(core, core["cls"], path)

    def _call(self, core: Core, path: str) -> NodePlan:
        return self._object(core, core["function"], path)

    def _object(self, core: Core, cls: type[Any] | None, path: str, label: str = "") -> NodePlan:
        key = class_identity(core)
        if key in self._by_key:
            return self._object_plan(self._by_key[key])
        label = label or (cls.__name__ if cls else "Object")
        name = self._by_key[key] = self._define(label)
        definition = self.definitions[name]
        definition.label, definition.description = label, docstring(cls or core.get("cls"))
        definition.writer = ObjectWriter(cls)
        extra = core.get("extra_behavior") or self._config[-1].get("extra_fields_behavior")
        self.keeps_extras = self.keeps_extras or extra == "allow"
        for field_name, field_core in iter_class_fields(core):
            self._field(definition, field_name, field_core, path)
        definition.writer.fields = [spec.write for spec in definition.fields]
        keys = [spec.write.key for spec in definition.fields]
        for twice in {item for item in keys if keys.count(item) > 1}:
            raise SchemaError(f"two fields are written under the key {twice!r}", path=path)
        return self._object_plan(name)

    def _object_plan(self, name: str) -> NodePlan:
        writer = self.definitions[name].writer
        assert writer is not None
        return NodePlan(RefNode(name), writer)

    def _define(self, label: str) -> str:
        name, number = label, 2
        while name in self.definitions:
            name, number = f"{label}_{number}", number + 1
        self.definitions[name] = Definition(name)
        return name

    def _field(self, definition: Definition, name: str, core: Core, path: str) -> None:
        where = join_path(path, name)
        if core.get("init") is False:
            return
        default_core = find_default(core["schema"])
        if core.get("init_only"):
            if default_core is None:
                raise SchemaError("an InitVar is not kept, so it cannot be written back", path=where)
            return
        merge = find_merge_rule(core["schema"], self._merge_markers)
        plan = self.visit(core["schema"], where)
        if merge == "concatenate" and not is_list(plan.node):
            raise SchemaError('Merge("concatenate") is for lists, found it on another field', path=where)
        optional = default_core is not None or not core.get("required", True)
        writer = FieldWriter(name, field_key(name, core, self._config[-1], where), plan.write, optional)
        writer.may_be_missing = optional and (default_core is None or default_core.get("default") is MISSING)
        if default_core is not None:
            writer.python_default = default_value(default_core, self._config[-1], self._subschemas.closed, where)
        writer.keep = default_core is not None and is_kept(default_core)
        definition.fields.append(FieldSpec(writer, plan.node, description(core), merge))

    @contextmanager
    def _configured(self, config: Mapping[str, Any] | None) -> Iterator[None]:
        self._config.append(config or {})
        try:
            yield
        finally:
            self._config.pop()

    def note_all(self, path: str, *texts: Iterable[str]) -> None:
        """Remember several things for `notes`."""
        for some in texts:
            for text in some:
                self.note(path, text)

    def note(self, path: str, text: str) -> None:
        """Remember something for `notes`."""
        note = f"{path}: {text}" if path else text
        if note not in self.notes:
            self.notes.append(note)
