from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from bridge.errors import SettingsError
from bridge.settings import Settings
from bridge.settings.agents import DEMO_AGENT
from bridge.settings.sections import CARTESIA_URL
from bridge.settings.source import SettingRow, load_settings, overlooked_file, rows

EXAMPLE = Path(__file__).parents[2] / "config" / "bridge.toml"
SID = "AC" + "1" * 32


def load(toml: str = "", folder: Path | None = None, /, **environment: str) -> Settings:
    """Settings of a TOML text and of environment variables, given as `server__port="1"`."""
    given = {f"BRIDGE_{name}".upper() if "__" in name else name: value for name, value in environment.items()}
    if folder is None:
        return load_settings(files=(), environment=given)
    path = folder / "bridge.toml"
    path.write_text(toml, encoding="utf-8")
    return load_settings(path, environment=given)


def mistakes(toml: str = "", folder: Path | None = None, /, **environment: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(toml, folder, **environment)
    assert caught.value.code == "settings"
    return caught.value.message.splitlines()


# --- where settings come from ------------------------------------------------------------------------------


def test_nothing_given_is_a_bridge_for_this_machine() -> None:
    settings = load()

    assert settings == Settings()
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8080)
    assert settings.speech.base_url == "local"
    assert (settings.agent.kind, settings.agent.url) == ("python", DEMO_AGENT)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    toml = '[server]\nport = 9000\nhost = "0.0.0.0"\n'
    settings = load(toml, tmp_path, server__port="9001")

    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 9001)


def test_the_command_line_wins_over_both(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text("[server]\nport = 9000\nworkers = 2\n")
    settings = load_settings(
        path, environment={"BRIDGE_SERVER__PORT": "9001"}, overrides={"server": {"port": 9002}}
    )

    assert (settings.server.port, settings.server.workers) == (9002, 2)


def test_an_empty_variable_counts_as_absent() -> None:
    assert load(server__port="", speech__api_key="", CARTESIA_API_KEY="") == Settings()


def test_the_first_default_file_that_is_there_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(environment={}).server.port == 8080
    Path("bridge.toml").write_text("[server]\nport = 1\n")
    assert load_settings(environment={}).server.port == 1
    assert overlooked_file() == ""
    Path("config").mkdir()
    Path("config/bridge.toml").write_text("[server]\nport = 2\n")
    assert load_settings(environment={}).server.port == 2
    assert overlooked_file().startswith("bridge.toml is not read, because config/bridge.toml is there")


def test_building_settings_reads_nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_SERVER__PORT", "9000")

    assert Settings().server.port == 8080
    assert load_settings(files=()).server.port == 9000


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().server.port = 1


# --- each kind of value ------------------------------------------------------------------------------------


def test_lists_and_tables_in_the_environment() -> None:
    settings = load(
        stt__keyterms="Anna Maria,  ACME ,",
        turns__backchannels='["a, b", "c"]',
        stt__headers="X-One=1, X-Two = a=b",
    )

    assert settings.stt.keyterms == ("Anna Maria", "ACME")
    assert settings.turns.backchannels == ("a, b", "c")
    assert settings.stt.headers == {"X-One": "1", "X-Two": "a=b"}
    assert load(stt__headers='{"X-One": "1"}').stt.headers == {"X-One": "1"}


def test_a_file_with_every_kind_of_value(tmp_path: Path) -> None:
    settings = load(
        """
        [stt]
        keyterms = ["Anna Maria"]
        headers = { X-One = "1" }
        turn_end_timeout_ms = 3000
        [agent]
        eager = false
        timeout_seconds = 2.5
        [store]
        recordings = "/tmp/calls"
        """,
        tmp_path,
    )

    assert settings.stt.keyterms == ("Anna Maria",)
    assert settings.stt.headers == {"X-One": "1"}
    assert settings.stt.turn_end_timeout_ms == 3000
    assert settings.agent.eager is False
    assert settings.agent.timeout_seconds == 2.5
    assert settings.store.recordings == Path("/tmp/calls")


@pytest.mark.parametrize(
    ("environment", "key", "url"),
    [
        ({}, "", "local"),
        ({"CARTESIA_API_KEY": "sk_1"}, "sk_1", CARTESIA_URL),
        ({"speech__api_key": "sk_2"}, "sk_2", CARTESIA_URL),
        ({"speech__api_key": "sk_2", "CARTESIA_API_KEY": "sk_1"}, "sk_2", CARTESIA_URL),
        ({"speech__base_url": "local", "CARTESIA_API_KEY": "sk_1"}, "sk_1", "local"),
        ({"speech__base_url": "http://127.0.0.1:8090/"}, "", "http://127.0.0.1:8090"),
        ({"speech__base_url": "wss://proxy.example.com/cartesia"}, "", "wss://proxy.example.com/cartesia"),
    ],
)
def test_the_key_decides_where_speech_is_made(environment: dict[str, str], key: str, url: str) -> None:
    speech = load(**environment).speech

    assert (speech.api_key.get_secret_value(), speech.base_url) == (key, url)


@pytest.mark.parametrize(
    ("environment", "kind", "url"),
    [
        ({"agent__url": "http://127.0.0.1:5000/agent"}, "webhook", "http://127.0.0.1:5000/agent"),
        ({"agent__url": "HTTPS://a.example/"}, "webhook", "HTTPS://a.example"),
        ({"agent__url": "shop.agents:answer"}, "python", "shop.agents:answer"),
        ({"agent__kind": "python"}, "python", DEMO_AGENT),
        ({"agent__kind": "echo"}, "echo", ""),
        ({"agent__kind": "none", "agent__url": "http://a.example"}, "none", "http://a.example"),
    ],
)
def test_the_url_decides_the_kind_of_agent(environment: dict[str, str], kind: str, url: str) -> None:
    agent = load(**environment).agent

    assert (agent.kind, agent.url) == (kind, url)


def test_secrets_are_not_printed(tmp_path: Path) -> None:
    settings = load(
        '[[numbers]]\nnumber = "+15551234567"\nagent.url = "http://a.example"\nagent.secret = "hush5"\n',
        tmp_path,
        twilio__auth_token="hush1",
        speech__api_key="hush2",
        agent__secret="hush3",
        api__token="hush4",
        stt__headers="Authorization=hush6",
    )

    assert "hush" not in repr(settings) + str(settings)
    assert settings.secret_values() == ("hush1", "hush2", "hush3", "hush4", "hush5", "hush6")


# --- what is wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {"server__port": "70000"},
            "server.port (BRIDGE_SERVER__PORT) is '70000': wanted a whole number from 0 to 65535",
        ),
        (
            {"server__drain_seconds": "soon"},
            "server.drain_seconds (BRIDGE_SERVER__DRAIN_SECONDS) is 'soon': wanted a number from 0 to 3600",
        ),
        (
            {"agent__timeout_seconds": "0"},
            "agent.timeout_seconds (BRIDGE_AGENT__TIMEOUT_SECONDS) is '0': wanted a number over 0 to 120",
        ),
        (
            {"twilio__validate": "maybe"},
            "twilio.validate (BRIDGE_TWILIO__VALIDATE) is 'maybe': wanted true or false",
        ),
        ({"log__level": "LOUD"}, "wanted one of debug, info, warning, error"),
        ({"speech__version": "today"}, "is 'today': wanted a date such as 2026-03-01"),
        ({"stt__chunk_ms": "10"}, "wanted a whole number from 20 to 200"),
        ({"stt__endpoint": "automatic"}, "is 'automatic': wanted one of turns, manual"),
        (
            {"turns__barge_in": "words:0"},
            "wanted speech, voice, keys, never, or words:N with N from 1 to 99",
        ),
        ({"stt__keyterms": ",".join(["x"] * 101)}, "wanted 100 terms and 1200 characters at most"),
        ({"stt__keyterms": "[1"}, "wanted texts separated by commas, or a JSON array"),
        ({"stt__headers": "X-One"}, "stt.headers (BRIDGE_STT__HEADERS): wanted Name=value"),
        ({"stt__turn_start_threshold": "0.95"}, "wanted a number from 0.5 to 0.9"),
        ({"stt__turn_end_threshold": "0.4"}, "under stt.turn_eager_end_threshold, which is 0.4"),
        (
            {"stt__turn_start_threshold": "0.5", "stt__turn_eager_end_threshold": "0.5"},
            "under stt.turn_start_threshold, which is 0.5",
        ),
        ({"agent__kind": "relay"}, "a relay agent needs its URL, such as wss://"),
        ({"agent__kind": "robot"}, "wanted one of webhook, relay, openai, flow, python, echo, none"),
        ({"agent__kind": "webhook"}, "a webhook agent needs its URL"),
        ({"agent__url": "ftp://a.example"}, "wanted package.module:function, or an http(s) URL"),
        ({"agent__url": "http://"}, "wanted an http(s) URL such as"),
        ({"bus__url": "http://127.0.0.1:4222"}, "wanted a nats:// URL such as nats://127.0.0.1:4222"),
        ({"twilio__account_sid": "AC123"}, "wanted AC and 32 hexadecimal digits"),
        ({"speech__base_url": "cartesia"}, "wanted an http(s) URL such as https://example.com, or local"),
        ({"speech__base_url": CARTESIA_URL}, "needs a key: set speech.api_key (BRIDGE_SPEECH__API_KEY)"),
        ({"server__public_url": "http://voice.example.com"}, "wanted https://"),
        ({"server__public_url": "https://voice.example.com/bridge"}, "wanted only the origin"),
        ({"server__public_url": "https://me@voice.example.com"}, "wanted only the origin"),
        ({"server__public_url": "https://voice.example.com"}, "set twilio.auth_token (BRIDGE_TWILIO__AUTH_TOKEN)"),
        ({"log__format": "nan", "log__level": "info"}, "wanted one of console, json"),
        ({"turns__silence_seconds": "inf"}, "wanted a number over 0 to 600"),
    ],
)
def test_a_wrong_value_is_one_line_with_the_remedy(environment: dict[str, str], line: str) -> None:
    found = mistakes(**environment)

    assert len(found) == 1
    assert line in found[0]


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    toml = '[server]\nprot = 1\nport = "x"\n[sever]\nhost = "a"\n[agent]\nkind = "flows"\n'

    assert mistakes(toml, tmp_path, stt__chnk_ms="3") == [
        "BRIDGE_STT__CHNK_MS is not a setting: did you mean BRIDGE_STT__CHUNK_MS?",
        f"server.prot in {tmp_path}/bridge.toml is not a setting: did you mean server.port?",
        f"[sever] in {tmp_path}/bridge.toml is not a section: did you mean server?",
        "server.port (BRIDGE_SERVER__PORT) is 'x': wanted a whole number from 0 to 65535",
        "agent.kind (BRIDGE_AGENT__KIND) is 'flows': wanted one of webhook, relay, openai, flow, python, echo,"
        " none",
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BRIDGE_SERVER_PORT", "did you mean BRIDGE_SERVER__PORT?"),
        ("bridge_sever__port", "did you mean BRIDGE_SERVER__PORT?"),
        ("BRIDGE_STT", "phone-bridge serve --help lists them all"),
        ("BRIDGE_NUMBERS", "phone-bridge serve --help lists them all"),
    ],
)
def test_an_unknown_variable_is_told(name: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(files=(), environment={name: "x"})
    assert caught.value.message == f"{name} is not a setting: {hint}"


def test_a_right_key_in_the_wrong_section_is_found(tmp_path: Path) -> None:
    assert mistakes("[twilio]\npublic_url = 1\n", tmp_path)[0].endswith("did you mean server.public_url?")


def test_variables_that_kubernetes_sets_for_a_service_called_bridge_do_no_harm() -> None:
    links = {
        "BRIDGE_SERVICE_HOST": "10.0.0.1",
        "BRIDGE_SERVICE_PORT": "8080",
        "BRIDGE_SERVICE_PORT_HTTP": "8080",
        "BRIDGE_PORT": "tcp://10.0.0.1:8080",
        "BRIDGE_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "BRIDGE_PORT_8080_TCP_ADDR": "10.0.0.1",
        "BRIDGE_SERVER_PORT": "tcp://10.0.0.1:8080",
    }
    assert load_settings(files=(), environment=links) == Settings()


def test_a_value_of_a_secret_is_not_repeated(tmp_path: Path) -> None:
    found = mistakes("[twilio]\nauth_token = 12345\n", tmp_path)

    assert found == ["twilio.auth_token (BRIDGE_TWILIO__AUTH_TOKEN): wanted a text"]


def test_a_section_that_is_no_table(tmp_path: Path) -> None:
    assert len(mistakes("server = 3\n", tmp_path)) == 1


def test_a_file_that_is_no_toml_names_file_and_line(tmp_path: Path) -> None:
    found = mistakes("[server]\nport = = 1\n", tmp_path)

    assert len(found) == 1
    assert found[0].startswith(f"{tmp_path}/bridge.toml is not valid TOML: ")
    assert "line 2" in found[0]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("url is 'ftp://ann:hunter2@h:1/p?key=hunter2#x': wanted", "url is 'ftp://h:1/p#x': wanted"),
        ("url is 'wss://hunter2@h?k=hunter2'", "url is 'wss://h'"),
        ("Is it https://example.com? See a@b.", "Is it https://example.com? See a@b."),
        ("wanted ws:// or http://h:1/", "wanted ws:// or http://h:1/"),
    ],
)
def test_a_mistake_does_not_show_what_a_url_keeps_secret(said: str, shown: str) -> None:
    assert SettingsError(said).message == shown


def test_a_wrong_url_is_told_without_its_password() -> None:
    (found,) = mistakes(agent__kind="webhook", agent__url="ftp://ann:hunter2@example.com/?key=hunter2")
    assert "ftp://example.com/" in found
    assert "hunter2" not in found


def test_a_file_that_is_nested_too_deeply(tmp_path: Path) -> None:
    (found,) = mistakes("x = " + "[" * 50_000, tmp_path)
    assert found.endswith("is not valid TOML: it is nested too deeply")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load_settings(tmp_path / "none.toml", environment={})
    (tmp_path / "latin.toml").write_bytes(b'[agent]\ngreeting = "Gr\xfc\xdfe"\n')
    with pytest.raises(SettingsError, match="not UTF-8"):
        load_settings(tmp_path / "latin.toml", environment={})


# --- addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "public", "stream"),
    [
        ("", "http://127.0.0.1:1234", "ws://127.0.0.1:1234/twilio/media"),
        ("https://Voice.Example.com/", "https://voice.example.com", "wss://voice.example.com/twilio/media"),
        (
            "https://voice.example.com:8443",
            "https://voice.example.com:8443",
            "wss://voice.example.com:8443/twilio/media",
        ),
        ("http://localhost:9000", "http://localhost:9000", "ws://localhost:9000/twilio/media"),
        ("http://[::1]:9000", "http://[::1]:9000", "ws://[::1]:9000/twilio/media"),
    ],
)
def test_addresses_that_the_carrier_uses(given: str, public: str, stream: str) -> None:
    settings = load(server__public_url=given, twilio__auth_token="token")

    assert settings.public_url(1234) == public
    assert settings.stream_url(1234) == stream


def test_a_public_bridge_without_token_must_be_asked_for() -> None:
    assert load(server__public_url="https://a.example", twilio__validate="false").server.public_url
    assert load(server__public_url="http://127.0.0.1:9000").server.public_url


# --- numbers -----------------------------------------------------------------------------------------------

NUMBERS = """
[agent]
url = "https://agents.example.com/default"
secret = "s1"
greeting = "Hello."
[tts]
voice = "v1"
[[numbers]]
number = "+1 (555) 123-4567"
agent.greeting = "Orders desk."
tts.language = "de"
[[numbers]]
number = "+15550000002"
agent.kind = "echo"
[[numbers]]
number = "sip:desk@example.com"
agent.url = "shop.agents:answer"
"""


def test_a_number_has_what_it_sets_and_the_rest(tmp_path: Path) -> None:
    settings = load(NUMBERS, tmp_path)
    orders = settings.for_number("+15551234567")

    assert (orders.agent.greeting, orders.agent.url) == ("Orders desk.", "https://agents.example.com/default")
    assert orders.agent.secret == SecretStr("s1")
    assert (orders.tts.voice, orders.tts.language) == ("v1", "de")
    assert orders.stt == settings.stt


def test_an_agent_of_its_own_does_not_inherit_the_others_address(tmp_path: Path) -> None:
    settings = load(NUMBERS, tmp_path)

    assert (settings.for_number("+15550000002").agent.kind, settings.for_number("+15550000002").agent.url) == (
        "echo",
        "",
    )
    desk = settings.for_number("sip:desk@example.com").agent
    assert (desk.kind, desk.url, desk.greeting) == ("python", "shop.agents:answer", "Hello.")


def test_other_numbers_have_the_defaults(tmp_path: Path) -> None:
    settings = load(NUMBERS, tmp_path)

    assert settings.for_number("+15559999999") is settings


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        (
            '[[numbers]]\nnumber = "5551234567"\n',
            "numbers.1.number is '5551234567': wanted a number such as +15551234567",
        ),
        ('[[numbers]]\nnumber = "+15551234567"\nvoice = "x"\n', "voice in [[numbers]] table 1 of "),
        ('[[numbers]]\nnumber = "+15551234567"\ntts.voce = "x"\n', "did you mean tts.voice?"),
        (
            '[[numbers]]\nnumber = "+15551234567"\nagent.kind = "flows"\n',
            "numbers.1.agent.kind is 'flows': wanted one of",
        ),
        (
            '[[numbers]]\nnumber = "+15551234567"\nagent.kind = "webhook"\n',
            "+15551234567: agent.url: a webhook agent needs",
        ),
        ('[[numbers]]\nagent.kind = "echo"\n', "numbers.1.number"),
        (
            '[[numbers]]\nnumber = "+15551234567"\n[[numbers]]\nnumber = "+1 555 1234567"\n',
            "wanted each number once",
        ),
        ('[numbers]\nnumber = "+15551234567"\n', "wanted a [[numbers]] table, in two brackets, for each number"),
    ],
)
def test_a_wrong_table_of_a_number(tmp_path: Path, toml: str, line: str) -> None:
    found = mistakes(toml, tmp_path)

    assert len(found) == 1
    assert line in found[0]


# --- the example file --------------------------------------------------------------------------------------


def example() -> tuple[str, Mapping[str, Any]]:
    text = EXAMPLE.read_text(encoding="utf-8")
    head = text.partition("#[[numbers]]")[0]
    return text, tomllib.loads(re.sub(r"^#(?=[a-z_]+ = )", "", head, flags=re.MULTILINE))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_every_setting_is_in_the_example_with_its_default_and_sentence(row: SettingRow) -> None:
    text, table = example()

    assert row.about
    assert row.about in re.sub(r"\n# ", " ", text)
    assert row.key in table[row.section]
    given = table[row.section][row.key]
    if row.default is not None:
        default = row.default.get_secret_value() if isinstance(row.default, SecretStr) else row.default
        assert given == (
            list(default) if isinstance(default, tuple) else str(default) if isinstance(default, Path) else default
        )


def test_the_example_holds_nothing_else_and_changes_nothing() -> None:
    _, table = example()

    assert {f"{section}.{key}" for section, keys in table.items() for key in keys} == {row.name for row in rows()}
    assert load_settings(EXAMPLE, environment={}) == Settings()


def test_the_examples_number_is_right(tmp_path: Path) -> None:
    tail = EXAMPLE.read_text(encoding="utf-8").partition("#[[numbers]]")[2]
    settings = load("[[numbers]]" + re.sub(r"\n#(?! )", "\n", tail), tmp_path)

    assert settings.for_number("+15551234567").agent.kind == "webhook"
    assert [entry.mode for entry in settings.numbers] == ["agent", "log"]


class TestNumbers:
    """What a number's table may hold, each mistake in one line."""

    @pytest.mark.parametrize(
        ("entry", "line"),
        [
            ('mode = "log"', "numbers.1.forward_to is '': mode log connects two people: wanted the number"),
            (
                'forward_to = "+15550100009"',
                "numbers.1.forward_to is '+15550100009': only mode log connects callers",
            ),
            ('mode = "log"\nforward_to = "room 5"', "numbers.1.forward_to is 'room 5': wanted a number such as"),
            ('mode = "listen"', "numbers.1.mode is 'listen'"),
            (f'announcement = "{"x" * 601}"', "numbers.1.announcement is"),
            ('hours.timezone = "Europe/Berln"', "did you mean Europe/Berlin?"),
            ('hours.open = "mon-fry 9:00-17:00"', "numbers.1.hours.open is"),
            ("hours.open = []", "there are no opening hours"),
            (
                'hours.closed_forward_to = "nobody"',
                "numbers.1.hours.closed_forward_to is 'nobody': wanted a number",
            ),
            ('hours.zone = "UTC"', "hours.zone in [[numbers]] table 1"),
        ],
    )
    def test_a_mistake_is_one_clear_line(self, tmp_path: Path, entry: str, line: str) -> None:
        config = tmp_path / "bridge.toml"
        config.write_text(f'[[numbers]]\nnumber = "+15550100002"\n{entry}\n')
        with pytest.raises(SettingsError) as caught:
            load_settings(config, environment={})
        (told,) = str(caught.value).splitlines()
        assert line in told

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("+1 (555) 010-0009", "+15550100009"),
            ("sip:ann@pbx.example.com", "sip:ann@pbx.example.com"),
            ("client:ann", "client:ann"),
            ("conference:Monday stand-up", "conference:Monday stand-up"),
        ],
    )
    def test_whom_callers_can_be_connected_with(self, given: str, kept: str) -> None:
        numbers = ({"number": "+15550100002", "mode": "log", "forward_to": given},)
        settings = load_settings(environment={}, files=(), overrides={"numbers": numbers})  # type: ignore[dict-item]
        assert settings.numbers[0].forward_to == kept


@pytest.mark.parametrize("name", ["api", "local"])
def test_no_token_is_called_as_one_that_may_do_more(name: str) -> None:
    tokens = f'[{{"name": "{name}", "token": "sixteen characters", "scope": "read"}}]'
    with pytest.raises(SettingsError, match=f"{name} cannot be the name of a token"):
        load_settings(environment={"BRIDGE_API__TOKENS": tokens})


@pytest.mark.parametrize("name", ["TURNS__BACKCHANNELS", "NUMBERS", "SINKS__EVENTS"])
def test_json_that_is_nested_without_end_is_a_mistake_like_any_other(name: str) -> None:
    with pytest.raises(SettingsError, match=f"BRIDGE_{name}"):
        load_settings(environment={f"BRIDGE_{name}": "[" * 5000}, files=())
