from __future__ import annotations

import asyncio
import io
import json
import logging

import pytest
import structlog
from aiohttp import web
from pydantic import SecretStr

from bridge.log import MASK, Redaction, configure_logging
from bridge.privacy.redactor import Redactor
from bridge.settings import Settings
from bridge.settings.record import PrivacySettings
from bridge.settings.sections import LogSettings, SpeechSettings

KEY = "sk_car_0123456789"


def logging_to(stream: io.StringIO, **settings: str) -> structlog.typing.FilteringBoundLogger:
    log = LogSettings.model_validate(settings)
    configure_logging(Settings(log=log, speech=SpeechSettings(api_key=SecretStr(KEY))), stream=stream)
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_has_one_object_a_line_with_keys() -> None:
    stream = io.StringIO()
    logging_to(stream, format="json").info("call_started", call="c1", transcript="Grüße")

    (line,) = lines(stream)
    assert line["event"] == "call_started"
    assert (line["call"], line["transcript"], line["level"]) == ("c1", "Grüße", "info")
    assert str(line["timestamp"]).endswith("Z")
    assert "Grüße" in stream.getvalue()


def test_libraries_speak_in_the_same_format() -> None:
    stream = io.StringIO()
    logging_to(stream, format="json")
    logging.getLogger("some.library").warning("lost %s", "it", extra={"attempt": 3})

    (line,) = lines(stream)
    assert (line["event"], line["level"], line["attempt"]) == ("lost it", "warning", 3)
    assert line["logger"] == "some.library"


async def test_what_is_no_http_is_told_once_and_without_a_traceback() -> None:
    stream = io.StringIO()
    logging_to(stream, format="json")
    runner = web.AppRunner(web.Application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.0 400")
        writer.close()
    await runner.cleanup()
    (line,) = lines(stream)
    assert str(line["event"]).startswith("not HTTP, and refused: 400")
    assert (line["level"], "exception" in line) == ("warning", False)


def test_the_level_is_the_least_that_is_shown() -> None:
    stream = io.StringIO()
    log = logging_to(stream, format="json", level="warning")
    log.info("quiet")
    logging.getLogger("some.library").info("quiet")
    log.warning("loud")

    assert [line["event"] for line in lines(stream)] == ["loud"]


@pytest.mark.parametrize("name", ["aiohttp.access", "asyncio", "alembic"])
def test_chatty_libraries_are_heard_at_debug_level_only(name: str) -> None:
    stream = io.StringIO()
    logging_to(stream, format="json")
    logging.getLogger(name).info("connection open")
    assert lines(stream) == []

    logging_to(stream, format="json", level="debug")
    logging.getLogger(name).info("connection open")
    assert len(lines(stream)) == 1


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_secret_of_the_settings_reaches_a_line(log_format: str) -> None:
    stream = io.StringIO()
    log = logging_to(stream, format=log_format)
    log.info("connecting", url=f"wss://a.example/?api_key={KEY}")
    log.info("unknown", token="of somebody else")
    logging.getLogger("some.library").warning("header %s", KEY)
    log.info("refused", error=ValueError(KEY), headers={"X-API-Key": KEY})
    try:
        int(KEY)
    except ValueError:
        log.exception("failed")

    assert KEY not in stream.getvalue()
    assert "somebody else" not in stream.getvalue()
    assert stream.getvalue().count(MASK) >= 6
    assert "ValueError: invalid" in stream.getvalue()


def test_a_traceback_on_the_console_does_not_show_variables() -> None:
    stream = io.StringIO()
    log = logging_to(stream, format="console")
    callers_words = "my number is 4711"
    try:
        callers_words.index("boom")
    except ValueError:
        log.exception("failed")

    assert "ValueError: substring" in stream.getvalue()
    assert "4711" not in stream.getvalue()


def test_no_colours_outside_of_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    plain, coloured = io.StringIO(), Terminal()
    logging_to(plain).warning("lost")
    logging_to(coloured).warning("lost")

    assert "\x1b[" not in plain.getvalue()
    assert "\x1b[" in coloured.getvalue()


def test_configuring_again_replaces_what_was() -> None:
    first, second = io.StringIO(), io.StringIO()
    logging_to(first)
    logging_to(second).info("once")

    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


@pytest.mark.parametrize("name", ["websockets.client", "twilio.http_client", "aiosqlite", "sqlalchemy.engine"])
def test_libraries_that_show_what_is_sent_and_kept_are_never_heard_below_warnings(name: str) -> None:
    stream = io.StringIO()
    logging_to(stream, format="json", level="debug")
    logging.getLogger(name).debug('< TEXT \'{"transcript": "my card is 4...1111"}\'')
    logging.getLogger(name).warning("loud")

    assert [line["event"] for line in lines(stream)] == ["loud"]


CARD = "4111111111111111"


def test_no_card_number_reaches_a_line_whatever_it_comes_in() -> None:
    redact = Redaction(redactor=Redactor())
    event = redact(
        None,
        "info",
        {
            "event": f"heard {CARD}",
            "transcript": "four one double one, 41 11",
            "digits": "411111",
            "text": "room 12 at 10:30",
            "reason": ValueError("4111 1111 1111 1111?"),
            "answer": {"card": CARD},
            "number": int(CARD),
            "seconds": 1234.5,
            "call": CARD,
        },
    )
    assert event == {
        "event": "heard [card number]",
        "transcript": "[digits]",
        "digits": "[digits]",
        "text": "room 12 at 10:30",
        "reason": "[card number]?",
        "answer": "{'card': '[card number]'}",
        "number": "[card number]",
        "seconds": 1234.5,
        "call": CARD,
    }


def test_a_traceback_shows_no_card_number_and_settings_say_what_is_struck_out() -> None:
    stream = io.StringIO()
    for redact, shown in ((("card",), False), ((), True)):
        settings = Settings(privacy=PrivacySettings(redact=redact), log=LogSettings(format="json"))
        configure_logging(settings, stream=stream)
        try:
            raise ValueError(f"no such account: {CARD}")  # noqa: TRY301  It is to have a traceback.
        except ValueError:
            structlog.get_logger().exception("agent_crashed")
            logging.getLogger("some.library").exception("lost %s", CARD)
        assert (CARD in stream.getvalue()) is shown


def test_a_secret_that_contains_another_is_masked_whole() -> None:
    redact = Redaction(["abcdef", "abcdefghi"])

    assert redact(None, "info", {"event": "x abcdefghi y"}) == {"event": f"x {MASK} y"}
