"""Regular expressions as Pydantic takes them -> as the grammar takes them.

The grammar's classes are ASCII where Pydantic's are Unicode, and it knows no look-around, no word boundary, no
back-reference, and anchors at the ends only. Knows nothing of schemas.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

__all__ = ["grammar_pattern", "match_length"]

CLASSES = {"w": r"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}", "d": r"\p{Nd}", "s": r"\t\n\x0B\f\r\u{85}\p{Z}"}
r"""Pydantic's meaning of these classes, or (of `\w`, joiners) a little less, so that nothing is refused later."""
PYTHON_CLASSES = {**CLASSES, "w": r"\p{L}\p{N}_"}
LINE_BREAK = r"\n?"
ATOM = r"\\(?:[pP](?:\{[^}]*\}|.)|[xuU](?:\{[0-9A-Fa-f]+\}|[0-9A-Fa-f]{2,8})|[\s\S])"
GROUP = r"\((?:\?(?:P?<[^>=!]+>|[a-zA-Z-]*:|[a-zA-Z-]+\)|P=\w+\)|<?[=!]|[>(#]))?"
TOKEN = re.compile(rf"{ATOM}|{GROUP}|\[\^?\]?|&&|[\s\S]")
UNKNOWN = re.compile(r"\(\?(?:<?[=!]|[>(#]|P=)")
MULTILINE = re.compile(r"\(\?[a-zA-Z]*m[a-zA-Z]*[:)-]")
ASCII_ONLY = re.compile(r"\(\?[a-zA-Z]*a[a-zA-Z]*[:)-]")
REPEAT = re.compile(r"\{(\d+)(?:,\d*)?\}")


def grammar_pattern(pattern: str, *, python: bool = False) -> str | None:
    r"""The pattern with `\w \d \s` spelled out for all scripts; `None` if the grammar cannot express it.

    The meaning of `^` and `$` and of their absence is kept: a pattern is searched for, not matched. With `python`,
    the pattern is one of Python's `re`, where `$` also stands before a last line break and `[` and `&&` are nothing
    special inside a class.
    """
    classes = PYTHON_CLASSES if python else CLASSES
    written: list[str] = []
    depth = 0  # of character classes
    for token in TOKEN.findall(pattern):
        if depth:
            nested = token.startswith("[") and not python
            depth += nested - (token.endswith("]") and not nested)
            written[-1] += _in_class(token, classes, python)
            continue
        name = token[1:] if token.startswith("\\") else ""
        if _is_unknown(token) or name[:1] in ("b", "B", "G", "<", ">", *"123456789"):
            return None
        if name in ("A", "z", "Z"):
            token = "^" if name == "A" else "$"
        elif token == "$" and python:
            written.append(LINE_BREAK)
        elif name.lower() in classes:
            token = f"[{'^' if name.isupper() else ''}{classes[name.lower()]}]"
        depth += token.startswith("[") and not name
        written.append(token)
    return "".join(written) if _anchored_at_ends(written) else None


def _is_unknown(token: str) -> bool:
    return any(kind.match(token) for kind in (UNKNOWN, MULTILINE, ASCII_ONLY))


def _in_class(token: str, classes: Mapping[str, str], python: bool) -> str:
    name = token[1:]
    if token.startswith("\\") and name.lower() in classes:
        return f"[^{classes[name.lower()]}]" if name.isupper() else classes[name]
    if python and not token.startswith("\\"):
        return token.replace("[", "\\[").replace("&", "\\&")
    return token


def _anchored_at_ends(tokens: list[str]) -> bool:
    """True if `^` stands only at the start and `$` only at the end of a match, and neither is repeated."""
    kept = [token for token in tokens if not (token.startswith("(?") and token.endswith(")"))]  # flags for the rest
    plain = ["(" if token.startswith("(") else token for token in kept]
    mirrored = [{"(": ")", ")": "("}.get(token, token) for token in reversed(plain)]
    return _leads(plain, "^") and _leads(mirrored, "$") and not _repeats_anchor(plain)


def _leads(tokens: Iterable[str], anchor: str) -> bool:
    start, outer = True, [True]
    for token in tokens:
        if token == "(":
            outer.append(start)
        elif token == "|":
            start = outer[-1]
        elif token == anchor:
            if not start:
                return False
        else:
            start = False
            if token == ")" and len(outer) > 1:
                outer.pop()
    return True


def _repeats_anchor(tokens: list[str]) -> bool:
    holds = [False]
    for token, after in zip(tokens, [*tokens[1:], ""], strict=False):
        if token == "(":
            holds.append(False)
        elif token in ("^", "$"):
            holds[-1] = True
        elif token == ")" and len(holds) > 1:
            held = holds.pop()
            if held and after in ("*", "+", "?", "{"):
                return True
            holds[-1] = holds[-1] or held
    return False


def match_length(pattern: str) -> int:
    """A length within which the pattern has a match, if it has any: no shorter than its shortest match."""
    return len(pattern) * math.prod(max(int(count), 1) for count in REPEAT.findall(pattern))
