"""Databases behind SQLAlchemy: their addresses, connections and errors in words. Knows no rows and no tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from extractft.errors import BulkRunError, ConfigError, MissingDependencyError

__all__ = ["connected", "database_url", "is_database", "shown_url"]

DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
"""Short forms of addresses, and the driver that comes with the extra."""


SECRET = re.compile(r"pass|pwd|secret|token|key|credential|odbc_connect|dsn", re.IGNORECASE)
"""Parameters of addresses that are, or may hold, what opens the database."""


def is_database(value: Any) -> bool:
    """True for the address of a database."""
    return isinstance(value, str) and "://" in value


def database_url(address: str) -> Any:
    """SQLAlchemy's form of an address.

    Raises:
        ConfigError: It is none.
        MissingDependencyError: SQLAlchemy is not installed.
    """
    sqlalchemy = _sqlalchemy()
    try:
        url = sqlalchemy.make_url(address)
    except sqlalchemy.exc.ArgumentError as error:  # whose words repeat the address, with its password
        raise ConfigError("Expected the address of a database, found something else.").hint(
            "Such as sqlite:///calls.db or postgresql://user@host/name."
        ) from error
    return url.set(drivername=DRIVERS.get(url.drivername, url.drivername))


def shown_url(address: str) -> str:
    """An address without its password, for messages and manifests."""
    url = database_url(address)
    hidden = {key: "***" for key in url.query if SECRET.search(key)}
    return str(url.update_query_dict(hidden).render_as_string(hide_password=True))


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """An engine of SQLAlchemy while the block runs; errors of the database are told without values.

    Raises:
        BulkRunError: The database cannot be reached, or refused something.
        MissingDependencyError: The driver is not installed.
    """
    sqlalchemy = _sqlalchemy()
    url = database_url(address)
    try:
        engine = sqlalchemy.create_engine(url, hide_parameters=True)
    except ImportError as error:
        raise MissingDependencyError(f"{url.drivername} needs the package {error.name}").hint(
            "pip install 'extractft[database]'."
        ) from error
    except sqlalchemy.exc.NoSuchModuleError as error:
        raise ConfigError(f"Expected a database that SQLAlchemy knows, found {url.drivername!r}.") from error
    try:
        yield engine
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise database_failure(error, address) from error
    finally:
        engine.dispose()


def database_failure(error: Any, address: str) -> BulkRunError:
    """The error of a run that a database stopped.

    Of errors about values only the kind is shown, and of others the first line: the rest may quote values.
    """
    errors = _sqlalchemy().exc
    found = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
    if isinstance(error, errors.DataError | errors.IntegrityError):
        found = f"a value ({type(error).__name__})"
    for secret in _secrets(address):
        found = found.replace(secret, "***")
    return BulkRunError(f"The database {shown_url(address)} refused: {found}.").hint(
        "What is done is kept: once the database answers, the same command goes on from there."
    )


def _secrets(address: str) -> list[str]:
    """Passwords and the like in an address, longest first."""
    url = database_url(address)
    found = [url.password, *(value for key, value in url.query.items() if SECRET.search(key))]
    parts = [str(part) for value in found for part in (value if isinstance(value, tuple) else [value or ""])]
    inner = [
        match[1] for part in parts for match in re.finditer(r"(?:pwd|password)\s*=\s*([^;\s]+)", part, re.IGNORECASE)
    ]
    return sorted({part for part in [*parts, *inner] if part}, key=len, reverse=True)


def _sqlalchemy() -> Any:
    try:
        import sqlalchemy
        import sqlalchemy.exc
    except ImportError as error:
        raise MissingDependencyError("databases need SQLAlchemy").hint("pip install 'extractft[database]'.") from error
    return sqlalchemy
