"""Settings of the HTTP service: its address, who may ask, how much at once, for how long. Knows no HTTP."""

from __future__ import annotations

import ipaddress

from pydantic import Field, SecretStr

from extractft.config import Config

__all__ = ["ServerConfig", "is_loopback"]

MEBIBYTE = 2**20
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


class ServerConfig(Config):
    """Settings of `extractft serve` and of `create_app`."""

    host: str = "127.0.0.1"
    """Address to listen on; this machine alone by default."""
    port: int = Field(default=8000, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
    api_keys: tuple[SecretStr, ...] = ()
    """Keys, one of which a client has to send as `Authorization: Bearer KEY`; nobody is asked for one if there are
    none."""
    allowed_hosts: tuple[str, ...] | None = None
    """Names that the `Host` of a request may have; `None` for the names of this machine alone where the service listens
    on loopback without keys, so that no page in a browser can reach it under another name, and for any otherwise."""
    cors_origins: tuple[str, ...] = ()
    """Origins of pages in browsers that may ask, such as `https://intranet.example.com`; none by default."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses of proxies whose `X-Forwarded-For` says who a client is."""
    max_queue: int = Field(default=256, ge=1)
    """Texts that wait or are decoded at once, of all extractors and clients together; more are refused with 503."""
    max_client_share: float = Field(default=0.5, gt=0, le=1)
    """Share of `max_queue` that one client (a key, or an address if there are no keys) may take; more of its requests
    are refused with 429."""
    max_body_bytes: int = Field(default=MEBIBYTE, ge=1)
    """Largest body of a request for one text, and largest line of a batch; larger ones are refused with 413."""
    max_batch_bytes: int = Field(default=16 * MEBIBYTE, ge=1)
    """Largest body of a batch. Larger jobs are for `extractft run`, which goes on where it was stopped."""
    max_batches: int = Field(default=8, ge=1)
    """Batches that are under way at once; they keep their lines in memory."""
    request_seconds: float = Field(default=60, gt=0)
    """Deadline of each text, from the arrival of its request to its record; decoding ends with it."""
    idle_seconds: float = Field(default=15, gt=0)
    """Longest time without a byte from a client that is sending, or to one that should be reading."""
    keep_alive_seconds: float = Field(default=75, gt=0)
    """Longest time that a connection is kept open between two requests."""
    max_connections: int = Field(default=1000, ge=1)
    """Connections that may be open; those that have been idle longest are closed beyond that."""
    drain_seconds: float = Field(default=0, ge=0)
    """Least time between the signal to stop, after which `/health/ready` says no, and the end of listening: as long as
    a load balancer takes to notice."""
    grace_seconds: float = Field(default=30, ge=0)
    """Longest time after the signal to stop in which accepted requests are finished."""
    batch_size: int | None = Field(default=None, ge=1)
    """Texts of an extractor that are decoded side by side; the extractor's own setting if `None`."""
    measure_confidence: bool = True
    """Compute the confidence of every record for the metrics, also where the client does not ask for it."""

    @property
    def client_limit(self) -> int:
        """Texts that one client may have waiting or decoded at once."""
        return max(1, int(self.max_queue * self.max_client_share))

    @property
    def host_names(self) -> tuple[str, ...] | None:
        """Names that the `Host` of a request may have; `None` for any."""
        if self.allowed_hosts is not None:
            return self.allowed_hosts
        return LOOPBACK_NAMES if is_loopback(self.host) and not self.api_keys else None


def is_loopback(host: str) -> bool:
    """True if an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
