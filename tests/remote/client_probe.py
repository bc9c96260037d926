"""An extractor that is here, and the questions that it would put to a server."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from extractft import Extractor
from extractft.extractor.client import server_probe
from extractft.remote import ServerProbe


def probe_of(extractor: Extractor[Any]) -> ServerProbe:
    """The questions of an extractor that is here, as one that was saved asks them."""
    runner = extractor._pipeline
    return server_probe(extractor._own_base().tokenizer, runner.chat, runner.grammar, extractor.schema)


class Order(BaseModel):
    """An order."""

    item: str
    kind: Literal["a", "b"] = "a"
    note: str | None = None
