"""Settings of a bulk run: those that shape its output, and are pinned by its manifest. Knows no files."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from extractft.config import Config

__all__ = ["BulkConfig"]


class BulkConfig(Config):
    """Settings that shape the output of a bulk run; a run that goes on must have the same.

    Example:
        ```python
        config = BulkConfig(text_column="消息", keep_columns=("编号",), format="jsonl")
        ```
    """

    id_column: str | None = None
    """Column with a name for each row, all of them different; row numbers if `None`."""
    text_column: str = "text"
    """Column with the texts; `a.b` is the field `b` of a nested column `a`."""
    keep_columns: tuple[str, ...] = ()
    """Columns of the input that go to the output as they are."""
    encoding: str | None = None
    """Encoding of text files; UTF-8 if `None`."""
    format: Literal["parquet", "jsonl", "batch"] = "parquet"
    """Form of the shards. `batch` reads and writes JSONL as the batch API of OpenAI has it, with `custom_id`."""
    explain: tuple[Literal["confidence", "spans"], ...] = ()
    """Columns beside each record: how sure the model was, and where each value stands in the text."""
    min_confidence: float | None = Field(default=None, ge=0, le=1)
    """Records that are less certain go to `review/`, with their texts."""
    shard_rows: int = Field(default=2_000, ge=1)
    """Rows in a shard at most: what a kill may cost is one shard."""
    shard_characters: int = Field(default=2**24, ge=1)
    """Characters of text in a shard, but for its last row: bounds the memory of long texts."""
    batch_size: int | None = Field(default=None, ge=1)
    """Texts that are decoded side by side; the extractor's setting if `None`."""
    reuse_equal: bool = True
    """Decode equal texts once, and use the record again."""
    show_texts: bool = False
    """Write the texts of rows that failed to `failed/`. Private data."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Explanations that have to be computed for every record."""
        wanted = {*self.explain} | ({"confidence"} if self.min_confidence is not None else set())
        return tuple(sorted(wanted))
