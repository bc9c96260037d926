"""Checks of what a caller hands over: settings, schema, directory. Knows no model, and loads none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

from extractft.artifact import Manifest
from extractft.config import Config, PromptConfig, TrainingConfig
from extractft.errors import ConfigError
from extractft.schema import Schema

__all__ = ["DEFAULT_BASE_MODEL", "own_schema", "require_parts", "setting", "settled_schema", "user_directory"]

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
