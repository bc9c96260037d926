"""Regular expressions as Pydantic takes them -> as the grammar takes them.

The grammar's classes are ASCII where Pydantic's are Unicode, and it knows no look-around, no word boundary and no
back-reference. Knows nothing of schemas.
"""

from __future__ import annotations

import re

__all__ = ["grammar_pattern"]

WORD, DIGIT, SPACE = r"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}", r"\p{Nd}", r"\t\n\x0B\f\r\u0085\p{Z}"
CLASSES = {"w": WORD, "d": DIGIT, "s": SPACE}
UNSUPPORTED = re.compile(r"\(\?(?:[=!>]|<[=!]|P=|\()")
TOKEN = re.compile(r"\\(?:[pP](?:\{[^}]*\}|.)|x\{[0-9A-Fa-f]+\}|u\{[0-9A-Fa-f]+\}|.)|\(\?(?:[=!>(]|<[=!]|P=)|[\s\S]")


def grammar_pattern(pattern: str) -> str | None:
    r"""The pattern with `\w \d \s` spelled out for all scripts; `None` if the grammar cannot express it.

    The meaning of `^` and `$` and of their absence is kept: a pattern is searched for, not matched.
    """
    written: list[str] = []
    depth = 0  # of character classes
    for token in TOKEN.findall(pattern):
        if depth == 0 and token.startswith("(?") and UNSUPPORTED.match(token):
            return None
        name = token[1:] if token.startswith("\\") else ""
        if name.lower() in CLASSES and len(name) == 1:
            inside = CLASSES[name.lower()]
            written.append(f"[^{inside}]" if name.isupper() else inside if depth else f"[{inside}]")
        elif depth == 0 and (name in ("b", "B", "G", "<", ">") or (name.isdigit() and name != "0")):
            return None
        elif name in ("A", "z", "Z"):
            written.append("^" if name == "A" else "$")
        else:
            depth += (token == "[") - (token == "]" and depth > 0)
            written.append(token)
    return "".join(written)
