"""The pages of reference say what the code says: settings, errors, the HTTP API."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from extractft import errors
from house import reference_pages

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
ROW = re.compile(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)
ERRORS = {name: getattr(errors, name) for name in errors.__all__ if name not in ("RowIssue",)}


@pytest.fixture(scope="module")
def parts() -> dict[str, str]:
    return reference_pages.made_parts()


@pytest.mark.parametrize("page", reference_pages.PAGES, ids=lambda page: page.name)
def test_pages_hold_what_is_made_for_them(page: Path, parts: dict[str, str]) -> None:
    """`python tests/house/reference_pages.py` puts it right."""
    text = page.read_text("utf-8")
    assert reference_pages.with_made_parts(text, parts) == text
    marks = [match[1] for match in reference_pages.MARKED.finditer(text)]
    assert set(marks) == set(parts) & set(marks) != set()


@pytest.mark.parametrize("ending", [".md", ".zh.md"])
def test_every_part_is_on_a_page(parts: dict[str, str], ending: str) -> None:
    texts = [page.read_text("utf-8") for page in reference_pages.PAGES if page.name.endswith(ending)]
    assert all(any(f"<!-- made: {name} -->" in text for text in texts) for name in parts)


@pytest.mark.parametrize("config", reference_pages.SETTINGS, ids=lambda config: config.__name__)
def test_every_setting_has_type_default_and_effect(config: Any) -> None:
    rows = ROW.findall(reference_pages.settings_table(config))
    assert [name for name, *_ in rows] == list(config.model_fields)
    for row in rows:
        assert all(cell.strip() for cell in row), row


def test_every_route_is_on_the_page(parts: dict[str, str]) -> None:
    paths = reference_pages.openapi_document()["paths"]
    named = {f"### `{method.upper()} {path}`" for path, methods in paths.items() for method in methods}
    assert named == {line for part in parts.values() for line in part.splitlines() if line.startswith("### ")}


@pytest.mark.parametrize("name", ["errors.md", "errors.zh.md"])
def test_every_error_is_on_its_page(name: str) -> None:
    rows = {error: cells for error, *cells in ROW.findall((DOCS / name).read_text("utf-8"))}
    assert sorted(rows) == sorted(ERRORS)
    for error, (kind, meaning, advice) in rows.items():
        assert kind.replace("`", "") == ", ".join(base.__name__ for base in ERRORS[error].__bases__)
        assert len(meaning) > 4
        assert len(advice) > 4
        if name == "errors.md":
            assert meaning == ERRORS[error].__doc__.strip().split("\n")[0].split("Attributes:")[0].strip()
