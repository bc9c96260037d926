"""Core schemas of single values -> leaf nodes and their writers. Knows Pydantic's core schemas, not models."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from extractft.errors import SchemaError
from extractft.schema import scalar_writers as w
from extractft.schema.markers import VERBATIM, VerbatimKind
from extractft.schema.node_plan import Core, NodePlan
from extractft.schema.nodes import (
    MISSING,
    BooleanNode,
    IntegerNode,
    JsonScalar,
    LiteralNode,
    NullNode,
    NumberNode,
    StringFormat,
    StringNode,
)
from extractft.schema.string_formats import MAX_PLAIN_DECIMAL_DIGITS, Unwritable

__all__ = ["SCALAR_PLANNERS", "scalar_literal"]

ScalarPlanner = Callable[[Core, Mapping[str, Any], str], NodePlan]
"""`(core schema, config of the enclosing class, path)` -> plan."""


def _string(core: Core, config: Mapping[str, Any], path: str) -> NodePlan:
    pattern = core.get("pattern")
    python = (core.get("regex_engine") or config.get("regex_engine")) == "python-re"
    if isinstance(pattern, re.Pattern):  # Pydantic leaves these to Python's engine, whatever the config says
        pattern, python = _with_flags(pattern), True
    node = StringNode(
        min_length=core.get("min_length", config.get("str_min_length")) or 0,
        max_length=core.get("max_length", config.get("str_max_length")),
        pattern=pattern,
        constraints=(("regex_engine", "python-re"),) if python and pattern else (),
        verbatim=_verbatim(core),
    )
    return NodePlan(node, w.write_str)


def _verbatim(core: Core) -> VerbatimKind | None:
    marker = (core.get("metadata") or {}).get(VERBATIM)
    return None if marker is None else "normalized" if marker.normalized else "exact"


_FLAGS = (("a", re.ASCII), ("i", re.IGNORECASE), ("m", re.MULTILINE), ("s", re.DOTALL), ("x", re.VERBOSE))


def _with_flags(pattern: re.Pattern[str]) -> str:
    said = re.match(r"\(\?([aiLmsux]+)\)", pattern.pattern)
    flags = [letter for letter, flag in _FLAGS if pattern.flags & flag and letter not in (said[1] if said else "")]
    return (f"(?{''.join(flags)})" if flags else "") + pattern.pattern


def _integer(core: Core, config: Mapping[str, Any], path: str) -> NodePlan:
    lows = [core["ge"]] if "ge" in core else []
    lows += [core["gt"] + 1] if "gt" in core else []
    highs = [core["le"]] if "le" in core else []
    highs += [core["lt"] - 1] if "lt" in core else []
    node = IntegerNode(max(lows, default=None), min(highs, default=None), core.get("multiple_of"))
    if any(map(w.is_too_long, (node.minimum, node.maximum, node.multiple_of))):
        raise SchemaError(f"a bound of the integer has more than {w.MAX_INTEGER_DIGITS} digits", path=path)
    return NodePlan(node, w.write_int)


def _number(core: Core, config: Mapping[str, Any], path: str) -> NodePlan:
    def bound(name: str) -> float | None:
        value = None if core.get(name) is None else float(core[name])
        if value is not None and math.isinf(value) and (value < 0) == (name[0] == "g"):
            return None  # below or above everything: no bound at all
        if value is not None and not math.isfinite(value):
            raise SchemaError(f"expected a finite bound, found {name}={value}", path=path)
        return value

    multiple = bound("multiple_of")
    node = NumberNode(bound("ge"), bound("le"), bound("gt"), bound("lt"), multiple)
    return NodePlan(node, w.write_whole if multiple is not None and multiple.is_integer() else w.write_float)


def _boolean(core: Core, config: Mapping[str, Any], path: str) -> NodePlan:
    return NodePlan(BooleanNode(), w.write_bool)


def _null(core: Core, config: Mapping[str, Any], path: str) -> NodePlan:
    return NodePlan(NullNode(), w.write_none)


def _formatted(format_: StringFormat, write: w.Writer) -> ScalarPlanner:
    def leaf(core: Core, config: Mapping[str, Any], path: str) -> NodePlan:
        constraints: list[tuple[str, JsonScalar]] = [
            (name, write(core[name], w.Writing()))
            for name in ("ge", "gt", "le", "lt", "multiple_of")
            if core.get(name) is not None
        ]
        zone = core.get("tz_constraint")
        if zone is not None:
            constraints.append(("timezone", "forbidden" if zone == "naive" else "required"))
        if core.get("now_op"):
            constraints.append(("now", core["now_op"]))
        if core.get("version"):
            constraints.append(("version", core["version"]))
        return NodePlan(StringNode(format_, constraints=tuple(constraints)), write)

    return leaf


def _decimal(core: Core, config: Mapping[str, Any], path: str) -> NodePlan:
    bounds = ("ge", "gt", "le", "lt", "multiple_of")
    constraints = [(name, str(core[name])) for name in bounds if core.get(name) is not None]
    counted = [(name, core[name]) for name in ("max_digits", "decimal_places") if core.get(name) is not None]
    node = StringNode("decimal", constraints=(*constraints, *counted))
    whole_digits = (core.get("max_digits") or MAX_PLAIN_DECIMAL_DIGITS) if counted else None
    return NodePlan(node, partial(w.write_decimal, whole_digits=whole_digits))


def _uri(core: Core, config: Mapping[str, Any], path: str) -> NodePlan:
    schemes = core.get("allowed_schemes")
    constraints = (("schemes", ",".join(schemes)),) if schemes else ()
    return NodePlan(StringNode("uri", max_length=core.get("max_length"), constraints=constraints), w.write_url)


def _bytes(core: Core, config: Mapping[str, Any], path: str) -> NodePlan:
    if config.get("val_json_bytes", "utf8") != "utf8":
        raise SchemaError("bytes are written as UTF-8 text only, found val_json_bytes", path=path)
    return NodePlan(StringNode(max_length=core.get("max_length")), w.write_bytes)


def scalar_literal(members: Sequence[Any], path: str, what: str) -> NodePlan:
    """A plan for a fixed set of JSON scalars, or of members of an enumeration that stand for some.

    Raises:
        SchemaError: A value is no JSON scalar.
    """
    found: dict[tuple[type[Any], JsonScalar], tuple[JsonScalar, Any]] = {}
    for member in members:
        value = _scalar(member.value if isinstance(member, enum.Enum) else member)
        if value is MISSING:
            kind = type(member.value if isinstance(member, enum.Enum) else member).__name__
            raise SchemaError(f"{what} has a value of type {kind}, which JSON cannot spell", path=path)
        if isinstance(value, str) and _lone_surrogate(value):
            raise SchemaError(f"{what} has a value with a lone surrogate, which JSON cannot spell", path=path)
        found.setdefault((type(value), value), (value, member))  # 1 == True
    values = tuple(value for value, _ in found.values())
    return NodePlan(LiteralNode(values), w.LiteralWriter(values, [member for _, member in found.values()]))


def _scalar(value: Any) -> Any:
    """The value as JSON knows it, `MISSING` if it does not."""
    if isinstance(value, bool | None):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and value == value and abs(value) < 1e16:
        return int(value) if value.is_integer() else float(value)
    return MISSING


def _lone_surrogate(text: str) -> bool:
    try:
        w.write_str(text, w.Writing())
    except Unwritable:
        return True
    return False


def _literal(core: Core, config: Mapping[str, Any], path: str) -> NodePlan:
    for value in core["expected"]:
        if isinstance(value, enum.Enum) and not isinstance(value, str | int):
            raise SchemaError("a Literal of enumeration members cannot be parsed from JSON", path=path).hint(
                f"Use the enumeration {type(value).__name__} itself, or a Literal of the plain values."
            )
    return scalar_literal(core["expected"], path, "the Literal")


def _enum(core: Core, config: Mapping[str, Any], path: str) -> NodePlan:
    return scalar_literal(core["members"], path, f"the enumeration {core['cls'].__name__}")


SCALAR_PLANNERS: Mapping[str, ScalarPlanner] = {
    "str": _string,
    "int": _integer,
    "float": _number,
    "bool": _boolean,
    "none": _null,
    "bytes": _bytes,
    "decimal": _decimal,
    "date": _formatted("date", w.write_date),
    "time": _formatted("time", w.write_time),
    "datetime": _formatted("datetime", w.write_datetime),
    "timedelta": _formatted("duration", w.write_duration),
    "uuid": _formatted("uuid", w.write_uuid),
    "url": _uri,
    "multi-host-url": _uri,
    "literal": _literal,
    "enum": _enum,
}
