"""The command `serve`: extractors over HTTP, until a signal says to stop.

The room that serves is loaded when the command runs: help does not wait for it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import extractft
from extractft.cli.app import app
from extractft.cli.command_paths import user_path
from extractft.cli.error_messages import usage_error
from extractft.cli.extractor_arguments import check_engine, named_extractor
from extractft.cli.inputs import load_extractor, pairs, parsed_value, probability
from extractft.cli.options import ClassOption, EngineOption, MovedOption
from extractft.errors import ConfigError, ReviewError

if TYPE_CHECKING:
    from extractft.serving import ServerConfig

__all__ = ["serve"]


class LogForm(StrEnum):
    """Form of the lines on standard error."""

    TEXT = "text"
    JSON = "json"


ServedArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="EXTRACTOR...", help="Directories of saved extractors, named in addresses as NAME=DIRECTORY says."
    ),
]
KeysOption = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        parser=user_path,
        metavar="FILE",
        help="API keys, one a line; else those of EXTRACTFT_API_KEY.",
    ),
]
ServerSettingOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting of ServerConfig, `max_queue=64`; may be given again."),
]

ReviewsOption = Annotated[
    Path | None,
    typer.Option(
        "--review",
        parser=user_path,
        metavar="DB",
        help="Database of a review, which has a page at /review; may be new.",
    ),
]
BelowOption = Annotated[
    float | None,
    typer.Option(
        "--review-below", callback=probability, help="Add the records of answers that are less certain to --review."
    ),
]
ShareOption = Annotated[
    bool,
    typer.Option(
        "--share-base-model",
        help="Keep the weights of a base model in memory once for all extractors on it: less memory, slower.",
    ),
]


@app.command()
def serve(
    extractors: ServedArgument,
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback need keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")] = 8000,
    keys: KeysOption = None,
    without_keys: Annotated[bool, typer.Option("--without-keys", help="Serve whoever can reach the address.")] = False,
    schema: ClassOption = None,
    base_model: MovedOption = None,
    engine: EngineOption = None,
    share_base_model: ShareOption = False,
    setting: ServerSettingOption = None,
    review: ReviewsOption = None,
    review_below: BelowOption = None,
    log: Annotated[LogForm, typer.Option(help="Form of the log on standard error.")] = LogForm.TEXT,
) -> None:
    """Serve extractors over HTTP: POST /v1/NAME/extract. SIGTERM finishes what was accepted, and exits with 0."""
    directories = _named_directories(extractors)
    for directory in directories.values():
        named_extractor(directory)
    check_engine(engine)
    if schema and len(directories) > 1:
        raise typer.BadParameter("needs one EXTRACTOR, whose class it is", param_hint="--schema")
    if share_base_model and engine:
        raise typer.BadParameter(
            "is for models that are loaded here; leave it or --engine out", param_hint="--share-base-model"
        )
    settings = _settings(host, port, keys, setting, without_keys=without_keys)
    store = _review(review, review_below)

    def load() -> Any:
        with extractft.modeling.sharing_base_models() if share_base_model else nullcontext():
            loaded = {name: load_extractor(path, schema, base_model, engine) for name, path in directories.items()}
        extractft.serving.warm_up(loaded.values())
        return extractft.pages.create_app_with_pages(loaded, settings, store, review_below)

    with closing(store) if store else nullcontext(), extractft.serving.log_to(form=log.value):
        ended_well = extractft.serving.run_server(load, settings)
    if not ended_well:
        raise typer.Exit(1)


def _review(database: Path | None, below: float | None) -> Any:
    """The review that a page shows; `None` if there is none.

    Raises:
        typer.BadParameter: It cannot be opened, or records are to go to one that is not named.
    """
    if database is None:
        if below is not None:
            raise typer.BadParameter(
                "says which records go to --review; give that as well", param_hint="--review-below"
            )
        return None
    try:
        return extractft.review.ReviewStore(database)
    except ReviewError as error:
        raise usage_error(error, "--review") from error


def _named_directories(arguments: Sequence[str]) -> dict[str, Path]:
    """The directories by the names that they have in addresses.

    Raises:
        typer.BadParameter: Two have one name, or one cannot stand in an address.
    """
    found: dict[str, Path] = {}
    for argument in arguments:
        name, equals, place = argument.partition("=")
        if not equals or user_path(argument).exists():
            place, name = argument, _directory_name(user_path(argument))
        if name in found:
            message = f"two extractors have the name {name}: give one another name, as in other-name={place}"
            raise typer.BadParameter(message, param_hint="EXTRACTOR")
        try:
            extractft.serving.require_name(name)
        except ConfigError as error:
            raise usage_error(error, "EXTRACTOR") from error
        found[name] = user_path(place)
    return found


def _directory_name(path: Path) -> str:
    """The last name of a path; of a link, its own."""
    return path.absolute().name if path.name else path.resolve().name


def _settings(
    host: str, port: int, keys: Path | None, changes: list[str] | None, *, without_keys: bool
) -> ServerConfig:
    """The settings of the service.

    Raises:
        typer.BadParameter: One is wrong, or others could ask without a key.
    """
    if keys is not None and not keys.is_file():
        raise typer.BadParameter(f"no such file: {keys}", param_hint="--keys")
    given = {name: parsed_value(text) for name, text in pairs(changes, "--set").items()}
    if own := sorted({"host", "port", "api_keys"} & given.keys()):
        message = f"{own[0]} has an option of its own: --host, --port or --keys"
        raise typer.BadParameter(message, param_hint="--set")
    try:
        found = () if without_keys else extractft.serving.keys_from(os.environ, keys)
    except (ConfigError, OSError, UnicodeDecodeError) as error:
        raise usage_error(error, "--keys") from error
    try:
        settings = extractft.serving.ServerConfig.checked(host=host, port=port, api_keys=found, **given)
    except ConfigError as error:
        raise usage_error(error, "--set") from error
    if not (found or without_keys or extractft.serving.is_loopback(host)):
        message = f"expected keys for {host}, which others can reach, found none: give --keys FILE, set "
        message += "EXTRACTFT_API_KEY, or say --without-keys"
        raise typer.BadParameter(message, param_hint="--host")
    return settings
