"""The book of rentals, and the balances that accounts showed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v3"
down_revision = "v2"


def upgrade() -> None:
    """Make both tables. `claim` names a rental wherever its row is moved to."""
    op.create_table(
        "rental",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("claim", sa.Text, nullable=False, unique=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("account", "provider", "state")),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("begun_at", "ends_at")),
        *(sa.Column(name, sa.Text) for name in ("activation_id", "activation")),
        *(sa.Column(name, sa.Text) for name in ("amount", "currency")),
        sa.Column("used", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_index("rental_account", "rental", ["account", "begun_at"])
    op.create_table(
        "balance",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("amount", "currency")),
    )
