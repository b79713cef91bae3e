"""Where a journal may be: a file, or a database of its own at the PostgreSQL of these tests."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

SERVER: Final = os.environ.get("QASID_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")

#: For a fixture of addresses: `nox -s services` runs the second.
KINDS: Final = ("sqlite", pytest.param("postgres", marks=pytest.mark.services))


def database(kind: str, folder: Path) -> AbstractContextManager[str]:
    """The address of a new database of that kind, which is gone afterwards."""
    if kind == "postgres":
        return _postgres()
    return contextlib.nullcontext(f"sqlite:///{folder}/journal.sqlite3")


@contextlib.contextmanager
def _postgres() -> Iterator[str]:
    name = f"qasid_{secrets.token_hex(4)}"
    command(f"CREATE DATABASE {name}")
    try:
        yield _server().set(database=name).render_as_string(hide_password=False)
    finally:
        command(f"DROP DATABASE {name} WITH (FORCE)")


def command(text: str, **values: Any) -> None:
    """Have the server do one thing."""
    engine = sa.create_engine(_server(), isolation_level="AUTOCOMMIT")
    with engine.connect() as run:
        run.execute(sa.text(text), values)
    engine.dispose()


def _server() -> sa.URL:
    return sa.make_url(SERVER).set(drivername="postgresql+psycopg")
