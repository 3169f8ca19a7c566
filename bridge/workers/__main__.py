"""The process of one worker; the supervisor starts it, and nobody else."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from bridge.errors import BridgeError
from bridge.process import FAILED, OK, Interrupted, guard, listen_error, run
from bridge.workers.place import Failed, Ready, Start

if TYPE_CHECKING:
    from bridge.settings import Settings


def main() -> int:
    """Read where this worker stands, carry calls until told to stop, and return the exit code."""
    start = msgspec.json.decode(sys.stdin.buffer.readline(), type=Start)
    threading.Thread(target=_stop_when_alone, daemon=True).start()
    return guard(functools.partial(_work, start), debug=start.debug)


def _work(start: Start) -> int:
    ready = False

    def answers(url: str) -> None:
        nonlocal ready
        ready = True
        _say(Ready(url))

    try:
        _serve(start, answers)
    except Interrupted:
        return OK
    except BridgeError as error:
        if ready:
            raise
        _say(Failed(error.code, error.message, getattr(error, "extra", None)))
        return FAILED
    return OK


def _serve(start: Start, answers: Callable[[str], None]) -> None:
    from bridge.app import serve  # noqa: PLC0415  Slow to import: what is wrong with the first line shows before.
    from bridge.log import configure_logging  # noqa: PLC0415
    from bridge.settings.source import load_settings  # noqa: PLC0415
    from bridge.workers.worker import Worker  # noqa: PLC0415

    config = None if start.config is None else Path(start.config)
    load = functools.partial(load_settings, config, overrides=start.overrides)
    settings = load()
    configure_logging(settings)
    structlog.contextvars.bind_contextvars(worker=start.place.number)
    secrets = {*settings.secret_values()}

    def mask(taken: Settings) -> None:
        secrets.update(taken.secret_values())  # Calls that live may still use the old ones.
        configure_logging(taken, secrets=secrets)

    worker = Worker(start.place)
    try:
        run(serve(settings, ready=answers, load=load, on_taken=mask, worker=worker))
    except OSError as error:
        if known := listen_error(error, settings.server.host, start.place.port):
            raise known from None
        raise


def _stop_when_alone() -> None:
    """Stop as if told to, once the supervisor is not there any more: its end of the pipe is closed then."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _say(line: Ready | Failed) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
