"""The simulated telephone line: who calls whom, through which bridge, over what kind of network. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from bridge.errors import BridgeError, SettingsError
from bridge.simulator.party import Answer, Party
from bridge.simulator.phone import AfterClear, PhoneTraits

_GEOGRAPHY = ("City", "State", "Zip", "Country")


class CallError(BridgeError):
    """The simulated call cannot be made or go on.

    Codes: `bridge_unreachable`, `bridge_timeout`, `bridge_refused` (403), `bridge_answer` (an error status, or no
    TwiML), `call_over` (asked for something on a call that has ended).
    """


@dataclass(frozen=True, slots=True)
class Line:
    """What Twilio would know of a call, and how its network behaves."""

    url: str
    """Where the bridge listens, such as `http://127.0.0.1:8080`."""
    auth_token: str = ""
    """The Twilio auth token the bridge checks signatures with; empty signs nothing."""
    account_sid: str = "AC" + "0" * 32
    caller: str = "+15550100001"
    called: str = "+15550100002"
    public_url: str = ""
    """The bridge's public origin, if it differs from `url`: it is what is signed, and addresses in it are reached
    through `url`."""
    voice_path: str = "/twilio/voice"
    status_path: str = "/twilio/status"
    report_status: bool = False
    """Whether the end of the call is posted to `status_path`. (A stream's own callback is served if it has one.)"""
    parties: Mapping[str, Party] = field(default_factory=dict)
    """What happens when a number (or SIP address, or client) is rung, by `<Dial>` or by REST: see `Party`."""
    dial_status: str = "completed"
    """How a `<Dial>` of anybody else ends: `completed` (answered, and hung up at once), `busy`, `no-answer`,
    `failed` or `canceled`."""
    direction: str = "inbound"
    """`inbound`, `outbound-api` (by REST) or `outbound-dial` (a leg that a `<Dial>` made)."""
    repeat_requests: bool = False
    """Every action request and status callback comes twice, as after a lost answer; the second answer is not
    followed."""
    callback_delay_s: float = 0.0
    """Status callbacks come so late, after whatever else has happened by then; else they come before the action."""
    lag_ms: float = 0.0
    """Network delay, each way."""
    lost_marks: Container[int] = ()
    """Numbers of marks (the first of a stream is 0) that never return."""
    after_clear: AfterClear = "at_once"
    """What becomes of marks that `clear` overtook."""

    def __post_init__(self) -> None:
        for name, url in (("url", self.url), ("public_url", self.public_url)):
            if not url and name == "public_url":
                continue
            if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc:
                raise SettingsError(
                    f"{name} {url!r} is no address: give the bridge's, such as http://127.0.0.1:8080"
                )

    @property
    def phone(self) -> PhoneTraits:
        """The traits of the phone at the end of this line."""
        lag_s = self.lag_ms / 1000
        return PhoneTraits(down_s=lag_s, up_s=lag_s, lost_marks=self.lost_marks, after_clear=self.after_clear)

    @property
    def origin(self) -> str:
        """The origin the bridge believes it has: what URLs are signed with. Without a slash at the end."""
        return (self.public_url or self.url).rstrip("/")

    def reach(self, url: str) -> str:
        """The address to connect to for `url`, which is at the bridge's public origin or anywhere else."""
        parts = urlsplit(url)
        if not self.public_url or parts.netloc.lower() != urlsplit(self.public_url).netloc.lower():
            return urlunsplit(parts._replace(fragment=""))
        near = urlsplit(self.url)
        scheme = near.scheme.replace("http", "ws") if parts.scheme in {"ws", "wss"} else near.scheme
        return urlunsplit(parts._replace(scheme=scheme, netloc=near.netloc, fragment=""))

    def party(self, to: str) -> Party:
        """Who answers when `to` is dialled."""
        if (known := self.parties.get(to)) is not None:
            return known
        answer: Answer = "answers"
        if self.dial_status in {"busy", "no-answer", "failed", "canceled"}:
            answer = self.dial_status  # type: ignore[assignment]  # one of the four, as the line above says
        return Party(answer, hang_up_after_s=0.0)

    def form(self, call_sid: str, status: str, **more: str) -> list[tuple[str, str]]:
        """The fields Twilio posts with every request about the call, and `more`.

        The geographic ones are there and blank, as they often are: a blank field is signed like any other.
        """
        fields = {
            "CallSid": call_sid,
            "AccountSid": self.account_sid,
            "From": self.caller,
            "To": self.called,
            "CallStatus": status,
            "ApiVersion": "2010-04-01",
            "Direction": self.direction,
            "Caller": self.caller,
            "Called": self.called,
        }
        fields |= {f"{who}{what}": "" for who in ("From", "To", "Caller", "Called") for what in _GEOGRAPHY}
        return [*(fields | more).items()]
