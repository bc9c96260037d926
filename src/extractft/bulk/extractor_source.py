"""The extractor of a bulk run: a saved one, known by its hash and loaded when it is needed, or one in memory.

Knows extractors from outside; imports the room of extractors when one is loaded, since that takes a while.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import extractft
from extractft.artifact import load_manifest
from extractft.extractor.engine_registry import engine_kind, engine_name
from extractft.schema import Schema

__all__ = ["ExtractorSource"]

IN_MEMORY = "in memory"


@dataclass
class ExtractorSource:
    """An extractor, loaded or not.

    Attributes:
        identity: What it is, by content.
        schema: The schema of its records.
        name: Its name in batch responses.
        engine: What decodes.
        trained: Rates of its training data, `None` if they are not known.
    """

    identity: Mapping[str, Any]
    schema: Schema[Any]
    name: str
    engine: str
    trained: Mapping[str, Any] | None = None
    _path: Path | None = None
    _options: Mapping[str, Any] = field(default_factory=dict)
    _extractor: Any = None

    @classmethod
    def of(cls, extractor: Any, *, schema: Any = None, engine: Any = None, **options: Any) -> ExtractorSource:
        """The source that an argument names.

        Args:
            extractor: The directory of a saved extractor, or an `Extractor`.
            schema: The class of the records, for a saved one.
            engine: What decodes, for a saved one; this machine if `None`.
            **options: Further arguments of `Extractor.from_pretrained`.

        Raises:
            ArtifactError: The saved extractor is missing or damaged, or made for another schema.
        """
        if not isinstance(extractor, str | os.PathLike):
            return cls._in_memory(extractor)
        path = Path(extractor).expanduser()
        manifest = load_manifest(path, needed=engine_kind(engine).needed)
        if schema is None:
            spec = manifest.rebuild_schema()
        else:
            spec = Schema.of(schema, omit_defaults=manifest.config.prompt.omit_defaults)
            manifest.require_schema(spec)
        given = {"schema": schema, "engine": engine} | options
        identity = {
            "manifest_sha256": manifest.manifest_sha256,
            "schema_fingerprint": manifest.schema_fingerprint,
            "dtype": str(options.get("dtype") or "auto"),
        }
        return cls(
            identity,
            spec,
            path.name,
            engine_name(engine),
            manifest.field_rates,
            _path=path,
            _options={name: value for name, value in given.items() if value is not None},
        )

    @classmethod
    def _in_memory(cls, extractor: Any) -> ExtractorSource:
        schema: Schema[Any] = extractor.schema
        generation = getattr(extractor, "generation", None)
        seen = {
            "prompt": getattr(extractor, "system_prompt", ""),
            "generation": None if generation is None else generation.model_dump(mode="json"),
        }
        digest = hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()
        identity = {"manifest_sha256": IN_MEMORY, "schema_fingerprint": schema.fingerprint, "settings_sha256": digest}
        trained = getattr(extractor, "field_rates", None)
        return cls(identity, schema, schema.name, IN_MEMORY, trained, _extractor=extractor)

    def elsewhere(self) -> Callable[[], ExtractorSource]:
        """A function that finds the same on another machine: a saved one by its path, one in memory as a copy."""
        if self._path is None:
            return lambda: self
        path, options = os.path.abspath(self._path), dict(self._options)
        return lambda: ExtractorSource.of(path, **options)

    def load(self) -> Any:
        """The extractor."""
        if self._extractor is None:
            assert self._path is not None
            self._extractor = extractft.Extractor.from_pretrained(self._path, **self._options)
        return self._extractor
