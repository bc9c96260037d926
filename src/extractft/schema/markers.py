"""What a user writes inside `Annotated[...]` to say more of a field than its type does. Knows core schemas only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema

from extractft.errors import SchemaError

__all__ = ["VERBATIM", "Verbatim", "VerbatimKind", "verbatim_sources"]

VerbatimKind = Literal["exact", "normalized"]

VERBATIM = "extractft_verbatim"
"""Where the marker stands in the metadata of a core schema."""
_AROUND = ("schema", "items_schema", "keys_schema", "values_schema", "json_schema", "lax_schema")
"""What a marker looks through: optionals, lists, validators. Not classes, which have fields of their own to mark."""

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
