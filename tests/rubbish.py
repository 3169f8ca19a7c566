"""Ten thousand connections of strangers while twenty calls go on: what do the calls feel of it?

`python -m tests.rubbish` runs a bridge as a user starts it, holds calls as `phone-bridge bench` does, and measures
them by turns: alone, and while another process opens connections from another address of this machine. Those bring
nothing, noise, halves of requests, requests for nothing, unsigned webhooks, streams without a ticket. What the
machine's own noise is shows in how far windows of the same kind are apart. For Linux.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from bridge.bench.figures import Level
from bridge.bench.run import BenchOptions, run_bench
from bridge.bench.systems import Bridge, Launch, Place, free_port
from bridge.tasks import spawn

STRANGER = "127.0.0.2"
"""Where they come from: an address of this machine that is no proxy of the bridge's."""
_HELD_S = 5.0
"""How long who brings no whole request holds on, if they are let."""
_AT_ONCE = 400

_FORM = b"CallSid=CA1&From=%2B1&To=%2B2"
_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
KINDS: dict[str, bytes] = {
    "nothing": b"",
    "noise": os.urandom(256),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "half_a_line": b"GET /twil",
    "half_a_head": b"POST /twilio/voice HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n",
    "half_a_body": b"POST /twilio/voice HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 1000\r\n\r\n" + _FORM,
    "no_such_address": b"GET /wp-login.php HTTP/1.1\r\nHost: h\r\n\r\n",
    "long_head": b"GET / HTTP/1.1\r\nHost: h\r\nX-A: " + b"a" * 70_000,
    "unsigned": b"POST /twilio/voice HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: %d\r\n\r\n" % len(_FORM) + _FORM,
    "wrong_token": b"GET /api/v1/calls HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer guess\r\n\r\n",
    "stream": b"GET /twilio/media HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + _KEY + b"\r\n\r\n" + b"\x81\x82\x00\x00\x00\x00{}",
}
"""What a stranger sends, by name; then they wait for an answer, or for the end."""


async def one(port: int, sent: bytes, local: str = STRANGER) -> str:
    """Connect, send, and tell what came of it: a status, `closed`, `held`, or `refused`."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(local, 0))
    except OSError:
        return "refused"
    try:
        writer.write(sent)
        async with asyncio.timeout(_HELD_S):
            line = await reader.readline()
        return line.split()[1].decode() if line.startswith(b"HTTP/") else "closed"
    except TimeoutError:
        return "held"
    except (ConnectionError, ValueError):
        return "closed"
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def flood(port: int, connections: int, seconds: float) -> Counter[str]:
    """Open so many connections in so many seconds, of every kind in turn. Returns how often what came of them.

    What is open still at the end is given up, and counted so; what could not be opened by then is left out.
    """
    told: Counter[str] = Counter()
    places = asyncio.Semaphore(_AT_ONCE)
    kinds = [*KINDS.items()]

    async def stranger(number: int) -> None:
        name, sent = kinds[number % len(kinds)]
        try:
            told[f"{name}: {await one(port, sent)}"] += 1
        finally:
            places.release()

    began = time.monotonic()
    tasks: list[asyncio.Task[None]] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            for number in range(connections):
                await asyncio.sleep(max(0.0, began + seconds * number / connections - time.monotonic()))
                await places.acquire()
                tasks.append(spawn(stranger(number), name=f"stranger-{number}"))
            await asyncio.gather(*tasks)
    told["given up at the end"] = sum(not task.done() for task in tasks)
    told["opened"] = len(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return told


@dataclass(frozen=True, slots=True)
class _AtPort(Bridge):
    """The bridge, at a port that is known before, with proxies at 127.0.0.1 alone."""

    port: int = 0

    def launch(self, place: Place) -> Launch:
        """See `System.launch`."""
        launch = Bridge.launch(self, place)
        environment = {**launch.environment, "BRIDGE_SERVER__TRUSTED_PROXIES": "127.0.0.1/32"}
        return Launch((*launch.arguments[:-1], str(self.port)), environment)


def shown(levels: Sequence[Level]) -> str:
    """Return the calls' figures, alone and among strangers, side by side; windows of both kinds came by turns."""
    both = (levels[0::2], levels[1::2])
    lines = [f"{'':34}{'alone':>32}{'among strangers':>32}"]
    lines += [_row(name, [_spread(windows, name) for windows in both]) for name in levels[0].figures]
    for name in ("turns", "unanswered", "dropped_calls", "lost_up", "lost_down", "underruns"):
        lines += [_row(name, [str(sum(getattr(one, name) for one in windows)) for windows in both])]
    for name, about in (("cpu", "cores used by the bridge"), ("others_cpu", "and by others on the same")):
        used = [statistics.median(getattr(one.usage, name) or 0 for one in windows) for windows in both]
        lines += [_row(about, [f"{cores:.2f}" for cores in used])]
    return "\n".join([*lines, "(ms: p50 / p99, medians of the windows; in brackets lowest and highest p99)"])


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:34}" + "".join(f"{cell:>32}" for cell in cells)


def _spread(windows: Sequence[Level], measure: str) -> str:
    found = [one for window in windows if (one := window.figures.get(measure)) is not None]
    if not found:
        return "-"
    p50, p99 = (statistics.median(getattr(one, name) for one in found) for name in ("p50", "p99"))
    return f"{p50:.1f} / {p99:.1f} ({min(one.p99 for one in found):.1f}-{max(one.p99 for one in found):.1f})"


def _refusals(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return [line for line in text.splitlines() if "refused_" in line and "{" in line and "_created" not in line]


@click.command()
@click.option("--calls", default=20, show_default=True)
@click.option("--connections", default=10_000, show_default=True, help="In each window among strangers.")
@click.option("--seconds", default=15.0, show_default=True, help="Length of each window.")
@click.option("--windows", default=3, show_default=True, help="Windows of either kind, by turns.")
@click.option("--flood-port", default=0, hidden=True, help="Be the strangers.")
def main(calls: int, connections: int, seconds: float, windows: int, flood_port: int) -> None:
    """Measure calls alone and among strangers."""
    if flood_port:
        # The bridge has a core of its own: who makes the flood must not take it away.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        os.nice(10)
        click.echo(json.dumps(asyncio.run(flood(flood_port, connections, seconds))))
        return
    system = _AtPort(port=free_port())
    options = BenchOptions(calls=(calls,) * 2 * windows, seconds=seconds)
    strangers: list[subprocess.Popen[str]] = []
    refusals: list[str] = []
    measured = itertools.count(1)

    def on_level(_: Level) -> None:
        if next(measured) % 2 == 0:  # They have ended by now, or will in a moment.
            refusals[:] = _refusals(system.port)
            return
        # They begin while the window is made ready, and go on through all of it.
        command = (sys.executable, "-m", "tests.rubbish", "--flood-port", str(system.port))
        how = ("--connections", str(connections), "--seconds", str(seconds + options.settle_s))
        strangers.append(subprocess.Popen([*command, *how], stdout=subprocess.PIPE, text=True))

    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(run_bench(options, Path(folder), system=system, on_level=on_level))
    told = sum((Counter(json.loads(each.communicate(timeout=60)[0])) for each in strangers), Counter[str]())
    click.echo(f"{calls} calls; {found.cores.said}\n\n{shown(found.levels)}\n\nwhat came of the strangers:")
    for name, count in sorted(told.items()):
        click.echo(f"  {count:6} {name}")
    click.echo("\n" + "\n".join(refusals))


if __name__ == "__main__":
    main()
