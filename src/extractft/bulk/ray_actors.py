"""Actors of Ray that hold an extractor: how many, with which resources; and Ray itself, started or joined.

Knows Ray, which is imported when it is asked for; knows no rows.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import Field, model_validator

from extractft.config import Config
from extractft.errors import BulkRunError, ConfigError, MissingDependencyError

__all__ = ["RayActors", "RayCluster", "connected_to_ray", "import_ray", "ray_errors_in_words"]

LOCAL = "local"
"""The address of a cluster that is started on this machine and ends with the run."""


class RayActors(Config):
    """Actors that hold an extractor each, and what one of them takes of a machine."""

    min_size: int = Field(default=1, ge=1)
    """Actors at least."""
    max_size: int | None = Field(default=None, ge=1)
    """Actors at most; as many as the cluster has room for if `None`."""
    num_cpus: float = Field(default=1.0, ge=0)
    """Processors of an actor."""
    num_gpus: float = Field(default=0.0, ge=0)
    """GPUs of an actor; a fraction shares one."""
    remote_args: dict[str, Any] = Field(default_factory=dict)
    """Further options of Ray for each actor, such as `resources`, `memory` and `runtime_env`."""

    @model_validator(mode="after")
    def _check_sizes(self) -> RayActors:
        if self.max_size is not None and self.max_size < self.min_size:
            raise ValueError(f"expected a max_size of at least min_size={self.min_size}, found {self.max_size}")
        return self

    def map_options(self) -> dict[str, Any]:
        """The options of `map_batches`."""
        ray = import_ray()
        pool = ray.data.ActorPoolStrategy(min_size=self.min_size, max_size=self.max_size, initial_size=self.min_size)
        gpus = {"num_gpus": self.num_gpus} if self.num_gpus else {}
        return {"compute": pool, "num_cpus": self.num_cpus, **gpus, **self.remote_args}


class RayCluster(RayActors):
    """A cluster of Ray, and the actors there."""

    address: str = "auto"
    """`auto` for the cluster that this machine is part of, `local` for one that is started here, or `host:port`."""

    @classmethod
    def of(cls, value: RayCluster | str | None) -> RayCluster | None:
        """The cluster that an argument names, if it names one."""
        return cls.checked(address=value) if isinstance(value, str) else value


def import_ray() -> Any:
    """Ray with Ray Data.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingDependencyError("runs on many machines need Ray Data").hint(
            "pip install 'extractft[ray]', on each of them."
        ) from error
    return ray


@contextmanager
def connected_to_ray(address: str) -> Iterator[None]:
    """Be connected to a cluster while the block runs; a connection that is there already stays.

    Args:
        address: `auto` for the cluster of this machine, `local` for one that is started here, or `host:port`.

    Raises:
        ConfigError: There is no such cluster.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield
        return
    if address.startswith("ray://"):
        raise ConfigError("expected a cluster that this machine is part of, found an address of Ray Client").hint(
            "Give the command to the cluster instead: ray job submit --address http://HEAD:8265 -- extractft run ..."
        )
    options: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": False}
    if address == LOCAL:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing of a run goes to anybody
        options["include_dashboard"] = False
    with _sigterm_given_back():
        try:
            ray.init(address=address, **options)
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise ConfigError(f"expected a Ray cluster at {address!r}, found none ({type(error).__name__})").hint(
                "Start one with ray start --head, or let --ray local start one on this machine."
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _sigterm_given_back() -> Iterator[None]:
    """Let SIGTERM do after the block what it did before: Ray takes it, and keeps it when it is shut down."""
    if threading.current_thread() is not threading.main_thread():  # Ray leaves it alone as well
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        # None stands for a handler that was not set from Python, which cannot be set again.
        if before is not None and signal.getsignal(signal.SIGTERM) is not before:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def ray_errors_in_words() -> Iterator[None]:
    """Say of an error of Ray what became of the run.

    Raises:
        BulkRunError: Ray gave up.
    """
    ray = import_ray()
    try:
        yield
    except ray.exceptions.RayError as error:
        raise BulkRunError(f"Ray stopped the run with {type(error).__name__}.").hint(
            "Its logs say more. What is done is kept: the same command goes on from there."
        ) from error
