"""The models that a server says it serves, by `/v1/models`, which every kind of server has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from extractft.errors import EngineError
from extractft.remote.retrying_client import ServerClient

__all__ = ["ServedModel", "find_model", "model_owners"]

MOST_SHOWN = 300
"""Characters of the names of models in a message."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model of a server.

    Attributes:
        name: Its name in requests.
        window: Longest prompt and answer together in tokens, if the server tells.
        base: For an adapter, the name of the model it belongs to.
    """

    name: str
    window: int | None = None
    base: str | None = None


async def model_owners(client: ServerClient) -> frozenset[str]:
    """Names that the server gives as owners of its models, which tell its kind."""
    return frozenset(str(entry.get("owned_by")) for entry in await _entries(client))


async def find_model(client: ServerClient, model: str | None) -> ServedModel:
    """The model to use: the one that was named, or the only one.

    Raises:
        EngineError: It is not served, or there are several.
    """
    served = {str(entry["id"]): entry for entry in await _entries(client)}
    name = _choose(served, model, client.base_url)
    entry, seen = served[name], {name}
    base = entry.get("parent") if entry.get("parent") in served else None
    while entry.get("max_model_len") is None and entry.get("parent") in served and entry["parent"] not in seen:
        entry = served[entry["parent"]]  # an adapter has the window of its base
        seen.add(str(entry["id"]))
    return ServedModel(name, entry.get("max_model_len"), base)


async def _entries(client: ServerClient) -> list[Mapping[str, Any]]:
    answer = await client.get("/v1/models")
    entries = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "id" in entry for entry in entries):
        raise EngineError(f"Expected a list of models at {client.base_url}/v1/models, found another form.").hint(
            "Is that the address of a server of language models?"
        )
    return entries


def _choose(served: Mapping[str, Any], model: str | None, url: str) -> str:
    names = (", ".join(sorted(served)) or "none")[:MOST_SHOWN]
    if model is not None and model not in served:
        raise EngineError(f"Expected the model {model!r} at {url}, found {names}.").hint(
            "Start the server with that model, or name one of these: http://host:8000?model=NAME"
        )
    if model is None and len(served) != 1:
        raise EngineError(f"Expected one model at {url}, found {names}.").hint(
            "Name the one to use: http://host:8000?model=NAME"
        )
    return model if model is not None else next(iter(served))
