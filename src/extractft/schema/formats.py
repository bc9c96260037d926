"""How values that JSON has no type for are spelled in strings, and the regular expressions of these spellings.

Each format has one spelling: what a writer here produces is what the expression accepts and what Pydantic parses.
Calendar truth (29 February) and bounds are left to Pydantic. Knows nothing of schemas.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from extractft.schema.nodes import StringNode

__all__ = [
    "INTEGER_KEY",
    "IPV4",
    "Unwritable",
    "date_text",
    "datetime_text",
    "decimal_text",
    "duration_text",
    "float_text",
    "format_regex",
    "time_text",
]

YEAR = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
MONTH_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|[12][0-9]))"
)
DATE = rf"{YEAR}-{MONTH_DAY}"
TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{0,5}[1-9])?"
ZONE = r"(?:Z|[+-](?:00:(?:0[1-9]|[1-5][0-9])|(?:0[1-9]|1[0-9]|2[0-3]):[0-5][0-9]))"
SECONDS = r"[0-9]{1,9}(?:\.[0-9]{0,5}[1-9])?S"
CLOCK = rf"T(?:[0-9]{{1,9}}H(?:[0-9]{{1,9}}M)?(?:{SECONDS})?|[0-9]{{1,9}}M(?:{SECONDS})?|{SECONDS})"
DURATION = rf"-?P(?:[0-9]{{1,7}}Y(?:[0-9]{{1,9}}D)?(?:{CLOCK})?|[0-9]{{1,9}}D(?:{CLOCK})?|{CLOCK})"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-%s[0-9a-f]{3}-%s[0-9a-f]{3}-[0-9a-f]{12}"
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

_POSITIONAL = 40
"""Decimals with more leading or trailing zeros than this are spelled with an exponent."""


class Unwritable(Exception):
    """A value does not fit its place in the tree. Says why without quoting the value.

    Never reaches the user: the facade turns it into a `SchemaError`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []


def format_regex(node: StringNode) -> str | None:
    """The whole-string expression of a formatted string, without anchors; `None` for free text."""
    zone = {"required": ZONE, "forbidden": ""}.get(str(node.constraint("timezone")), f"(?:{ZONE})?")
    match node.format:
        case "date":
            return DATE
        case "time":
            return TIME + zone
        case "datetime":
            return f"{DATE}T{TIME}{zone}"
        case "duration":
            return DURATION
        case "uuid":
            version = node.constraint("version")
            return UUID % (("[0-9a-f]", "[0-9a-f]") if version is None else (format(int(version), "x"), "[89ab]"))
        case "decimal":
            return _decimal_regex(node)
        case "email":
            return EMAIL
        case "uri":
            return _uri_regex(node)
        case None:
            return None


def _uri_regex(node: StringNode) -> str:
    if not node.constraint("schemes"):
        return URI % SCHEME
    schemes = str(node.constraint("schemes")).split(",")
    return (WEB if set(schemes) <= WEB_SCHEMES else URI) % ("(?:" + "|".join(map(re.escape, schemes)) + ")")


def _decimal_regex(node: StringNode) -> str:
    digits, places = node.constraint("max_digits"), node.constraint("decimal_places")
    sign = "" if _non_negative(node) else "-?"
    if digits is None and places is None:
        return rf"{sign}(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:E[+-][0-9]{{1,10}})?"
    whole_digits = None if digits is None else int(digits) - int(places or 0)
    whole = "[0-9]*" if whole_digits is None else f"[0-9]{{0,{max(whole_digits - 1, 0)}}}"
    whole = "0" if whole_digits is not None and whole_digits <= 0 else f"(?:0|[1-9]{whole})"
    limit = int(digits or 0) if places is None else int(places)
    if not limit:
        return f"{sign}{whole}"
    # Pydantic counts the 0 of `0` as a whole digit, but not that of `0.1`
    return rf"{sign}{whole}(?:\.[0-9]{{1,{limit}}})" + ("" if whole == "0" else "?")


def _non_negative(node: StringNode) -> bool:
    bounds = [node.constraint("ge"), node.constraint("gt")]
    return any(Decimal(str(bound)) >= 0 for bound in bounds if bound is not None)


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


def decimal_text(value: Decimal, *, positional: bool = False) -> str:
    """`12.50`: the digits as they are, an exponent only where there would be more than 40 zeros.

    `positional` forbids the exponent altogether, for decimals whose digits are counted.
    """
    if not value.is_finite():
        raise Unwritable("a decimal has to be finite; JSON has no NaN or infinity")
    exponent = value.as_tuple().exponent
    if value == 0:
        value = abs(value)
    assert isinstance(exponent, int)
    if positional or (exponent <= _POSITIONAL and value.adjusted() >= -_POSITIONAL):
        return format(value, "f")
    return format(value, "E")


def float_text(value: float) -> str:
    """Shortest digits that read back as the same number, never with an exponent: `0.00001`, `5.0`."""
    text = repr(value)
    if "e" in text:
        text = format(Decimal(text), "f")
        text = text if "." in text else text + ".0"
    return text
