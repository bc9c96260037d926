"""The parts that the walk over a core schema collects, before the tree is put together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from extractft.schema.container_writers import FieldWriter, ObjectWriter
from extractft.schema.markers import MergeRule
from extractft.schema.nodes import Node
from extractft.schema.scalar_writers import Writer

__all__ = ["Core", "Definition", "FieldSpec", "NodePlan", "UnionSpec"]

Core = Mapping[str, Any]
"""One of Pydantic's core schemas: a dict with a `type`."""


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A place in the tree: what may stand there and how it is written."""

    node: Node
    write: Writer


@dataclass(slots=True)
class FieldSpec:
    """A field as the class declares it."""

    write: FieldWriter
    node: Node
    description: str | None
    merge: MergeRule | None = None


@dataclass(frozen=True, slots=True)
class UnionSpec:
    """A union as the class declares it: its options, and the key that tells them apart, if one is declared."""

    options: tuple[Node, ...]
    discriminator: str | None


@dataclass(slots=True)
class Definition:
    """A named part of the tree: an object, or anything that refers to itself."""

    name: str
    plan: NodePlan | None = None
    writer: ObjectWriter | None = None
    fields: list[FieldSpec] = dataclasses.field(default_factory=list)
    description: str | None = None
    label: str = ""
