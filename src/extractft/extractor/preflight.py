"""Checks of a run before compute is spent: starting point and place to write. Knows no model."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from extractft.artifact import Manifest, load_manifest, require_replaceable
from extractft.config import LoRAConfig, PromptConfig, TrainingConfig
from extractft.data import LoadedExamples
from extractft.errors import ArtifactMismatchError, DatasetError, SchemaError, TrainingError
from extractft.extractor.argument_checks import DEFAULT_BASE_MODEL, own_schema, setting, settled_schema
from extractft.extractor.corrections import merge_corrections
from extractft.extractor.data_split import DataSplit
from extractft.modeling import BaseModelRef, resolve_base_model
from extractft.schema import Schema
from extractft.storage import scratch_directory
from extractft.training import RunDirectory, is_main_process

__all__ = ["Origin", "run_place"]

T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Origin(Generic[T]):
    """Starting point of a run: chosen by the user, or taken from a saved extractor that it goes on from.

    Attributes:
        schema: The schema of the records.
        base_model: The base model that was asked for; `None` for that of the extractor.
        config: The settings, with the prompt and the adapter's shape of the extractor.
        columns: The mapping of columns to read the data with.
        adapter: Directory of the extractor to go on from, if there is one.
        manifest: Its manifest.
        from_scratch: True if it lends everything but its weights.
    """

    schema: Schema[T]
    base_model: str | Path | None
    config: TrainingConfig
    columns: Mapping[str, str] | None = None
    adapter: Path | None = None
    manifest: Manifest | None = None
    from_scratch: bool = False

    @property
    def weights(self) -> Path | None:
        """Directory of the adapter that training begins with, if there is one."""
        return None if self.from_scratch else self.adapter

    @classmethod
    def of(
        cls,
        schema: Any,
        base_model: str | Path | None,
        columns: Mapping[str, str] | None,
        config: TrainingConfig | None,
        init_adapter: str | Path | None,
        from_scratch: bool = False,
    ) -> Origin[T]:
        """Read the arguments of `Extractor.fit`; `None` is what the extractor has, or the default.

        Raises:
            SchemaError: The type cannot be turned into a schema, or there is none.
            ArtifactNotFoundError: There is no such extractor.
            ArtifactMismatchError: The extractor has another schema, prompt or shape, or no adapter.
            ConfigError: `config` is no `TrainingConfig`, or says otherwise than a `Schema`.
        """
        if init_adapter is None:
            if schema is None:
                raise SchemaError("expected a schema, found None").hint(
                    "Give the class of the records; only init_adapter brings a schema along."
                )
            spec, config = settled_schema(schema, config)
            spec.require_loadable()
            return cls(spec, base_model, config, columns=columns)
        adapter = Path(init_adapter).expanduser()
        manifest = load_manifest(adapter)
        spec = own_schema(manifest, schema)
        if not manifest.adapter and not from_scratch:
            raise ArtifactMismatchError(
                "There is no adapter to go on from.", expected="a trained extractor", found="an untrained one"
            ).hint("Leave init_adapter out to train from scratch.")
        config = going_on(setting(config, TrainingConfig), manifest)
        columns = manifest.columns if columns is None else columns
        return cls(spec, base_model, config, columns, adapter, manifest, from_scratch)

    def load_rows(self, data: Any, eval_data: Any) -> DataSplit[T]:
        """Load the data of the run; what the extractor to go on from held out stays held out.

        Raises:
            DatasetError: Rows are bad; all of them are in `.issues`.
        """
        try:
            rule = None if self.manifest is None else self.manifest.held_out_rule
            return DataSplit.load(data, eval_data, self.schema, self.columns, self.config, rule)
        except DatasetError as error:
            if self.columns and self.manifest is not None and self.columns is self.manifest.columns:
                error.hint("Columns are mapped as in the extractor to go on from; columns={} maps none.")
            raise

    def merged(self, data: Any, add: Any) -> LoadedExamples[T]:
        """The data with corrections in their places; what became of them is logged.

        Raises:
            DatasetError: Rows are bad; all of them are in `.issues`.
            ReviewError: A review cannot be read.
        """
        name = "" if self.adapter is None else self.adapter.resolve().name
        found = merge_corrections(data, add, self.schema, self.columns, name)
        for line in found.lines():
            logger.info("%s", line)
        return found.loaded

    def resolve(self) -> BaseModelRef:
        """Find the base model.

        Raises:
            ArtifactNotFoundError: It is not to be had.
            ArtifactMismatchError: It is not that of the extractor to go on from.
        """
        if self.base_model is None and self.manifest is not None:
            return self.manifest.locate_base_model()
        ref = resolve_base_model(DEFAULT_BASE_MODEL if self.base_model is None else self.base_model)
        if self.manifest is not None:
            self.manifest.require_base_model(ref)
        return ref


@contextmanager
def run_place(directory: Path | None, *, resume: bool, overwrite: bool = False) -> Iterator[Path]:
    """The directory that a run works in, held by this process, before compute is spent.

    Args:
        directory: Where checkpoints and the finished extractor are kept; a temporary directory if `None`.
        resume: Whether an interrupted or a finished run may be there, to go on with.
        overwrite: Whether a finished run may be there, to be replaced.

    Raises:
        TrainingError: It cannot be written, another run is in there, or it holds files of others or a run.
        ArtifactError: The finished extractor has no place in it.
    """
    with ExitStack() as stack:
        if directory is None:
            try:
                place = stack.enter_context(scratch_directory("extractft-"))
            except OSError as error:
                raise TrainingError(f"expected a place for temporary files, found none: {error}").hint(
                    "Free some, set TMPDIR, or give an output_dir."
                ) from error
        else:
            place = directory
            require_replaceable(directory / "extractor")
        if is_main_process():
            run = RunDirectory(place)
            stack.enter_context(run.held())
            run.require_own(resume=resume)
            if not overwrite:
                run.require_unfinished(resume=resume)
        yield place


def going_on(config: TrainingConfig, manifest: Manifest) -> TrainingConfig:
    """The settings with the prompt and the adapter's shape of a saved extractor, which both stay what they are."""
    for name, asked, own, default in (
        ("prompt", config.prompt, manifest.config.prompt, PromptConfig()),
        ("lora", config.lora, manifest.config.lora, LoRAConfig()),
    ):
        if asked not in (own, default):
            raise ArtifactMismatchError(
                f"Expected the {name} settings of the extractor to go on from, found others.",
                expected=str(own),
                found=str(asked),
            ).hint(f"Leave {name} out of the config to keep them, or train from scratch.")
    return config.replace(prompt=manifest.config.prompt, lora=manifest.config.lora)
