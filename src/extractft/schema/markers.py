"""Markers for `Annotated[...]`, which say more of a field than its type does. Knows core schemas only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from extractft.errors import SchemaError

__all__ = [
    "KEPT",
    "MERGE",
    "STORED",
    "TAG",
    "VERBATIM",
    "Merge",
    "MergeRule",
    "Verbatim",
    "VerbatimKind",
    "verbatim_sources",
]

VerbatimKind = Literal["exact", "normalized"]
MergeRule = Literal["first", "concatenate", "error"]

VERBATIM, MERGE = "extractft_verbatim", "extractft_merge"
"""The keys of the markers in the metadata of a core schema."""
STORED, TAG, KEPT = "extractft_node", "extractft_tag", "extractft_kept"
"""Metadata of rebuilt types that no type of Pydantic's has: a leaf's node, the key that tells a union's options apart,
and that a field is written though it equals its default."""
_AROUND = ("schema", "items_schema", "keys_schema", "values_schema", "json_schema", "lax_schema")
"""Layers that a marker looks through: optionals, lists, validators. Not classes, which have own fields to mark."""

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
"""Full-width forms to the characters that they are forms of."""


def verbatim_sources(text: str, kind: VerbatimKind) -> tuple[str, ...]:
    """The texts that a verbatim string is a substring of one of: the text itself, and other forms of it if allowed."""
    if kind == "exact":
        return (text,)
    spaced = re.sub(r"\s+", " ", text)
    folded = re.sub(r"\s+", " ", text.translate(_WIDE))
    return tuple(dict.fromkeys([text, spaced, folded, folded.lower(), folded.upper(), folded.title()]))


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Marks strings that are copied from the text: the decoder admits nothing else, so none can be invented.

    Example:
        ```python
        class Complaint(BaseModel):
            name: Annotated[str, Verbatim()]
            emails: list[Annotated[str, Verbatim()]]
        ```

    An empty string is no copy and is never written; a field that may be absent is `Annotated[str | None, Verbatim()]`.
    Verbatim is a rule for the decoder and not part of a schema's fingerprint: an extractor that was trained without
    it can be loaded with a class that has it.

    Attributes:
        normalized: Admit the text with other width (full-width or half-width forms), runs of white space as one
            blank, and in lower, upper or title case too. Which characters were meant is still known: spans are in the
            text as it was handed in.

    Raises:
        SchemaError: On a field that has no free string in it.
    """

    normalized: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        marked, found = self._marked(dict(handler(source)))
        if not found:
            raise SchemaError("Verbatim marks strings, found a field without any").hint(
                "Mark the str inside: Annotated[str | None, Verbatim()], list[Annotated[str, Verbatim()]]."
            )
        return cast("CoreSchema", marked)

    def _marked(self, core: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """A copy of the core schema with the marker on its strings, and whether there are any."""
        if core["type"] == "str":
            return {**core, "metadata": {**(core.get("metadata") or {}), VERBATIM: self}}, True
        found = False
        for key in _AROUND:
            if isinstance(core.get(key), dict):
                core[key], inside = self._marked(dict(core[key]))
                found |= inside
        if core["type"] == "union":
            pairs = [choice if isinstance(choice, tuple) else (choice, None) for choice in core["choices"]]
            marked = [(self._marked(dict(choice)), label) for choice, label in pairs]
            core["choices"] = [choice if label is None else (choice, label) for (choice, _), label in marked]
            found |= any(inside for (_, inside), _ in marked)
        return core, found


@dataclass(frozen=True, slots=True)
class Merge:
    """The rule by which a field is merged when a long text is extracted window by window.

    Example:
        ```python
        class Contract(BaseModel):
            parties: Annotated[list[str], Merge("first")]
            clauses: list[str]
            total: Annotated[Decimal | None, Merge("error")] = None
        ```

    Without it, lists are concatenated, objects and mappings merged part by part, and of everything else the first
    value is taken. Merge is not part of a schema's fingerprint.

    Attributes:
        rule: `"first"`: the value of the first piece that has one, whole; `"concatenate"`: for lists, the items of all
            pieces, those of an overlap once; `"error"`: a `MergeConflictError` if two pieces have different values.

    Raises:
        SchemaError: The rule is none of these, `"concatenate"` is not on a list, or the marker is not on a field.
    """

    rule: MergeRule

    def __post_init__(self) -> None:
        if self.rule not in get_args(MergeRule):
            raise SchemaError(f"expected Merge of one of {', '.join(get_args(MergeRule))}, found {self.rule!r}")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # around the schema and not within it: the schema of a class is shared by all fields that have it
        return core_schema.no_info_after_validator_function(_unchanged, handler(source), metadata={MERGE: self.rule})


def _unchanged(value: Any) -> Any:
    return value
