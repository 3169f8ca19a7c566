"""What recordings were found to say when they were transcribed again, beside the live transcript."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from bridge.store.differences import Difference
from bridge.store.retranscribe import Transcription, Word
from bridge.store.sql.database import Database


@dataclass(frozen=True, slots=True)
class KeptTranscription:
    """A transcription in the database."""

    id: int
    made_at: int
    """ms since 1970, UTC."""
    made: Transcription


class Transcriptions:
    """The table `transcriptions` of an open database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, call_id: str, made: Sequence[Transcription]) -> None:
        """Keep the transcriptions of a call, which must be in the database. Earlier ones stay.

        Raises StoreError.
        """
        from bridge.store.sql.schema import transcriptions  # noqa: PLC0415  SQLAlchemy takes its time.

        now = round(time.time() * 1000)
        rows = [
            {
                "call_id": call_id,
                "side": one.side,
                "model": one.model,
                "made_at": now,
                "text": one.text,
                "words": [dataclasses.asdict(word) for word in one.words],
                "differences": [dataclasses.asdict(difference) for difference in one.differences],
            }
            for one in made
        ]
        async with self._database.writing() as connection:
            await connection.execute(transcriptions.insert(), rows)

    async def of(self, call_id: str) -> list[KeptTranscription]:
        """Return the transcriptions of a call in the order in which they were made. Raises StoreError."""
        from sqlalchemy import select  # noqa: PLC0415  As above.

        from bridge.store.sql.schema import transcriptions  # noqa: PLC0415  As above.

        wanted = select(transcriptions).where(transcriptions.c.call_id == call_id).order_by(transcriptions.c.id)
        async with self._database.reading() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        return [
            KeptTranscription(
                row["id"],
                row["made_at"],
                Transcription(
                    row["side"],
                    row["model"],
                    row["text"],
                    tuple(msgspec.convert(row["words"], list[Word])),
                    tuple(msgspec.convert(row["differences"], list[Difference])),
                ),
            )
            for row in rows
        ]
