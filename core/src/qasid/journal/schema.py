"""The tables of the journal, as the last migration leaves them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

__all__ = [
    "REVISIONS",
    "balance",
    "meta",
    "metadata",
    "operation",
    "otp_code",
    "otp_guesses",
    "otp_pause",
    "rental",
]

#: Every schema version that this Qasid knows, oldest first, as in `migrations/versions`.
REVISIONS: Final = ("v1", "v2", "v3")


class Moment(sa.TypeDecorator[datetime]):
    """An aware moment in UTC, also from a database that keeps no zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> datetime | None:
        """A moment without a zone was written as UTC."""
        if value is None:
            return None
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

# One-time passwords. `recipient`, `caller` and `digest` are keyed digests, with a key that is not
# in the database; `digest` is None where the provider holds the code.

otp_code: Final = sa.Table(
    "otp_code",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("prefix", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("caller", sa.Text),
    sa.Column("digest", sa.Text),
    sa.Column("account", sa.Text),
    sa.Column("spent_by", sa.Text),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("serial", sa.Integer, nullable=False),
    sa.Column("issued_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("verified_at", Moment),
    sa.Index("otp_code_recipient_issued", "recipient", "issued_at"),
    sa.Index("otp_code_caller_issued", "caller", "issued_at"),
    sa.Index("otp_code_prefix_issued", "prefix", "issued_at"),
    sa.Index("otp_code_issued", "issued_at"),
)

otp_guesses: Final = sa.Table(
    "otp_guesses",
    metadata,
    sa.Column("recipient", sa.Text, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Index("otp_guesses_since", "since"),
)

otp_pause: Final = sa.Table(
    "otp_pause",
    metadata,
    sa.Column("prefix", sa.Text, primary_key=True),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("began_at", Moment, nullable=False),
    sa.Column("ends_at", Moment, nullable=False),
)

# The book of rentals, whose statements are in `qasid.rentals`: they are the same in a file without
# SQLAlchemy, and so are the types. Moments are seconds since 1970.

rental: Final = sa.Table(
    "rental",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("claim", sa.Text, nullable=False, unique=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("begun_at", sa.Double, nullable=False),
    sa.Column("ends_at", sa.Double, nullable=False),
    sa.Column("activation_id", sa.Text),
    sa.Column("activation", sa.Text),
    sa.Column("amount", sa.Text),
    sa.Column("currency", sa.Text),
    sa.Column("used", sa.Integer, nullable=False, server_default="0"),
    sa.Index("rental_account", "account", "begun_at"),
)

balance: Final = sa.Table(
    "balance",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("seen_at", Moment, primary_key=True),
    sa.Column("amount", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
)
