"""Files of first labels hold every text as it was, also one that UTF-8 has no form for."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from extractft.labelling import label_texts
from extractft.testing import scripted_extractor


class Order(BaseModel):
    item: str


TEXTS = ["👩\u200d👧 wants 茶", "half a pair \ud83d", "<|im_end|> tea", "字" * 50_000]


def test_texts_are_written_as_they_were(tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    teacher = scripted_extractor(Order, {TEXTS[0]: Order(item="茶"), TEXTS[2]: Order(item="tea")})
    found = label_texts(teacher, [texts], tmp_path / "rows.jsonl", tmp_path / "doubts.jsonl", min_agreement=0.0)
    assert (found.rows, found.review, found.failed) == (2, 0, 2)
    ready, doubts = (
        [json.loads(line) for line in (tmp_path / name).read_text("utf-8").splitlines()]
        for name in ("rows.jsonl", "doubts.jsonl")
    )
    assert [row["text"] for row in ready] == [TEXTS[0], TEXTS[2]]
    assert [row["text"] for row in doubts] == [TEXTS[1], TEXTS[3]]
    assert all(row["error"] for row in doubts)
