"""The manifest of a saved extractor: schema, prompt, settings, base model and files.

A manifest holds its own hash and those of the files beside it. They reveal half a copy or a mix-up; they are no guard
against attackers, who can hash as well.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

import extractft.modeling
from extractft.config import TrainingConfig
from extractft.data.held_out_rule import HeldOutRange, HeldOutRule
from extractft.errors import ArtifactError, ArtifactMismatchError, SchemaError
from extractft.modeling.base_model_ref import BaseModelRef, ModelSource
from extractft.modeling.weight_digests import weights_digest
from extractft.prompt import ChatFrame
from extractft.schema import Schema
from extractft.schema.tree_serialisation import differences

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST_FILE",
    "PACKAGES",
    "BaseModelRecord",
    "FileRecord",
    "Manifest",
    "ModelShape",
    "content_digest",
]

FORMAT_VERSION: Literal[3] = 3
"""Version 1 had no hashes, no chat frame and no path of the base model; version 2 no shape of the model."""
MANIFEST_FILE = "manifest.json"
PACKAGES = ("extractft", "torch", "transformers", "peft", "llguidance", "pydantic", "tokenizers")


def content_digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's content, whatever its layout; its own entry does not count."""
    rest = {name: value for name, value in content.items() if name != "manifest_sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _path_inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or str(path) != name or {"..", ".", ""}.intersection(path.parts) or "\\" in name:
        raise ValueError("a path inside the directory")
    return name


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, AfterValidator(_path_inside)]


class ManifestPart(BaseModel):
    """Base class of the parts of a manifest: immutable, unknown names refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, populate_by_name=True
    )


class FileRecord(ManifestPart):
    """A file of a saved extractor, as it was written."""

    sha256: Sha256
    """Hash of its content."""
    size: int = Field(ge=0)
    """Length in bytes."""


class BaseModelRecord(ManifestPart):
    """The base model that an extractor was made with."""

    name: str
    """The name that the user gave."""
    source: ModelSource
    """The kind of place it came from."""
    revision: str | None
    """Commit of a hub model."""
    weights_sha256: str
    """Hash of its weights, which identifies it in any place; see `modeling.weights_digest`."""
    path: str | None = None
    """Absolute path of the directory or file that the user gave, if it was one."""
    transformers_name: str | None = None
    """The name under which transformers and PEFT find it: a hub id, or a directory of the machine that saved it."""

    @classmethod
    def of(cls, ref: BaseModelRef) -> Self:
        """Describe a base model of this machine; reads its weights if nothing else identifies them."""
        return cls(
            name=ref.name,
            source=ref.source,
            revision=ref.revision,
            weights_sha256=_weights_digest(ref),
            path=ref.origin,
            transformers_name=ref.hub_id or ref.path,
        )


class ModelShape(ManifestPart):
    """Sizes and ids of the model that whoever asks for its tokens has to know, without having it."""

    vocab_size: int = Field(ge=1)
    """Width of its logits, which may exceed the tokenizer's."""
    max_window: int = Field(ge=1)
    """Longest prompt and answer together, in tokens."""
    end_token_id: int = Field(ge=0)
    """The token that ends a record."""


class HeldOutPart(ManifestPart):
    """A range of ranks, see `data.held_out_rule`."""

    seed: int
    """Seed of the ranks."""
    start: str
    """Beginning of the range, as hexadecimal digits."""
    end: str
    """Its end; empty where there is none."""


class HeldOutRecord(ManifestPart):
    """The rows that an extractor was scored on, see `data.held_out_rule`."""

    ranges: tuple[HeldOutPart, ...]
    """Ranges of ranks; none if the rows were handed over by themselves."""
    rows: int
    """Number of the rows."""
    sha256: Sha256
    """Hash of all of them together."""


class Manifest(ManifestPart):
    """`manifest.json`: schema, prompt, settings, base model and files of a saved extractor."""

    format_version: Literal[1, 2, 3] = FORMAT_VERSION
    """Version of this layout."""
    created: AwareDatetime
    """When it was saved, in UTC."""
    adapter: bool
    """True if there is a trained adapter; an untrained baseline has none."""
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
    field_rates: dict[str, dict[str, float]] | None = None
    """Rates of the fields in the training data, which new texts are held against."""
    versions: dict[str, str]
    """Versions of Python and of the packages that shape the outcome."""
    chat_frame: ChatFrame | None = None
    """The chat template's own tokens as they were in training; rendered again if `None`."""
    model_shape: ModelShape | None = None
    """Sizes of the model, for clients of a server that has it; unknown if `None`."""
    columns: dict[str, str] | None = None
    """Column mapping of the data that it was trained on, ours to theirs."""
    held_out: HeldOutRecord | None = None
    """The rows that it was scored on and never trained on, said without saying anything of a single row."""
    files: dict[FileName, FileRecord] = {}
    """The files beside the manifest, by their path in the directory; written by `save_artifact`."""
    manifest_sha256: Sha256 | None = None
    """Hash of everything else in the manifest; written by `save_artifact`."""

    @model_validator(mode="after")
    def _first_format_has_no_hashes(self) -> Self:
        if self.format_version == 1 and (self.files or self.manifest_sha256 or self.chat_frame):
            raise ValueError("a manifest of format 1 has no hashes")
        return self

    @classmethod
    def create(
        cls,
        *,
        schema: Schema[Any],
        system_prompt: str,
        config: TrainingConfig,
        base_model: BaseModelRef | BaseModelRecord,
        metrics: Mapping[str, float] | None = None,
        calibration: Mapping[str, Any] | None = None,
        field_rates: Mapping[str, Mapping[str, float]] | None = None,
        adapter: bool = True,
        chat_frame: ChatFrame | None = None,
        model_shape: ModelShape | None = None,
        columns: Mapping[str, str] | None = None,
        held_out: HeldOutRule | None = None,
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
            base_model=base_model if isinstance(base_model, BaseModelRecord) else BaseModelRecord.of(base_model),
            metrics={name: float(value) for name, value in (metrics or {}).items() if math.isfinite(value)},
            calibration=None if calibration is None else dict(calibration),
            field_rates=None if field_rates is None else {path: dict(found) for path, found in field_rates.items()},
            versions={"python": platform.python_version()} | {name: _package_version(name) for name in PACKAGES},
            chat_frame=chat_frame,
            model_shape=model_shape,
            columns=None if columns is None else dict(columns),
            held_out=None if held_out is None else _held_out_record(held_out),
        )

    @property
    def held_out_rule(self) -> HeldOutRule | None:
        """The rows that it was scored on and never trained on, as far as they are known."""
        found = self.held_out
        if found is None:
            return None
        ranges = tuple(HeldOutRange(part.seed, part.start, part.end) for part in found.ranges)
        return HeldOutRule(ranges, found.rows, found.sha256)

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

    def locate_base_model(self) -> BaseModelRef:
        """Find the extractor's base model where it was.

        Raises:
            ArtifactNotFoundError: It is not there any more.
            ArtifactMismatchError: Other weights are there now.
            MissingDependencyError: A package is needed to fetch or convert it.
        """
        own = self.base_model
        locate_base_model = extractft.modeling.locate_base_model  # loads transformers
        ref = locate_base_model(own.name, own.source, revision=own.revision, origin=own.path)
        self.require_base_model(ref)
        return ref

    def require_base_model(self, ref: BaseModelRef) -> None:
        """Refuse a base model whose weights are not those of the extractor's own, wherever it lies now.

        Raises:
            ArtifactMismatchError: It is another one.
        """
        own = self.base_model
        if ref.source == "huggingface" and (ref.source, ref.name, ref.revision) == (own.source, own.name, own.revision):
            return  # the same commit of the same model: no need to read all of its weights
        found = _weights_digest(ref)
        if found == own.weights_sha256:
            return
        raise ArtifactMismatchError(
            f"Expected base model {own.name!r} with weights {own.weights_sha256[:12]}, "
            f"found {ref.name!r} with weights {found[:12]}.",
            expected=own.weights_sha256,
            found=found,
        ).hint("An adapter only works on the weights it was trained on. Give the same base model, or train again.")


def _held_out_record(rule: HeldOutRule) -> HeldOutRecord:
    parts = tuple(HeldOutPart(**found._asdict()) for found in rule.ranges)
    return HeldOutRecord(ranges=parts, rows=rule.rows, sha256=rule.sha256)


def _weights_digest(ref: BaseModelRef) -> str:
    try:
        return ref.weights_sha256 or weights_digest(ref.path)
    except OSError as error:
        raise ArtifactError(f"The weights of base model {ref.name!r} cannot be read: {error}.") from error


def _package_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
