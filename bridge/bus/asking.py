"""Asks the node that holds a call, and answers for the calls that are held here: whole requests, as they came.

Each node listens at the names of its calls, so that the bus itself finds who holds one, and says at once that
nobody does. A request that comes that way is answered by this node's own listener, at a socket that nobody else can
reach.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import aiohttp
import msgspec
import structlog
import yarl
from aiohttp import web

from bridge.api.problems import Problem
from bridge.bus.connection import Bus, BusError
from bridge.bus.sound import LISTEN, SoundGiven
from bridge.call.outgoing import OutgoingCall
from bridge.tasks import spawn

BY_BUS: Final = web.RequestKey("by_bus", bool)
"""True: another node has found that this one is to answer the request, and nobody else."""
GIVE: Final = b"give"
"""Asks whoever holds a call to give it away. The answer is its journal; without anything in it: it is not given."""
NOT_WHOLE: Final = b"-"
"""The answer where the journal is too long: it was given away, and the database has it."""
ORDER: Final = b"order "
"""Asks for what was ordered of a call that is answered now; the carrier's id of it follows."""
Order: TypeAlias = tuple[OutgoingCall, str]
"""As `bridge.twilio.outbound_routes.Order`."""
LOST: Final = b"lost "
"""Says that a node, whose name follows, has lost a call."""
_REMOTE: Final = "Bridge-Asked-By"
"""Name of the header that says for which address another node asks."""
_OF_CONNECTION: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})
_NOT_PASSED_ON: Final = _OF_CONNECTION | {"upgrade", "expect", _REMOTE.lower()}
_NOT_ANSWERED: Final = _OF_CONNECTION | {"date", "server"}
_OWED_S: Final = 5.0
"""How long a node that stops takes to answer what it was asked."""
_HEAD_BYTES: Final = 2048

log = structlog.get_logger()


class Question(msgspec.Struct):
    """A request that another node is to answer."""

    method: str
    target: str
    """Path and query, as they came."""
    headers: list[tuple[str, str]]
    body: bytes
    remote: str
    """Who asks."""
    within_s: float
    """How long whoever asks waits for the answer."""


class Answer(msgspec.Struct):
    """What it is answered with."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class AnsweredElsewhere(web.HTTPException):
    """The answer of another node. Raised out of a handler, it becomes the answer of this one."""

    status_code = 200

    def __init__(self, answer: Answer) -> None:
        self.status_code = answer.status
        super().__init__(headers=answer.headers, body=answer.body)


async def ask_holder(bus: Bus, subject: str, request: web.Request, *, alive_s: float, within_s: float) -> Answer:
    """Let the node that listens at `subject` answer a request, and return its answer. Raises `BusError`.

    `alive_s` is how long that node may take to say that it is there, `within_s` how long for the answer. Cancelling
    leaves it to the other node what it does.
    """
    body = await request.read()  # Kept by aiohttp, if somebody has read it before.
    await bus.ask(subject, b"", alive_s)
    headers = _but(request.headers, _NOT_PASSED_ON)
    question = Question(request.method, request.raw_path, headers, body, request.remote or "", within_s)
    found = await bus.ask(subject, msgspec.msgpack.encode(question), within_s)
    try:
        return msgspec.msgpack.decode(found, type=Answer)
    except msgspec.MsgspecError as error:
        raise BusError(f"the answer of another node is not understood: {error}", code="bus_late") from None


async def ordered_elsewhere(bus: Bus, subject: str, sid: str, within_s: float) -> Order | None:
    """Get what was ordered of a call from the node that listens at `subject`. Raises `BusError`."""
    given = await bus.ask(subject, ORDER + sid.encode(), within_s)
    try:
        return msgspec.msgpack.decode(given, type=Order | None)
    except msgspec.MsgspecError as error:
        raise BusError(f"the answer of another node is not understood: {error}", code="bus_late") from None


class Answering:
    """Answers what other nodes ask about the calls that are held here."""

    def __init__(
        self,
        bus: Bus,
        name: Callable[[], str],
        give: Callable[[str], Awaitable[bytes]],
        lost: Callable[[str, str], None],
    ) -> None:
        """`name` returns what this node is called.

        `give` gives a call away, by any of its names, and returns its journal. `lost` is told of a call that a node
        has lost, and which node.
        """
        self._bus = bus
        self._name = name
        self._give = give
        self._lost = lost
        self.orders: Callable[[str, str], Order | None] = lambda *_: None
        """Gives away a call that this node has placed, by the ids of order and carrier."""
        self.sound = SoundGiven(bus)
        self._folder: Path | None = None
        self._session: aiohttp.ClientSession | None = None
        self._owed: set[asyncio.Task[None]] = set()

    async def open(self, runner: web.AppRunner) -> None:
        """Begin. Raises OSError."""
        self._folder = folder = Path(tempfile.mkdtemp(prefix="phone-bridge-"))  # Nobody else may enter it.
        path = str(folder / "node.sock")
        await web.UnixSite(runner, path).start()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path, limit=0),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def settled(self) -> None:
        """Wait until what was asked so far is answered; not for long.

        A node that stops ends when its last call is over for it, which is before the other one has its journal.
        """
        if self._owed:
            await asyncio.wait([*self._owed], timeout=_OWED_S)

    async def close(self) -> None:
        """Answer nothing more."""
        await self.sound.close()
        if self._session is not None:
            await self._session.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def take(self, message: Any) -> None:
        """Answer a message, beside what else is asked. One without anything in it asks who is there."""
        call = str(message.subject).rpartition(".")[2]
        if message.data == GIVE:
            self._owe(spawn(self._hand_over(message, call), name="give-call"))
        elif message.data.startswith(LISTEN):
            await self.sound.take(message, call)
        elif message.data.startswith(LOST):
            self._lost(call, message.data.removeprefix(LOST).decode(errors="replace"))
        elif message.data.startswith(ORDER):
            given = self.orders(call, message.data.removeprefix(ORDER).decode(errors="replace"))
            await message.respond(msgspec.msgpack.encode(given))
        elif message.data:
            self._owe(spawn(self._answer(message), name="answer-node"))
        else:
            await message.respond(self._name().encode())

    def _owe(self, task: asyncio.Task[None]) -> None:
        self._owed.add(task)
        task.add_done_callback(self._owed.discard)

    async def _hand_over(self, message: Any, call: str) -> None:
        journal = await self._give(call)
        if len(journal) + _HEAD_BYTES > self._bus.most_bytes:
            journal = NOT_WHOLE
        with contextlib.suppress(Exception):  # As below.
            await message.respond(journal)

    async def _answer(self, message: Any) -> None:
        try:
            question = msgspec.msgpack.decode(message.data, type=Question)
        except msgspec.MsgspecError as error:
            log.warning("node_question_unknown", error=str(error))
            return
        try:
            answer = await self._ask_here(question)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            log.warning("node_question_not_answered", target=question.target, error=str(error))
            return
        found = msgspec.msgpack.encode(answer)
        if len(found) + _HEAD_BYTES > self._bus.most_bytes:
            detail = f"This is too long to come from another node: ask the node {self._name()} for it."
            problem = Problem(409, "call_elsewhere", detail, node=self._name()).answer()
            body = (problem.text or "").encode()
            found = msgspec.msgpack.encode(Answer(409, _but(problem.headers, _NOT_ANSWERED), body))
        with contextlib.suppress(Exception):  # The bus is away again: whoever asked waits no longer.
            await message.respond(found)

    async def _ask_here(self, question: Question) -> Answer:
        assert self._session is not None  # noqa: S101  It is open.
        async with self._session.request(
            question.method,
            yarl.URL("http://node" + question.target, encoded=True),
            headers=[*question.headers, (_REMOTE, question.remote)],
            data=question.body or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=question.within_s),
        ) as response:
            return Answer(response.status, _but(response.headers, _NOT_ANSWERED), await response.read())


def _but(headers: Mapping[str, str], left_out: Collection[str]) -> list[tuple[str, str]]:
    return [(str(name), value) for name, value in headers.items() if name.lower() not in left_out]


def taken_over(request: web.Request) -> web.Request:
    """Return a request as its handler is to see it: one of another node's says who asks there."""
    transport = request.transport
    connection = None if transport is None else transport.get_extra_info("socket")
    # What another worker passes on comes by a pair of sockets, which have no name, and is anybody's.
    if connection is None or connection.family != socket.AF_UNIX or not connection.getsockname():
        return request
    request = request.clone(remote=request.headers.get(_REMOTE, ""))
    request[BY_BUS] = True
    return request
