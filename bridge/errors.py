"""The errors of the bridge: few types, stable codes, one sentence each with the remedy.

Adapters translate what their libraries raise at the seam, so that nothing else needs to know which library
it was. A code is part of the product: it stands in logs, metrics and records and does not change.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

_OF_URLS: Final = re.compile(r"([a-z]{2,5}://)([^\s/?#@'\"]*@)?([^\s?#'\"]*)(\?[^\s#'\"]+)?")


def system_reason(error: OSError) -> str:
    """What the system says about a failed connection or file, without the library's words around it."""
    said = error.strerror or ""
    if error.errno and said.startswith(("Connect call failed", "Multiple exceptions")):  # as asyncio puts it
        return os.strerror(error.errno)
    return said or str(error) or type(error).__name__


class BridgeError(Exception):
    """Something a person can act on. `str()` is the sentence to show, without a traceback."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class SettingsError(BridgeError):
    """A setting or argument is wrong. The message names it, its value and the remedy.

    What a URL in it may hold of secrets, which are its user, password and query, is left out.
    """

    def __init__(self, message: str, *, code: str = "settings") -> None:
        super().__init__(_OF_URLS.sub(r"\1\3", message), code=code)


class MissingExtraError(BridgeError):
    """An optional part is not installed. The message holds the command that installs it."""

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(
            f"{what} needs the '{extra}' extra: run  pip install 'phone-bridge[{extra}]'", code="missing_extra"
        )
        self.extra = extra


class ProtocolError(BridgeError):
    """A peer sent a message that does not fit its protocol. Counted, logged once and survived."""

    def __init__(self, message: str, *, code: str = "malformed_message") -> None:
        super().__init__(message, code=code)


class SpeechError(BridgeError):
    """A speech service refused or failed.

    Codes: `speech_auth` (401, 403), `speech_plan` (402), `speech_request` (400, other 4xx), `speech_limit` (429),
    `speech_server` (5xx, 1011), `speech_unreachable` (no connection), `speech_timeout`.
    """

    def __init__(self, message: str, *, code: str, final: bool, details: Mapping[str, str] | None = None) -> None:
        super().__init__(message, code=code)
        self.final = final
        """True: trying again cannot help until a setting or the account changes."""
        self.details: Mapping[str, str] = details or {}
        """What else the service said, where it did: `title`, `message`, `status_code`, `error_code`, `doc_url`,
        `request_id`."""


class AgentError(BridgeError):
    """The agent gave no answer.

    Codes: `agent_unreachable`, `agent_timeout`, `agent_status` (an HTTP error), `agent_answer` (not understood),
    `agent_crashed` (a Python agent raised), `agent_breaker_open` (it failed so often that it is left alone for a
    while), `agent_target` (its address is in a network that is not allowed), `agent_held` (a speculative answer
    that cannot be prepared any further before the caller's turn is over).
    """


class CarrierError(BridgeError):
    """Twilio's REST API refused, or did not answer.

    Codes: `carrier_request`, `carrier_auth`, `carrier_limit` (429), `carrier_server` (5xx), `carrier_unreachable`
    (no connection), `carrier_timeout` (no answer: what was asked may be done all the same).
    """


class StoreError(BridgeError):
    """The database of calls did not do what was asked of it.

    Codes: `store_unreachable` (no connection, no answer, no room, locked or read-only: it may be back later),
    `store_too_new` (its tables are those of a newer version of the bridge), `store_damaged` (it is no database of
    calls, or one that cannot be read).
    """
