"""The spelling in strings of values that JSON has no type for, and the regular expressions of these spellings.

`STRING_FORMATS` says of each format what the other rooms ask for. Its spelling has to keep two promises:

- Whatever a writer writes, the expression accepts: else a training target could not be decoded.
- Whatever the expression accepts, Pydantic parses, but for bounds and outlines, which it checks at the end: so a model
  that knows nothing still writes what can be read. A value then has no more digits than Pydantic takes.

The writer gives each value one spelling, its canonical one. The expression may accept others of the same value, such as
`1.50` beside `1.5` of a decimal or a time in another zone, where their number does not matter; the fewer, the less a
model has to choose. Knows nodes; knows nothing of schemas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

from extractft.schema.nodes import StringFormat, StringNode

__all__ = [
    "INTEGER_KEY",
    "IPV4",
    "MAX_PLAIN_DECIMAL_DIGITS",
    "STRING_FORMATS",
    "FormatSpec",
    "Unwritable",
    "date_text",
    "datetime_text",
    "decimal_text",
    "duration_text",
    "float_text",
    "format_regex",
    "sample_text",
    "shares_digits",
    "time_text",
]

YEAR = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
MONTH_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
FOURTH = "(?:0[48]|[2468][048]|[13579][26])"
LEAP_YEAR = rf"(?:[0-9]{{2}}{FOURTH}|{FOURTH}00)"
DATE = rf"(?:{YEAR}-{MONTH_DAY}|{LEAP_YEAR}-02-29)"
TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{0,5}[1-9])?"
ZONE = r"(?:Z|[+-](?:00:(?:0[1-9]|[1-5][0-9])|(?:0[1-9]|1[0-9]|2[0-3]):[0-5][0-9]))"
SECONDS = r"(?:[0-9]|[1-5][0-9])(?:\.[0-9]{0,5}[1-9])?S"
MINUTES = r"[1-5]?[0-9]M"
CLOCK = rf"T(?:(?:[0-9]|1[0-9]|2[0-3])H(?:{MINUTES})?(?:{SECONDS})?|{MINUTES}(?:{SECONDS})?|{SECONDS})"
DAYS = r"[1-9][0-9]{0,8}D"
# -P999999999D is the least duration there is: a clock may only follow fewer days.
FEWER_DAYS = (
    r"(?:[1-9][0-9]{0,7}|[1-8][0-9]{8}|"
    + "|".join(rf"9{{{nines}}}[0-8][0-9]{{{8 - nines}}}" for nines in range(1, 9))
    + ")D"
)
DURATION = rf"(?:P{DAYS}(?:{CLOCK})?|-P{FEWER_DAYS}(?:{CLOCK})?|-P999999999D|-?P{CLOCK})"
UUID_TEXT = r"[0-9a-f]{8}-[0-9a-f]{4}-%s[0-9a-f]{3}-%s[0-9a-f]{3}-[0-9a-f]{12}"
# Letters, digits and dots of any script; the part before @ may hold what mail systems let it hold.
EMAIL_WORD = r"[^\s@\p{C}\p{Z}\"'(),:;<>\[\\\]]{1,64}"
EMAIL_LABEL = r"[\p{L}\p{M}\p{N}](?:[\p{L}\p{M}\p{N}\-]{0,61}[\p{L}\p{M}\p{N}])?"
EMAIL = rf"{EMAIL_WORD}@{EMAIL_LABEL}(?:\.{EMAIL_LABEL})+"
URI = r"%s:[^\s\p{C}\p{Z}]+"
HOST = r"(?:[^\s\p{C}\p{Z}/?#@:\[\]\\<>^|%%]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])"
WEB = rf"%s://(?:[^\s\p{{C}}\p{{Z}}/?#@]+@)?{HOST}(?::[0-9]{{1,5}})?(?:[/?#][^\s\p{{C}}\p{{Z}}]*)?"
WEB_SCHEMES = {"http", "https", "ws", "wss", "ftp"}
IPV4 = r"^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])$"
SCHEME = r"[A-Za-z][A-Za-z0-9+.\-]{0,31}"
INTEGER_KEY = r"-?(?:0|[1-9][0-9]*)"

MAX_PLAIN_DECIMAL_DIGITS = 28
"""Digits before or behind the point of a decimal, Python's own precision; beyond them it gets an exponent."""
_MANTISSA = 2 * MAX_PLAIN_DECIMAL_DIGITS
"""Digits behind the point of a decimal with an exponent."""


class Unwritable(Exception):
    """A value does not fit its place in the tree. Says why without quoting the value.

    Never reaches the user: the facade turns it into a `SchemaError`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []


def _uri_regex(node: StringNode) -> str:
    if not node.constraint("schemes"):
        return URI % SCHEME
    schemes = str(node.constraint("schemes")).split(",")
    return (WEB if set(schemes) <= WEB_SCHEMES else URI) % ("(?:" + "|".join(map(re.escape, schemes)) + ")")


def _decimal_regex(node: StringNode) -> str:
    digits, places = node.constraint("max_digits"), node.constraint("decimal_places")
    sign, positive = _sign(node)
    most = MAX_PLAIN_DECIMAL_DIGITS if sign else _whole_digits(node)
    if digits is None and places is None:
        plain = _fixed_point(most, MAX_PLAIN_DECIMAL_DIGITS, positive=positive)
        mantissa = "[1-9]" if positive else "[0-9]"
        return rf"{sign}(?:{plain}|{mantissa}(?:\.[0-9]{{1,{_MANTISSA}}})?E[+-](?:0|[1-9][0-9]{{0,9}}))"
    if digits is None:
        return sign + _fixed_point(most, int(places or 0), positive=positive)
    if places is not None:
        return sign + _fixed_point(min(int(digits) - int(places), most), int(places), positive=positive)
    if not shares_digits(node):
        return sign + _fixed_point(min(int(digits), most), int(digits), positive=positive)
    shares = (_fixed_point(min(int(digits) - n, most), n, positive=positive) for n in range(int(digits) + 1))
    return f"{sign}(?:{'|'.join(shares)})"


def shares_digits(node: StringNode) -> bool:
    """True if the digits before and behind the point share one limit that is small enough to spell out."""
    digits = node.constraint("max_digits")
    return digits is not None and node.constraint("decimal_places") is None and int(digits) <= _MANTISSA


def _whole_digits(node: StringNode) -> int:
    """Most digits before the point that the upper bound leaves."""
    highest = [Decimal(str(bound)) for name in ("le", "lt") if (bound := node.constraint(name)) is not None]
    return min((max(bound.adjusted() + 1, 1) for bound in highest), default=MAX_PLAIN_DECIMAL_DIGITS)


def _sign(node: StringNode) -> tuple[str, bool]:
    """The sign that may stand before the digits, and True if the digits have to be more than zero."""
    lowest = [Decimal(str(bound)) for name in ("ge", "gt") if (bound := node.constraint(name)) is not None]
    above_zero = node.constraint("gt") is not None and Decimal(str(node.constraint("gt"))) >= 0
    if not lowest or max(lowest) < 0:
        return "-?", False
    return "", above_zero or max(lowest) > 0


def _fixed_point(whole: int, places: int, *, positive: bool) -> str:
    """Decimals of at most `whole` digits before the point and `places` behind it.

    Pydantic counts the 0 of `0` as a digit before the point, but not that of `0.1`.
    """
    some = rf"(?:\.[0-9]{{1,{places}}})" if places else ""
    more = "|".join(f"0{{{zeros}}}[1-9][0-9]{{0,{places - 1 - zeros}}}" for zeros in range(places))
    fraction = rf"(?:\.(?:{more}))" if positive and places else some
    optional = f"{some}?" if places else ""
    if whole <= 0:
        return f"0{fraction}"
    large = f"[1-9][0-9]{{0,{whole - 1}}}{optional}"
    if positive:
        return f"(?:{large}|0{fraction})" if places else large
    return f"(?:{large}|0{optional})"


def date_text(value: date) -> str:
    """`2024-05-17`."""
    return value.isoformat()


def time_text(value: time) -> str:
    """`12:30:00`, `12:30:00.5Z`, `12:30:00+08:00`: seconds always, no trailing zeros, UTC is `Z`."""
    return _trimmed(value.replace(tzinfo=None).isoformat()) + _zone(value.utcoffset())


def datetime_text(value: datetime) -> str:
    """`2024-05-17T12:30:00+08:00`; an offset that is not of whole minutes is written as the same instant in UTC."""
    offset = value.utcoffset()
    if offset is not None and offset % timedelta(minutes=1):
        try:
            value = value.astimezone(UTC)
        except OverflowError as error:
            raise Unwritable("a date and time this close to the year 1 or 9999 cannot be moved to UTC") from error
        offset = timedelta(0)
    return _trimmed(value.replace(tzinfo=None).isoformat()) + _zone(offset)


def _trimmed(text: str) -> str:
    return text.rstrip("0") if "." in text else text


def _zone(offset: timedelta | None) -> str:
    if offset is None:
        return ""
    if offset % timedelta(minutes=1):
        raise Unwritable("a time zone offset has to be of whole minutes")
    minutes = offset // timedelta(minutes=1)
    if minutes == 0:
        return "Z"
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def duration_text(value: timedelta) -> str:
    """`P1DT2H30M`, `PT0.5S`, `-P1D`, `PT0S`: days, hours, minutes and seconds, zeros left out."""
    sign, value = ("-", -value) if value < timedelta(0) else ("", value)
    hours, rest = divmod(value.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    fraction = f".{value.microseconds:06}".rstrip("0") if value.microseconds else ""
    clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    clock += f"{seconds}{fraction}S" if seconds or fraction else ""
    days = f"{value.days}D" if value.days else ""
    return f"{sign}P{days}T{clock}" if clock else f"{sign}P{days}" if days else "PT0S"


def decimal_text(value: Decimal, *, whole_digits: int | None = None) -> str:
    """`12.50`: the digits as they are, an exponent only beyond 28 digits before or behind the point.

    `whole_digits` is for decimals whose schema counts digits: they have no exponent, and as many before the point.
    """
    if not value.is_finite():
        raise Unwritable("a decimal has to be finite; JSON has no NaN or infinity")
    exponent = value.as_tuple().exponent
    if value == 0:
        value = abs(value)
    assert isinstance(exponent, int)
    if whole_digits is not None and value.adjusted() >= whole_digits:
        raise Unwritable(f"expected at most {whole_digits} digits before the point, found {value.adjusted() + 1}")
    plain = value.adjusted() < MAX_PLAIN_DECIMAL_DIGITS and exponent >= -MAX_PLAIN_DECIMAL_DIGITS
    if plain or whole_digits is not None:
        return format(value, "f")
    if value and len(value.as_tuple().digits) > _MANTISSA + 1:
        raise Unwritable(f"expected a decimal of at most {_MANTISSA + 1} digits, found {len(value.as_tuple().digits)}")
    return format(value, "E")


def float_text(value: float) -> str:
    """Shortest digits that read back as the same number, never with an exponent: `0.00001`, `5.0`."""
    text = repr(value)
    if "e" in text:
        text = format(Decimal(text), "f")
        text = text if "." in text else text + ".0"
    return text


def _zone_regex(node: StringNode) -> str:
    return {"required": ZONE, "forbidden": ""}.get(str(node.constraint("timezone")), f"(?:{ZONE})?")


def _uuid_regex(node: StringNode) -> str:
    version = node.constraint("version")
    return UUID_TEXT % (("[0-9a-f]", "[0-9a-f]") if version is None else (format(int(version), "x"), "[89ab]"))


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """All that the rooms below and above need to know of one format of strings.

    Attributes:
        regex: The whole-string expression for a node of the format, without anchors.
        sample: A value's canonical spelling, whatever bounds a node has.
        in_texts: How texts spell such a value. `as_is`: like the record, so that a value that is not there is
            suspected to be made up; `code`: like the record, but it may follow from elsewhere; `otherwise`: in a form
            of their own, such as 5月1日 for a date.
        python_type: The type that a class is rebuilt with, bounds and counts included; `None` if `model_rebuilder` has
            a type of its own for the format.
        outline: Name of the value, if the expression knows no more than its outline.
    """

    regex: Callable[[StringNode], str]
    sample: str
    in_texts: Literal["as_is", "code", "otherwise"]
    python_type: Any = None
    outline: str | None = None


STRING_FORMATS: Mapping[StringFormat, FormatSpec] = MappingProxyType(
    {
        "date": FormatSpec(lambda node: DATE, "2024-05-17", "otherwise", date),
        "time": FormatSpec(lambda node: TIME + _zone_regex(node), "12:30:00", "otherwise", time),
        "datetime": FormatSpec(
            lambda node: f"{DATE}T{TIME}{_zone_regex(node)}", "2024-05-17T12:30:00", "otherwise", datetime
        ),
        "duration": FormatSpec(lambda node: DURATION, "PT1H30M", "otherwise", timedelta),
        "uuid": FormatSpec(_uuid_regex, "8a9f7c1e-0b5d-4c3a-9f4e-2d6b8a1c5e7f", "code", UUID),
        "decimal": FormatSpec(_decimal_regex, "1", "otherwise", Decimal),
        "email": FormatSpec(lambda node: EMAIL, "a@example.com", "as_is", outline="e-mail address"),
        "uri": FormatSpec(_uri_regex, "https://example.com/", "as_is", outline="URL"),
    }
)
"""Each format of strings; [How it works](docs/design.md) has the recipe for another one."""


def format_regex(node: StringNode) -> str | None:
    """The whole-string expression of a formatted string, without anchors; `None` for free text."""
    return None if node.format is None else STRING_FORMATS[node.format].regex(node)


def sample_text(node: StringNode) -> str:
    """Some text of a formatted string, whatever bounds it has."""
    assert node.format is not None, "free text has no sample"
    sample = STRING_FORMATS[node.format].sample
    if node.constraint("version"):
        return f"{sample[:14]}{node.constraint('version')}{sample[15:]}"
    if node.constraint("schemes"):
        return f"{str(node.constraint('schemes')).split(',')[0]}://example.com/"
    return sample + ("Z" if node.constraint("timezone") == "required" else "")
