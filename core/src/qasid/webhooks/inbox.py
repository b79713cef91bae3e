"""Paths that nobody can guess, of which only a hash is kept, and what came by them."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs

from qasid.database import MEMORY, Database
from qasid.values import Activation, DeliveryReport, DeliveryState, InboundMessage

__all__ = ["DAY", "Hook", "Inbox", "Item", "Received"]

Item: TypeAlias = InboundMessage | DeliveryReport

DAY: Final = timedelta(days=1)

_PATH: Final = re.compile(r"/hook/([A-Za-z0-9_-]{43})")  # 32 random bytes

_SCHEMA: Final = (
    # What is deleted is overwritten too: these are people's messages.
    "PRAGMA secure_delete = ON",
    """
    CREATE TABLE IF NOT EXISTS hook (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        hash TEXT NOT NULL UNIQUE,
        account TEXT NOT NULL,
        label TEXT NOT NULL,
        activation TEXT,
        created_at REAL NOT NULL,
        ends_at REAL NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS item (
        hook INTEGER NOT NULL REFERENCES hook (id),
        digest TEXT NOT NULL,
        place INTEGER NOT NULL,
        received_at REAL NOT NULL,
        kind TEXT NOT NULL,
        item TEXT NOT NULL,
        PRIMARY KEY (hook, digest, place)
    )
    """,
    "CREATE TABLE IF NOT EXISTS address (id INTEGER PRIMARY KEY CHECK (id = 1), url TEXT)",
)
_NEW: Final = """
INSERT INTO hook (hash, account, label, activation, created_at, ends_at) VALUES (?, ?, ?, ?, ?, ?)
"""
_FIND: Final = "SELECT * FROM hook WHERE hash = ? AND ends_at > ?"
_CURRENT: Final = "SELECT * FROM hook WHERE ends_at > ? ORDER BY id"
_KNOWN: Final = "SELECT id FROM hook WHERE hash = ?"
_BIND: Final = "UPDATE hook SET activation = ? WHERE id = ?"
_ADDRESS: Final = """
UPDATE item SET item = json_set(item, '$.to', ?)
WHERE hook = ? AND kind = 'InboundMessage' AND json_extract(item, '$.to') IS NULL
"""
_STORE: Final = "INSERT OR IGNORE INTO item VALUES (?, ?, ?, ?, ?, ?)"
_READ: Final = """
SELECT * FROM item JOIN hook ON hook.id = item.hook WHERE received_at >= ? ORDER BY item.rowid
"""
_FORGET: Final = "DELETE FROM item WHERE received_at < ?"
_END: Final = "DELETE FROM hook WHERE ends_at <= ? AND id NOT IN (SELECT hook FROM item)"
_SET_URL: Final = "INSERT OR REPLACE INTO address VALUES (1, ?)"
_GET_URL: Final = "SELECT url FROM address"


# What is kept.


@attrs.frozen(kw_only=True)
class Hook:
    """A path that an account's provider may post to until `ends_at` (UTC). Its path is not in it.

    With an `activation` it is the path of that number alone.
    """

    id: int
    account: str
    label: str = ""
    activation: Activation | None = None
    created_at: datetime
    ends_at: datetime


@attrs.frozen(kw_only=True)
class Received:
    """A message or report that was posted, by which path, and when it came to us (UTC)."""

    hook: Hook
    received_at: datetime
    item: Item


class Inbox:
    """Paths and what came by them. Threads and processes may share the file, which is 0600.

    It holds the texts of messages. Raises `SettingsError` where it cannot be written; a file that
    is no database is set aside.
    """

    def __init__(self, path: Path | str = MEMORY) -> None:
        self._database = Database(path, _prepare)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def register(
        self,
        account: str,
        *,
        now: datetime,
        lifetime: timedelta = DAY,
        activation: Activation | None = None,
        label: str = "",
    ) -> str:
        """Make a path, such as ``/hook/…``, for that account's provider. It is told only here."""
        token = secrets.token_urlsafe(32)
        rented = activation and activation.dump()
        ends = (now + lifetime).timestamp()
        values = (_hash(token), account, label, rented, now.timestamp(), ends)
        self._database.transact(lambda run: run.execute(_NEW, values))
        return f"/hook/{token}"

    def find(self, path: str, *, now: datetime) -> Hook | None:
        """The hook of that path, unless it is unknown or its time is over."""
        token = _PATH.fullmatch(path)
        if token is None:
            return None
        wanted = _hash(token[1])
        values = (wanted, now.timestamp())
        row = self._database.transact(lambda run: run.execute(_FIND, values).fetchone())
        # An index answers sooner or later by what it holds: of a hash that tells nothing of the
        # token. What decides is compared in constant time.
        same = hmac.compare_digest(row["hash"] if row else "", wanted)
        return _hook(row) if same else None

    def bind(self, url: str, activation: Activation) -> bool:
        """Say which number has that address, also for what has come to it; false if it is not ours.

        Providers want the address before there is a number.
        """
        token = _PATH.search(url)
        digest = _hash(token[1]) if token else ""
        return self._database.transact(lambda run: _bind(run, digest, activation))

    def hooks(self, *, now: datetime) -> list[Hook]:
        """Every path whose time is not over, oldest first."""
        values = (now.timestamp(),)
        rows = self._database.transact(lambda run: run.execute(_CURRENT, values).fetchall())
        return [_hook(row) for row in rows]

    def store(
        self, hook: Hook, content: bytes, items: Sequence[Item], *, now: datetime
    ) -> list[Received]:
        """Keep what a post of that content held; gives what was not there before."""
        digest, at = hashlib.sha256(content).hexdigest(), now.timestamp()
        kept = [
            (hook.id, digest, place, at, type(item).__name__, _dump(item))
            for place, item in enumerate(items)
        ]
        new = self._database.transact(lambda run: [run.execute(_STORE, v).rowcount for v in kept])
        return [
            Received(hook=hook, received_at=now, item=item)
            for item, is_new in zip(items, new, strict=True)
            if is_new
        ]

    def items(self, *, since: datetime | None = None) -> list[Received]:
        """What came at that moment (UTC) or later, or ever, and was not purged; oldest first."""
        start = (since.timestamp() if since else 0.0,)
        rows = self._database.transact(lambda run: run.execute(_READ, start).fetchall())
        return [_received(row) for row in rows]

    def purge(self, *, now: datetime, keep: timedelta) -> None:
        """Forget what came longer than `keep` ago, and paths whose time is over."""
        before, at = (now - keep).timestamp(), now.timestamp()
        self._database.transact(lambda run: _purge(run, before, at))

    @property
    def url(self) -> str | None:
        """Where providers reach the server that was last begun, such as ``https://my.example``."""
        row = self._database.transact(lambda run: run.execute(_GET_URL).fetchone())
        return row and str(row["url"])

    @url.setter
    def url(self, url: str) -> None:
        self._database.transact(lambda run: run.execute(_SET_URL, (url,)))


def _prepare(run: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        run.execute(statement)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _bind(run: sqlite3.Connection, digest: str, activation: Activation) -> bool:
    row = run.execute(_KNOWN, (digest,)).fetchone()
    if row is not None:
        run.execute(_BIND, (activation.dump(), row["id"]))
        run.execute(_ADDRESS, (activation.number, row["id"]))
    return row is not None


def _purge(run: sqlite3.Connection, before: float, now: float) -> None:
    run.execute(_FORGET, (before,))
    run.execute(_END, (now,))


def _hook(row: Any) -> Hook:
    return Hook(
        id=row["id"],
        account=row["account"],
        label=row["label"],
        activation=row["activation"] and Activation.load(row["activation"]),
        created_at=_at(row["created_at"]),
        ends_at=_at(row["ends_at"]),
    )


def _received(row: Any) -> Received:
    item = _KINDS[row["kind"]](json.loads(row["item"]))
    return Received(hook=_hook(row), received_at=_at(row["received_at"]), item=item)


def _at(stamp: float) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)


def _dump(item: Item) -> str:
    return json.dumps(attrs.asdict(item), default=_plain)  # ASCII: half a character has a place too


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _message(data: dict[str, Any]) -> InboundMessage:
    return InboundMessage(**{**data, "received_at": _moment(data["received_at"])})


def _report(data: dict[str, Any]) -> DeliveryReport:
    state = DeliveryState(data["state"])
    return DeliveryReport(**{**data, "state": state, "at": _moment(data["at"])})


_KINDS: Final[Mapping[str, Callable[[dict[str, Any]], Item]]] = {
    "InboundMessage": _message,
    "DeliveryReport": _report,
}
