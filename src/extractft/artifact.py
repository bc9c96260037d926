"""A saved extractor on disk: manifest, adapter, tokenizer. The contract between training and decoding.

The directory is an ordinary PEFT adapter with a tokenizer, and `manifest.json` says what it extracts, with which
prompt, settings and base model. Whole or not there: it is written beside its place and moved. Knows files, not how
anything in them is computed.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from peft import PeftModel
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from extractft.config import TrainingConfig
from extractft.errors import ArtifactError, ArtifactMismatchError, ArtifactNotFoundError, SchemaError
from extractft.modeling import BaseModelRef, Source, weights_digest
from extractft.schema import Schema
from extractft.schema.serialise import differences

__all__ = [
    "FORMAT_VERSION",
    "BaseModelRecord",
    "Manifest",
    "load_drafts",
    "load_manifest",
    "require_replaceable",
    "save_artifact",
]

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"
CARD_FILE = "README.md"
ADAPTER_CONFIG_FILE = "adapter_config.json"
DRAFTS_FILE = "drafts.safetensors"
OWN_FILES = frozenset(
    {
        MANIFEST_FILE,
        CARD_FILE,
        ADAPTER_CONFIG_FILE,
        DRAFTS_FILE,
        "adapter_model.safetensors",
        "added_tokens.json",
        "additional_chat_templates",
        "chat_template.jinja",
        "merges.txt",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocab.json",
    }
)
"""What some version of extractft may have written into the directory. Everything else in it is the user's."""
PACKAGES = ("extractft", "torch", "transformers", "peft", "llguidance", "pydantic", "tokenizers")
CARD = """\
---
library_name: peft
{front}tags:
- information-extraction
- extractft
---

# {name}

Extracts validated `{name}` records from text: a LoRA adapter for `{base}`, made by extractft {version}.

```python
from extractft import Extractor

extractor = Extractor.from_pretrained("path/to/this/directory")
record = extractor.extract(text)
```

`manifest.json` holds the schema, the system prompt, the settings and the versions it was made with.
{metrics}"""


class Record(BaseModel):
    """Base of what the manifest is made of: immutable, unknown names refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, populate_by_name=True
    )


class BaseModelRecord(Record):
    """The base model that an extractor was made with."""

    name: str
    """What the user called it."""
    source: Source
    """Where it came from."""
    revision: str | None
    """Commit of a hub model."""
    weights_sha256: str
    """Hash of its weights, which identifies it wherever it lies; see `modeling.weights_digest`."""


class Manifest(Record):
    """What a saved extractor is; `manifest.json`."""

    format_version: int = FORMAT_VERSION
    """Version of this layout."""
    created: AwareDatetime
    """When it was saved, in UTC."""
    adapter: bool
    """Whether there is a trained adapter; an untrained baseline has none."""
    schema_data: dict[str, Any] = Field(alias="schema")
    """The schema, complete enough to rebuild the classes (`Schema.to_dict()`)."""
    schema_fingerprint: str
    """Fingerprint of the schema."""
    system_prompt: str
    """The system prompt, as rendered for training."""
    config: TrainingConfig
    """The settings, every default filled in."""
    base_model: BaseModelRecord
    """The base model."""
    metrics: dict[str, float]
    """Scores on the held-out rows."""
    calibration: dict[str, Any] | None = None
    """Curves that make confidences believable, fitted on the held-out rows."""
    versions: dict[str, str]
    """Versions of Python and of the packages that shape the outcome."""

    @classmethod
    def create(
        cls,
        *,
        schema: Schema[Any],
        system_prompt: str,
        config: TrainingConfig,
        base_model: BaseModelRef,
        metrics: Mapping[str, float] | None = None,
        calibration: Mapping[str, Any] | None = None,
        adapter: bool = True,
    ) -> Self:
        """Describe an extractor that is about to be saved; `save_artifact` corrects `adapter` by the model it gets.

        Metrics that are not finite are left out: JSON has no way to write them.
        """
        return cls(
            created=datetime.now(UTC).replace(microsecond=0),
            adapter=adapter,
            schema_data=schema.to_dict(),
            schema_fingerprint=schema.fingerprint,
            system_prompt=system_prompt,
            config=config,
            base_model=BaseModelRecord(
                name=base_model.name,
                source=base_model.source,
                revision=base_model.revision,
                weights_sha256=base_model.weights_sha256 or weights_digest(base_model.path),
            ),
            metrics={name: float(value) for name, value in (metrics or {}).items() if math.isfinite(value)},
            calibration=None if calibration is None else dict(calibration),
            versions={"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        )

    def rebuild_schema(self) -> Schema[Any]:
        """The schema with classes made from the manifest, for use without the user's own.

        Raises:
            ArtifactError: The schema in the manifest is damaged.
            ArtifactMismatchError: It is not the one that the extractor was made for.
        """
        try:
            schema: Schema[Any] = Schema.from_dict(self.schema_data)
        except (SchemaError, LookupError, TypeError, AttributeError, ValueError) as error:
            raise ArtifactError(
                f"Expected the schema in {MANIFEST_FILE} as it was saved, found it damaged ({type(error).__name__})."
            ).hint("Give the class instead: from_pretrained(path, schema=...).") from error
        self.require_schema(schema)
        return schema

    def require_schema(self, schema: Schema[Any]) -> None:
        """Refuse a schema that is not the extractor's.

        Raises:
            ArtifactMismatchError: The fingerprints differ; the message names the first places that do.
        """
        if schema.fingerprint == self.schema_fingerprint:
            return
        places = list(differences(self.schema_data, schema.to_dict()))
        where = f" They differ at {', '.join(places[:5])}." if places else ""
        raise ArtifactMismatchError(
            f"Expected the schema that the extractor was made for ({self.schema_data.get('name')}, fingerprint "
            f"{self.schema_fingerprint[:12]}), found {schema.name}, fingerprint {schema.fingerprint[:12]}.{where}",
            expected=self.schema_fingerprint,
            found=schema.fingerprint,
        ).hint("Leave the schema out to use the saved one, or train again for the new one.")

    def require_base_model(self, ref: BaseModelRef) -> None:
        """Refuse a base model whose weights are not those of the extractor's own, wherever it lies now.

        Raises:
            ArtifactMismatchError: It is another one.
        """
        own = self.base_model
        if ref.source == "huggingface" and (ref.source, ref.name, ref.revision) == (own.source, own.name, own.revision):
            return  # the same commit of the same model: no need to read all of its weights
        found = ref.weights_sha256 or weights_digest(ref.path)
        if found == own.weights_sha256:
            return
        raise ArtifactMismatchError(
            f"Expected base model {own.name!r} with weights {own.weights_sha256[:12]}, "
            f"found {ref.name!r} with weights {found[:12]}.",
            expected=own.weights_sha256,
            found=found,
        ).hint("An adapter only works on the weights it was trained on. Give the same base model, or train again.")


def save_artifact(
    path: str | Path,
    *,
    manifest: Manifest,
    model: PeftModel | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    drafts: bytes | None = None,
) -> None:
    """Write a saved extractor, whole or not at all.

    An extractor that is already there is replaced; files of other names in its directory are kept.

    Args:
        path: The directory to make.
        manifest: What the extractor is.
        model: The adapted model, or the plain base model, of which nothing is written.
        tokenizer: The base model's tokenizer.
        drafts: What drafts know before the first record, if anything.

    Raises:
        ArtifactError: The directory holds something else, or cannot be written.
    """
    target = Path(path).expanduser().resolve()
    require_replaceable(target)
    manifest = manifest.model_copy(update={"adapter": isinstance(model, PeftModel)})
    try:
        with _moved_into_place(target) as directory:
            if isinstance(model, PeftModel):
                _write_adapter(directory, model, manifest.base_model)
            tokenizer.save_pretrained(directory)
            text = manifest.model_dump_json(by_alias=True, indent=2)
            (directory / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")
            if drafts is not None:
                (directory / DRAFTS_FILE).write_bytes(drafts)
            (directory / CARD_FILE).write_text(_card(manifest), encoding="utf-8")
    except OSError as error:
        raise ArtifactError(f"Expected to write an extractor to {path}, found: {error}.") from error


def load_manifest(path: str | Path) -> Manifest:
    """Read the manifest of a saved extractor.

    Raises:
        ArtifactNotFoundError: There is no directory, or no extractor in it.
        ArtifactMismatchError: A newer extractft wrote it.
        ArtifactError: The manifest is damaged.
    """
    directory = Path(path).expanduser()
    if not directory.is_dir():
        raise ArtifactNotFoundError(f"Expected a saved extractor in {directory}, found no such directory.").hint(
            "Extractors are directories written by `save_pretrained`; they are not fetched from a hub."
        )
    try:
        content = json.loads((directory / MANIFEST_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactNotFoundError(
            f"Expected a saved extractor in {directory}, found {_what_is(directory)}, without {MANIFEST_FILE}."
        ).hint("Give the directory that `save_pretrained` wrote.") from error
    except (OSError, ValueError) as error:
        raise _damaged(directory, str(error)) from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ArtifactMismatchError(
            f"Expected an extractor of format {FORMAT_VERSION} or older in {directory}, found format {version}.",
            expected=f"format {FORMAT_VERSION}",
            found=f"format {version}",
        ).hint("A newer extractft saved it: pip install --upgrade extractft")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        places = ", ".join(f"{'.'.join(map(str, e['loc'])) or 'the whole'} ({e['type']})" for e in error.errors())
        raise _damaged(directory, places) from error


def load_drafts(path: str | Path) -> bytes | None:
    """What the drafts of a saved extractor know before the first record; `None` if it was saved without."""
    try:
        return (Path(path).expanduser() / DRAFTS_FILE).read_bytes()
    except FileNotFoundError:
        return None


@contextmanager
def _moved_into_place(target: Path) -> Iterator[Path]:
    """A new directory beside `target` that takes its place when the block ends well, and vanishes otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:8]
    new, old = (target.with_name(f".{target.name}.{mark}.{kind}") for kind in ("new", "old"))
    new.mkdir()
    try:
        yield new
        if not target.exists():
            os.rename(new, target)
            return
        os.rename(target, old)
        try:
            os.rename(new, target)
        except OSError:
            os.rename(old, target)
            raise
        for entry in old.iterdir():
            if entry.name not in OWN_FILES and not (target / entry.name).exists():
                os.rename(entry, target / entry.name)
        shutil.rmtree(old)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def require_replaceable(target: Path) -> None:
    """Refuse a place where `save_artifact` would have to replace what is no saved extractor.

    Raises:
        ArtifactError: There is a file, or a directory of other things.
    """
    if target.is_dir() and ((target / MANIFEST_FILE).is_file() or not any(target.iterdir())):
        return
    if target.exists():
        found = _what_is(target) if target.is_dir() else "a file"
        raise ArtifactError(f"Expected a new directory or a saved extractor at {target}, found {found}.").hint(
            "Save under another name; nothing but an older extractor is ever replaced."
        )


def _write_adapter(directory: Path, model: PeftModel, base_model: BaseModelRecord) -> None:
    """PEFT's own files, naming the base model as the user did instead of by a path of this machine."""
    model.save_pretrained(str(directory), safe_serialization=True, save_embedding_layers=False)
    file = directory / ADAPTER_CONFIG_FILE
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base_model.name
    config["revision"] = base_model.revision
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # PEFT keeps a set: the order changes from run to run
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _card(manifest: Manifest) -> str:
    base = manifest.base_model
    rows = "".join(f"| {name} | {value:.4g} |\n" for name, value in sorted(manifest.metrics.items()))
    return CARD.format(
        front=f"base_model: {base.name}\n" if base.source == "huggingface" else "",
        name=manifest.schema_data.get("name", "record"),
        base=base.name,
        version=manifest.versions["extractft"],
        metrics=f"\n| metric on held-out rows | value |\n| --- | ---: |\n{rows}" if rows else "",
    )


def _what_is(directory: Path) -> str:
    if (directory / ADAPTER_CONFIG_FILE).is_file():
        return "a PEFT adapter"
    if (directory / "config.json").is_file():
        return "a base model"
    return "other files" if any(directory.iterdir()) else "an empty directory"


def _damaged(directory: Path, found: str) -> ArtifactError:
    return ArtifactError(f"Expected a readable {MANIFEST_FILE} in {directory}, found faults: {found}.").hint(
        "Copy the extractor again, or save it again; it is not meant to be edited by hand."
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
