"""Every page stands in English and in Chinese, with the same headings, code blocks, links and names of code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

markdown = pytest.importorskip("markdown", reason="comes with the group `docs`")

DOCS = Path(__file__).resolve().parent.parent / "docs"
ENGLISH = sorted(page for page in DOCS.rglob("*.md") if not page.name.endswith(".zh.md"))
FENCE = re.compile(r"^( *)(```+)[^\n]*\n.*?^\1\2$", re.MULTILINE | re.DOTALL)
DIRECTIVE = re.compile(r"^::: .*\n(?:    .*\n)*", re.MULTILINE)
NOT_YET: frozenset[str] = frozenset()
"""Pages without a Chinese one, while it is being written."""


def _chinese(page: Path) -> Path:
    return page.with_suffix(".zh.md")


def _both() -> list[Any]:
    return [pytest.param(page, id=page.stem) for page in ENGLISH if _chinese(page).is_file()]


def _headings(page: Path) -> list[tuple[int, str]]:
    """Level and id of each heading, as the site has them."""
    renderer = markdown.Markdown(extensions=["toc", "attr_list", "pymdownx.superfences", "tables"])
    renderer.convert(page.read_text("utf-8"))
    found: list[tuple[int, str]] = []

    def walk(tokens: list[dict[str, Any]]) -> None:
        for token in tokens:
            found.append((token["level"], token["id"]))
            walk(token["children"])

    walk(renderer.toc_tokens)
    return found


def _prose(page: Path) -> str:
    return FENCE.sub("", page.read_text("utf-8"))


def _blocks(page: Path) -> list[str]:
    """Code, and what the reference takes from docstrings."""
    text = page.read_text("utf-8")
    return [match[0] for expression in (FENCE, DIRECTIVE) for match in expression.finditer(text)]


def _links(page: Path) -> set[str]:
    return set(re.findall(r"\]\(([^)\s]+)\)", _prose(page)))


def _names_of_code(page: Path) -> set[str]:
    return {" ".join(name.split()) for name in re.findall(r"(?<!`)`([^`]+)`(?!`)", _prose(page))}


@pytest.mark.parametrize("page", ENGLISH, ids=lambda page: page.stem)
def test_every_page_stands_in_both_languages(page: Path) -> None:
    assert _chinese(page).is_file() != (page.stem in NOT_YET)


def test_no_chinese_page_is_alone() -> None:
    assert {page.name for page in DOCS.rglob("*.zh.md")} <= {_chinese(page).name for page in ENGLISH}


@pytest.mark.parametrize("page", _both())
def test_headings_have_the_same_levels_and_ids(page: Path) -> None:
    """A Chinese heading says its English id: `## 标题 { #english-id }`."""
    assert _headings(_chinese(page)) == _headings(page)


@pytest.mark.parametrize("page", _both())
def test_code_blocks_are_the_same(page: Path) -> None:
    assert _blocks(_chinese(page)) == _blocks(page)


@pytest.mark.parametrize("page", _both())
def test_links_lead_to_the_same_places(page: Path) -> None:
    assert _links(_chinese(page)) == _links(page)


@pytest.mark.parametrize("page", _both())
def test_the_same_code_is_named(page: Path) -> None:
    """A Chinese page that names no `overlap_tokens` has lost a sentence."""
    assert _names_of_code(_chinese(page)) == _names_of_code(page)


def test_the_two_readmes_are_alike() -> None:
    """Comments in their code are translated, and links lead to the pages of the language."""
    english, chinese = DOCS.parent / "README.md", DOCS.parent / "README.zh.md"
    assert [level for level, _ in _headings(chinese)] == [level for level, _ in _headings(english)]
    assert _names_of_code(chinese) == _names_of_code(english)
    code = [[re.sub(r" +# .*", "", block) for block in _blocks(page)] for page in (chinese, english)]
    assert code[0] == code[1]
    pages = "|".join(page.stem for page in ENGLISH if page.stem not in NOT_YET)
    links = {re.sub(rf"^docs/({pages})\.md", r"docs/\1.zh.md", link) for link in _links(english) - {"README.zh.md"}}
    assert _links(chinese) - {"README.md"} == links


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_no_bar_is_escaped_in_code(page: Path) -> None:
    r"""The site shows the backslash of `int \| str`: write `<code>int &#124; str</code>` in a table."""
    assert re.findall(r"`[^`\n]*\\\|[^`\n]*`", _prose(page)) == []
