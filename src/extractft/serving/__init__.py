"""The HTTP service: records of one or several extractors, typed by their own schemas. Needs the extra `serve`.

`extractft serve` is this room on the command line. In a program of your own:

```python
app = create_app({"complaints": extractor}, ServerConfig())
```

The seam for rooms that add pages or routes, which stays as it is:

- `create_app(extractors, settings, *, routers=()) -> FastAPI`: each of `routers` is an `APIRouter`, mounted without a
  prefix behind the service's own routes, in front of its 404.
- `request.app.state.service` is the `ExtractionService`: `for name in service`, `service[name]` (the `Extractor`),
  `await service.inspect(name, text, explain=("confidence", "spans"))` (an `Extraction`; it joins the queue and the
  running batch like everything else), `service.settings`. `answer_of(extraction, schema, explain)` makes JSON of it.
- `POST /v1/{name}/extract` takes `{"text": ..., "spans": true, "confidence": true}` and answers `{"record": ...}`;
  where they were asked for, with `"spans": {path: [{"start", "end", "method"}]}` and with
  `"confidence": {"record", "fields": {path: ...}, "calibrated"}`, which is `null` if the engine gives no
  log-probabilities, and `"forced": [path]` for values that the schema left no choice about; and with
  `"truncated": true` for a record that was closed early. `fields` has absent fields too.
- `GET /v1/models` answers `{"models": [{"name", "schema_name", "description", "has_confidence", ...}]}`.
- Where there are keys, everything under `/v1/`, `/metrics` and `/openapi.json` asks for one. All other paths of routers
  are public: a page goes there, its data under `/v1/`.
- Errors are `Problem`s: a router raises them as the service does.
- Where the service listens on loopback without keys, the `Host` of a request must be a loopback name (with a port);
  clients in tests that invent one set `ServerConfig(allowed_hosts=("testserver",))`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from extractft.errors import MissingDependencyError
from extractft.lazy_names import lazy_names

if TYPE_CHECKING:
    from extractft.serving.access_rules import keys_from
    from extractft.serving.application import create_app
    from extractft.serving.extraction_service import ExtractionService, require_name, warm_up
    from extractft.serving.http_server import run_server
    from extractft.serving.problem_details import Problem
    from extractft.serving.record_answers import ExtractRequest, answer_of
    from extractft.serving.request_log import log_to
    from extractft.serving.server_config import ServerConfig, is_loopback

PACKAGES = frozenset({"fastapi", "prometheus_client", "starlette", "uvicorn"})
"""Packages of the extra `serve`."""

_MODULES = {
    "ExtractRequest": "record_answers",
    "ExtractionService": "extraction_service",
    "Problem": "problem_details",
    "ServerConfig": "server_config",
    "answer_of": "record_answers",
    "create_app": "application",
    "is_loopback": "server_config",
    "keys_from": "access_rules",
    "log_to": "request_log",
    "require_name": "extraction_service",
    "run_server": "http_server",
    "warm_up": "extraction_service",
}
"""The module of each public name."""

__all__ = [
    "ExtractRequest",
    "ExtractionService",
    "Problem",
    "ServerConfig",
    "answer_of",
    "create_app",
    "is_loopback",
    "keys_from",
    "log_to",
    "require_name",
    "run_server",
    "warm_up",
]

_load, __dir__ = lazy_names(__name__, _MODULES)


def __getattr__(name: str) -> Any:
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in PACKAGES:
            raise
        raise MissingDependencyError(f"the HTTP service needs the package {error.name}").hint(
            "pip install 'extractft[serve]'."
        ) from error
