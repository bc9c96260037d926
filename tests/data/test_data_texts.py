from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extractft.data import Example, iter_text_rows, iter_texts, load_examples, write_jsonl
from extractft.errors import DatasetError, RowIssue
from extractft.schema import Schema

TEXTS = ["甲，乙", "quote \" and 'quote'", "🧾 three"]


def _files(folder: Path) -> Iterator[Path]:
    def file(name: str, content: str) -> Path:
        (folder / name).write_text(content, encoding="utf-8")
        return folder / name

    yield file("a.txt", "\ufeff" + "\r\n\n".join(TEXTS))
    yield file("a.jsonl", "\n".join(json.dumps({"id": 1, "text": t}) for t in TEXTS))
    yield file("b.jsonl", "\n".join(json.dumps(t) for t in TEXTS))
    yield file("a.json", json.dumps(TEXTS))
    yield file("a.csv", "text\n" + "\n".join('"' + t.replace('"', '""') + '"' for t in TEXTS))
    pq.write_table(pa.table({"text": TEXTS}), folder / "a.parquet")
    yield folder / "a.parquet"


def test_texts_of_every_format(tmp_path: Path) -> None:
    for path in _files(tmp_path):
        assert list(iter_texts(path)) == TEXTS, path.name
        assert list(iter_texts(str(path), column="text")) == TEXTS
        numbers = {".txt": [1, 3, 5], ".csv": [2, 3, 4]}.get(path.suffix, [1, 2, 3])
        assert [number for number, _ in iter_text_rows(path)] == numbers


def test_streams() -> None:
    assert list(iter_texts(io.BytesIO("\n".join(TEXTS).encode()))) == TEXTS
    lines = "\n".join(json.dumps({"body": t}) for t in TEXTS).encode()
    assert list(iter_texts(io.BytesIO(b"\n" + lines), column="body")) == TEXTS
    assert list(iter_texts(io.BytesIO(b"first\n{second\n"))) == ["first", "{second"]
    assert list(iter_texts(io.BytesIO(b""))) == []


def test_reading_is_lazy(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{broken\n', encoding="utf-8")
    texts = iter_texts(tmp_path / "a.jsonl")
    assert next(texts) == "a"
    with pytest.raises(DatasetError) as caught:
        next(texts)
    assert caught.value.issues[0].row == 2


def test_bad_rows_spoil_only_themselves(tmp_path: Path) -> None:
    rows = ['{"text": "a"}', "{broken", '{"body": "a"}', '{"text": " "}', '{"text": 3}', '{"text": "b"}']
    (tmp_path / "a.jsonl").write_bytes("\n".join(rows).encode() + b"\n\xff\n")
    found = list(iter_text_rows(tmp_path / "a.jsonl"))
    assert [(n, t.kind if isinstance(t, RowIssue) else t) for n, t in found] == [
        (1, "a"),
        (2, "invalid_json"),
        (3, "missing_column"),
        (4, "empty_text"),
        (5, "invalid_text"),
        (6, "b"),
        (7, "encoding"),
    ]


def test_files_are_checked_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("body\nx\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="expected a column 'text', found only 'body'"):
        iter_texts(tmp_path / "a.csv")
    with pytest.raises(DatasetError, match="no such file") as caught:
        iter_texts(tmp_path / "b.csv")
    assert ".txt" in caught.value.__notes__[0]


def test_write_jsonl(tmp_path: Path) -> None:
    schema = Schema.of(list[str])
    examples = [Example(text, [text[:2]]) for text in TEXTS]
    for name in ("a.jsonl", "a.jsonl.gz"):
        assert write_jsonl(tmp_path / name, iter(examples), schema) == 3
        assert load_examples(tmp_path / name, schema) == examples
    assert "甲，乙" in (tmp_path / "a.jsonl").read_text(encoding="utf-8")


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    schema = Schema.of(list[str])
    path = tmp_path / "a.jsonl"
    path.write_text("old", encoding="utf-8")

    def broken() -> Iterator[Example[list[str]]]:
        yield Example("a", ["a"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_jsonl(path, broken(), schema)
    assert path.read_text(encoding="utf-8") == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]
