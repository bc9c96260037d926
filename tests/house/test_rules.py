"""The rules of the house hold, and each finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

import pytest
import rules

LONG = "def f():\n" + "    pass\n" * rules.LONGEST_FUNCTION
FILLER = "x = 1\n" * rules.SHORTEST_FILE


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package that the rules look at."""
    monkeypatch.setattr(rules, "ROOT", tmp_path)
    monkeypatch.setattr(rules, "PACKAGE", tmp_path / "src" / "extractft")
    return rules.PACKAGE


def _found(package: Path, **files: str) -> list[str]:
    for name, source in files.items():
        path = package / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source + FILLER, encoding="utf-8")
    return [str(finding).removeprefix("src/extractft/") for finding in rules.findings(package)]


def test_the_house_keeps_its_rules() -> None:
    assert [str(finding) for finding in rules.excess(rules.findings(), rules.baseline())] == []


def test_nothing_is_forgiven_that_is_mended() -> None:
    assert rules.stale(rules.findings(), rules.baseline()) == []
    assert rules.baseline() or list(rules.stale_reasons(rules.modules())) == []


def test_a_long_function_is_found(package: Path) -> None:
    assert _found(package, a__m=LONG) == ["a/m.py:1: function f: expected 45 lines at most, found 46"]
    assert _found(package, a__m=LONG.replace("    pass\n", "", 1)) == []


@pytest.mark.parametrize("word", ["What", "Whether", "Where", "Which", "Why", "How"])
@pytest.mark.parametrize(
    "place", ['"""{} it is."""\n', 'class C:\n    """{} it is."""\n', 'x: int = 1\n"""{} it is."""\n']
)
def test_a_riddle_is_found(package: Path, word: str, place: str) -> None:
    line = place.count("\n")
    expected = f"a/m.py:{line}: docstring: expected a noun phrase or an imperative, found '{word}'"
    assert _found(package, a__m=place.format(word)) == [expected]


def test_other_openings_are_none(package: Path) -> None:
    assert _found(package, a__m='"""However it is."""\nprint()\n"""What is no docstring."""\n') == []


def test_names_that_stand_twice_are_found(package: Path) -> None:
    assert _found(package, a__m="class C: ...\nclass _P: ...\n", b__m="class _P: ...\n", b__n="class C: ...\n") == [
        "b/m.py:1: module m: expected a name of its own, found src/extractft/a/m.py",
        "b/n.py:1: class C: expected a name of its own, found src/extractft/a/m.py:1",
    ]


def test_lengths_of_files_are_found(package: Path) -> None:
    _found(package, a__long="x = 1\n" * rules.LONGEST_FILE, a____init__="")
    (package / "a" / "short.py").write_text("x = 1\n", encoding="utf-8")
    (package / "a" / "__init__.py").write_text("x = 1\n", encoding="utf-8")
    assert _found(package) == [
        "a/long.py:1: file: expected 400 lines at most, found 440",
        "a/short.py:1: file: expected 40 lines at least, or a reason in SHORT_FILES, found 1",
    ]


def test_a_reason_for_a_file_that_is_gone_is_found(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "SHORT_FILES", {"a/gone.py": "a reason", "a/grown.py": "a reason"})
    monkeypatch.setattr(rules, "ROOT", Path(rules.__file__).parent)
    found = [rules.Module(rules.PACKAGE / "a" / "grown.py", FILLER, rules.ast.parse(FILLER))]
    assert [(finding.what, finding.found) for finding in rules.stale_reasons(found)] == [
        ("SHORT_FILES a/gone.py", "no such file"),
        ("SHORT_FILES a/grown.py", "40 lines"),
    ]


def test_code_may_move_but_findings_may_not_grow(package: Path) -> None:
    _found(package, b__m=LONG)
    found = rules.findings(package)
    assert rules.excess(found, {"function-length": {"a": 1}}) == []
    assert rules.excess(found, {"function-length": {"b": 1}}) == []
    assert rules.excess(found, {}) == found
    assert rules.stale(found, {"function-length": {"b": 1}, "riddle": {"b": 1}}) == ["riddle"]


def test_the_way_out_of_the_command(
    package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rules, "BASELINE", package / "baseline.json")
    monkeypatch.setattr(rules, "stale_reasons", lambda found: [])
    monkeypatch.setattr(rules, "findings", lambda: [rules.Finding("src/extractft/a/m.py", 3, "r", "f", "1", "2")])
    assert rules.main([]) == 1
    assert capsys.readouterr().out == "src/extractft/a/m.py:3: f: expected 1, found 2\n"
