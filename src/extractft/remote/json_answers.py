"""Answers that are JSON in whatever form: put into the canonical form, and held against the grammar.

A server that knows a JSON schema and no grammar may write blanks, escapes, or keys in another order, and knows nothing
of verbatim fields. What cannot be put right is refused. Knows JSON schemas as grammars carry them; knows no server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from extractft.completion import Completion, GenerationRequest, TokenStep
from extractft.errors import InvalidAnswerError, NotVerbatimError, PromptError
from extractft.remote.matcher_replay import first_refused
from extractft.remote.server_dialect import PromptCodec

__all__ = ["read_json_answer"]

MAX_DEPTH = 200
"""Objects and lists within each other; a record has fewer."""


def read_json_answer(request: GenerationRequest, answer: str, codec: PromptCodec) -> Completion:
    """Make the completion of a record in canonical form.

    Args:
        request: The request.
        answer: JSON text.
        codec: Spells the record in tokens.

    Raises:
        InvalidAnswerError: It is no JSON, or no record of the grammar.
        NotVerbatimError: A value of a verbatim field does not occur in the text.
    """
    writer = _CanonicalWriter(request.grammar.json_schema)
    try:
        writer.write(_parsed(answer), writer.root)
        ids = codec.completion_ids("".join(writer.pieces))[:-1]
    except (PromptError, UnicodeEncodeError):
        raise InvalidAnswerError("Expected a record that tokens can spell, found characters that none do.") from None
    refused = first_refused(request.grammar, ids)
    if refused is not None:
        raise _refusal(request, ids, refused, writer.strings)
    return Completion(tuple(TokenStep(i, None, 0.0) for i in ids), "stop")


class _Number(str):
    """A number as it was written."""


def _parsed(answer: str) -> Any:
    """The JSON value; objects keep their order, and no key may come twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise InvalidAnswerError("Expected a record, found an object that has a key twice.")
        return found

    def no_number(name: str) -> Any:
        raise InvalidAnswerError(f"Expected a record, found {name}, which is no number of JSON.")

    try:
        return json.loads(
            answer, object_pairs_hook=unique, parse_float=_Number, parse_int=_Number, parse_constant=no_number
        )
    except RecursionError:
        raise InvalidAnswerError("Expected a record, found JSON that is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise InvalidAnswerError(
            f"Expected a record in JSON, found something else at character {error.pos} of {len(answer)}."
        ) from None


@dataclass(slots=True)
class _CanonicalWriter:
    """Writes a value without blanks, its keys in the order of the schema.

    Attributes:
        root: The JSON schema.
        pieces: The text so far.
        strings: First and last byte of each string that the schema leaves free.
        length: Bytes written.
    """

    root: Mapping[str, Any]
    pieces: list[str] = field(default_factory=list)
    strings: list[tuple[int, int]] = field(default_factory=list)
    length: int = 0

    def write(self, value: Any, schema: Any, depth: int = 0) -> None:
        """Write a value that stands where the schema has `schema`."""
        if depth > MAX_DEPTH:
            raise InvalidAnswerError("Expected a record, found JSON that is nested too deeply.")
        options = self._options(schema)
        match value:
            case _Number():
                self._add(value)
            case str():
                start = self.length
                self._add(json.dumps(value, ensure_ascii=False))
                if any(_is_free_string(option) for option in options):
                    self.strings.append((start, self.length))
            case dict():
                self._object(value, options, depth)
            case list():
                self._array(value, options, depth)
            case _:
                self._add(json.dumps(value))

    def _object(self, value: dict[str, Any], options: list[Mapping[str, Any]], depth: int) -> None:
        chosen = self._chosen(value, options)
        known, others = chosen.get("properties", {}), list(chosen.get("patternProperties", {}).values())
        keys = [*(key for key in known if key in value), *(key for key in value if key not in known)]
        self._add("{")
        for number, key in enumerate(keys):
            self._add(f"{',' if number else ''}{json.dumps(key, ensure_ascii=False)}:")
            self.write(value[key], known.get(key, others[0] if others else {}), depth + 1)
        self._add("}")

    def _array(self, value: list[Any], options: list[Mapping[str, Any]], depth: int) -> None:
        chosen = next((option for option in options if option.get("type") == "array"), {})
        prefix = chosen.get("prefixItems", [])
        self._add("[")
        for number, item in enumerate(value):
            self._add("," if number else "")
            self.write(item, prefix[number] if number < len(prefix) else chosen.get("items", {}), depth + 1)
        self._add("]")

    def _chosen(self, value: dict[str, Any], options: list[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The option that has the value's keys and fixed values."""
        objects = [option for option in options if option.get("type") == "object"]
        for option in objects:
            known = option.get("properties", {})
            fitting = all(key in known and _may_be(value[key], known[key]) for key in value)
            if fitting and all(key in value for key in option.get("required", ())):
                return option
        return objects[0] if objects else {}

    def _options(self, schema: Any) -> list[Mapping[str, Any]]:
        """The schemas that a value may have here, references followed."""
        if not isinstance(schema, Mapping):
            return []
        if "$ref" in schema:
            return self._options(self.root.get("$defs", {}).get(str(schema["$ref"]).rpartition("/")[2], {}))
        if "anyOf" in schema:
            return [found for option in schema["anyOf"] for found in self._options(option)]
        return [schema]

    def _add(self, piece: str) -> None:
        self.pieces.append(piece)
        self.length += len(piece.encode())


def _may_be(value: Any, schema: Mapping[str, Any]) -> bool:
    """False if the schema fixes a value and this is another one."""
    return "enum" not in schema or not isinstance(value, str) or value in map(str, schema["enum"])


def _is_free_string(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "string" and "pattern" not in schema


def _refusal(
    request: GenerationRequest, ids: list[int], refused: int, strings: list[tuple[int, int]]
) -> InvalidAnswerError:
    """The reason for which the grammar does not take a record."""
    lengths = [len(request.grammar.spelling(i)) for i in ids]
    start = sum(lengths[:refused])
    end = start + (lengths[refused] if refused < len(ids) else 0)
    if any(first < end and start < last for first, last in strings):
        return NotVerbatimError(
            "Expected a string that the grammar allows, found another: the value of a verbatim field does not occur in "
            "the text, or is too long. The server knows the shape of the record alone."
        )
    return InvalidAnswerError(
        f"Expected a record of the schema, found one that leaves it after {start} bytes: the server does not keep to "
        "the schema."
    )
