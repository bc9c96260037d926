"""Rules of the house that no linter knows: lengths, names and docstrings, printed as `file:line: what, expected, found`.

`python tests/house/rules.py` exits 1 if there are more findings than `baseline.json` allows. With `--tighten` it lowers
the baseline to what it finds; it never raises it. Knows Python's syntax tree; imports nothing of the package.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "src" / "extractft"
BASELINE = Path(__file__).with_name("baseline.json")

LONGEST_FUNCTION = 45
SHORTEST_FILE, LONGEST_FILE = 40, 400
RIDDLE = re.compile(r"(What|Whether|Where|Which|Why|How)\b")
UNNAMED = frozenset({"__init__", "__main__"})
"""Modules that are named by their folder."""

SHORT_FILES: dict[str, str] = {
    "demo/complaints.py": "the schema of the demo, which `extractft demo` prints",
    "evaluation/frozen_model.py": "one base class below everything else in its room",
    "data/example.py": "the one type that the whole room shares",
    "grounding/spans.py": "the one type that the whole room shares",
    "schema/record_paths.py": "the one dialect of paths that all rooms share",
    "storage/digests.py": "one function that artifact and training share",
}
"""Files under 40 lines, and why each is one."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One place that breaks a rule."""

    path: str
    line: int
    rule: str
    what: str
    expected: str
    found: str

    @property
    def room(self) -> str:
        """The folder of the package, or the module that stands beside the folders."""
        return self.path.split("/")[2].removesuffix(".py")

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Module:
    """One file of the package."""

    path: Path
    source: str
    tree: ast.Module

    @classmethod
    def read(cls, path: Path) -> Module:
        source = path.read_text(encoding="utf-8")
        return cls(path, source, ast.parse(source))

    def finding(self, line: int, rule: str, what: str, expected: str, found: str) -> Finding:
        return Finding(self.path.relative_to(ROOT).as_posix(), line, rule, what, expected, found)


def modules(package: Path = PACKAGE) -> list[Module]:
    """All modules of the package."""
    return [Module.read(path) for path in sorted(package.rglob("*.py"))]


def long_functions(module: Module) -> Iterator[Finding]:
    """Functions with too many lines, docstring included."""
    for node in ast.walk(module.tree):
        if isinstance(node, FunctionNode) and (length := _lines(node)) > LONGEST_FUNCTION:
            expected = f"{LONGEST_FUNCTION} lines at most"
            yield module.finding(node.lineno, "function-length", f"function {node.name}", expected, str(length))


def riddles(module: Module) -> Iterator[Finding]:
    """Docstrings that open with a question's word; those of attributes count."""
    for line, text in _docstrings(module.tree):
        if match := RIDDLE.match(text):
            expected = "a noun phrase or an imperative"
            yield module.finding(line, "docstring-opening", "docstring", expected, f"{match[0]!r}")


def file_lengths(module: Module) -> Iterator[Finding]:
    """Files that are too long, or too short without a reason."""
    name, length = module.path.relative_to(PACKAGE).as_posix(), module.source.count("\n")
    if length > LONGEST_FILE:
        yield module.finding(1, "file-length", "file", f"{LONGEST_FILE} lines at most", str(length))
    if length < SHORTEST_FILE and module.path.stem not in UNNAMED and name not in SHORT_FILES:
        expected = f"{SHORTEST_FILE} lines at least, or a reason in SHORT_FILES"
        yield module.finding(1, "file-length", "file", expected, str(length))


def module_names(found: Iterable[Module]) -> Iterator[Finding]:
    """Module names that stand twice in the package."""
    by_name: dict[str, list[Module]] = defaultdict(list)
    for module in found:
        if module.path.stem not in UNNAMED:
            by_name[module.path.stem].append(module)
    for name, same in by_name.items():
        for module in same[1:]:
            first = same[0].path.relative_to(ROOT).as_posix()
            yield module.finding(1, "module-name", f"module {name}", "a name of its own", f"{first}")


def class_names(found: Iterable[Module]) -> Iterator[Finding]:
    """Public class names that stand twice in the package."""
    first: dict[str, str] = {}
    for module in found:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                place = f"{module.path.relative_to(ROOT).as_posix()}:{node.lineno}"
                if node.name in first:
                    what, expected = f"class {node.name}", "a name of its own"
                    yield module.finding(node.lineno, "class-name", what, expected, first[node.name])
                first.setdefault(node.name, place)


def stale_reasons(found: Iterable[Module]) -> Iterator[Finding]:
    """Reasons for short files that are gone or have grown."""
    lengths = {module.path.relative_to(PACKAGE).as_posix(): module.source.count("\n") for module in found}
    here = Path(__file__).relative_to(ROOT).as_posix()
    for name in SHORT_FILES:
        if lengths.get(name, LONGEST_FILE) >= SHORTEST_FILE:
            found_lines = f"{lengths[name]} lines" if name in lengths else "no such file"
            yield Finding(here, 1, "short-file", f"SHORT_FILES {name}", f"under {SHORTEST_FILE} lines", found_lines)


def findings(package: Path = PACKAGE) -> list[Finding]:
    """All that breaks a rule."""
    found = modules(package)
    each = [finding for module in found for rule in (long_functions, riddles, file_lengths) for finding in rule(module)]
    return sorted([*each, *module_names(found), *class_names(found)])


def excess(found: Iterable[Finding], allowed: dict[str, dict[str, int]]) -> list[Finding]:
    """Findings of the rules that are broken more often than the baseline allows, in the rooms where they grew.

    Code moves between rooms while they are rebuilt, so a rule is judged by its number in the whole package.
    """
    by_rule: dict[str, list[Finding]] = defaultdict(list)
    for finding in found:
        by_rule[finding.rule].append(finding)
    over = []
    for rule, broken in by_rule.items():
        rooms = allowed.get(rule, {})
        if len(broken) > sum(rooms.values()):
            counts = Counter(finding.room for finding in broken)
            over += [finding for finding in broken if counts[finding.room] > rooms.get(finding.room, 0)]
    return over


def stale(found: Iterable[Finding], allowed: dict[str, dict[str, int]]) -> list[str]:
    """Rules that the baseline forgives though nothing breaks them any more."""
    broken = {finding.rule for finding in found}
    return [rule for rule in allowed if rule not in broken]


def counts(found: Iterable[Finding]) -> dict[str, dict[str, int]]:
    """Number of findings by rule and room."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for finding in found:
        table[finding.rule][finding.room] += 1
    return {rule: dict(sorted(rooms.items())) for rule, rooms in sorted(table.items())}


def baseline() -> dict[str, dict[str, int]]:
    """Findings that were there when the rule was made, by rule and room; none once the file is gone."""
    read: dict[str, dict[str, int]] = json.loads(BASELINE.read_text(encoding="utf-8")) if BASELINE.exists() else {}
    return read


def main(arguments: list[str]) -> int:
    found, allowed = findings(), baseline()
    over = [*excess(found, allowed), *([] if allowed else stale_reasons(modules()))]  # files still move meanwhile
    print(*over, sep="\n", end="\n" if over else "")
    if over:
        return 1
    if "--tighten" in arguments:
        _write(counts(found))
    elif rules := stale(found, allowed):
        print(f"{BASELINE.relative_to(ROOT)}:1: rules {', '.join(rules)}: expected findings, found none: --tighten")
        return 1
    return 0


def _write(table: dict[str, Any]) -> None:
    if table:
        BASELINE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    else:
        BASELINE.unlink(missing_ok=True)


def _lines(node: FunctionNode) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        documents = isinstance(node, ast.Module | ast.ClassDef | FunctionNode)
        for before, statement in zip([None, *body], body, strict=False):
            if (documents and before is None) or isinstance(before, ast.Assign | ast.AnnAssign):
                match statement:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        yield statement.lineno, text.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
