"""A WebSocket to the speech service with a short way both ways: no task is woken between the network and a call.

`websockets` puts each message into a queue and wakes the task that reads from it; each message that is sent takes
a lock and a task. A call does both some thirty times a second, and a barge-in waits for it. So whoever reads is
handed a message in the very read that brought it, and what can be written without waiting is. Fragments, and
whatever came before anybody read, go the library's own way, and nothing overtakes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.protocol import OPEN

from bridge.outgoing_socket import OutgoingSocket

_WRITTEN_AHEAD_BYTES: Final = 16 * 1024
"""What may lie between us and the network: two seconds of audio."""


class SpeechConnection(OutgoingSocket):
    """`websockets`' connection, which `SpeechLink.connect` opens."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._take: Callable[[bytes], None] | None = None
        self._behind = 0
        """Whole messages that went the library's way and were not received yet."""

    async def read(self, take: Callable[[bytes], None]) -> NoReturn:
        """Hand each message to `take` as bytes, in order, until the connection ends: raises `ConnectionClosed`.

        `take` must not raise: that would end the connection. Cancelling leaves it open, but what comes from then on
        waits for somebody to read it.
        """
        try:
            while True:
                if not self._behind:
                    self._take = take
                take(await self.receive())
        finally:
            self._take = None

    async def receive(self) -> bytes:
        """Wait for one message; for what comes before `read`. Cancelling loses none. Raises `ConnectionClosed`."""
        data = await self.recv(decode=False)
        self._behind -= 1
        return data

    @property
    def has_room(self) -> bool:
        """Whether a message can be written without waiting: it is open, and the network keeps up."""
        return self.protocol.state is OPEN and self.transport.get_write_buffer_size() <= _WRITTEN_AHEAD_BYTES

    def write(self, data: bytes | str) -> None:
        """Write a message at once, binary or text. There must be room, and nobody in the midst of `send`."""
        protocol = self.protocol
        if isinstance(data, str):
            protocol.send_text(data.encode())
        else:
            protocol.send_binary(data)
        self.transport.write(b"".join(protocol.data_to_send()))

    def process_event(self, event: Any) -> None:
        """Take a frame of the service; as the library's, which calls it."""
        if isinstance(event, Frame) and event.opcode in DATA_OPCODES and event.fin:
            if self._take is not None and not self._behind and event.opcode is not Opcode.CONT:
                self._take(bytes(event.data))
                return
            self._behind += 1
        super().process_event(event)
