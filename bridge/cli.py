"""The command `phone-bridge`. Each command imports its room when it runs, so that help texts come at once."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from bridge.command_line.agent import agent
from bridge.command_line.audit import audit
from bridge.command_line.bench_speech import speech as bench_speech
from bridge.command_line.calls import calls
from bridge.command_line.calls_media import picture, retranscribe
from bridge.command_line.dial import dial
from bridge.command_line.flow import flow
from bridge.command_line.help import SettingsHelp
from bridge.process import (
    FAILED,
    INTERRUPTED,
    OK,
    Interrupted,
    begin_start,
    end_start,
    guard,
    listen_error,
    run,
)

if TYPE_CHECKING:
    from bridge.settings import Settings
    from bridge.speech_server.server import ServerSettings as SpeechServerSettings

F = TypeVar("F", bound=Callable[..., Any])


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given or os.environ.get("BRIDGE_LOG__LEVEL", "").lower() == "debug"
    sys.exit(guard(functools.partial(_dispatch, given), debug=debug))


def _dispatch(arguments: list[str]) -> int:
    try:
        code = cli.main(args=arguments, prog_name="phone-bridge", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return code if isinstance(code, int) else OK


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="phone-bridge", prog_name="phone-bridge")
@click.option("--debug", is_flag=True, help="Log everything, and show tracebacks.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Phone calls to AI agents: Twilio on one side, your agent on the other, speech in between.

    Begin with `phone-bridge demo`: it needs no account, no key and no phone.
    """
    context.obj = debug


cli.add_command(agent)
cli.add_command(calls)
calls.add_command(audit)
calls.add_command(picture)
calls.add_command(retranscribe)
cli.add_command(dial)
cli.add_command(flow)


def _config_option(command: F) -> F:
    return click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="TOML file of settings. [default: config/bridge.toml if it is there, else bridge.toml]",
    )(command)


def _listener_options(host: str, port: int) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        command = click.option(
            "--port", type=click.IntRange(0, 65535), help=f"TCP port, 0 for any. [default: {port}]"
        )(command)
        return click.option("--host", help=f"Address to listen on. [default: {host}]")(command)

    return decorate


@cli.command(cls=SettingsHelp, short_help="Run the bridge.")
@_config_option
@_listener_options("127.0.0.1", 8080)
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that share the calls. [default: 1]")
@click.pass_obj
def serve(debug: bool, config: Path | None, host: str | None, port: int | None, workers: int | None) -> int:
    """Run the bridge until SIGINT or SIGTERM; at SIGHUP it takes changed settings for the calls to come.

    Prints one line with the address when it is ready. Without settings it answers simulated calls on this machine
    with a built-in agent and local speech.
    """
    begin_start()
    options = {"host": host, "port": port, "workers": workers}
    given = {"server": {name: value for name, value in options.items() if value is not None}}
    settings = _settings(debug, config, given)
    announce = functools.partial(_announce, "phone-bridge")
    if settings.server.workers > 1:
        from bridge.workers.supervisor import supervise  # noqa: PLC0415  (see the module)

        level = {"log": {"level": "debug"}} if debug else {}
        work = supervise(settings, config=config, overrides={**given, **level}, ready=announce, debug=debug)
        return _listen(work, settings.server.host, settings.server.port)
    from bridge.app import serve as run_bridge  # noqa: PLC0415  (see the module)
    from bridge.log import configure_logging  # noqa: PLC0415  (see the module)

    secrets = {*settings.secret_values()}

    def mask(taken: Settings) -> None:
        secrets.update(taken.secret_values())  # Calls that live may still use the old ones.
        configure_logging(taken, secrets=secrets)

    def ready(url: str) -> None:
        end_start()
        announce(url)

    work = run_bridge(
        settings,
        ready=ready,
        load=functools.partial(_loaded, debug, config, given),
        on_taken=mask,
    )
    return _listen(work, settings.server.host, settings.server.port)


@cli.command(short_help="Place a simulated call and show the conversation. Needs nothing.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("calls"),
    show_default=True,
    help="Where the transcript, the recording and the picture of the call go.",
)
@click.option(
    "--agent",
    "agent_kind",
    type=click.Choice(["python", "flow"]),
    default="python",
    show_default=True,
    help="Who answers: the built-in agent, or the sample flow file, with keys and a transfer.",
)
@click.pass_obj
def demo(debug: bool, folder: Path, agent_kind: Literal["python", "flow"]) -> int:
    """Place a simulated phone call with real recorded speech and show the conversation. Needs nothing."""
    settings = _log_settings(debug)
    from bridge.demo import run_demo  # noqa: PLC0415  (see the module)

    return run(run_demo(settings, folder, agent_kind))


@cli.command(short_help="Call a bridge as Twilio and a caller would, and report what was heard.")
@_config_option
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The bridge to call.")
@click.option(
    "--auth-token",
    help="What signs the requests; others on this machine can see it here, but not in BRIDGE_TWILIO__AUTH_TOKEN."
    " [default: twilio.auth_token, else the token that serve made on this machine]",
)
@click.option(
    "--wav",
    "wavs",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Say this file, then await the answer; may be given several times.",
)
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    metavar="FILE|FOLDER",
    type=click.Path(exists=True, path_type=Path),
    help="A scripted call (YAML, TOML or JSON), or a folder of them, instead of --wav; may be given several times.",
)
@click.option(
    "--speech",
    metavar="URL",
    help="Speech service for scenarios that speak text or expect words. [default: a local server, started for it]",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    help="Write the call as a stereo WAV: left the caller, right what the caller heard. For several, a folder.",
)
@click.option(
    "--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write the results as JUnit XML, for CI."
)
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Scenarios at the same time."
)
@click.option("--from", "caller", default="+15550100001", show_default=True, help="Number of the caller.")
@click.option("--to", "called", default="+15550100002", show_default=True, help="Number that is called.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=300,
    show_default=True,
    help="Seconds that the whole call may take.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object, and nothing else.")
@click.pass_obj
def call(debug: bool, /, config: Path | None, **options: Any) -> int:
    """Act as Twilio and a caller against a bridge: the regression test of an agent, without a phone.

    Exit code 0 if everything said was answered, or everything that the scenario expects came true; else 1. Without
    --wav and --scenario it listens to the greeting and hangs up.
    """
    settings = _settings(debug, config, {})
    from bridge.command_line.call import call_options, place_calls  # noqa: PLC0415  (see the module)

    return run(place_calls(call_options(settings, options)))


@cli.command(short_help="Run the local speech server on its own.")
@_listener_options("127.0.0.1", 8090)
@click.option(
    "--api-key",
    envvar="SPEECH_SERVER_API_KEY",
    help="Key that clients must show; others on this machine can see it here, but not in SPEECH_SERVER_API_KEY."
    " [default: any will do]",
)
@click.option("--recognizer", type=click.Choice(["moonshine", "whisper"]), help="Recogniser. [default: moonshine]")
@click.option("--recognizer-model", metavar="NAME|PATH", help="Model of the recogniser.")
@click.option(
    "--voice-engine", type=click.Choice(["nanotts", "piper"]), help="Engine of the voice. [default: nanotts]"
)
@click.option("--voice-model", metavar="PATH", help="Voice file, where the engine needs one.")
@click.option("--voice", metavar="ID", help="The voice that speaks requests for unknown ids.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes for recognition. [default: 1]")
@click.option(
    "--max-streams",
    type=click.IntRange(1),
    help="Callers at once; one more is refused (429). [default: 10 for each process that has a core]",
)
@click.pass_obj
def speech(debug: bool, /, **options: Any) -> int:
    """Run the local speech server until SIGINT or SIGTERM.

    It speaks Cartesia's protocols, so a bridge elsewhere and Cartesia's own SDK can use it: give them its address
    as the base URL. Prints one line with the address when it is ready.
    """
    _log_settings(debug)
    from bridge.speech_server.server import ServerSettings  # noqa: PLC0415  (see the module)

    settings = ServerSettings(**{name: value for name, value in options.items() if value is not None})
    return _listen(_serve_speech(settings), settings.host, settings.port)


async def _serve_speech(settings: SpeechServerSettings) -> None:
    from bridge.speech_server.server import start  # noqa: PLC0415  (see the module)

    server = await start(settings)
    try:
        _announce("speech server", server.url)
        await asyncio.Event().wait()
    finally:
        await server.close()


@cli.command(short_help="Play a recorded call to today's conversation logic.")
@click.argument("path", metavar="JOURNAL", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def replay(debug: bool, path: Path, as_json: bool) -> int:
    """Play a recorded call to today's conversation logic, and show where it would decide otherwise.

    JOURNAL is a call's folder, or its journal.jsonl or trace.jsonl. Exit code 1 if a decision differs.
    """
    _log_settings(debug)
    from bridge.command_line.replay import print_replay  # noqa: PLC0415  (see the module)

    return print_replay(path, as_json=as_json)


@cli.command(short_help="Check everything around a call, and say what to mend.")
@_config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_obj
def doctor(debug: bool, config: Path | None, as_json: bool) -> int:
    """Check settings, keys, speech, agent, public URL and the Twilio number, and say what to mend.

    Exit code 1 if anything failed; warnings do not count.
    """
    _log_settings(debug, level="error")
    from bridge.command_line.doctor import examine, print_findings  # noqa: PLC0415  (see the module)

    findings = run(examine(config))
    print_findings(findings, as_json=as_json)
    return FAILED if any(finding.status == "failed" for finding in findings) else OK


@cli.group(invoke_without_command=True, short_help="Measure calls per core and milliseconds per turn.")
@click.option(
    "--calls",
    metavar="N,N…",
    help="Calls at once; one measurement for each. [default: 1,50; 1 to 1000 of a ladder]",
)
@click.option("--ladder", is_flag=True, help="Climb until a level is not sustained, and find the last one that is.")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 3600),
    default=20,
    show_default=True,
    help="How long each number of calls is measured, after a few seconds in which it is not.",
)
@click.option("--turns", type=click.IntRange(1, 10_000), help="Instead: until each call has had so many turns.")
@click.option(
    "--turn-seconds",
    type=click.FloatRange(0.5, 60),
    default=6,
    show_default=True,
    help="From one turn of a caller to the next, on average. Each cuts into the agent's speech.",
)
@click.option(
    "--limit-ms",
    type=click.FloatRange(min=0, min_open=True),
    default=20,
    show_default=True,
    help="A sustained level's p99 from a frame to the speech service, beyond what batching adds.",
)
@click.option("--runs", type=click.IntRange(1, 100), default=1, show_default=True, help="Repeat, and give medians.")
@click.option(
    "--system",
    type=click.Choice(["bridge", "relay", "command"]),
    default="bridge",
    show_default=True,
    help="What to measure: this bridge, a bare relay without any logic, or another program.",
)
@click.option("--command", help="That program; bridge/bench/systems.py says what it is told, and must do.")
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes of the bridge."
)
@click.option("--set", metavar="SECTION.KEY=VALUE", multiple=True, help="A setting of the bridge. Can be repeated.")
@click.option("--pin/--no-pin", default=True, show_default=True, help="Give system and load cores of their own.")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides when callers cut in.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the JSON to this file, too.")
@click.option(
    "--compare",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Show ratios against the JSON of an earlier run.",
)
@click.pass_context
def bench(context: click.Context, /, **options: Any) -> int | None:
    """Measure what calls cost, how many one core carries, and how long the bridge itself takes in a turn.

    Starts a bridge of its own with signatures, recording and all, plays phones, speech service and agent to it, and
    shows processor time, memory, percentiles and losses. Exit code 1 if anything was lost, unanswered or not
    silenced; with --ladder, if no level was sustained. Needs no account or key.
    """
    if context.invoked_subcommand is not None:
        return None
    _log_settings(context.obj, level="warning")
    from bridge.command_line.bench import measure_system  # noqa: PLC0415  (see the module)

    return measure_system(options)


@bench.command(short_help="Measure how far ahead of the phone audio should be sent.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=10,
    show_default=True,
    help="Minutes of speech for each lead and each length of stall.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Decides jitter and stalls.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def pacing(minutes: float, seed: int, as_json: bool) -> int:
    """Measure, in virtual time, how often the phone runs dry and what a barge-in wastes, for leads of 0.2 to 10 s.

    A network with jitter and stalls lies between the conversation and a model of the phone.
    """
    from bridge.command_line.bench import measure_pacing  # noqa: PLC0415  (see the module)

    return measure_pacing(minutes, seed, as_json=as_json)


@bench.command(short_help="Measure what larger messages to the speech service cost and give.")
@click.option("--calls", type=click.IntRange(1, 16_000), default=100, show_default=True, help="Calls at once.")
@click.option(
    "--sizes", default="20,40,60,100", show_default=True, metavar="MS,MS…", help="Values of stt.chunk_ms."
)
@click.option("--seconds", type=click.FloatRange(1, 3600), default=20, show_default=True, help="For each of them.")
@click.option("--set", "settings", metavar="SECTION.KEY=VALUE", multiple=True, help="A setting of the bridge.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def batching(calls: int, sizes: str, seconds: float, settings: tuple[str, ...], as_json: bool) -> int:
    """Measure what 20, 40, 60 and 100 ms of audio in one message cost in processor time, and add to a turn.

    The speech service says that a turn has begun, or ended, when it has got the audio of that moment.
    """
    _log_settings(debug=False, level="warning")
    from bridge.command_line.bench import measure_batching  # noqa: PLC0415  (see the module)

    return measure_batching(calls, sizes, seconds, settings, as_json=as_json)


bench.add_command(bench_speech)


def _settings(debug: bool, config: Path | None, overrides: Mapping[str, Mapping[str, Any]]) -> Settings:
    from bridge.log import configure_logging  # noqa: PLC0415  (see the module)
    from bridge.settings.source import overlooked_file  # noqa: PLC0415  (see the module)

    settings = _loaded(debug, config, overrides)
    configure_logging(settings)
    if config is None and (overlooked := overlooked_file()):
        click.echo(f"warning: {overlooked}", err=True)
    return settings


def _loaded(debug: bool, config: Path | None, overrides: Mapping[str, Mapping[str, Any]]) -> Settings:
    from bridge.settings.source import load_settings  # noqa: PLC0415  (see the module)

    level = {"log": {"level": "debug"}} if debug else {}
    return load_settings(config, overrides={**overrides, **level})


def _log_settings(debug: bool, level: str | None = None) -> Settings:
    """Settings of a command that needs none but [log]: what else is wrong or missing must not stop it."""
    from bridge.log import configure_logging  # noqa: PLC0415  (see the module)
    from bridge.settings.source import load_settings  # noqa: PLC0415  (see the module)

    environment = {name: value for name, value in os.environ.items() if name.upper().startswith("BRIDGE_LOG__")}
    level = "debug" if debug else level
    settings = load_settings(
        environment=environment, files=(), overrides={"log": {"level": level}} if level else None
    )
    configure_logging(settings)
    return settings


def _listen(work: Coroutine[Any, Any, None], host: str, port: int) -> int:
    """Run a server to its end. Being told to stop is how a server ends well."""
    try:
        run(work)
    except Interrupted:
        return OK
    except OSError as error:
        if known := listen_error(error, host, port):
            raise known from None
        raise
    return OK


def _announce(what: str, url: str) -> None:
    """Tell people and scripts that the server is ready: one line on standard output, at once."""
    click.echo(f"{what} is ready at {url}")
    sys.stdout.flush()
