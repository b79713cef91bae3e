"""One-time passwords: the codes, the guesses at each recipient's, and paused prefixes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v2"
down_revision = "v1"


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "otp_code",
        sa.Column("id", sa.Text, primary_key=True),
        *(_text(name) for name in ("recipient", "purpose", "prefix", "state")),
        *(_text(name, nullable=True) for name in ("caller", "digest", "account", "spent_by")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("step", "serial")),
        *(_moment(name) for name in ("issued_at", "expires_at")),
        sa.Column("verified_at", sa.DateTime(timezone=True)),
    )
    for by in (["recipient"], ["caller"], ["prefix"], []):
        op.create_index("_".join(["otp_code", *by, "issued"]), "otp_code", [*by, "issued_at"])
    op.create_table(
        "otp_guesses",
        sa.Column("recipient", sa.Text, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        _moment("since"),
    )
    op.create_index("otp_guesses_since", "otp_guesses", ["since"])
    op.create_table(
        "otp_pause",
        sa.Column("prefix", sa.Text, primary_key=True),
        sa.Column("times", sa.Integer, nullable=False),
        *(_moment(name) for name in ("began_at", "ends_at")),
    )


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)
