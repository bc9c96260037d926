"""Pydantic types -> field tree, grammar schema, canonical JSON, fingerprint."""

from __future__ import annotations

from extractft.schema.markers import Merge, MergeRule, Verbatim, VerbatimKind, verbatim_sources
from extractft.schema.nodes import (
    MISSING,
    ArrayNode,
    BooleanNode,
    Field,
    IntegerNode,
    JsonScalar,
    LiteralNode,
    MapNode,
    Node,
    NullNode,
    NumberNode,
    ObjectNode,
    RefNode,
    StringFormat,
    StringNode,
    UnionNode,
    accepts_null,
)
from extractft.schema.schema import Schema

__all__ = [
    "MISSING",
    "ArrayNode",
    "BooleanNode",
    "Field",
    "IntegerNode",
    "JsonScalar",
    "LiteralNode",
    "MapNode",
    "Merge",
    "MergeRule",
    "Node",
    "NullNode",
    "NumberNode",
    "ObjectNode",
    "RefNode",
    "Schema",
    "StringFormat",
    "StringNode",
    "UnionNode",
    "Verbatim",
    "VerbatimKind",
    "accepts_null",
    "verbatim_sources",
]
