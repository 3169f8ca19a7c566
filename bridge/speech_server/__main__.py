"""`python -m bridge.speech_server`: the speech server on its own, or as another process's child (`--child`)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec
import structlog
from structlog.typing import Processor

from bridge.errors import BridgeError, MissingExtraError
from bridge.speech_server.launch import ChildFailed, ChildReady
from bridge.speech_server.server import RunningServer, ServerSettings, start
from bridge.tasks import spawn

_FOR_THE_PARENT: Sequence[Processor] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.format_exc_info,
    structlog.processors.JSONRenderer(default=str),
)
"""A child's log lines: `bridge.speech_server.launch` logs them again as its own."""


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; as a child until its input ends. Returns the exit code."""
    chosen = vars(_parser().parse_args(arguments))
    child = chosen.pop("child")
    # Standard output has only the line that says where the server is.
    structlog.configure(
        processors=_FOR_THE_PARENT if child else None,
        # What of it is shown, a parent decides.
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if child else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    if child:
        return _run(_child())
    try:
        return _run(_alone(ServerSettings(**chosen)))
    except BridgeError as error:
        sys.stderr.write(f"error: {error.message}\n")
    except OSError as error:
        sys.stderr.write(f"error: cannot listen on {chosen['host']} port {chosen['port']}: {error.strerror}\n")
    return 1


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Run to the end, on uvloop's event loop where that is installed."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415  It is an extra.

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


def _parser() -> argparse.ArgumentParser:
    defaults = ServerSettings()
    parser = argparse.ArgumentParser(prog="python -m bridge.speech_server", description=__doc__)
    parser.add_argument("--host", default=defaults.host, help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=defaults.port, help="TCP port, 0 for a free one (%(default)s)")
    parser.add_argument("--recognizer", default=defaults.recognizer, help="moonshine or whisper (%(default)s)")
    parser.add_argument("--recognizer-model", help="name or folder of the recogniser's model")
    parser.add_argument("--voice-engine", default=defaults.voice_engine, help="nanotts or piper (%(default)s)")
    parser.add_argument("--voice-model", help="path of the engine's voice")
    parser.add_argument("--voice", help="voice that speaks for unknown ids")
    parser.add_argument("--workers", type=int, default=defaults.workers, help="recognition processes (%(default)s)")
    parser.add_argument("--max-streams", type=int, help="callers at once; one more is refused with 429")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser


async def _alone(settings: ServerSettings) -> int:
    stop = _stop_signals(signal.SIGINT, signal.SIGTERM)

    def ready(server: RunningServer) -> None:
        _say(f"speech server ready on {server.url}")

    await _serve(settings, stop, ready)
    return 0


async def _child() -> int:
    """The first line of standard input holds the settings, and its end means stop; the first line out answers."""
    # Ctrl-C in a terminal reaches the whole group; the parent decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = _stop_signals(signal.SIGTERM)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    given: dict[str, Any] = msgspec.json.decode(await reader.readline() or b"{}")
    spawn(_stop_at_end(reader, stop), name="lifeline")

    def ready(server: RunningServer) -> None:
        _say(msgspec.json.encode(ChildReady(server.url, server.port)).decode())

    try:
        await _serve(ServerSettings(**given), stop, ready)
    except MissingExtraError as error:
        return _refuse(ChildFailed(error.code, error.message, error.extra))
    except BridgeError as error:
        return _refuse(ChildFailed(error.code, error.message))
    except OSError as error:
        return _refuse(
            ChildFailed("speech_server_start", f"the local speech server cannot listen: {error.strerror}")
        )
    return 0


async def _serve(settings: ServerSettings, stop: asyncio.Event, ready: Callable[[RunningServer], None]) -> None:
    """Run the server until `stop`, which may also come while the models are being loaded."""
    stopped = spawn(stop.wait(), name="stop")
    starting = spawn(_started(settings), name="start")
    try:
        await asyncio.wait([stopped, starting], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return
        server = starting.result()
        if isinstance(server, Exception):
            raise server
        try:
            ready(server)
            await stopped
        finally:
            await server.close()
    finally:
        stopped.cancel()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


async def _started(settings: ServerSettings) -> RunningServer | BridgeError | OSError:
    """The server, or why there is none: an error that left the task would be logged as a fault of the program."""
    try:
        return await start(settings)
    except (BridgeError, OSError) as error:
        return error


async def _stop_at_end(reader: asyncio.StreamReader, stop: asyncio.Event) -> None:
    while await reader.read(1 << 16):
        pass
    stop.set()


def _stop_signals(*numbers: signal.Signals) -> asyncio.Event:
    stop = asyncio.Event()
    for number in numbers:
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt there
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _refuse(failed: ChildFailed) -> int:
    _say(msgspec.json.encode(failed).decode())
    return 1


if __name__ == "__main__":
    sys.exit(main())
