"""What Twilio's REST API answers, as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

API: Final = "/2010-04-01/Accounts"


def now() -> str:
    """As Twilio writes the time."""
    return f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S +0000}"


def call(account_sid: str, sid: str, status: str, **more: str | None) -> dict[str, Any]:
    """A call."""
    uri = f"{API}/{account_sid}/Calls/{sid}"
    at = now()
    return {
        "sid": sid,
        "account_sid": account_sid,
        "api_version": "2010-04-01",
        "status": status,
        "direction": "inbound",
        "parent_call_sid": None,
        "to": "",
        "from": "",
        "to_formatted": more.get("to") or "",
        "from_formatted": more.get("from") or "",
        "phone_number_sid": None,
        "start_time": at,
        "end_time": None,
        "duration": None,
        "price": None,
        "price_unit": "USD",
        "answered_by": None,
        "forwarded_from": None,
        "group_sid": None,
        "caller_name": None,
        "queue_time": "0",
        "trunk_sid": None,
        "date_created": at,
        "date_updated": at,
        "uri": f"{uri}.json",
        "subresource_uris": {"streams": f"{uri}/Streams.json", "recordings": f"{uri}/Recordings.json"},
        **more,
    }


def stream(account_sid: str, call_sid: str, sid: str, name: str, status: str) -> dict[str, Any]:
    """A stream that only listens."""
    return {
        "sid": sid,
        "account_sid": account_sid,
        "call_sid": call_sid,
        "name": name,
        "status": status,
        "date_updated": now(),
        "uri": f"{API}/{account_sid}/Calls/{call_sid}/Streams/{sid}.json",
    }


def conference(account_sid: str, sid: str, name: str, status: str) -> dict[str, Any]:
    """A conference."""
    uri = f"{API}/{account_sid}/Conferences/{sid}"
    return {
        "sid": sid,
        "account_sid": account_sid,
        "api_version": "2010-04-01",
        "friendly_name": name,
        "status": status,
        "region": "us1",
        "reason_conference_ended": None,
        "call_sid_ending_conference": None,
        "date_created": now(),
        "date_updated": now(),
        "uri": f"{uri}.json",
        "subresource_uris": {"participants": f"{uri}/Participants.json"},
    }


def participant(account_sid: str, conference_sid: str, call_sid: str, **more: Any) -> dict[str, Any]:
    """A call in a conference."""
    return {
        "call_sid": call_sid,
        "conference_sid": conference_sid,
        "account_sid": account_sid,
        "label": None,
        "muted": False,
        "hold": False,
        "coaching": False,
        "call_sid_to_coach": None,
        "start_conference_on_enter": True,
        "end_conference_on_exit": False,
        "status": "connected",
        "queue_time": "0",
        "date_created": now(),
        "date_updated": now(),
        "uri": f"{API}/{account_sid}/Conferences/{conference_sid}/Participants/{call_sid}.json",
        **more,
    }


def page(name: str, entries: Sequence[Any], path: str) -> dict[str, Any]:
    """A list; all of it stands on one page."""
    return {
        name: list(entries),
        "page": 0,
        "page_size": 50,
        "start": 0,
        "end": len(entries),
        "uri": path,
        "first_page_uri": path,
        "next_page_uri": None,
        "previous_page_uri": None,
    }


def error(status: int, code: int, message: str) -> dict[str, Any]:
    """An error, of the shape that Twilio's clients read."""
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    return {"code": code, "message": message, "more_info": more_info, "status": status}
