"""The journal: what costs money is written down before it is tried, and its end after it.

Behind the extra ``qasid[journal]``. An account keeps one when its setting `journal` is ``on`` or
``strict``; see `qasid.policies.journal` for what it decides. Here is where it is kept:

==================  ===========================================================================
`records`           what is written down and read back, and what of a request is not
`results`           results and errors as JSON, and back
`schema`            the tables; `migrations` are how they came to be as they are
`database`          SQLite or PostgreSQL: opened, brought up to date, and one kind of error
`turns`             threads that wait for a connection, in order
`store`             `Journal`: begin, settle, list, settle by hand, prune
`resolution`        what a provider can still tell of an operation whose end is not known
==================  ===========================================================================

Importing this package imports none of them: SQLAlchemy takes long.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from qasid.errors import SettingsError

if TYPE_CHECKING:
    from qasid.journal.store import Journal

__all__ = ["opened"]


def opened(account: str, url: str | None, *, durable: bool = False) -> Journal:
    """The journal at an address of SQLAlchemy's, by default this user's own; `account` names it.

    `durable` lets no write be lost when the power fails. Nothing is read yet. Raises
    `SettingsError` where the extra is not installed, or the address is none.
    """
    try:
        store = import_module("qasid.journal.store")
    except ImportError:
        raise SettingsError(
            "needs SQLAlchemy and Alembic, which are not installed",
            account=account,
            field="journal",
            remedy='run: pip install "qasid[journal]"',
        ) from None
    journal: Journal = store.Journal(account, url, durable=durable)
    return journal
