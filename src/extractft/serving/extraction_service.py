"""The extractors of one service under their names, and the one way that anything in it asks them.

Knows extractors; knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from extractft.errors import ConfigError
from extractft.extractor import Extraction, Extractor
from extractft.serving.server_config import ServerConfig

__all__ = ["ExtractionService"]

FORBIDDEN = frozenset("/\\?#%{}")
"""Characters that a name in a path cannot have."""


class ExtractionService:
    """Asks extractors for records on an event loop. Concurrent requests join one running batch of their extractor.

    Args:
        extractors: Extractors by the name that they have in addresses.
        settings: Settings of the service.

    Raises:
        ConfigError: There is no extractor, or a name cannot stand in an address.
    """

    def __init__(self, extractors: Mapping[str, Extractor[Any]], settings: ServerConfig) -> None:
        if not extractors:
            raise ConfigError("Expected at least one extractor to serve, found none.")
        for name in extractors:
            _require_name(name)
        self._extractors = dict(extractors)
        self.settings = settings

    def __iter__(self) -> Iterator[str]:
        return iter(self._extractors)

    def __getitem__(self, name: str) -> Extractor[Any]:
        return self._extractors[name]

    async def inspect(self, name: str, text: str, *, explain: Collection[str] = ()) -> Extraction[Any]:
        """Extract from one text. Cancelling the caller cancels the decoding.

        Args:
            name: The extractor.
            text: The text.
            explain: Parts to compute, of `"confidence"` and `"spans"`.

        Raises:
            KeyError: There is no such extractor.
            ExtractionError: There is no valid record.
        """
        return await self[name].ainspect(text, explain=explain)


def _require_name(name: str) -> None:
    if not name or name in (".", "..") or FORBIDDEN & set(name) or not name.isprintable() or name != name.strip():
        raise ConfigError(f"Expected a name of an extractor that can stand in an address, found {name!r}.").hint(
            "The name is that of the directory, or the one given as NAME=DIRECTORY."
        )
