"""The answer of a webhook agent as it comes over HTTP: four content types, one vocabulary.

Pure: bytes in, actions out, as early as they can be told. JSON holds one item of `action_json`, newline-delimited
JSON one per line, server-sent events one per event or text to speak; plain text is spoken as it is.
"""

from __future__ import annotations

import codecs
import re
from typing import Protocol

from bridge.agents.action_json import MALFORMED, MAX_ACTIONS, TOO_MANY, Piece, Refused, parse_item
from bridge.agents.server_sent import EventStream
from bridge.conversation.actions import Say
from bridge.errors import AgentError

MAX_ANSWER_BYTES = 1_000_000
"""An answer longer than this is broken off: nobody listens to a megabyte."""

_CHARSETS = {
    "utf-8": "utf-8-sig",
    "utf8": "utf-8-sig",
    "us-ascii": "ascii",
    "iso-8859-1": "latin-1",
    "utf-16": "utf-16",
}
"""Charsets of `text/plain` and their codecs; any other is read as UTF-8."""


class Decoder(Protocol):
    """Turns the bytes of an answer into pieces as they come."""

    @property
    def done(self) -> bool:
        """True: the answer is complete, whatever still comes."""

    def feed(self, data: bytes) -> list[Piece]:
        """Take the next bytes, cut anywhere, and return what they complete."""

    def finish(self) -> list[Piece]:
        """Return what was still waiting when the answer ended."""


class _TextDecoder:
    """`text/plain`: every chunk is spoken as it arrives, a character that was cut in two with its second half."""

    done = False

    def __init__(self, charset: str) -> None:
        self._characters = codecs.getincrementaldecoder(charset)(errors="replace")

    def feed(self, data: bytes) -> list[Piece]:
        return self._decoded(data, final=False)

    def finish(self) -> list[Piece]:
        return self._decoded(b"", final=True)

    def _decoded(self, data: bytes, *, final: bool) -> list[Piece]:
        before = self._characters.getstate()[0]
        try:
            text = self._characters.decode(data, final)
        except UnicodeError:
            # UTF-16 that does not say in which order its bytes are: big-endian ("RFC 2781", 4.3).
            self._characters = codecs.getincrementaldecoder("utf-16-be")(errors="replace")
            text = self._characters.decode(before + data, final)
        return [Say(text)] if text else []


class _JsonDecoder:
    """`application/json`: one item, known when all of it is there."""

    done = False

    def __init__(self) -> None:
        self._body = bytearray()

    def feed(self, data: bytes) -> list[Piece]:
        self._body += data
        return []

    def finish(self) -> list[Piece]:
        body = bytes(self._body).removeprefix(codecs.BOM_UTF8)
        # `null` is what frameworks make of a handler that returns nothing.
        return parse_item(body) if body.strip() not in {b"", b"null"} else []


class _LinesDecoder:
    """`application/x-ndjson`: one item per line; the last line may lack its line feed."""

    done = False

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Piece]:
        first, *others = data.split(b"\n")
        *lines, self._rest = self._rest + first, *others
        return [piece for line in lines if line.strip() for piece in parse_item(line)]

    def finish(self) -> list[Piece]:
        return parse_item(self._rest) if self._rest.strip() else []


class _EventsDecoder:
    """`text/event-stream`: an event's data is an item, or text to speak.

    Data that begins with `{` is an item and never spoken, so that a caller does not hear JSON. `[DONE]` ends the
    answer.
    """

    def __init__(self) -> None:
        self._events = EventStream()

    @property
    def done(self) -> bool:
        return self._events.done

    def feed(self, data: bytes) -> list[Piece]:
        return [piece for event in self._events.feed(data) for piece in self._pieces(event)]

    def finish(self) -> list[Piece]:
        return [piece for event in self._events.finish() for piece in self._pieces(event)]

    def _pieces(self, data: str) -> list[Piece]:
        if data.lstrip().startswith("{"):
            return parse_item(data.encode())
        return [Say(data)] if data else []


def _decoder(content_type: str) -> Decoder:
    media_type, _, parameters = content_type.partition(";")
    match media_type.strip().lower():
        case "text/plain":
            return _TextDecoder(_charset(parameters))
        case "application/json":
            return _JsonDecoder()
        case "application/x-ndjson" | "application/jsonl" | "application/ndjson":
            return _LinesDecoder()
        case "text/event-stream":
            return _EventsDecoder()
        case _:
            raise AgentError(
                f"the agent answered with content type {media_type.strip()[:60] or '(none)'}; wanted "
                "application/json, text/plain, application/x-ndjson or text/event-stream",
                code="agent_answer",
            )


def _charset(parameters: str) -> str:
    named = re.search(r'charset\s*=\s*"?([\w.:-]+)', parameters.lower())
    return _CHARSETS.get(named[1], "utf-8-sig") if named else "utf-8-sig"


class AnswerReader:
    """Reads one answer: chooses the decoder, bounds it, and tells an answer that made no sense at all.

    Bounded are its bytes and its actions. Text that is only spoken does not count as an action, because it may
    come word by word; what goes beyond `MAX_ACTIONS` is refused once and then passed over.

    All methods raise AgentError `agent_answer`: for another content type, for more than `max_bytes`, and from
    `finish` when there was something to read but nothing could be understood.
    """

    def __init__(self, content_type: str, *, max_bytes: int = MAX_ANSWER_BYTES) -> None:
        self._content_type = content_type
        self._max_bytes = max_bytes
        self._decoder: Decoder | None = None
        self._bytes = 0
        self._actions = 0
        self._understood = False
        self._malformed = ""

    @property
    def done(self) -> bool:
        """True: nothing that still comes matters, and the connection can be closed."""
        return self._decoder is not None and self._decoder.done

    def feed(self, data: bytes) -> list[Piece]:
        """Take the next bytes and return the pieces they complete."""
        self._bytes += len(data)
        if self._bytes > self._max_bytes:
            raise AgentError(f"the agent's answer is longer than {self._max_bytes} bytes", code="agent_answer")
        if not data:
            return []
        if self._decoder is None:  # not before there is a body: an empty answer needs no content type
            self._decoder = _decoder(self._content_type)
        return self._seen(self._decoder.feed(data))

    def finish(self) -> list[Piece]:
        """Return the last pieces. An empty answer says nothing, and that is fine."""
        pieces = self._seen(self._decoder.finish()) if self._decoder is not None else []
        if self._malformed and not self._understood:
            raise AgentError(f"the agent's answer was not understood: {self._malformed}", code="agent_answer")
        return pieces

    def _seen(self, pieces: list[Piece]) -> list[Piece]:
        pieces = [piece for one in pieces if (piece := self._bounded(one)) is not None]
        for piece in pieces:
            if isinstance(piece, Refused) and piece.kind == MALFORMED:
                self._malformed = self._malformed or piece.reason
            else:
                self._understood = True
        return pieces

    def _bounded(self, piece: Piece) -> Piece | None:
        """The piece, if the answer holds no more actions than it may; the first beyond is refused."""
        if isinstance(piece, Say) and piece == Say(piece.text):
            return piece
        self._actions += 1
        if self._actions <= MAX_ACTIONS:
            return piece
        if self._actions > MAX_ACTIONS + 1:
            return None
        return Refused(TOO_MANY, f"an answer may hold {MAX_ACTIONS} actions besides its text")
