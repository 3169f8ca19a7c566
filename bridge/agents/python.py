"""The `python` agent: a function in this very process, named `package.module:function`.

The function takes a `Question`. It is an async generator that yields text (which is spoken) or actions, piece by
piece, or a plain coroutine function that returns text, an action, a list of these, or None.
"""

from __future__ import annotations

import asyncio
import glob
import importlib
import inspect
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import msgspec
import structlog

from bridge.agents.action_checks import fault
from bridge.agents.base import Question
from bridge.conversation.actions import (
    Action,
    GatherDigits,
    HandOff,
    HangUp,
    Note,
    Play,
    RecordMessage,
    Remember,
    Say,
    SendDigits,
    Set,
    Transfer,
)
from bridge.errors import AgentError, SettingsError

AgentFunction = Callable[[Question], AsyncGenerator[object, None]]

_log = structlog.get_logger()


class PythonAgent:
    """Asks a function of the user. Shares the process, so a function that blocks stops every call."""

    def __init__(self, target: str, *, timeout_seconds: float | None = None) -> None:
        """Import `target`. `timeout_seconds` bounds the wait for each piece; None: without limit.

        Raises SettingsError when there is no such function or it is not async.
        """
        self._target = target
        self._function = load_function(target)
        self._timeout = timeout_seconds

    async def ask(self, question: Question) -> AsyncGenerator[Action, None]:
        """Yield what the function yields; text becomes `Say`.

        Cancelling raises CancelledError inside the function and closes it, so its own `finally` blocks run. A
        function that swallows the cancellation is not listened to any further.
        Raises AgentError: `agent_crashed` (the traceback is logged), `agent_timeout` or `agent_answer`.
        """
        async with aclosing(self._function(question)) as pieces:
            while True:
                try:
                    piece = await self._next(pieces, question)
                except StopAsyncIteration:
                    return
                action = self._to_action(piece)
                if action != Say(""):
                    yield action

    async def close(self) -> None:
        """Nothing is held."""

    async def _next(self, pieces: AsyncGenerator[object, None], question: Question) -> object:
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        try:
            return await self._piece(pieces, question)
        finally:
            # A bare `except:` in the function may have eaten the cancellation: cancelled stays cancelled.
            if task and task.cancelling() > before:
                raise asyncio.CancelledError

    async def _piece(self, pieces: AsyncGenerator[object, None], question: Question) -> object:
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                return await anext(pieces)
        except (StopAsyncIteration, AgentError):
            raise
        except Exception as error:
            if limit.expired():
                raise AgentError(
                    f"the agent {self._target} gave nothing for {self._timeout:g} s", code="agent_timeout"
                ) from error
            _log.exception("agent_crashed", call=question.call.id, reply=question.reply, agent=self._target)
            raise AgentError(
                # Not its text, which may repeat the caller's words: that is in the traceback.
                f"the agent {self._target} raised {type(error).__name__}",
                code="agent_crashed",
            ) from error

    def _to_action(self, piece: object) -> Action:
        action = Say(piece) if isinstance(piece, str) else piece
        if isinstance(
            action,
            Say
            | Play
            | SendDigits
            | GatherDigits
            | RecordMessage
            | Set
            | HangUp
            | Transfer
            | HandOff
            | Note
            | Remember,
        ):
            try:
                # There and back: what cannot be written down can be neither spoken nor kept.
                checked: Action = msgspec.json.decode(msgspec.json.encode(action), type=type(action))
                reason = fault(checked)
            except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
                raise self._not_understood(action, str(error)) from error
            if reason:
                raise self._not_understood(action, reason)
            return checked
        raise AgentError(
            f"the agent {self._target} gave a {type(piece).__name__}; wanted text or an action "
            "such as Say, Play, GatherDigits, Transfer or HangUp (bridge.conversation.actions)",
            code="agent_answer",
        )

    def _not_understood(self, action: Action, why: str) -> AgentError:
        what = f"a {type(action).__name__} that is not understood: {why[:300]}"
        return AgentError(f"the agent {self._target} gave {what}", code="agent_answer")


def load_function(target: str) -> AgentFunction:
    """Import `package.module:function`, also from the working folder.

    Raises SettingsError that says which half is wrong.
    """
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise _wrong(target, "wanted package.module:function")
    function = getattr(_import(target, module_name), name, None)
    if function is None:
        raise _wrong(target, f"the module {module_name} has no {name}")
    if not callable(function):
        raise _wrong(target, f"{name} is a {type(function).__name__}, not a function")
    # An object whose class has an async `__call__` is as good as a function.
    forms = (function, type(function).__call__)
    if any(map(inspect.isasyncgenfunction, forms)):
        return cast("AgentFunction", function)
    if any(map(inspect.iscoroutinefunction, forms)):
        return _as_generator(function)
    raise _wrong(target, f"{name} is not async: write  async def {name}(question)  and yield what is to be said")


def _import(target: str, module_name: str) -> Any:
    folder = str(Path.cwd())
    if folder not in sys.path and _is_in(Path.cwd(), module_name.partition(".")[0]):
        sys.path.insert(0, folder)  # an agent is often one file in the folder the bridge is started from
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Only the named module's own absence is a wrong setting; one that it imports is the module's fault.
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise _wrong(target, f"there is no module {error.name} (looked in {folder} too)") from error
        raise _wrong(target, f"importing {module_name} failed: {error}") from error
    except Exception as error:
        raise _wrong(target, f"importing {module_name} failed: {type(error).__name__}: {error}") from error


def _is_in(folder: Path, name: str) -> bool:
    """Tell whether a module is in a folder: if not, what else lies there must not stand for other modules."""
    return (folder / name).is_dir() or any(folder.glob(f"{glob.escape(name)}.*"))  # `.py`, or compiled.


def _as_generator(function: Callable[[Question], Any]) -> AgentFunction:
    async def generate(question: Question) -> AsyncGenerator[object, None]:
        answer = await function(question)
        if answer is None:
            return
        for piece in answer if isinstance(answer, list | tuple) else (answer,):
            yield piece

    return generate


def _wrong(target: str, what: str) -> SettingsError:
    return SettingsError(f"agent.url (BRIDGE_AGENT__URL) is {target!r}: {what}")
