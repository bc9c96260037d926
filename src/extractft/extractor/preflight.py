"""Checks before compute is spent: starting point, place to write, settings. Knows no model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from extractft.artifact import Manifest, load_manifest, require_replaceable
from extractft.config import Config, LoRAConfig, PromptConfig, TrainingConfig
from extractft.errors import ArtifactMismatchError, ConfigError, DatasetError, SchemaError, TrainingError
from extractft.extractor.data_split import DataSplit
from extractft.modeling import BaseModelRef, resolve_base_model
from extractft.schema import Schema
from extractft.storage import scratch_directory
from extractft.training import RunDirectory, is_main_process

__all__ = ["DEFAULT_BASE_MODEL", "Origin", "own_schema", "require_parts", "run_place", "setting", "settled_schema"]

T = TypeVar("T")
C = TypeVar("C", bound=Config)
DEFAULT_BASE_MODEL = "Qwen/Qwen3-0.6B"


def setting(given: C | None, kind: type[C]) -> C:
    """The settings that were given, or the defaults.

    Raises:
        ConfigError: Something else was given, such as a dict.
    """
    if given is None:
        return kind()
    if not isinstance(given, kind):
        raise ConfigError(f"expected a {kind.__name__}, found {type(given).__name__}").hint(
            f"Make one with `{kind.__name__}(...)`, which checks names and values."
        )
    return given


def require_parts(schema: Any, max_window: Any) -> None:
    """Refuse what an extractor cannot be made of.

    Raises:
        ConfigError: The schema is a class rather than a `Schema`, or the window is no number of tokens.
    """
    if not isinstance(schema, Schema):
        raise ConfigError(f"expected a Schema, found {type(schema).__name__}").hint("Make one with `Schema.of(...)`.")
    if isinstance(max_window, bool) or not isinstance(max_window, int) or max_window < 1:
        raise ConfigError(f"expected a max_window of at least 1 token, found {max_window!r}")


def schema_of(schema: Any, prompt: PromptConfig) -> Schema[Any]:
    """The schema of a type with the settings' word about defaults, or a `Schema` with its own."""
    return schema if isinstance(schema, Schema) else Schema.of(schema, omit_defaults=prompt.omit_defaults)


def own_schema(manifest: Manifest, schema: Any) -> Schema[Any]:
    """The schema of a saved extractor: of the class if there is one, whatever may be rebuilt without, else rebuilt.

    Raises:
        ArtifactMismatchError: The class is not the extractor's.
        ArtifactError: There is no class, and none can be made of what is stored.
    """
    if schema is None:
        return manifest.rebuild_schema()
    spec = schema_of(schema, manifest.config.prompt)
    manifest.require_schema(spec)
    return spec


def settled_schema(schema: Any, config: TrainingConfig | None) -> tuple[Schema[Any], TrainingConfig]:
    """The schema and the settings, of one mind about defaults: a `Schema` says itself what becomes of them.

    Raises:
        SchemaError: The type cannot be turned into a schema.
        ConfigError: `config` is no `TrainingConfig`, or says otherwise than the `Schema`.
    """
    config = setting(config, TrainingConfig)
    prompt, spec = config.prompt, schema_of(schema, config.prompt)
    if spec.omit_defaults == prompt.omit_defaults:
        return spec, config
    if "omit_defaults" in prompt.model_fields_set:
        raise ConfigError(
            f"expected the Schema and PromptConfig to agree on omit_defaults, found {spec.omit_defaults} in the one "
            f"and {prompt.omit_defaults} in the other"
        ).hint("Leave omit_defaults out of PromptConfig: the Schema says it already.")
    return spec, config.replace(prompt=prompt.replace(omit_defaults=spec.omit_defaults))


def user_directory(path: str | Path, name: str) -> Path:
    """The directory that a user names, `~` replaced.

    Raises:
        ConfigError: It is no path, or none that a file system takes.
    """
    if not isinstance(path, str | os.PathLike) or "\0" in os.fsdecode(path) or not os.fsdecode(path):
        found = type(path).__name__ if not isinstance(path, str | os.PathLike) else "an empty one or a zero byte in it"
        raise ConfigError(f"Expected {name} to be the path of a directory, found {found}.")
    return Path(os.fsdecode(path)).expanduser()


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
    """

    schema: Schema[T]
    base_model: str | Path | None
    config: TrainingConfig
    columns: Mapping[str, str] | None = None
    adapter: Path | None = None
    manifest: Manifest | None = None

    @classmethod
    def of(
        cls,
        schema: Any,
        base_model: str | Path | None,
        columns: Mapping[str, str] | None,
        config: TrainingConfig | None,
        init_adapter: str | Path | None,
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
        if not manifest.adapter:
            raise ArtifactMismatchError(
                "There is no adapter to go on from.", expected="a trained extractor", found="an untrained one"
            ).hint("Leave init_adapter out to train from scratch.")
        config = going_on(setting(config, TrainingConfig), manifest)
        return cls(spec, base_model, config, manifest.columns if columns is None else columns, adapter, manifest)

    def load_rows(self, data: Any, eval_data: Any) -> DataSplit[T]:
        """Load the data of the run.

        Raises:
            DatasetError: Rows are bad; all of them are in `.issues`.
        """
        try:
            return DataSplit.load(data, eval_data, self.schema, self.columns, self.config)
        except DatasetError as error:
            if self.columns and self.manifest is not None and self.columns is self.manifest.columns:
                error.hint("Columns are mapped as in the extractor to go on from; columns={} maps none.")
            raise

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
def run_place(directory: Path | None, *, resume: bool) -> Iterator[Path]:
    """The directory that a run works in, held by this process, before compute is spent.

    Args:
        directory: Where checkpoints and the finished extractor are kept; a temporary directory if `None`.
        resume: Whether an interrupted run may be there.

    Raises:
        TrainingError: It cannot be written, another run is in there, or it holds files of others or an interrupted run.
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
