"""Hosts that texts may be sent to: this machine alone, unless others are named. Knows addresses, no texts."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from extractft.errors import ConfigError

__all__ = ["is_loopback", "require_allowed"]


def require_allowed(url: str, allowed: Iterable[str] = ()) -> str:
    """The address of a server that texts may go to, without `/v1` at its end.

    Args:
        url: The address, `http://host:port`.
        allowed: Names of further hosts, as they stand in addresses.

    Raises:
        ConfigError: It is no address, or the host is none of those.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise ConfigError("Expected the address of a server such as http://localhost:8000, found another form.")
    named = {name.strip().strip("[]").lower() for name in allowed}
    if not is_loopback(host) and host.lower() not in named:
        raise ConfigError(f"Expected a teacher on this machine or on a host that is allowed, found {host}.").hint(
            f"The texts would be sent there. If they may be, name it in `allowed_hosts` (--allow-host {host})."
        )
    shown = f"[{host}]" if ":" in host else host
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{path}"


def is_loopback(host: str) -> bool:
    """True if a host is this machine by its very name: `localhost`, `127.0.0.1`, `::1`."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
