"""Names of types and constraints in a prompt, in English and in Chinese.

Words only: `field_outline.py` decides which of them a field gets, and sentences stand in the templates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from extractft.schema import JsonScalar, StringFormat

__all__ = ["PHRASEBOOKS", "Language", "Phrasebook", "spell", "spell_number"]

Language = Literal["zh", "en"]
MAX_LISTED_VALUES, MAX_LISTED_CHARACTERS = 100, 2_000
"""A literal of no more values, spelled in no more characters, is listed whole."""
NUM_EXAMPLES, MAX_EXAMPLE_CHARACTERS = 20, 300
"""Of a longer one so many are shown, as examples of their form; the grammar knows them all."""


def spell(value: object) -> str:
    """A value as JSON writes it, in one line."""
    return json.dumps(value, ensure_ascii=False)


def spell_number(value: float) -> str:
    """A bound as a person writes it: `5`, not `5.0`."""
    return str(value) if isinstance(value, int) else f"{value:.15g}"


@dataclass(frozen=True, slots=True)
class Noun:
    """A type's name, and its form for several of them."""

    one: str
    many: str

    def form(self, many: bool) -> str:
        """The one form or the other."""
        return self.many if many else self.one


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """The vocabulary of one language. Phrases with `{}` are filled in."""

    text: Noun
    integer: Noun
    number: Noun
    boolean: Noun
    null: Noun
    object: Noun
    value: Noun
    formats: Mapping[StringFormat, Noun]
    either: str
    """Joins the types of a union."""
    listed: str
    """Joins the values of a literal."""
    comma: str
    """Joins the details of a field."""
    always: str
    one_of: Noun
    and_more: str
    """Behind the first values of a literal that is too long to list: how many there are."""
    list_of: Noun
    tuple_of: str
    rest: str
    """The types behind the fixed positions of a tuple."""
    in_turn: Noun
    """A tuple whose positions are listed below it."""
    map_of: Noun
    named: str
    """A type (`{0}`) and its name (`{1}`)."""
    above: str
    """A type (`{0}`) that was described under its name (`{1}`) before."""
    following: Noun
    told_apart: str
    required: str
    optional: str
    default: str
    at_least: str
    at_most: str
    more_than: str
    less_than: str
    between: str
    multiple_of: str
    exactly: str
    characters: Noun
    items: Noun
    unique: str
    pattern: str
    bracket: tuple[str, str]
    """Around the details of a field."""
    colon: str
    """Before a description."""

    def literal(self, values: Sequence[JsonScalar], *, many: bool = False) -> str:
        """One of a few values, or of many, of which only the first are shown."""
        spelled = [spell(value) for value in values]
        if len(spelled) == 1:
            return self.always.format(spelled[0])
        listed = self.listed.join(spelled)
        if len(spelled) > MAX_LISTED_VALUES or len(listed) > MAX_LISTED_CHARACTERS:
            listed = (self._first(spelled) + self.and_more.format(len(spelled))).lstrip()
        return self.one_of.form(many).format(listed)

    def _first(self, spelled: Sequence[str]) -> str:
        listed = ""
        for value in spelled[:NUM_EXAMPLES]:
            longer = listed + self.listed + value if listed else value
            if len(longer) > MAX_EXAMPLE_CHARACTERS:
                break
            listed = longer
        return listed

    def interval(self, low: float | None, high: float | None) -> str:
        """Inclusive bounds, either of which may be `None`; empty without bounds."""
        if low is None:
            return "" if high is None else self.at_most.format(spell_number(high))
        if high is None:
            return self.at_least.format(spell_number(low))
        if low == high:
            return self.exactly.format(spell_number(low))
        return self.between.format(spell_number(low), spell_number(high))

    def count(self, unit: Noun, low: int | None, high: int | None) -> str:
        """Bounds on a number of things; empty without bounds."""
        bounds = self.interval(low, high)
        return unit.form((low if high is None else high) != 1).format(bounds) if bounds else ""


ENGLISH: Final = Phrasebook(
    text=Noun("text", "texts"),
    integer=Noun("whole number", "whole numbers"),
    number=Noun("number", "numbers"),
    boolean=Noun("true/false", "true/false"),
    null=Noun("null", "null"),
    object=Noun("object", "objects"),
    value=Noun("value", "values"),
    formats={
        "date": Noun("date YYYY-MM-DD", "dates YYYY-MM-DD"),
        "datetime": Noun("date and time YYYY-MM-DDTHH:MM:SS", "dates and times YYYY-MM-DDTHH:MM:SS"),
        "time": Noun("time HH:MM:SS", "times HH:MM:SS"),
        "duration": Noun("duration like PT1H30M", "durations like PT1H30M"),
        "uuid": Noun("UUID", "UUIDs"),
        "decimal": Noun("decimal number", "decimal numbers"),
        "email": Noun("e-mail address", "e-mail addresses"),
        "uri": Noun("URL", "URLs"),
    },
    either=" or ",
    listed=", ",
    comma=", ",
    always="always {}",
    one_of=Noun("one of {}", "{}"),
    and_more=" ... ({} values in all)",
    list_of=Noun("list of {}", "lists of {}"),
    tuple_of="list [{}]",
    rest="then any number of {}",
    in_turn=Noun("list of the following in this order", "lists of the following in this order"),
    map_of=Noun("object from {} to {}", "objects from {} to {}"),
    named="{1} {0}",
    above="{1} {0} as above",
    following=Noun("one of the following", "the following"),
    told_apart="told apart by {}",
    required="required",
    optional="optional",
    default="default {}",
    at_least="at least {}",
    at_most="at most {}",
    more_than="more than {}",
    less_than="less than {}",
    between="{} to {}",
    multiple_of="multiple of {}",
    exactly="exactly {}",
    characters=Noun("{} character", "{} characters"),
    items=Noun("{} item", "{} items"),
    unique="no repeats",
    pattern="pattern {}",
    bracket=(" (", ")"),
    colon=": ",
)

CHINESE: Final = Phrasebook(
    text=Noun("文本", "文本"),
    integer=Noun("整数", "整数"),
    number=Noun("数字", "数字"),
    boolean=Noun("true/false", "true/false"),
    null=Noun("null", "null"),
    object=Noun("对象", "对象"),
    value=Noun("值", "值"),
    formats={
        "date": Noun("日期 YYYY-MM-DD", "日期 YYYY-MM-DD"),
        "datetime": Noun("日期时间 YYYY-MM-DDTHH:MM:SS", "日期时间 YYYY-MM-DDTHH:MM:SS"),
        "time": Noun("时间 HH:MM:SS", "时间 HH:MM:SS"),
        "duration": Noun("时长，如 PT1H30M", "时长，如 PT1H30M"),
        "uuid": Noun("UUID", "UUID"),
        "decimal": Noun("小数", "小数"),
        "email": Noun("邮箱地址", "邮箱地址"),
        "uri": Noun("网址", "网址"),
    },
    either=" 或 ",
    listed="、",
    comma="，",
    always="固定为 {}",
    one_of=Noun("{} 之一", "{}"),
    and_more="……（共 {} 个值）",
    list_of=Noun("{}列表", "{}列表"),
    tuple_of="列表 [{}]",
    rest="其后为任意个{}",
    in_turn=Noun("依次由以下组成的列表", "依次由以下组成的列表"),
    map_of=Noun("映射 {} → {}", "映射 {} → {}"),
    named="{1} {0}",
    above="{1} {0}（同上）",
    following=Noun("以下之一", "以下各类"),
    told_apart="以 {} 区分",
    required="必填",
    optional="可缺",
    default="默认 {}",
    at_least="至少 {}",
    at_most="至多 {}",
    more_than="大于 {}",
    less_than="小于 {}",
    between="{} 到 {}",
    multiple_of="{} 的倍数",
    exactly="正好 {}",
    characters=Noun("{} 个字符", "{} 个字符"),
    items=Noun("{} 项", "{} 项"),
    unique="不重复",
    pattern="格式 {}",
    bracket=("（", "）"),
    colon="：",
)

PHRASEBOOKS: Final[Mapping[Language, Phrasebook]] = {"en": ENGLISH, "zh": CHINESE}
