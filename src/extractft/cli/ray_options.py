"""Options for runs on a cluster of Ray: its address, and what its actors are like. Imports no Ray."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

import extractft
from extractft.errors import ConfigError

__all__ = ["ActorOption", "RayOption", "ray_cluster"]

RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Decode on a Ray cluster: auto for the one that this machine is part of, local for one that is started "
        "here, or host:port.",
    ),
]
ActorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ray-actor",
        metavar="NAME=VALUE",
        help="Of actors on the cluster: min_size, max_size, num_cpus, num_gpus; may be given again.",
    ),
]


def ray_cluster(address: str | None, settings: list[str] | None) -> Any:
    """The cluster of `--ray` and `--ray-actor`; `None` if this machine decodes.

    Raises:
        typer.BadParameter: A setting is unknown or out of range, or there is no cluster that it is for.
    """
    if address is None:
        if settings:
            raise typer.BadParameter("needs --ray as well", param_hint="--ray-actor")
        return None
    values: dict[str, Any] = {}
    for setting in settings or ():
        name, equals, text = setting.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected NAME=VALUE, found {setting!r}", param_hint="--ray-actor")
        values[name] = _parsed(text)
    try:
        return extractft.bulk.RayCluster.checked(**{**values, "address": address})
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint="--ray-actor") from error


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
