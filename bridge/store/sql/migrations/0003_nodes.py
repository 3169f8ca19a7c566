"""Many bridges: who holds a call, the journals of calls that go on, and which tokens of media streams were used."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003_nodes"
down_revision: Final = "0002_search"


def upgrade() -> None:
    """Make their tables."""
    op.create_table(
        "owners",
        sa.Column("call_id", sa.String(length=64), nullable=False),
        sa.Column("sid", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=128), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("claimed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.id"], name=op.f("fk_owners_call_id_calls"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_owners")),
    )
    op.create_index(op.f("ix_owners_sid"), "owners", ["sid"], unique=False)
    op.create_table(
        "journal",
        sa.Column("call_id", sa.String(length=64), nullable=False),
        sa.Column("begins", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.id"], name=op.f("fk_journal_call_id_calls"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("call_id", "begins", name=op.f("pk_journal")),
    )
    op.create_table(
        "used_tokens",
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_used_tokens")),
    )
    op.create_index(op.f("ix_used_tokens_used_at"), "used_tokens", ["used_at"], unique=False)
