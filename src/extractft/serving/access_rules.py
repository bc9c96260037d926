"""Who may ask: keys compared in constant time, names that the server is known under, pages in browsers.

Knows headers; knows no routes but for which of them are open.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from extractft.errors import ConfigError
from extractft.serving.problem_details import Problem
from extractft.serving.server_config import ServerConfig

__all__ = ["KEY_VARIABLE", "AccessRules", "keys_from"]

KEY_VARIABLE = "EXTRACTFT_API_KEY"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CLOSED_PATHS = ("/metrics", "/openapi.json")


class AccessRules:
    """The rules of one service.

    Args:
        settings: Its settings.
    """

    def __init__(self, settings: ServerConfig) -> None:
        self._digests = [_digest(key.get_secret_value()) for key in settings.api_keys]
        self._hosts = settings.host_names
        self._origins = frozenset(settings.cors_origins)

    def client(self, path: str, headers: Mapping[bytes, bytes], address: str) -> str:
        """The name of the client that asks: its key by number, or its address.

        Args:
            path: The path that it asks for.
            headers: Its headers, their names in lower case.
            address: Its address.

        Raises:
            Problem: A key is required, and it gave none or another one.
        """
        if not self._digests or not (path.startswith("/v1/") or path in CLOSED_PATHS):
            return address
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        found = _digest(given.strip())
        matches = [hmac.compare_digest(found, digest) for digest in self._digests]  # all of them, whichever fits
        if scheme.lower() != b"bearer" or True not in matches:
            detail = (
                "Expected the header Authorization: Bearer KEY with a key of this server, found none that it knows."
            )
            raise Problem(401, "key-required", detail, headers={"WWW-Authenticate": "Bearer"})
        return f"key-{matches.index(True) + 1}"

    def require_known_host(self, headers: Mapping[bytes, bytes]) -> None:
        """Refuse names that the server is not known under, as a page in a browser may give it.

        Raises:
            Problem: It is called by another name.
        """
        if self._hosts is None:
            return
        given = _decoded(headers.get(b"host", b""))
        if _host_name(given) not in self._hosts:
            raise Problem(421, "host-not-allowed", f"Expected one of {', '.join(self._hosts)}, found another Host.")

    def require_known_origin(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Refuse what pages of other origins send.

        Raises:
            Problem: It comes from such a page.
        """
        origin = headers.get(b"origin")
        if origin is None or method in SAFE_METHODS:
            return
        given = _decoded(origin)
        own = given.partition("://")[2] == _decoded(headers.get(b"host", b"")) and "://" in given
        if not own and given not in self._origins:
            raise Problem(403, "origin-not-allowed", "Expected no page of another origin, found one.")


def keys_from(environment: Mapping[str, str], file: Path | None = None) -> tuple[SecretStr, ...]:
    """The keys of a file, a key a line with `#` for comments, or else of the environment, with commas between them.

    Args:
        environment: That of the process.
        file: The file, if there is one.

    Raises:
        ConfigError: It is no text, holds no key, or one that cannot stand in a header.
    """
    if file is None:
        source, lines = KEY_VARIABLE, environment.get(KEY_VARIABLE, "").split(",")
        if KEY_VARIABLE not in environment:
            return ()
    else:
        source, lines = str(file), [line.partition("#")[0] for line in _text_of(file).splitlines()]
    keys = [line.strip() for line in lines if line.strip()]
    if not keys:
        raise ConfigError(f"Expected a key in {source}, found none.").hint(
            "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    for key in keys:
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigError(f"Expected keys of printable ASCII without blanks in {source}, found another one.")
    return tuple(SecretStr(key) for key in keys)


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"Expected keys as text in {file}, found other bytes.").hint("A key a line.") from None


def _digest(key: str | bytes) -> bytes:
    """A key in a form of fixed length, so that comparing it tells nothing of its length."""
    return hashlib.sha256(key if isinstance(key, bytes) else key.encode()).digest()


def _decoded(value: bytes) -> str:
    return value.decode("latin-1").strip().lower()


def _host_name(host: str) -> str:
    """The name in a `Host` header; nothing if it is no name with a port behind it."""
    try:
        parts = urlsplit(f"//{host}")
        whole = parts.netloc == host and "@" not in host and parts.port != 0  # looking at the port checks it
    except ValueError:
        return ""
    return (parts.hostname or "") if whole else ""
