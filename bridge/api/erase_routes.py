"""`POST /api/v1/erase`: remove all that is kept of somebody's calls, by their number."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bridge.api.door import Door, asker, read
from bridge.api.kept import KeptCalls
from bridge.api.operations import Operation
from bridge.api.problems import Problem
from bridge.errors import BridgeError
from bridge.store.sql.erasing import Eraser

ERASE: Final = "/api/v1/erase"


class EraseBody(BaseModel):
    """What `POST /api/v1/erase` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    number: str = Field(
        min_length=1,
        max_length=200,
        description="Whose calls: number or address of who called, was called, or was connected.",
        examples=["+15550100001"],
    )


class ErasedAnswer(BaseModel):
    """What was erased."""

    calls: list[str] = Field(description="Ids of the calls of which nothing is kept any more.")
    files: int
    live: list[str] = Field(description="Ids of calls that go on: try again when they are over.")
    left: list[str] = Field(description="Ids of those of which files are still to be removed.")


class EraseRoutes:
    """The handler."""

    def __init__(self, eraser: Eraser, kept: KeptCalls) -> None:
        self._eraser = eraser
        self._kept = kept

    def add_to(self, app: web.Application, door: Door) -> None:
        """Put the handler at its address."""
        operation = Operation(
            "Erase the calls of a number",
            "admin",
            tag="records",
            about="For good: from the database, the disk, and what waits to be delivered. The audit keeps that it"
            " was done, with most of the number masked.",
            body=EraseBody,
            answers={200: ErasedAnswer},
            problems=(409, 503),
        )
        door.add(app, "POST", ERASE, self.erase, operation)

    async def erase(self, request: web.Request) -> web.Response:
        """Erase them, and answer what was there."""
        body = await read(request, EraseBody)
        try:
            erased = await self._eraser.erase_number(body.number, who=asker(request).name)
        except BridgeError as error:
            raise erase_refused(error) from None
        self._kept.forget(erased.calls)
        answer = ErasedAnswer(
            calls=list(erased.calls), files=erased.files, live=list(erased.live), left=list(erased.left)
        )
        return web.json_response(text=answer.model_dump_json())


def erase_refused(error: BridgeError) -> Exception:
    """Return what to raise where something was not erased: what the asker can mend is told."""
    match error.code:
        case "call_unknown":
            return Problem(404, error.code, "Nothing is kept of such a call.")
        case "call_live":
            return Problem(409, error.code, "This call goes on: it can be erased when it is over.")
        case "number_invalid":
            fault = {"field": "number", "message": error.message}
            return Problem(422, error.code, f"number: {error.message}.", errors=[fault])
        case "erase_refused":
            return Problem(409, error.code, "The folder of this call is not where it should be; the log says more.")
        case _:
            return error
