"""The operations, and the key that digests are made with."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "v1"
down_revision = None


def upgrade() -> None:
    """Make both tables, and a random key."""
    meta = op.create_table(
        "meta",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "operation",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("claim", sa.Text, nullable=False, unique=True),
        *(_text(name) for name in ("hook", "account", "provider", "request", "state")),
        *(_text(name, nullable=True) for name in ("reference", "recipient", "subject")),
        sa.Column("text_length", sa.Integer),
        _text("text_digest", nullable=True),
        *(_moment(name) for name in ("created_at", "updated_at", "lease_until")),
        *(_text(name, nullable=True) for name in ("result", "error", "code", "settled_by")),
        sa.UniqueConstraint("hook", "reference", name="operation_reference"),
    )
    op.create_index("operation_created", "operation", ["created_at", "id"])
    op.create_index("operation_state", "operation", ["state", "updated_at"])
    op.bulk_insert(meta, [{"name": "key", "value": secrets.token_hex(32)}])


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)
