"""What a run may start from and where it may write, found out before compute is spent. Knows no model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, TypeVar

from extractft.artifact import Manifest, load_manifest, require_replaceable
from extractft.config import Config, LoRAConfig, PromptConfig, TrainingConfig
from extractft.errors import ArtifactMismatchError, ConfigError, TrainingError
from extractft.modeling import BaseModelRef
from extractft.schema import Schema

__all__ = [
    "going_on",
    "matching_manifest",
    "own_schema",
    "require_parts",
    "require_place",
    "setting",
    "settled_schema",
]

C = TypeVar("C", bound=Config)


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


def require_place(directory: Path) -> None:
    """Find out that nothing can be written, or that the finished extractor has no place, before hours of training."""
    require_replaceable(directory / "extractor")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise TrainingError(f"Expected an output_dir to write to, found: {error}.") from error


def matching_manifest(path: str | Path, schema: Schema[Any], ref: BaseModelRef) -> Manifest:
    """The manifest of a saved extractor that training can go on from.

    Raises:
        ArtifactMismatchError: It has another schema or base model, or no adapter.
    """
    manifest = load_manifest(path)
    manifest.require_schema(schema)
    manifest.require_base_model(ref)
    if not manifest.adapter:
        raise ArtifactMismatchError(
            "There is no adapter to go on from.", expected="a trained extractor", found="an untrained one"
        ).hint("Leave init_adapter out to train from scratch.")
    return manifest


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
