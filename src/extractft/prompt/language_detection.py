"""The language of a schema's own words. Tells Chinese from the rest; knows no grammar of either."""

from __future__ import annotations

import re
from typing import Any

from extractft.prompt.phrasebook import Language
from extractft.schema import LiteralNode, Node, ObjectNode, Schema

__all__ = ["detect_language"]

HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
KANA_OR_HANGUL = re.compile(r"[\u3041-\u30ff\u31f0-\u31ff\u1100-\u11ff\uac00-\ud7af]")
OTHER_WORD = re.compile(r"[^\W\d_\u3041-\u30ff\u3400-\u9fff\uac00-\ud7af]+")

HAN_SHARE = 0.4
"""Share of Chinese characters among them and other words that makes a schema Chinese: `E-mail 地址` is."""
FOREIGN_SHARE = 0.1
"""Share of kana and hangul from which the characters are taken for Japanese or Korean."""


def detect_language(schema: Schema[Any]) -> Language:
    """The language for the prompt: Chinese if the schema's words mostly are, English otherwise.

    Descriptions, docstrings and allowed values count, and keys where they are Chinese. English keys count only in a
    schema without descriptions: they are code, whatever language its author speaks. Chinese is counted in characters
    and everything else in words, as one character says about as much as half a word.
    """
    prose, names = [schema.description or ""], [schema.name]
    for node in schema.iter_nodes(map_keys=True):
        more_prose, more_names = _words(node)
        prose += more_prose
        names += more_names
    spoken, keys = " ".join(prose), " ".join(names)
    has_prose = bool(HAN.search(spoken) or OTHER_WORD.search(spoken))
    han = len(HAN.findall(spoken)) + len(HAN.findall(keys))
    foreign = len(KANA_OR_HANGUL.findall(spoken + keys))
    others = len(OTHER_WORD.findall(spoken if has_prose else keys.replace("_", " ")))
    if han == 0 or foreign > FOREIGN_SHARE * (han + foreign):
        return "en"
    return "zh" if han >= HAN_SHARE * (han + others) else "en"


def _words(node: Node) -> tuple[list[str], list[str]]:
    """The words of a single node: prose, and names that may be code."""
    match node:
        case LiteralNode():
            return [value for value in node.values if isinstance(value, str)], []
        case ObjectNode():
            prose = [node.description or "", *(field.description or "" for field in node.fields)]
            return prose, [field.key for field in node.fields]
    return [], []
