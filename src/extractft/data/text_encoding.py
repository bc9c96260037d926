"""Decode bytes of any encoding to lines of text, and guess encodings other than UTF-8. Knows no file format."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterator
from typing import IO

from extractft.data.column_names import display_name
from extractft.data.raw_row import NumberedText, RowIssue
from extractft.errors import DatasetError

__all__ = [
    "LONGEST_LINE",
    "SAY_THE_ENCODING",
    "SUSPICIOUS_ISSUES",
    "decode_bytes",
    "decode_lines",
    "encoding_doubt",
    "encoding_hint",
    "guess_encoding",
    "normalize_encoding",
]

LONGEST_LINE = 2**26
"""Most bytes (or characters) of one line: 64 MiB. A few kilobytes of gzip may hold a line of a gigabyte."""
CHUNK = 2**16
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
STATEFUL = ("utf-7", "hz", "iso2022")
USUAL_LEADS = {
    "euc_kr": (range(0xB0, 0xC9),),
    "gb18030": (range(0xA1, 0xA4), range(0xB0, 0xD8)),
    "big5": (range(0xA1, 0xA4), range(0xA4, 0xC7)),
    "shift_jis": (range(0x81, 0x84), range(0x88, 0x98)),
}
"""First bytes of the characters that texts in these encodings mostly consist of."""
FIRST_SECOND = {"euc_kr": 0xA1, "gb18030": 0xA1, "big5": 0x40, "shift_jis": 0x40}
"""The least second byte of those characters."""
SAY_THE_ENCODING = (
    "Say the encoding: load_examples(path, schema, encoding='gb18030') for fit, iter_texts(path, encoding='gb18030') "
    "for extract_many, on the command line --encoding gb18030; or save the file as UTF-8"
)
"""Advice for files in another encoding, for one that is often meant; ends without a full stop."""
SUSPICIOUS_ISSUES = frozenset({"missing_column", "invalid_json"})
"""Kinds of issues that rows have which were decoded to garbage."""
SIMILAR_ENCODINGS = {
    "utf-8": {"utf-8", "utf-8-sig"},
    "gb18030": {"gb18030", "gbk", "gb2312"},
    "big5": {"big5", "big5hkscs", "cp950"},
    "shift_jis": {"shift_jis", "cp932"},
    "euc_kr": {"euc_kr", "cp949"},
    "cp1252": {"cp1252", "iso8859-1", "iso8859-15"},
}
"""Encodings by Python's names for them in which texts that look like one of them may well be."""
FOUND_USUAL = 0.9
FOUND_LETTERS = 0.75


def normalize_encoding(name: str | None) -> str | None:
    """Python's own name of an encoding.

    Raises:
        DatasetError: Python does not know it.
    """
    if name is None:
        return None
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except (LookupError, ValueError, TypeError) as error:
        raise DatasetError(f"encoding: expected the name of an encoding, found {display_name(name)}").hint(
            "Such as 'utf-8', 'gb18030' (Chinese Windows), 'cp1252' (Western European Windows) or 'utf-16'."
        ) from error


def decode_lines(stream: IO[bytes], name: str, encoding: str | None = None) -> Iterator[NumberedText]:
    """Numbered lines without a byte order mark, line ends kept; a line that cannot be decoded gives an issue.

    Lines end with a line feed alone: texts may well hold the other separators that `str.splitlines` knows.

    Args:
        stream: Binary, at its beginning.
        name: What messages call it.
        encoding: How it is written; a byte order mark overrules it, and without either it is UTF-8.

    Raises:
        DatasetError: The stream is in a wide encoding such as UTF-16 that was not given, or not in the one that was.
    """
    first = stream.readline(LONGEST_LINE + 1)
    if encoding is None and not _encoding_of_mark(first) and _is_mostly_nul(first):
        raise DatasetError(f"{name}: expected UTF-8, found UTF-16 without a byte order mark").hint(encoding_hint(first))
    encoding = _encoding_of_mark(first) or normalize_encoding(encoding) or "utf-8"
    if not _is_split_at_newline_bytes(encoding):
        yield from _wide_lines(stream, first, name, encoding)
        return
    for number, line in _byte_lines(stream, first):
        if line is None:
            issue = RowIssue(number, "too_long", f"the line is longer than {LONGEST_LINE >> 20} MiB")
            yield NumberedText(number, issue)
            continue
        try:
            text = line.decode(encoding)
        except UnicodeError as error:
            place = error.start if isinstance(error, UnicodeDecodeError) else 0
            issue = RowIssue(number, "encoding", _decoding_problem(line, encoding, place), value=line)
            yield NumberedText(number, issue)
        else:
            yield NumberedText(number, text.removeprefix("\ufeff") if number == 1 else text)


def decode_bytes(content: bytes, encoding: str | None = None) -> str:
    """The text of a whole file, without a byte order mark.

    Raises:
        UnicodeError: It is in another encoding.
    """
    return content.decode(_encoding_of_mark(content) or normalize_encoding(encoding) or "utf-8").removeprefix("\ufeff")


def encoding_hint(content: bytes) -> str:
    """A hint for bytes that are not in the expected encoding."""
    guess = guess_encoding(content)
    looks = f"This looks like {guess.upper()}. " if guess else ""
    return f'{looks}{SAY_THE_ENCODING.replace("gb18030", guess or "gb18030")} (in spreadsheet programs: "CSV UTF-8").'


def encoding_doubt(content: bytes, encoding: str | None) -> str:
    """A hint where names are not found in bytes that decode, though perhaps to garbage; empty without reason to doubt.

    Args:
        content: The beginning of the file.
        encoding: The encoding that the user gave.
    """
    if encoding is None or content.isascii() or _encoding_of_mark(content):
        return ""
    given = codecs.lookup(encoding).name
    likely = "utf-8" if _is_utf8(content) else guess_encoding(content)
    if likely and given in SIMILAR_ENCODINGS.get(likely, {likely}):
        return ""
    looks = f"it looks like {likely.upper()} rather than {given}" if likely else f"perhaps it is not {given}"
    return f"If names or texts look garbled, the encoding is another: {looks}."


def guess_encoding(content: bytes) -> str | None:
    """The encoding that bytes which are not UTF-8 are most likely in; `None` if none of the usual ones fits."""
    sample = content[:CHUNK]
    if _is_mostly_nul(sample):
        return "utf-16-le" if sample[1::2].count(0) >= sample[::2].count(0) else "utf-16-be"
    scores = {encoding: _share_of_usual(sample, encoding) for encoding in USUAL_LEADS}
    best = max(scores, key=lambda encoding: scores[encoding])
    if scores[best] >= FOUND_USUAL:
        return best
    return "cp1252" if _share_of_letters(sample) >= FOUND_LETTERS else None


def _is_utf8(content: bytes) -> bool:
    """True if bytes are UTF-8; the last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return False
    return True


def _is_mostly_nul(content: bytes) -> bool:
    return content[:CHUNK].count(0) > len(content[:CHUNK]) // 4


def _encoding_of_mark(content: bytes) -> str | None:
    return next((encoding for mark, encoding in MARKS if content.startswith(mark)), None)


def _is_split_at_newline_bytes(encoding: str) -> bool:
    """True if a byte 10 is always a line end, so that lines can be split before they are decoded."""
    plain = "\r\n\t ,;abc"
    codec = codecs.lookup(encoding).name
    return not codec.startswith(STATEFUL) and plain.encode(encoding).endswith(plain.encode("ascii"))


def _byte_lines(stream: IO[bytes], line: bytes) -> Iterator[tuple[int, bytes | None]]:
    number = 0
    while line:
        number += 1
        if len(line) <= LONGEST_LINE:
            yield number, line
        else:
            while line and not line.endswith(b"\n"):
                line = stream.readline(LONGEST_LINE)
            yield number, None
        line = stream.readline(LONGEST_LINE + 1)


def _wide_lines(stream: IO[bytes], first: bytes, name: str, encoding: str) -> Iterator[NumberedText]:
    number = 1
    try:
        for line in _split_lines(stream, first, encoding):
            if len(line) > LONGEST_LINE:
                raise DatasetError(f"{name}: line {number} is longer than {LONGEST_LINE >> 20} MiB")
            yield NumberedText(number, line.removeprefix("\ufeff") if number == 1 else line)
            number += 1
    except UnicodeError as error:  # not only its kind for decoding: the codec of UTF-16 misses a byte order mark
        place = f"after line {number - 1}" if number > 1 else "in the first line"
        raise DatasetError(f"{name}: expected {encoding.upper()}, found something else {place}").hint(
            encoding_hint(first)
        ) from error


def _split_lines(stream: IO[bytes], first: bytes, encoding: str) -> Iterator[str]:
    """Lines of a stream that has to be decoded before it can be split; too long ones are cut off."""
    decoder = codecs.getincrementaldecoder(encoding)()
    parts: list[str] = []
    size = 0
    chunk = first
    while chunk:
        *ends, rest = decoder.decode(chunk).split("\n")
        for end in ends:
            yield "".join([*parts, end, "\n"])
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        if size > LONGEST_LINE:
            break
        chunk = stream.read(CHUNK)
    if size <= LONGEST_LINE:
        parts.append(decoder.decode(b"", final=True))
    if any(parts):
        yield "".join(parts)


def _decoding_problem(line: bytes, encoding: str, place: int) -> str:
    guess = guess_encoding(line) if encoding.startswith("utf-8") else None
    found = f"what looks like {guess.upper()}" if guess else "something else"
    expected = "UTF-8" if encoding.startswith("utf-8") else encoding
    return f"expected {expected}, found {found} at byte {place + 1} of the line"


def _share_of_usual(content: bytes, encoding: str) -> float:
    try:
        # The sample may end within a character.
        text = codecs.getincrementaldecoder(encoding)().decode(content)
    except UnicodeDecodeError:
        return 0.0
    foreign = [char.encode(encoding) for char in text if not char.isascii()]
    usual = sum(_is_usual(char, encoding) for char in foreign)
    return usual / len(foreign) if foreign else 0.0


def _is_usual(char: bytes, encoding: str) -> bool:
    if len(char) != 2 or char[1] < FIRST_SECOND[encoding]:
        return False
    return any(char[0] in leads for leads in USUAL_LEADS[encoding])


def _share_of_letters(content: bytes) -> float:
    """Of the bytes above ASCII, the share that are Latin letters or usual marks in Windows-1252, single ones only."""
    high = [index for index, byte in enumerate(content) if byte >= 0x80]
    alone = sum(
        (content[index] >= 0xC0 or unicodedata.category(bytes([content[index]]).decode("cp1252", "replace"))[0] in "PS")
        and (index == 0 or content[index - 1] < 0x80)
        for index in high
    )
    return alone / len(high) if high else 0.0
