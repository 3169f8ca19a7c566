"""Who may import whom. This reads the source; it does not import it.

Deciding knows nothing of plumbing, adapters know nothing of each other, and nothing below the composition knows
what it is part of.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_LINES = 500

ERRORS_AND_TASKS = {"bridge.errors", "bridge.tasks"}
WORDS = {"bridge.conversation.actions", "bridge.conversation.commands", "bridge.conversation.events"}
"""The dictionary of a conversation, without its machinery."""

SPEECH_SERVICE = {"bridge.speech.link", "bridge.speech.connection", "bridge.speech.standby"}
SECTIONS = {
    f"bridge.settings.{part}" for part in ("base", "sections", "admission", "agents", "calls", "record", "values")
}

ALLOWED: Mapping[str, set[str] | None] = {
    # The heart, and what stands on nothing.
    "bridge": set(),
    "bridge.errors": set(),
    "bridge.tasks": set(),
    "bridge.children": set(),
    "bridge.alive": set(),
    "bridge.metrics": set(),
    # Sees every step of a call, and knows how a webhook's questions are named.
    "bridge.spans": {
        "bridge.agents.base",
        "bridge.agents.webhook.wire",
        "bridge.call.session",
        "bridge.conversation",
        "bridge.errors",
        "bridge.metrics",
    },
    "bridge.opening_hours": set(),
    "bridge.conversation": {"bridge.conversation"},
    "bridge.audio": {"bridge.audio", "bridge.errors"},
    # Settings, and what a process needs before there is a bridge.
    "bridge.settings.values": set(),
    "bridge.settings.base": {"bridge.settings.values"},
    "bridge.settings.sections": {"bridge.settings.base", "bridge.settings.values"},
    "bridge.settings.record": {"bridge.settings.base", "bridge.settings.values"},
    "bridge.settings.agents": {"bridge.settings.base", "bridge.settings.values"},
    "bridge.settings.admission": {"bridge.settings.base", "bridge.settings.values"},
    "bridge.settings.calls": {
        "bridge.settings.admission",
        "bridge.settings.base",
        "bridge.settings.values",
        "bridge.opening_hours",
    },
    "bridge.settings": SECTIONS,
    "bridge.settings.source": {"bridge.settings", "bridge.errors"} | SECTIONS,
    "bridge.local_token": {"bridge.errors"},
    "bridge.log": {"bridge.settings", "bridge.privacy"},
    "bridge.process": {"bridge.errors", "bridge.local_token"},
    # Adapters: their own contract and wire, never the call, never each other.
    "bridge.outgoing_socket": set(),
    "bridge.speech": set(),
    "bridge.speech.connection": {"bridge.outgoing_socket"},
    "bridge.speech.link": {"bridge.errors", "bridge.speech.connection"},
    "bridge.speech.standby": {"bridge.errors", "bridge.speech.link", "bridge.tasks"},
    "bridge.stt": {"bridge.stt", "bridge.audio", *SPEECH_SERVICE} | WORDS | ERRORS_AND_TASKS,
    "bridge.tts": {"bridge.tts", "bridge.audio", *SPEECH_SERVICE} | WORDS | ERRORS_AND_TASKS,
    "bridge.agents": {"bridge.agents", "bridge.outgoing_socket", "bridge.opening_hours"} | WORDS | ERRORS_AND_TASKS,
    # What must not be written down: knows what a call's entries are, and nothing of where they go.
    "bridge.privacy": {"bridge.privacy", "bridge.conversation.journal"},
    "bridge.store.picture": {"bridge.store", "bridge.children", "bridge.errors"},
    "bridge.store": {"bridge.store", "bridge.privacy", "bridge.conversation.journal", "bridge.audio"}
    | WORDS
    | ERRORS_AND_TASKS,
    "bridge.twilio": {"bridge.twilio", "bridge.errors"},
    # The listener, and whose word counts about who comes.
    "bridge.listener": set(),
    "bridge.listener.proxies": set(),
    "bridge.listener.entrance": {"bridge.errors", "bridge.listener.proxies"},
    "bridge.listener.arrivals": {"bridge.listener.entrance", "bridge.tasks"},
    "bridge.listener.exposure": {"bridge.errors", "bridge.settings"},
    # The shell around one conversation knows contracts, not adapters.
    "bridge.call": {
        "bridge.call",
        "bridge.conversation",
        "bridge.stt.base",
        "bridge.tts.base",
        "bridge.agents.base",
        "bridge.store.base",
        "bridge.twilio.media_stream",
        "bridge.audio",
        "bridge.metrics",
    }
    | ERRORS_AND_TASKS,
    "bridge.twilio.gate": {"bridge.twilio", "bridge.metrics", "bridge.listener.proxies"},
    "bridge.twilio.reading": {"bridge.twilio", "bridge.errors", "bridge.metrics"},
    # Messages left with the carrier are fetched for the record of their calls.
    "bridge.voicemail": set(),
    "bridge.voicemail.sounds": {
        "bridge.audio",
        "bridge.voicemail.words",
        "bridge.store",
        "bridge.twilio.recordings",
    }
    | ERRORS_AND_TASKS,
    "bridge.voicemail.words": {"bridge.audio", "bridge.conversation.journal", "bridge.store"} | ERRORS_AND_TASKS,
    "bridge.twilio.documents": {"bridge.twilio", "bridge.call.answering"},
    "bridge.twilio.voicemail": {"bridge.twilio", "bridge.call"} | WORDS | ERRORS_AND_TASKS,
    # What callers get for whom there is no room is said where the rest is said of how a call is answered.
    "bridge.twilio.overflow": {"bridge.twilio", "bridge.call.answering"},
    "bridge.twilio.departures": {"bridge.twilio", "bridge.call", "bridge.errors"} | WORDS,
    "bridge.twilio.consult": {"bridge.twilio", "bridge.call.others", "bridge.agents.base"}
    | WORDS
    | ERRORS_AND_TASKS,
    "bridge.twilio.routes": {"bridge.twilio", "bridge.call", "bridge.store.base", "bridge.metrics"}
    | WORDS
    | ERRORS_AND_TASKS,
    "bridge.twilio.log_routes": {"bridge.twilio", "bridge.call", "bridge.store.base", "bridge.metrics"}
    | WORDS
    | ERRORS_AND_TASKS,
    "bridge.twilio.outbound_routes": {"bridge.twilio", "bridge.call"} | WORDS | ERRORS_AND_TASKS,
    "bridge.health": {
        "bridge.call.admission",
        "bridge.call.registry",
        "bridge.api.access",
        "bridge.store.sql.database",
    },
    # Places calls by the carrier's REST API, and follows them in the registry.
    "bridge.outbound.book": {"bridge.outbound", "bridge.store.sql.database", "bridge.store.sql.orders"}
    | ERRORS_AND_TASKS,
    "bridge.outbound": {
        "bridge.outbound",
        "bridge.agents.base",
        "bridge.call.outgoing",
        "bridge.call.registry",
        "bridge.call.session",
        "bridge.conversation.journal",
        "bridge.twilio.rest",
    }
    | WORDS
    | ERRORS_AND_TASKS,
    # Where what is kept of calls is also sent.
    "bridge.sinks": {"bridge.sinks", "bridge.conversation.journal", "bridge.store.base", "bridge.errors"},
    "bridge.sinks.feeding": {
        "bridge.sinks",
        "bridge.conversation.journal",
        "bridge.store.around",
        "bridge.store.base",
        "bridge.store.folder",
        "bridge.store.journal_file",
        "bridge.errors",
    },
    # From the journals of other processes: as the database follows them.
    "bridge.sinks.following": {
        "bridge.sinks.feeding",
        "bridge.store.base",
        "bridge.store.folder",
        "bridge.store.sql.spool",
        "bridge.errors",
    },
    "bridge.sinks.webhook": {
        "bridge.sinks",
        "bridge.agents.http_exchange",
        "bridge.agents.webhook.wire",
        "bridge.errors",
    },
    # Live calls as people see them: events, and the sound.
    "bridge.live": {
        "bridge.live",
        "bridge.agents.base",
        "bridge.call.log_calls",
        "bridge.call.log_session",
        "bridge.call.registry",
        "bridge.call.session",
        "bridge.conversation.journal",
        "bridge.conversation.outlook",
        "bridge.conversation.overheard",
        "bridge.store.around",
        "bridge.store.base",
    }
    | WORDS
    | ERRORS_AND_TASKS,
    "bridge.live.events": set(),
    "bridge.live.picture": {"bridge.live.events"},
    "bridge.live.watch": {
        "bridge.live.events",
        "bridge.conversation.journal",
        "bridge.conversation.outlook",
        "bridge.conversation.overheard",
    }
    | WORDS,
    # What programs ask of a running bridge: who may ask is decided in one place, for the metrics, too.
    "bridge.api.call_routes": {"bridge.api", "bridge.outbound", "bridge.store.sql.erasing"} | ERRORS_AND_TASKS,
    "bridge.api.log_routes": {
        "bridge.api",
        "bridge.call.log_calls",
        "bridge.call.log_session",
        "bridge.call.registry",
        "bridge.twilio.log_routes",
        "bridge.twilio.rest",
        "bridge.twilio.tokens",
    }
    | ERRORS_AND_TASKS,
    "bridge.api.answers": {"bridge.outbound.progress"},
    "bridge.api.call_document": {
        "bridge.api.answers",
        "bridge.conversation.journal",
        "bridge.outbound.progress",
        "bridge.store.sql.call_rows",
    },
    "bridge.api.call_queries": {"bridge.store.sql.calls"},
    "bridge.api.own_calls": {"bridge.agents.base"},
    # Finds what is kept, in the database and in the folders.
    "bridge.api.kept": {"bridge.api", "bridge.conversation.journal", "bridge.store"} | ERRORS_AND_TASKS,
    "bridge.api.record_routes": {"bridge.api", "bridge.store"} | ERRORS_AND_TASKS,
    "bridge.api.media_routes": {"bridge.api", "bridge.store"} | ERRORS_AND_TASKS,
    "bridge.api.media_operations": {"bridge.api", "bridge.store.compress"},
    "bridge.api.waveform": {"bridge.store.vault"},
    "bridge.api.erase_routes": {"bridge.api", "bridge.store.sql.erasing"} | ERRORS_AND_TASKS,
    "bridge.api.settings_view": {"bridge.settings"},
    "bridge.api.system_routes": {
        "bridge.api",
        "bridge.call.registry",
        "bridge.settings",
        "bridge.store.sql.audit_pages",
    }
    | ERRORS_AND_TASKS,
    "bridge.api.control_routes": {
        "bridge.api",
        "bridge.agents.action_checks",
        "bridge.call.log_session",
        "bridge.call.session",
        "bridge.live",
    }
    | WORDS
    | ERRORS_AND_TASKS,
    "bridge.api.live_routes": {"bridge.api", "bridge.live"} | ERRORS_AND_TASKS,
    "bridge.api.listen_routes": {"bridge.api", "bridge.live"} | ERRORS_AND_TASKS,
    "bridge.api.softphone_routes": {"bridge.api", "bridge.call.registry", "bridge.twilio"} | ERRORS_AND_TASKS,
    "bridge.api": {"bridge.api", "bridge.listener.proxies", "bridge.settings.values"} | ERRORS_AND_TASKS,
    # Pages and what they are made of: they ask the API for all that they show.
    "bridge.console": {"bridge.console"},
    # What the command line shows and writes of kept calls.
    "bridge.reading": {
        "bridge.reading",
        "bridge.store",
        "bridge.settings",
        "bridge.conversation.journal",
    }
    | ERRORS_AND_TASKS,
    # The other ends of our wires share the codecs with us, and nothing that decides.
    "bridge.simulator": {
        "bridge.simulator",
        "bridge.twilio.media_stream",
        "bridge.twilio.signature",
        "bridge.twilio.twiml",
        "bridge.audio",
    }
    | ERRORS_AND_TASKS,
    "bridge.speech_server": {
        "bridge.speech_server",
        "bridge.children",
        "bridge.stt.cartesia_query",
        "bridge.stt.cartesia_wire",
        "bridge.tts.cartesia_wire",
        "bridge.audio",
    }
    | ERRORS_AND_TASKS,
    # Plays every peer of a bridge that runs elsewhere, and holds the conversation against the phone model.
    "bridge.agent_check": {
        "bridge.agent_check",
        "bridge.agents.action_json",
        "bridge.agents.base",
        "bridge.agents.webhook.agent",
        "bridge.agents.webhook.answers",
        "bridge.agents.webhook.wire",
    }
    | WORDS
    | ERRORS_AND_TASKS,
    "bridge.bench": {
        "bridge.bench",
        "bridge.children",
        "bridge.conversation",
        "bridge.agents.webhook.wire",
        "bridge.stt.cartesia_wire",
        "bridge.tts.cartesia_wire",
        "bridge.twilio.media_stream",
        "bridge.simulator.line",
        "bridge.simulator.load",
        "bridge.simulator.phone",
        "bridge.simulator.twiml_reader",
        "bridge.simulator.webhooks",
        "bridge.audio",
    }
    | ERRORS_AND_TASKS,
    # Several processes of one bridge: what they share, and how they hand over to each other.
    "bridge.workers": {"bridge.workers", "bridge.children"} | ERRORS_AND_TASKS,
    "bridge.workers.front": {"bridge.workers", "bridge.api.problems", "bridge.tasks"},
    "bridge.workers.alone": None,
    "bridge.workers.worker": None,
    "bridge.workers.supervisor": None,
    "bridge.workers.__main__": None,
    # Many bridges as one: the bus, what goes over it, and the process as one of them.
    "bridge.bus": {"bridge.bus"} | ERRORS_AND_TASKS,
    "bridge.bus.asking": {"bridge.bus", "bridge.api.problems", "bridge.call.outgoing"} | ERRORS_AND_TASKS,
    "bridge.bus.sound": {"bridge.bus", "bridge.live.ear", "bridge.live.listening"} | ERRORS_AND_TASKS,
    "bridge.bus.handing_over": {"bridge.call.registry", "bridge.call.session"},
    "bridge.bus.live": {
        "bridge.bus",
        "bridge.live.elsewhere",
        "bridge.live.events",
        "bridge.live.feed",
    }
    | ERRORS_AND_TASKS,
    "bridge.bus.taking": {
        "bridge.bus",
        "bridge.store.around",
        "bridge.store.base",
        "bridge.store.bringing",
        "bridge.store.sql.owning",
    }
    | ERRORS_AND_TASKS,
    "bridge.bus.node": None,
    # The composition and the commands: everything.
    "bridge.app": None,
    "bridge.assembly": None,
    "bridge.speech.local": {"bridge.settings", "bridge.speech_server", "bridge.errors", "bridge.tasks"},
    "bridge.assembly.shared": {"bridge.tasks"},
    "bridge.speech.adapters": None,
    "bridge.checks": None,
    "bridge.cli": None,
    "bridge.command_line": None,
    "bridge.demo": None,
    "bridge.__main__": None,
}
"""Module or room → what of ours it may import; the longest name that fits counts. None: everything."""

COMMAND_LINE = ("bridge.cli", "bridge.command_line")
COMMANDS = (*COMMAND_LINE, "bridge.__main__")
"""Nobody but these imports the command line."""

PURE = (
    "bridge.conversation",
    "bridge.api.softphone_steps",
    "bridge.audio",
    "bridge.stt.cartesia_query",
    "bridge.stt.cartesia_wire",
    "bridge.agent_check.findings",
    "bridge.agent_check.judge",
    "bridge.api.call_document",
    "bridge.api.ranges",
    "bridge.api.rate",
    "bridge.call.admission",
    "bridge.agents.breaker",
    "bridge.agents.openai.wire",
    "bridge.agents.openai.argument_checks",
    "bridge.agents.server_sent",
    "bridge.agents.relay.talk",
    "bridge.agents.relay.wire",
    "bridge.agents.flow.answers",
    "bridge.agents.flow.check",
    "bridge.agents.flow.draw",
    "bridge.agents.flow.file",
    "bridge.agents.flow.layout",
    "bridge.agents.flow.match",
    "bridge.agents.flow.model",
    "bridge.agents.flow.nodes",
    "bridge.agents.flow.readers",
    "bridge.agents.flow.steps",
    "bridge.agents.flow.text",
    "bridge.agents.webhook.answers",
    "bridge.agents.webhook.wire",
    "bridge.live.events",
    "bridge.live.picture",
    "bridge.live.watch",
    "bridge.opening_hours",
    "bridge.reading.moments",
    "bridge.reading.shown",
    "bridge.store.export.csv",
    "bridge.store.export.cues",
    "bridge.store.export.formats",
    "bridge.store.export.jsonl",
    "bridge.store.export.lines",
    "bridge.store.export.plain",
    "bridge.store.export.srt",
    "bridge.store.export.webvtt",
    "bridge.store.said",
    "bridge.store.sql.call_filter",
    "bridge.store.sql.call_rows",
    "bridge.store.sql.cursors",
    "bridge.store.sql.search_query",
    "bridge.store.sql.words",
    "bridge.store.texts",
    "bridge.privacy",
    "bridge.stt.manual_turns",
    "bridge.stt.outbox",
    "bridge.stt.overlap",
    "bridge.stt.stitching",
    "bridge.tts.cartesia_wire",
    "bridge.store.sql.rows",
    "bridge.outbound.dispatch",
    "bridge.outbound.order",
    "bridge.outbound.progress",
    "bridge.bench.compare",
    "bridge.bench.figures",
    "bridge.bench.ladder",
    "bridge.bench.medians",
    "bridge.bench.shown",
    "bridge.bench.tally",
    "bridge.simulator.junit",
    "bridge.sinks.documents",
    "bridge.simulator.listening",
    "bridge.simulator.load.cells",
    "bridge.simulator.load.frames",
    "bridge.simulator.phone",
    "bridge.simulator.rooms",
    "bridge.simulator.scenario_files",
    "bridge.simulator.steps",
    "bridge.simulator.tones",
    "bridge.simulator.twiml_reader",
    "bridge.simulator.verbs",
    "bridge.simulator.voice",
    "bridge.speech_server.turns",
    "bridge.twilio.media_stream",
    "bridge.twilio.signature",
    "bridge.twilio.listening",
    "bridge.twilio.overflow",
    "bridge.twilio.twiml",
)
IMPURE = {
    *("asyncio", "threading", "time", "random", "secrets", "uuid", "os", "subprocess", "socket", "select"),
    *("logging", "structlog", "aiohttp", "websockets", "requests"),
}
"""Clocks, chance, the operating system, the network and logs: what a pure room must be handed instead."""

ADAPTERS = {
    "bridge.agents": ("webhook", "python", "echo", "relay", "openai", "flow", "demo"),
    "bridge.stt": ("cartesia_turns", "cartesia_manual", "cartesia_batch"),
    "bridge.tts": ("cartesia", "tone"),
}


@cache
def modules() -> Mapping[str, Path]:
    found = {}
    for path in sorted((ROOT / "bridge").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def source(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that a source imports. `from package import module` names the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for name in node.names:
                full = f"{base}.{name.name}"
                yield full if full in modules() else base


def offences(module: str, tree: ast.AST) -> Iterator[str]:
    """What this module imports and may not."""
    allowed = ALLOWED[rule(module)]
    for name in imports(tree):
        root = name.partition(".")[0]
        if name.startswith("."):
            yield f"{module} imports {name}: name the whole path"
        elif root == "bridge":
            if is_in(name, COMMAND_LINE) and not is_in(module, COMMANDS):
                yield f"{module} imports {name}: only commands do"
            elif allowed is not None and not any(fits(name, other) for other in allowed):
                yield f"{module} imports {name}"
            elif is_other_adapter(module, name):
                yield f"{module} imports {name}: adapters do not know each other"
        elif root in IMPURE and any(fits(module, pure) for pure in PURE):
            yield f"{module} is pure and imports {name}"
        elif root == "audioop" and module != "bridge.audio.codec":
            yield f"{module} imports audioop: bridge.audio.codec has it"


def rule(module: str) -> str:
    """The entry of the table that counts for a module."""
    fitting = [name for name in ALLOWED if name == module or (name != "bridge" and fits(module, name))]
    assert fitting, f"{module} is in no room that ALLOWED knows: give it a line there"
    return max(fitting, key=len)


def fits(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


def is_in(name: str, rooms: tuple[str, ...]) -> bool:
    return any(fits(name, room) for room in rooms)


def is_other_adapter(module: str, name: str) -> bool:
    """Whether one adapter imports another: each is a module, or a package, of its room."""
    for room, adapters in ADAPTERS.items():
        mine, theirs = (
            next((one for one in adapters if part.removeprefix(f"{room}.").startswith(one)), None)
            if part.startswith(f"{room}.")
            else None
            for part in (module, name)
        )
        if None not in {mine, theirs} and mine != theirs:
            return True
    return False


def test_only_what_may_be_imported_is() -> None:
    found = [offence for module in modules() for offence in offences(module, source(module))]

    assert found == []


@pytest.mark.parametrize(
    ("module", "text", "offence"),
    [
        ("bridge.conversation.machine", "import time", "is pure and imports time"),
        ("bridge.conversation.machine", "from bridge.errors import X", "imports bridge.errors"),
        ("bridge.audio.wav", "def f():\n    from asyncio import sleep", "is pure and imports asyncio"),
        ("bridge.audio.wav", "import audioop", "imports audioop: bridge.audio.codec has it"),
        ("bridge.stt.x", "from bridge.call.session import S", "imports bridge.call.session"),
        ("bridge.stt.x", "from bridge.tts import base", "imports bridge.tts.base"),
        ("bridge.call.session", "from bridge.stt import cartesia_wire", "imports bridge.stt.cartesia_wire"),
        ("bridge.twilio.rest", "import bridge.call.registry", "imports bridge.call.registry"),
        ("bridge.simulator.caller", "from bridge.twilio import routes", "imports bridge.twilio.routes"),
        ("bridge.app", "from bridge.cli import main", "imports bridge.cli: only commands do"),
        ("bridge.app", "from . import cli", "imports .: name the whole path"),
        (
            "bridge.agents.webhook.agent",
            "from bridge.agents.python import load",
            "imports bridge.agents.python: adapters do not know each other",
        ),
    ],
)
def test_what_may_not_be_imported_is_found(module: str, text: str, offence: str) -> None:
    assert list(offences(module, ast.parse(text))) == [f"{module} {offence}"]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("bridge.call.session", "from bridge.stt.base import Recognizer\nfrom bridge.conversation import machine"),
        ("bridge.twilio.routes", "from bridge.call.registry import Registry"),
        ("bridge.agents.webhook.agent", "from bridge.agents.webhook.wire import x\nimport asyncio"),
        ("bridge.app", "from bridge.twilio.routes import x\nimport os"),
        ("bridge.app", "import bridge.client_of_ours"),  # no part of bridge.cli
    ],
)
def test_what_may_be_imported_is_let_through(module: str, text: str) -> None:
    assert list(offences(module, ast.parse(text))) == []


def test_no_module_imports_itself_in_a_circle() -> None:
    known = modules()
    graph = {module: {name for name in at_import(source(module)) if name in known} - {module} for module in known}
    while leaves := {module for module, needs in graph.items() if not needs}:
        graph = {module: needs - leaves for module, needs in graph.items() if module not in leaves}

    assert graph == {}


def at_import(tree: ast.Module) -> Iterator[str]:
    """What is imported while the module is being imported: not inside functions, not for the type checker only."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node)


def test_no_file_is_too_long_to_be_read() -> None:
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in modules().items()}

    assert {module: count for module, count in lines.items() if count > MAX_LINES} == {}
