"""How a command lives as a process: its event loop, its signals, and how errors become lines and exit codes.

Exit codes: 0 done, 1 failed, 2 wrong settings or arguments, 130 interrupted (commands that are not servers).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

from bridge.errors import BridgeError, SettingsError

T = TypeVar("T")

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

_SETTLED_S = 10.0
"""How long after a server's start everything has been imported that it uses all the time."""
_THRESHOLDS = gc.get_threshold()
"""Of the collector, as Python has set them."""
_SERVING = (_THRESHOLDS[0], 2, 100) if sys.version_info < (3, 14) else _THRESHOLDS
"""The same while calls go on. The middle generation is looked at three times as often, and halts the calls for a
third of the time: with 64 calls that took the p99 from a chunk of speech to the phone from 6.3 to 4.0 ms, for a
hundredth of the processor more. From Python 3.14 on the numbers mean something else.
"""
_NEVER = 1_000_000
"""In place of the last of them: no full look, for as long as a start takes."""
_SWITCH_S = 0.0005
"""How long another thread may keep the interpreter while the event loop wants it."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):  # noqa: N818  (not an error: somebody asked for the end)
    """SIGINT or SIGTERM came, and the work has ended cleanly since."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on a fresh event loop (uvloop's where that is installed) until it ends.

    SIGINT or SIGTERM cancel it, so that it can end its calls and close its files; then `Interrupted` is raised.
    A second signal cancels whatever the clean end is still waiting for; a third one kills, as usual.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_until_signal(work))


async def _until_signal(work: Coroutine[Any, Any, T]) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    received = 0

    def stop() -> None:
        nonlocal received
        received += 1
        if received == 2:
            _ignore(loop)
        if task is not None:
            task.cancel()

    handled = _handle(loop, stop)
    try:
        return await work
    except asyncio.CancelledError:
        if received:
            raise Interrupted from None
        raise
    finally:
        if handled:
            _ignore(loop)


def _handle(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> bool:
    try:
        for number in _SIGNALS:
            loop.add_signal_handler(number, stop)
    except (NotImplementedError, RuntimeError):
        # Windows, or a loop outside of the main thread: Ctrl-C is then a KeyboardInterrupt.
        return False
    return True


def _ignore(loop: asyncio.AbstractEventLoop) -> None:
    for number in _SIGNALS:
        loop.remove_signal_handler(number)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  (an extra)
    except ImportError:
        return None
    return uvloop.new_event_loop


def begin_start() -> None:
    """Begin the start of a server: before anything is imported that `bridge.cli` itself does not import."""
    # Importing makes hardly any garbage, and looking for some takes its time.
    gc.disable()
    # structlog imports rich, if it is there, to paint tracebacks, which a server has as plain text: that would be
    # a tenth of a second, and megabytes. With None in its place, rich cannot be imported: Python documents it.
    if "structlog" not in sys.modules and "rich" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment]  # see above
        try:
            import structlog  # noqa: F401, PLC0415  (see above)
        finally:
            del sys.modules["rich"]


def end_start() -> None:
    """Look for garbage again, but no more among what the start has made, which stays as long as the process.

    Every full look would otherwise visit all modules, and halt every call for a tenth of a second. To be called on
    the event loop when the server is ready; what comes a little later, such as the database's library, is left out
    likewise.
    """
    gc.freeze()
    gc.set_threshold(*_SERVING[:2], _NEVER)  # A full look would halt every call for what still comes.
    gc.enable()
    # What other threads do (files, the database) must not keep a caller waiting for the 5 ms that are usual.
    sys.setswitchinterval(_SWITCH_S)

    def settled() -> None:
        gc.freeze()
        gc.set_threshold(*_SERVING)

    asyncio.get_running_loop().call_later(_SETTLED_S, settled)


@contextlib.contextmanager
def collected_later() -> Iterator[None]:
    """For what a server imports while it serves: no look for garbage halts calls meanwhile, or ever visits it."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def guard(work: Callable[[], int], *, debug: bool = False) -> int:
    """Do `work` and turn whatever leaves it into one line on standard error and an exit code.

    A traceback is printed only with `debug`; otherwise it is kept in a file that the line names.
    """
    try:
        return work()
    except (KeyboardInterrupt, Interrupted):
        return INTERRUPTED
    except SettingsError as error:
        _say(error.message)
        return USAGE
    except BridgeError as error:
        _say(error.message)
        return FAILED
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`). Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001  (the last line of defence: it hides nothing, it tells and keeps all)
        if isinstance(error, OSError) and (said := _machine_error(error)):
            _say(said)
            return FAILED
        if debug:
            traceback.print_exception(error)
            _say("this is a bug in phone-bridge; the traceback stands above")
        else:
            _say(_masked(f"this is a bug in phone-bridge: {type(error).__name__}: {error}{_keep(error)}"))
        return FAILED
    finally:
        gc.set_threshold(*_THRESHOLDS)
        gc.enable()  # after a start that has come to nothing, in a process that goes on


def _machine_error(error: OSError) -> str:
    """What the machine does not allow: a file's error, or one that says that something has run out. Else empty."""
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    run_out = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
    return str(error.strerror) if error.errno in run_out else ""


def listen_error(error: OSError, host: str, port: int) -> BridgeError | None:
    """The sentence for a listener that could not be opened, with the remedy; None if it was something else."""
    if isinstance(error, socket.gaierror):
        said = f"{host} is no address or known name: choose another --host, such as 127.0.0.1"
        return BridgeError(said, code="listen")
    sentences = {
        errno.EADDRINUSE: f"port {port} on {host} is in use: stop what has it, or choose another --port",
        errno.EACCES: f"port {port} on {host} needs rights that this user lacks: choose a --port from 1024 up",
        errno.EADDRNOTAVAIL: f"{host} is no address of this machine: choose another --host, such as 127.0.0.1",
    }
    # An error about a file, which names it, is not about the listener.
    known = sentences.get(error.errno or 0) if error.filename is None else None
    return BridgeError(known, code="listen") if known else None


def _say(message: str) -> None:
    for line in message.splitlines():
        print(f"error: {line}", file=sys.stderr)  # noqa: T201  (the command line's own voice)


def _masked(text: str) -> str:
    """Take secrets out. Where logging was set up it is known which; else there are no settings yet."""
    masked: Callable[[str], str] = getattr(sys.modules.get("bridge.log"), "masked", str)
    return masked(text)


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _keep(error: Exception) -> str:
    from bridge.local_token import state_folder  # noqa: PLC0415  (needed only here, and slow to import)

    path: Path = state_folder() / "last-error.txt"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = "".join(traceback.format_exception(error))
        with open(path, "w", encoding="utf-8", opener=_for_the_owner) as file:
            file.write(_masked(told))
    except OSError:
        return "; run it again with --debug for the traceback"
    return f"; the traceback is in {path}"
