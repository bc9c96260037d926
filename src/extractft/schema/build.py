"""Pydantic types -> field tree and writers, by a walk over Pydantic's core schema.

The core schema says what *parsing* wants, which is what a model has to write; the JSON schema that Pydantic derives
from it is only asked where a type hides its shape behind a function. Knows no grammar and no prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pydantic import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticOmit, SchemaSerializer, core_schema

from extractft.errors import SchemaError
from extractft.schema import writers as w
from extractft.schema.core import (
    AROUND,
    HINT,
    UNKNOWN,
    checked_key,
    default_of,
    default_value,
    description,
    docstring,
    field_key,
    fields_of,
    is_list,
    join,
    merge_rule,
    node_of_json_schema,
    node_writer,
    object_key,
    root_writer,
    secret,
)
from extractft.schema.grammar_schema import unenforced
from extractft.schema.leaves import LEAVES
from extractft.schema.markers import MERGE
from extractft.schema.nodes import (
    ArrayNode,
    BooleanNode,
    IntegerNode,
    LiteralNode,
    MapNode,
    Node,
    NullNode,
    RefNode,
    StringNode,
    UnionNode,
)
from extractft.schema.parts import Core, Definition, FieldSpec, Plan

__all__ = ["Builder"]


class Builder:
    """Walks one core schema. `build` returns the root's plan; `definitions` fills up on the way.

    Attributes:
        definitions: Every object and every recursive type met, by unique name.
        unions: The options of every union met, to find out which fields tell objects apart.
        notes: Constraints that only Pydantic checks.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.definitions: dict[str, Definition] = {}
        self.unions: list[tuple[tuple[Node, ...], str | None]] = []
        self.notes: list[str] = []
        self._schemas: dict[str, Core] = {}
        self._by_key: dict[Any, str] = {}
        self._config: list[Mapping[str, Any]] = [{}]
        self._open: dict[str, str | None] = {}
        self._foreign_class = False
        self._merge_markers: set[int] = set()
        self._plans: dict[str, Plan] = {}

    def build(self) -> Plan:
        """Walk the whole core schema.

        Raises:
            SchemaError: Something in it cannot be extracted; `path` says where.
        """
        return self.visit(self.core, "")

    def visit(self, core: Core, path: str) -> Plan:
        """The plan of one place and all beneath it."""
        kind = core["type"]
        if kind in LEAVES:
            plan = LEAVES[kind](core, self._config[-1], path)
            for text in unenforced(plan.node):
                self.note(path, text)
            return plan
        method = getattr(self, "_" + kind.replace("-", "_"), None)
        if method is None:
            found = UNKNOWN.get(kind, f"Pydantic's `{kind}`")
            raise SchemaError(f"expected a type that JSON can spell, found {found}", path=path).hint(HINT)
        with self._within_foreign(self._foreign_class and kind in AROUND):
            result: Plan = method(core, path)
        return result

    # -- what only stands around other schemas

    def _definitions(self, core: Core, path: str) -> Plan:
        self._schemas.update((item["ref"], item) for item in core["definitions"])
        return self.visit(core["schema"], path)

    def _definition_ref(self, core: Core, path: str) -> Plan:
        ref = core["schema_ref"]
        if ref in self._plans:
            return self._plans[ref]
        if ref in self._open:
            known = self._by_key.get(object_key(self._schemas[ref]))
            if known is not None:
                return self._object_plan(known)
            # a type that refers to itself without being a class with fields: a RootModel, a type alias
            name: str = self._open[ref] or self._define(ref.split(":")[0].rsplit(".", 1)[-1])
            self._open[ref] = name
            return Plan(RefNode(name), lambda value, full: self._later(name)(value, full))
        self._open[ref] = None
        plan = self.visit(self._schemas[ref], path)
        alias = self._open.pop(ref)
        if alias is not None:
            self.definitions[alias].plan = plan
            plan = Plan(RefNode(alias), plan.write)
        self._plans[ref] = plan
        return plan

    def _later(self, name: str) -> w.Writer:
        plan = self.definitions[name].plan
        assert plan is not None
        return plan.write

    def _wrapped(self, core: Core, path: str) -> Plan:
        if MERGE in (core.get("metadata") or {}) and id(core) not in self._merge_markers:
            raise SchemaError("Merge marks a field of a model, found it within a type", path=path)
        inner = core.get("json_schema_input_schema")
        plan = self.visit(inner if inner and inner["type"] != "any" else core["schema"], path)
        plan = self._told_by_json_schema(core, plan)
        for name, value in ((core.get("metadata") or {}).get("pydantic_js_updates") or {}).items():
            if name not in ("description", "title", "examples", "format", "deprecated"):
                self.note(path, f"{name}={value} is checked after decoding, the grammar does not know it")
        if isinstance(plan.write, w.ObjectWriter):
            return plan
        if inner or "serialization" in core:
            return Plan(plan.node, w.fallback(plan.write, [self._serialise(core)]))
        return plan

    _function_before = _function_after = _function_wrap = _wrapped

    def _function_plain(self, core: Core, path: str) -> Plan:
        inner = core.get("json_schema_input_schema")
        if inner and inner["type"] != "any":
            plan = self.visit(inner, path)
            return Plan(plan.node, w.fallback(plan.write, [self._serialise(core)]))
        node = self._json_schema_node(core)
        if node is None:
            raise SchemaError("a plain validator takes anything, so the shape of the value is unknown", path=path).hint(
                "Say what it takes: PlainValidator(..., json_schema_input_type=str)."
            )
        return Plan(node, w.fallback(node_writer(node), [self._serialise(core), str]))

    def _custom_error(self, core: Core, path: str) -> Plan:
        return self.visit(core["schema"], path)

    _default = _custom_error

    def _chain(self, core: Core, path: str) -> Plan:
        plan = self.visit(core["steps"][0], path)
        return Plan(plan.node, w.fallback(plan.write, [self._serialise(core)]))

    def _lax_or_strict(self, core: Core, path: str) -> Plan:
        with self._within_foreign(True):
            try:
                plan = self.visit(core["lax_schema"], path)
            except SchemaError:
                plan = self.visit(core["strict_schema"], path)
        return self._foreign(core, plan)

    def _json_or_python(self, core: Core, path: str) -> Plan:
        with self._within_foreign(True):
            plan = self.visit(core["json_schema"], path)
        return self._foreign(core, plan)

    @contextmanager
    def _within_foreign(self, value: bool) -> Iterator[None]:
        before, self._foreign_class = self._foreign_class, value
        try:
            yield
        finally:
            self._foreign_class = before

    def _foreign(self, core: Core, plan: Plan) -> Plan:
        """A class that JSON knows nothing of: paths, secrets, addresses."""
        conversions = [secret, self._serialise(core), str]
        plan = self._told_by_json_schema(core, plan)
        return Plan(plan.node, w.fallback(plan.write, conversions if isinstance(plan.node, StringNode) else []))

    def _told_by_json_schema(self, core: Core, plan: Plan) -> Plan:
        """The plan of a free string with what only Pydantic's JSON schema says of it, such as its format."""
        node = plan.node
        if not isinstance(node, StringNode) or node != StringNode(verbatim=node.verbatim):
            return plan
        if not (core.get("metadata") or {}).get("pydantic_js_functions"):
            return plan
        told = self._json_schema_node(core) or node
        return Plan(replace(told, verbatim=node.verbatim) if isinstance(told, StringNode) else told, plan.write)

    def _serialise(self, core: Core) -> Any:
        """Pydantic's own serialisation of one place, made when it is first needed."""
        made: list[SchemaSerializer] = []

        def convert(value: Any) -> Any:
            if not made:
                made.append(SchemaSerializer(self._closed(core)))
            return made[0].to_python(value, mode="json")

        return convert

    def _closed(self, core: Core) -> Any:
        definitions: Any = list(self._schemas.values())
        inner: Any = core
        return core_schema.definitions_schema(inner, definitions) if definitions else inner

    def _json_schema_node(self, core: Core) -> Node | None:
        """The node of what Pydantic's JSON schema says about one place, if it is plain enough."""
        try:
            schema = GenerateJsonSchema().generate(self._closed(core), mode="validation")
        except (PydanticUserError, PydanticOmit, KeyError):
            return None
        return node_of_json_schema(schema)

    # -- containers

    def _list(self, core: Core, path: str) -> Plan:
        items = self.visit(core.get("items_schema") or core_schema.any_schema(), join(path, "*"))
        unique = core["type"] in ("set", "frozenset")
        minimum, maximum = core.get("min_length") or 0, core.get("max_length")
        if unique and minimum > 1:
            self.note(path, f"at least {minimum} different items is checked after decoding, the grammar counts repeats")
        node = ArrayNode(items.node, min_items=minimum, max_items=maximum, unique=unique)
        return Plan(node, w.ArrayWriter(items.write))

    _set = _frozenset = _deque = _list

    def _tuple(self, core: Core, path: str) -> Plan:
        schemas, variadic = core["items_schema"], core.get("variadic_item_index")
        if variadic is None:
            plans = [self.visit(item, join(path, str(i))) for i, item in enumerate(schemas)]
            nodes = tuple(plan.node for plan in plans)
            node = ArrayNode(None, nodes, min_items=len(nodes), max_items=len(nodes))
            return Plan(node, w.ArrayWriter(None, tuple(plan.write for plan in plans)))
        if len(schemas) != 1:
            raise SchemaError("a tuple of fixed and repeated parts cannot be rebuilt; use a list or a model", path=path)
        return self._list({**core, "items_schema": schemas[0]}, path)

    def _dict(self, core: Core, path: str) -> Plan:
        key = self.visit(core.get("keys_schema") or core_schema.any_schema(), join(path, "*"))
        value = self.visit(core.get("values_schema") or core_schema.any_schema(), join(path, "*"))
        node = key.node
        if isinstance(node, BooleanNode):
            node = LiteralNode(("true", "false"))
        if not isinstance(node, StringNode | IntegerNode | LiteralNode) or (
            isinstance(node, LiteralNode) and not all(isinstance(item, str) for item in node.values)
        ):
            raise SchemaError("keys of a mapping have to be str, int or a fixed set of strings", path=path).hint(
                "JSON keys are strings; use a list of models with a key field instead."
            )
        order = tuple(checked_key(str(item), path) for item in node.values) if isinstance(node, LiteralNode) else ()
        if isinstance(node, IntegerNode) and node != IntegerNode():
            self.note(path, "bounds of integer keys are checked after decoding")
        maps = MapNode(node, value.node, core.get("min_length") or 0, core.get("max_length"))
        return Plan(maps, w.MapWriter(key.write, value.write, order))

    _ordered_dict = _defaultdict = _counter = _dict

    # -- unions

    def _nullable(self, core: Core, path: str) -> Plan:
        return self._join_options([self.visit(core["schema"], path), Plan(NullNode(), w.write_none)], None, path)

    def _union(self, core: Core, path: str) -> Plan:
        choices = [choice[0] if isinstance(choice, tuple) else choice for choice in core["choices"]]
        if self._foreign_class:  # "or an instance already": never in JSON
            choices = [choice for choice in choices if choice["type"] != "is-instance"]
        return self._join_options([self.visit(choice, path) for choice in choices], None, path)

    def _tagged_union(self, core: Core, path: str) -> Plan:
        discriminator = core["discriminator"]
        plans = [self.visit(choice, path) for choice in core["choices"].values() if not isinstance(choice, str)]
        return self._join_options(plans, discriminator if isinstance(discriminator, str) else None, path)

    def _join_options(self, plans: list[Plan], discriminator: str | None, path: str) -> Plan:
        options: dict[Node, None] = {}
        for plan in plans:
            options.update(dict.fromkeys(plan.node.options if isinstance(plan.node, UnionNode) else (plan.node,)))
        nodes = sorted(options, key=lambda node: isinstance(node, NullNode))  # null last, wherever it was said
        if len(nodes) == 1:
            return Plan(nodes[0], plans[0].write)
        strings = [node for node in nodes if isinstance(node, StringNode)]
        if any(node.format is None for node in strings) and any(node.format for node in strings):
            self.note(path, "what is text or something spelled as text, such as a date, is always read as text")
        flat: list[w.Writer] = []
        for plan in plans:
            flat.extend(plan.write.options if isinstance(plan.write, w.UnionWriter) else [plan.write])
        if any(isinstance(node, RefNode) for node in nodes):
            self.unions.append((tuple(nodes), discriminator))
        return Plan(UnionNode(tuple(nodes), discriminator), w.UnionWriter(tuple(flat)))

    # -- objects

    def _model(self, core: Core, path: str) -> Plan:
        cls = core["cls"]
        with self._configured(core.get("config")):
            if core.get("root_model"):
                plan = self.visit(core["schema"], path)
                return Plan(plan.node, root_writer(cls, plan.write))
            return self._object(core, cls, path)

    def _dataclass(self, core: Core, path: str) -> Plan:
        with self._configured(core.get("config")):
            return self._object(core, core["cls"], path)

    def _typed_dict(self, core: Core, path: str) -> Plan:
        with self._configured(core.get("config")):
            label = core.get("cls_name") or getattr(core.get("cls"), "__name__", "Object")
            return self._object(core, None, path, label=str(label))

    def _named_tuple(self, core: Core, path: str) -> Plan:
        return self._object(core, core["cls"], path)

    def _call(self, core: Core, path: str) -> Plan:
        return self._object(core, core["function"], path)

    def _object(self, core: Core, cls: type[Any] | None, path: str, label: str = "") -> Plan:
        key = object_key(core)
        if key in self._by_key:
            return self._object_plan(self._by_key[key])
        label = label or (cls.__name__ if cls else "Object")
        name = self._by_key[key] = self._define(label)
        definition = self.definitions[name]
        definition.label, definition.description = label, docstring(cls or core.get("cls"))
        definition.writer = w.ObjectWriter(cls)
        for field_name, field_core in fields_of(core):
            self._field(definition, field_name, field_core, path)
        definition.writer.fields = [spec.write for spec in definition.fields]
        keys = [spec.write.key for spec in definition.fields]
        for twice in {item for item in keys if keys.count(item) > 1}:
            raise SchemaError(f"two fields are written under the key {twice!r}", path=path)
        return self._object_plan(name)

    def _object_plan(self, name: str) -> Plan:
        writer = self.definitions[name].writer
        assert writer is not None
        return Plan(RefNode(name), writer)

    def _define(self, label: str) -> str:
        name, number = label, 2
        while name in self.definitions:
            name, number = f"{label}_{number}", number + 1
        self.definitions[name] = Definition(name)
        return name

    def _field(self, definition: Definition, name: str, core: Core, path: str) -> None:
        where = join(path, name)
        if core.get("init") is False:
            return
        default_core = default_of(core["schema"])
        if core.get("init_only"):
            if default_core is None:
                raise SchemaError("an InitVar is not kept, so it cannot be written back", path=where)
            return
        merge = merge_rule(core["schema"], self._merge_markers)
        plan = self.visit(core["schema"], where)
        if merge == "concatenate" and not is_list(plan.node):
            raise SchemaError('Merge("concatenate") is for lists, found it on another field', path=where)
        optional = default_core is not None or not core.get("required", True)
        writer = w.FieldWriter(name, field_key(name, core, self._config[-1], where), plan.write, optional)
        writer.may_be_missing = optional and default_core is None
        if default_core is not None:
            writer.python_default = default_value(default_core, self._config[-1], self._closed)
        definition.fields.append(FieldSpec(writer, plan.node, description(core), merge))

    @contextmanager
    def _configured(self, config: Mapping[str, Any] | None) -> Iterator[None]:
        self._config.append(config or {})
        try:
            yield
        finally:
            self._config.pop()

    def note(self, path: str, text: str) -> None:
        """Remember something for `notes`."""
        note = f"{path}: {text}" if path else text
        if note not in self.notes:
            self.notes.append(note)
