"""The tables of the journal, as the last migration leaves them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

__all__ = ["REVISIONS", "meta", "metadata", "operation"]

#: Every schema version that this Qasid knows, oldest first, as in `migrations/versions`.
REVISIONS: Final = ("v1",)


class Moment(sa.TypeDecorator[datetime]):
    """An aware moment in UTC, also from a database that keeps no zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> datetime:
        """A moment without a zone was written as UTC."""
        moment: datetime = value.replace(tzinfo=value.tzinfo or UTC)
        return moment.astimezone(UTC)


metadata: Final = sa.MetaData()

meta: Final = sa.Table(
    "meta",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

operation: Final = sa.Table(
    "operation",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("claim", sa.Text, nullable=False, unique=True),
    sa.Column("hook", sa.Text, nullable=False),
    sa.Column("reference", sa.Text),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("recipient", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("text_length", sa.Integer),
    sa.Column("text_digest", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Column("lease_until", Moment, nullable=False),
    sa.Column("result", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("code", sa.Text),
    sa.Column("settled_by", sa.Text),
    sa.UniqueConstraint("hook", "reference", name="operation_reference"),
    sa.Index("operation_created", "created_at", "id"),
    sa.Index("operation_state", "state", "updated_at"),
)
