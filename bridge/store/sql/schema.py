"""The tables of the record. Alembic's migrations in `migrations/` make them; a test holds both against each other.

Moments of the wall clock are whole milliseconds since 1970 in UTC (`…_at`); times within a call are milliseconds
since its first media stream began (`…_ms`). Rows are made from a call's journal, entry by entry: `seq` is the
number of the entry in the journal, counted from 1, so that an entry goes in once however often it is tried.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from bridge.store.sql.words import search_words

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

calls: Final = Table(
    "calls",
    metadata,
    Column("id", String(64), primary_key=True),  # the bridge's own id
    Column("sid", String(64), nullable=False),  # the carrier's
    Column("direction", String(16), nullable=False),
    Column("caller", Text, nullable=False),
    Column("called", Text, nullable=False),
    Column("other", Text, nullable=False, default=""),  # whom the caller is connected with, where two people talk
    Column("agent_kind", String(64), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("duration_ms", BigInteger),  # null: the call goes on, or its record breaks off
    Column("ended", String(64)),  # `CallClosed.reason`; null as above
    Column("transfer_to", Text, nullable=False, default=""),
    Column("folder", Text, nullable=False),  # below `store.recordings`, with / between its parts
    Column("entries", Integer, nullable=False, default=0),  # how many entries of the journal are in
    Column("journal_bytes", BigInteger, nullable=False, default=0),  # how much of the journal is in
    Column("turns", Integer, nullable=False, default=0),  # rows in `turns`
    Column("interruptions", Integer, nullable=False, default=0),  # replies that the caller cut off
    Column("wasted", Integer, nullable=False, default=0),  # answers prepared at an eager end and not used
    Column("problems", Integer, nullable=False, default=0),
    Column("under_runs", Integer, nullable=False, default=0),
    Index(None, "started_at", "id"),
    Index(None, "sid"),
    Index(None, "caller"),
    Index(None, "called"),
)


def _words(context: Any) -> str:
    """What the full-text index is given of a turn that is put in."""
    return search_words(context.get_current_parameters()["text"])


turns: Final = Table(
    "turns",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("call_id", ForeignKey("calls.id", ondelete="CASCADE"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("speaker", String(16), nullable=False),  # caller, agent, callee
    Column("number", Integer, nullable=False),  # of the caller's or party's turn; of the turn that a reply answers
    Column("reply", Integer),  # of the agent's reply
    Column("text", Text, nullable=False),  # verbatim; of the agent: what was heard
    Column("words", Text, nullable=False, default=_words, server_default=""),  # of `text`, as they are searched
    Column("unheard", Text, nullable=False, default=""),
    Column("started_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger, nullable=False),
    Column("interrupted", Boolean, nullable=False, default=False),
    Column("incomplete", Boolean, nullable=False, default=False),
    Column("degraded", Boolean, nullable=False, default=False),
    Column("meaning", String(16), nullable=False, default="words"),
    Column("occasion", String(32), nullable=False, default=""),  # of a reply: what it answers
    Column("speculative", Boolean, nullable=False, default=False),
    Column("eager_ms", BigInteger),  # of the caller: the last eager end
    # Of a reply, the way of its first piece: asked, first text, first audio, sent to the phone, played by it.
    Column("asked_ms", BigInteger),
    Column("text_ms", BigInteger),
    Column("audio_ms", BigInteger),
    Column("sent_ms", BigInteger),
    Column("mark_ms", BigInteger),
    UniqueConstraint("call_id", "seq"),
    sqlite_autoincrement=True,  # the full-text index must never meet a number a second time
)

actions: Final = Table(
    "actions",
    metadata,
    Column("call_id", ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("kind", String(32), nullable=False),  # as in the journal: key_pressed, transfer_tried, problem_met, …
    Column("at_ms", BigInteger, nullable=False),
    Column("data", JSON, nullable=False),  # the entry as the journal has it, without kind and time
)

legs: Final = Table(
    "legs",
    metadata,
    Column("call_id", ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),  # of the entry that began it
    Column("kind", String(16), nullable=False),  # stream (one of the carrier's media streams), transfer
    Column("party", Text, nullable=False, default=""),  # of a transfer: whom
    Column("status", String(32), nullable=False, default=""),  # of a transfer: how it ended; of a stream: broken
    Column("started_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
)

notes: Final = Table(
    "notes",
    metadata,
    Column("call_id", ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("data", JSON, nullable=False),
)

transcriptions: Final = Table(
    "transcriptions",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("call_id", ForeignKey("calls.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("side", String(16), nullable=False),  # caller, agent, callee
    Column("model", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("text", Text, nullable=False),  # verbatim
    Column("words", JSON, nullable=False),  # [{word, start_ms, end_ms}], where the service tells
    Column("differences", JSON, nullable=False),  # against the live transcript
)

audit: Final = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("who", Text, nullable=False),  # name of the API token, `console`, `command line`, `retention`
    Column("what", String(32), nullable=False),  # recording_read, recording_exported, listened, call_erased, …
    Column("call_id", String(64), nullable=False, default=""),  # no foreign key: it outlives the call
    Column("detail", Text, nullable=False, default=""),
    Column("ref", String(32)),  # a line that had to wait in a file goes in once by it
    Index(None, "ref", unique=True),
    sqlite_autoincrement=True,
)

owners: Final = Table(  # which of many bridges holds a call; none where there is one
    "owners",
    metadata,
    Column("call_id", ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("sid", String(64), nullable=False, index=True),
    Column("node", String(128), nullable=False),
    Column("epoch", Integer, nullable=False),  # 1, 2, 3 …: how often the call has had an owner
    Column("claimed_at", BigInteger, nullable=False),
)

journal: Final = Table(  # of calls that have an owner and are not over: their journals, as they stand on its disk
    "journal",
    metadata,
    Column("call_id", ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("begins", BigInteger, primary_key=True, autoincrement=False),  # the byte of the journal
    Column("text", LargeBinary, nullable=False),
)

passed: Final = (
    Table(  # of calls that another bridge took: who held them before, and on whose disk a part of them is
        "passed",
        metadata,
        Column("call_id", ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
        Column(
            "epoch", Integer, primary_key=True, autoincrement=False
        ),  # under which `node` held it, as in `owners`
        Column("node", String(128), nullable=False, index=True),
        Column("passed_at", BigInteger, nullable=False),
        Column("journal_bytes", BigInteger, nullable=False),  # how much of its journal was in
        Column("given", Boolean, nullable=False),  # by `node` itself, with all of its journal
        Column("merged", Boolean, nullable=False),  # `node` has looked since for what it had kept alone
    )
)

leftovers: Final = Table(  # what nodes had on their disks and not in the database when another took the call
    "leftovers",
    metadata,
    Column("call_id", ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("node", String(128), primary_key=True),
    Column("line", String(32), primary_key=True),  # a digest of the journal's line: each goes in once
    Column("at_ms", BigInteger, nullable=False),
    Column("data", JSON, nullable=False),  # the entry as that journal has it
)

orders: Final = Table(  # calls of ours that wait to be placed, where bridges share the database
    "orders",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("node", String(128), nullable=False, index=True),  # that may place it; empty: whoever takes it first
    Column("placing", Boolean, nullable=False),  # the carrier is asked at this moment
    Column("ordered_at", BigInteger, nullable=False),
    Column("data", Text, nullable=False),  # JSON: what is to be placed
)

used_tokens: Final = Table(  # of media streams: each is good once, whichever bridge it comes to
    "used_tokens",
    metadata,
    Column("token", String(64), primary_key=True),
    Column("used_at", BigInteger, nullable=False, index=True),
)

tombstones: Final = Table(
    "tombstones",
    metadata,
    Column("call_id", String(64), primary_key=True),  # of a call that was erased: its journal never goes in again
    Column("erased_at", BigInteger, nullable=False),
    Column("rest", JSON(none_as_null=True)),  # what is still to be removed outside of the database; null: nothing
)
