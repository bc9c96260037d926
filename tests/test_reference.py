"""The reference has every public name, and the examples of its docstrings run."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Optional

import pytest
import yaml
from pydantic import BaseModel

import extractft
from extractft import bulk
from extractft.testing import scripted_extractor
from test_docs import BLOCK, PAGES, RECORD, TEXT, in_docs

__all__ = ["in_docs"]

ROOT = Path(__file__).resolve().parent.parent
DIRECTIVE = re.compile(r"^::: (\S+)\n((?: {4}.*\n|\n(?= {4}))*)", re.MULTILINE)
WHOLE = (
    "bulk",
    "config",
    "documents",
    "errors",
    "export",
    "interchange",
    "labelling",
    "review",
    "testing",
    "verification",
)
"""Public modules of which every name is on the page."""
WITH_EXAMPLES = {
    "extractft": [name for name in extractft.__all__ if name != "__version__"],
    "extractft.testing": list(importlib.import_module("extractft.testing").__all__),
    "extractft.bulk": ["BulkConfig"],
    "extractft.documents": ["read_document"],
    "extractft.review": ["ReviewStore"],
    "extractft.serving": ["create_app"],
}
NO_REFERENCE = ("extractft.demo.complaints", "extractft.text")
"""Modules that pages import from to show something: rows of the demo, and the room that the page about itself explains."""


class Complaint(BaseModel):
    name: Optional[str] = None  # noqa: UP045
    address: Optional[str] = None  # noqa: UP045
    email: Optional[str] = None  # noqa: UP045
    question: Optional[str] = None  # noqa: UP045


def _on_the_page(page: Path) -> set[str]:
    """Names of the directives of mkdocstrings: an object's own, or those of a module that it shows."""
    names: set[str] = set()
    for path, options in DIRECTIVE.findall(page.read_text("utf-8")):
        holder, _, last = path.rpartition(".")
        try:
            module = importlib.import_module(path)
        except ModuleNotFoundError:
            getattr(importlib.import_module(holder), last)
            names.add(last)
            continue
        chosen = (yaml.safe_load(options) or {}).get("options", {}).get("members")
        names |= set(module.__all__ if chosen is None else chosen)
    return names


@pytest.fixture(scope="module", params=["reference.md", "reference.zh.md"])
def listed(request: pytest.FixtureRequest) -> set[str]:
    return _on_the_page(ROOT / "docs" / request.param)


def test_every_public_name_is_listed(listed: set[str]) -> None:
    public = {name for room in WHOLE for name in importlib.import_module(f"extractft.{room}").__all__}
    assert (public | set(extractft.__all__) - {"__version__"}) - listed == set()


def test_names_that_the_documentation_imports_are_listed(listed: set[str]) -> None:
    imported: set[str] = set()
    for page in PAGES:
        for block in BLOCK.finditer(page.read_text("utf-8")):
            if block.group(1) != "python":
                continue
            for node in ast.walk(ast.parse(block.group(2))):
                module = getattr(node, "module", None) or ""
                if isinstance(node, ast.ImportFrom) and module.startswith("extractft") and module not in NO_REFERENCE:
                    imported |= {f"{module}.{alias.name}" for alias in node.names}
    objects = {path for path in imported if not isinstance(_load(path), ModuleType)}
    assert len(objects) > 30
    assert {path for path in objects if path.rpartition(".")[2] not in listed} == set()


def test_listed_names_are_on_the_built_page(tmp_path: Path) -> None:
    """mkdocstrings leaves out what has no words, and what has the name of its own module."""
    build = pytest.importorskip("mkdocs.commands.build", reason="comes with the group `docs`")
    pytest.importorskip("mkdocstrings", reason="comes with the group `docs`")
    from mkdocs.config import load_config

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text((ROOT / "docs" / "reference.md").read_text("utf-8"), encoding="utf-8")
    options = {"docstring_style": "google", "show_root_heading": True, "merge_init_into_class": True}
    handlers = {"python": {"paths": [str(ROOT / "src")], "options": options}}
    settings = {
        "site_name": "x",
        "theme": {"name": "material", "font": False},
        "plugins": [{"mkdocstrings": {"handlers": handlers}}],
    }
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    build.build(load_config(str(tmp_path / "mkdocs.yml"), site_dir=str(tmp_path / "site")))
    ids = re.findall(r'id="([^"]+)"', (tmp_path / "site" / "index.html").read_text("utf-8"))
    listed = _on_the_page(ROOT / "docs" / "reference.md")
    assert listed - {name.rpartition(".")[2] for name in ids} == set()


def _load(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in WITH_EXAMPLES.items() for name in names]
)
def test_examples_of_docstrings_run(module: str, name: str, in_docs: Path) -> None:
    words = inspect.getdoc(getattr(importlib.import_module(module), name)) or ""
    _, found, example = words.partition("Example:\n")
    assert found, f"{module}.{name} has no example"
    code = re.search(r"```python\n(.*?) *```", example, re.DOTALL)
    assert code is not None
    (in_docs / "letter.txt").write_text(TEXT, encoding="utf-8")
    exec(compile(textwrap.dedent(code[1]), f"{module}.{name}", "exec", dont_inherit=True), _names())


def _names() -> dict[str, Any]:
    """What examples speak of without making it: every public name, the complaints of the README, and their extractor."""
    names: dict[str, Any] = {"__name__": "reference", "Annotated": Annotated, "BaseModel": BaseModel, "bulk": bulk}
    for module in (*WITH_EXAMPLES, "decimal", "extractft.data", "extractft.prompt", "extractft.errors"):
        holder = importlib.import_module(module)
        names |= {name: getattr(holder, name) for name in getattr(holder, "__all__", ["Decimal"])}
    extractor = scripted_extractor(Complaint, {TEXT: Complaint(**RECORD)})
    return {**names, "Complaint": Complaint, "text": TEXT, "extractor": extractor}
