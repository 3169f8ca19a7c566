"""How a call is to be held: every knob of the conversation in one frozen value, handed in from outside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

BACKCHANNELS = (
    "uh-huh",
    "uh huh",
    "mm-hmm",
    "mhm",
    "mm",
    "hmm",
    "yeah",
    "okay",
    "ok",
    "right",
    "i see",
)
"""What listeners say to show that they listen: it does not take the floor from the agent."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one call. Times are in seconds."""

    agent: bool = True
    """False: nobody answers; the call is only transcribed."""
    greeting: str = ""
    """Said as soon as the line is up, before anything the agent wants to say."""
    greeting_barge_in: str = ""
    """What cuts the greeting off; empty: `barge_in`."""
    eager: bool = True
    """Ask the agent at an eager end of turn already, and hold its speech until the turn has ended."""

    barge_in: str = "speech"
    """What takes the floor from the agent, once its voice was stopped by the caller's: `speech`, that is any words;
    `words:N`, at least N words; `voice`, as `speech`, but no keys; `keys`, or `never`, and then its voice is not
    stopped either. Keys take it at once, except under `voice` and `never`."""
    barge_in_s: float = 0.0
    """The caller's voice takes the floor after this long, even without words; 0: only words do. The rest of the
    answer is given up then; a turn that stays without words is asked for again."""
    backchannels: tuple[str, ...] = BACKCHANNELS
    """Turns that consist of one of these do not interrupt the agent."""
    echo_guard: bool = True
    """A turn that is the agent's own voice, come back through the caller's loudspeaker, is not answered."""
    false_alarm_s: float = 3.0
    """A caller's turn without a word for this long does not keep the agent silent any longer."""

    lead_s: float = 3.0
    """How much speech the phone may hold that has not sounded yet. With this much it outlasts stalls of two seconds
    as well as if it got everything at once (`phone-bridge bench pacing`), and a barge-in wastes 23 KB of audio."""
    segment_s: float = 0.5
    """Length of speech between two marks."""
    latency_s: float = 0.25
    """How long audio takes to the caller's ear at least: what no mark has told to be longer."""
    mark_grace_s: float = 2.0
    """A mark this late is taken as lost, and its audio as heard."""
    text_pause_s: float = 0.5
    """An agent that streams no text for this long has its unfinished sentence spoken, and the utterance closed."""

    whole_sentences: bool = True
    """Streamed text goes to the speech service sentence by sentence; False: as it comes, to be held there."""
    longest_reply: int = 20_000
    """Characters of one reply that are spoken, more than twenty minutes of speech; the rest is left out."""
    filler: str = "One moment, please."
    """Said once when the agent is slow to answer; empty: nothing."""
    filler_s: float = 3.0
    """How long the caller hears nothing before that."""
    agent_timeout_s: float = 10.0
    """Longest wait for the first piece of an answer, and between pieces."""
    speech_timeout_s: float = 10.0
    """Longest wait for the audio of an utterance."""
    turn_stall_s: float = 15.0
    """A caller's turn of which nothing was heard for this long is ended by us."""
    apology: str = "Sorry, something went wrong on my side. Please try again."
    """Said when the agent fails."""
    failures_allowed: int = 3
    """Answers that may fail in a row before the call is ended with `farewell`."""
    farewell: str = "Sorry, I can't help you right now. Please call again later. Good-bye."
    """Said before the call is ended because the agent, or speech, is out of order."""
    failure_transfer: str = ""
    """Whom the caller is passed on to where the call would end with `farewell`; empty: nobody."""
    message_after_failure: bool = False
    """Let the caller leave a message with the carrier where the call would end with `farewell`."""
    longest_message_s: float = 120.0
    """How long such a message may be."""
    handover: str = "I can't help you right now, so I'll connect you with somebody who can."
    """Said in place of `farewell` before that."""
    outage_s: float = 8.0
    """How long a caller's turn waits for a speech-to-text service that broke off."""
    outage: str = "Sorry, I lost you for a moment. Could you say that again, please?"
    """Said when the service did not come back within that time."""
    resumed: str = "Sorry, we were cut off for a moment."
    """Said when the call goes on after the process that carried it has died; empty: nothing."""
    outage_limit_s: float = 30.0
    """A call whose speech-to-text service is away for this long is ended."""

    warm: bool = False
    """Whether somebody can be called while the caller waits; if not, every transfer is cold."""
    longest_ring_s: float = 30.0
    """How long a phone that a caller is transferred to rings, where the agent does not say."""
    transfer_allow: tuple[str, ...] = ("*",)
    """Whom callers may be passed on to, as `bridge.conversation.dialling` reads it; `failure_transfer` always."""
    transfer_failed: str = "Sorry, I could not reach them."
    """Said when the caller is back from a transfer, and the agent says nothing."""
    aside_timeout_s: float = 3.0
    """How long an agent has to say something where the bridge says something itself if it does not."""

    silence_s: float = 15.0
    """A caller who says nothing for this long after the agent's last word is asked again."""
    silence_prompts: tuple[str, ...] = ("Are you still there?", "Are you still there?")
    """What a silent caller is asked, in this order."""
    silence_farewell: str = "I can't hear anything, so I'll hang up now. Good-bye."
    """Said before a caller who stays silent is let go."""

    voicemail: str = ""
    """Said whole to a machine that answers a call of ours, before hanging up; empty: hang up at once."""

    recording: Literal["on", "paused", "off"] = "on"
    """Whether the call's sound is recorded: `paused` begins without, until the agent or an operator resumes it."""

    max_call_s: float = 4 * 3600.0
    """A call is ended after this long, whatever happens."""
    limit_notice: str = "This call has to end in one minute."
    """Said before that; empty: nothing."""
    limit_notice_s: float = 60.0
    """How long before."""
    reattach_s: float = 10.0
    """How long a call whose stream broke may take to come back."""
    drain_s: float = 10.0
    """Longest wait for the last words after the caller hung up. Bounds what the recogniser bounds itself."""

    def without_carrier(self) -> Policy:
        """Return the rules of a call that no carrier carries: none puts it into a conference or takes messages."""
        return replace(self, warm=False, message_after_failure=False)
