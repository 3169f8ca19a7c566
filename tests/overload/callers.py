"""Callers for whom there is no room, as Twilio asks about them, and what they are told.

`python -m tests.overload.callers` is a process of its own, so that what it costs to be sixty callers is not told as
the slowness of the calls that go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp

from bridge.twilio.signature import sign

NUMBERS: Mapping[str, str] = {
    "busy": "+15550100002",
    "sentence": "+15550100003",
    "transfer": "+15550100004",
    "queue": "+15550100005",
    "voicemail": "+15550100006",
}
"""The kinds of overflow, each at a number of its own; the calls that go on are at the first."""
DOCUMENTS: Mapping[str, tuple[str, ...]] = {
    "busy": ("Reject",),
    "sentence": ("Say", "Hangup"),
    "transfer": ("Say", "Dial", "Hangup"),
    "queue": ("Say", "Pause", "Redirect"),
    "voicemail": ("Say", "Record", "Redirect"),
}
"""The verbs of what callers get there when there is no room."""
TAKEN = ("Connect",)
VOICE = "/twilio/voice"


@dataclass(frozen=True, slots=True)
class Origin:
    """The bridge, and what its requests are signed with."""

    url: str
    token: str


@dataclass(frozen=True, slots=True)
class Told:
    """What one caller was answered."""

    kind: str
    verbs: tuple[str, ...]
    seconds: float
    """From the first byte of the connection to the last of the document."""
    next_path: str = ""
    """Where a caller who waits is to ask again."""


async def ask(origin: Origin, sid: str, kind: str, path: str = VOICE) -> Told:
    """Ask as Twilio does, over a connection of its own."""
    form = {"CallSid": sid, "From": "+15550100001", "To": NUMBERS[kind], "Direction": "inbound"}
    headers = {"X-Twilio-Signature": sign(origin.token, origin.url + path, [*form.items()])}
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:
        began = time.monotonic()
        async with http.post(origin.url + path, data=form, headers=headers) as answer:
            text = await answer.text()
            took = time.monotonic() - began
            if answer.status != 200:
                return Told(kind, (f"status {answer.status}",), took)
    verbs = [*ET.fromstring(text)]
    onward = next((verb.text or "" for verb in verbs if verb.tag == "Redirect"), "")
    return Told(kind, tuple(verb.tag for verb in verbs), took, onward.removeprefix(origin.url))


async def tell_over(origin: Origin, sid: str) -> None:
    """Tell, as Twilio does, that a call is over."""
    form = {"CallSid": sid, "CallStatus": "completed"}
    headers = {"X-Twilio-Signature": sign(origin.token, origin.url + "/twilio/status", [*form.items()])}
    async with (
        aiohttp.ClientSession() as http,
        http.post(origin.url + "/twilio/status", data=form, headers=headers) as answer,
    ):
        answer.raise_for_status()


def sids(first: int) -> Iterator[str]:
    """Names of calls that nobody else has."""
    return (f"CA{number:032d}" for number in itertools.count(first))


async def metrics(origin: Origin) -> str:
    """The page for Prometheus."""
    async with aiohttp.ClientSession() as http, http.get(origin.url + "/metrics") as answer:
        return await answer.text()


def loop_lag_ms(page: str) -> float:
    """How late the event loop is, as the bridge itself says."""
    found = re.search(r"^phone_bridge_loop_lag_seconds (\S+)$", page, re.MULTILINE)
    return 0.0 if found is None else 1000 * float(found[1])


def refusals(page: str) -> dict[str, int]:
    """How many calls were not taken, by reason."""
    found = re.findall(r'^phone_bridge_admission_refusals_total\{reason="(\w+)"\} (\S+)$', page, re.MULTILINE)
    return {reason: int(float(count)) for reason, count in found}


async def bursts(origin: Origin, callers: int, seconds: float, every: float, first: int) -> dict[str, Any]:
    """So many callers at once, of each kind as many, again and again. Returns what they were told, and the lag.

    Without callers only the lag is looked at, so that looking costs as much in either case.
    """
    names, kinds = sids(first), itertools.cycle(NUMBERS)
    told: list[Told] = []
    lags: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        begun = time.monotonic()
        told += await asyncio.gather(*(ask(origin, next(names), next(kinds)) for _ in range(callers)))
        lags.append(loop_lag_ms(await metrics(origin)))
        await asyncio.sleep(max(0.0, begun + every - time.monotonic()))
    return {"told": [asdict(one) for one in told], "lags": lags}


async def in_its_own_process(
    origin: Origin, callers: int, seconds: float, every: float, first: int
) -> tuple[list[Told], list[float]]:
    """Do the same in another process. Cancelling ends it."""
    given = json.dumps([origin.url, origin.token, callers, seconds, every, first])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.overload.callers"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        out, _ = await process.communicate(given.encode())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    found = json.loads(out)
    return [Told(**{**one, "verbs": tuple(one["verbs"])}) for one in found["told"]], found["lags"]


def wrong_documents(told: Sequence[Told]) -> list[str]:
    """What a caller got who should have got something else."""
    return [f"{one.kind}: {' '.join(one.verbs)}" for one in told if one.verbs != DOCUMENTS[one.kind]]


def _main() -> None:
    url, token, callers, seconds, every, first = json.loads(sys.stdin.read())
    os.nice(10)  # The phones are on the same core.
    json.dump(asyncio.run(bursts(Origin(url, token), callers, seconds, every, first)), sys.stdout)


if __name__ == "__main__":
    _main()
