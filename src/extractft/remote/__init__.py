"""Engines that ask a server over HTTP: the same protocol as the engine here, without torch.

Knows token ids, grammars and what servers call them; knows no schema, no text and no record.
"""

from extractft.remote.connect import connect, require_server, serve_adapter, start_server
from extractft.remote.managed_server import require_program
from extractft.remote.remote_engine import RemoteEngine
from extractft.remote.retrying_client import Retries, ServerAnswerError, ServerClient, Timeouts
from extractft.remote.server_probe import ServerProbe
from extractft.remote.shared_server import Adapter

__all__ = [
    "Adapter",
    "RemoteEngine",
    "Retries",
    "ServerAnswerError",
    "ServerClient",
    "ServerProbe",
    "Timeouts",
    "connect",
    "require_program",
    "require_server",
    "serve_adapter",
    "start_server",
]
