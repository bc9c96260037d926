"""Write the tables of `docs/settings.md` and `docs/http-api.md` from the settings' classes and the service's OpenAPI document.

`python tests/house/reference_pages.py` puts them between the marks of each page, in both languages; a test holds the pages to them.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from extractft.bulk import BulkConfig
from extractft.config import GenerationConfig, LoRAConfig, PromptConfig, TrackingConfig, TrainingConfig
from extractft.labelling import TeacherConfig
from extractft.pages import create_app_with_pages
from extractft.review import ReviewStore
from extractft.serving import ServerConfig
from extractft.testing import scripted_extractor

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = tuple(ROOT / "docs" / f"{name}{ending}" for name in ("settings", "http-api") for ending in (".md", ".zh.md"))
SETTINGS: tuple[type[BaseModel], ...] = (
    TrainingConfig, LoRAConfig, PromptConfig, GenerationConfig, TrackingConfig, BulkConfig, ServerConfig, TeacherConfig,
)  # fmt: skip
MARKED = re.compile(r"(?<=<!-- made: )(\S+)( -->\n).*?(\n<!-- end -->)", re.DOTALL)
BOUNDS = {"ge": "at least", "gt": "over", "le": "at most", "lt": "under"}


class Complaint(BaseModel):
    """What a complaint says."""

    name: str
    question: str | None = None


def settings_table(config: type[BaseModel]) -> str:
    """A row for each setting: name, type with its bounds, default, effect."""
    rows = ["| setting | type | default | effect |", "| --- | --- | --- | --- |"]
    for name, field in config.model_fields.items():
        part = field.annotation
        nested = part if isinstance(part, type) and issubclass(part, BaseModel) else None
        type_ = f"[`{nested.__name__}`](#{nested.__name__.lower()})" if nested else _type(part) + _bounds(field)
        default = "required" if field.is_required() else "its defaults" if nested else f"`{_default(field)!r}`"
        rows.append(f"| `{name}` | {type_} | {default} | {_one_line(field.description or '')} |")
    return "\n".join(rows)


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


def _type(annotation: Any) -> str:
    """A type in words that a table can hold, in which `|` ends a cell."""
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value!r}`" for value in get_args(annotation))
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    options = get_args(annotation)
    if options and get_origin(annotation) not in (tuple, list, dict):
        return " or ".join(_type(option) for option in options)
    if annotation is type(None):
        return "`None`"
    text = annotation.__name__ if isinstance(annotation, type) and not options else str(annotation)
    return f"`{text.replace('typing.', '')}`"


def _bounds(field: FieldInfo) -> str:
    found = [(kind, getattr(rule, kind)) for rule in field.metadata for kind in BOUNDS if hasattr(rule, kind)]
    return "".join(f", {BOUNDS[kind]} {bound:,}" for kind, bound in found)


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def openapi_document() -> dict[str, Any]:
    """The document of a service with one extractor, called NAME, and a review."""
    with tempfile.TemporaryDirectory() as folder:
        store = ReviewStore(Path(folder) / "reviews.db")
        try:
            document: dict[str, Any] = create_app_with_pages(
                {"NAME": scripted_extractor(Complaint, {})}, store=store
            ).openapi()
        finally:
            store.close()
    return document


def route_tables(document: Mapping[str, Any]) -> dict[str, str]:
    """By part of the address, such as `v1-review`, the routes there: what is sent and what comes back."""
    found: dict[str, list[str]] = {"extract": [], "service": [], "review": []}
    for path, methods in document["paths"].items():
        part = "review" if path.startswith("/v1/review") else "extract" if "NAME" in path else "service"
        for method, operation in methods.items():
            found[part].append("\n".join(_route(method.upper(), path, operation, document)))
    fields = [_property("answer", *row) for row in _properties(document["components"]["schemas"]["Problem"], document)]
    problems = ["| | field | type | meaning |\n| --- | --- | --- | --- |", *fields]
    return {**{part: "\n\n".join(routes) for part, routes in found.items()}, "problems": "\n".join(problems)}


def _route(method: str, path: str, operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    yield f"### `{method} {path}`\n"
    words = _one_line(operation.get("description") or operation["summary"])
    yield f"{words.rstrip('.')}.\n"
    sent = [_parameter(parameter) for parameter in operation.get("parameters", [])]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        sent += [_property(f"body, `{media}`", *row) for row in _properties(content["schema"], document)]
    if sent:
        yield "| sent | field | type | meaning |\n| --- | --- | --- | --- |"
        yield "\n".join(sent) + "\n"
    yield "| status | answer | fields |\n| --- | --- | --- |"
    for status, answer in operation["responses"].items():
        contents = answer.get("content", {}).values()
        names = dict.fromkeys(name for part in contents for name, *_ in _properties(part.get("schema", {}), document))
        words = "Done" if answer["description"] == "Successful Response" else answer["description"].rstrip(".")
        fields = "a [problem](#problems)" if "code" in names else ", ".join(f"`{name}`" for name in names)
        yield f"| {status} | {words}. | {fields} |"


def _parameter(parameter: Mapping[str, Any]) -> str:
    schema, name = parameter["schema"], parameter["name"]
    return _property(parameter["in"], name, {**schema, "description": parameter.get("description")}, required=True)


def _properties(
    schema: Mapping[str, Any], document: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    schema = _resolved(schema, document)
    for name, value in schema.get("properties", {}).items():
        yield name, value, name in schema.get("required", ())


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _property(place: str, name: str, schema: Mapping[str, Any], required: bool) -> str:
    meaning = _one_line(schema.get("description") or "")
    default = f" Default `{json.dumps(schema['default'])}`." if schema.get("default") is not None else ""
    return f"| {place} | `{name}`{'' if required else ' (optional)'} | {_json_type(schema)} | {meaning}{default} |"


def _json_type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_json_type(option) for option in schema["anyOf"])
    return str(schema.get("type", "object" if "$ref" in schema else "any JSON"))


def made_parts() -> dict[str, str]:
    """What stands between the marks of the pages, by the name on the mark."""
    settings = {config.__name__: settings_table(config) for config in SETTINGS}
    return {**settings, **route_tables(openapi_document())}


def with_made_parts(page: str, parts: Mapping[str, str]) -> str:
    """The page, with what is made in place of what stands between its marks."""
    return MARKED.sub(lambda match: f"{match[1]}{match[2]}\n{parts[match[1]]}\n{match[3]}", page)


if __name__ == "__main__":
    made = made_parts()
    for target in PAGES:
        target.write_text(with_made_parts(target.read_text("utf-8"), made), encoding="utf-8")
        sys.stdout.write(f"{target.relative_to(ROOT)}\n")
