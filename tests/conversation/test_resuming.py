"""A conversation whose process died goes on from its journal: wherever that ends, nothing is lost or doubled."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal as j
from bridge.conversation.actions import GatherDigits, RecordMessage, Say, Set, Transfer, Tuning
from bridge.conversation.caller import joined
from bridge.conversation.commands import Interruption, Message
from bridge.conversation.machine import Conversation
from bridge.conversation.past import read_past
from bridge.conversation.policy import Policy
from bridge.conversation.standing import left_of, tuning_of
from bridge.simulator.phone import PhoneTraits
from tests.conversation.test_properties import habits, play, plots, policies, traits
from tests.conversation.world import Habits, World

SORRY = Policy().resumed
NOW = 500.0


def resumed(
    *entries: j.Entry, policy: Policy | None = None, epoch: int = 2
) -> tuple[Conversation, list[do.Command]]:
    """A call that began 30 s ago and whose new stream has just started, and what is done at that."""
    talk = Conversation.resume(entries, policy or Policy(), epoch=epoch, began=NOW - 30, now=NOW)
    assert talk.deadline == NOW + (policy or Policy()).reattach_s
    return talk, talk.handle(on.StreamStarted(), NOW)


def asked(commands: list[do.Command]) -> list[do.AskAgent]:
    return [command for command in commands if isinstance(command, do.AskAgent)]


def said(commands: list[do.Command]) -> str:
    return "".join(command.text for command in commands if isinstance(command, do.Synthesize))


GREETED = j.AgentSpoke(1, 0, "call.started", "Hello.", "", False, 0, 900, sent_ms=100)
TURN = j.CallerSpoke(1, "A bike, please", 1000, 2000)
ANSWER = j.AgentSpoke(2, 1, "turn.ended", "Which one?", "", False, 2000, 4000, sent_ms=2100)


def test_a_turn_that_nobody_answered_is_asked_again_behind_a_sentence() -> None:
    talk, commands = resumed(j.CallOpened(), GREETED, TURN)
    assert commands[0] == do.Record(j.StreamResumed(30_000))
    (ask,) = asked(commands)
    assert (ask.occasion, ask.turn, ask.transcript, ask.reply) == ("turn.ended", 1, "A bike, please", 2)
    assert ask.messages == (Message("assistant", "Hello."), Message("user", "A bike, please"))
    assert said(commands).strip() == SORRY
    assert talk.deadline is not None


def test_what_was_answered_is_not_asked_again() -> None:
    talk, commands = resumed(j.CallOpened(), GREETED, TURN, ANSWER)
    assert asked(commands) == []
    assert said(commands) == SORRY
    talk.handle(on.TurnStarted(), NOW + 5)
    (ask,) = asked(talk.handle(on.TurnEnded("The red one"), NOW + 6))
    assert (ask.turn, ask.reply, ask.transcript) == (2, 4, "The red one")
    assert ask.messages[:3] == (
        Message("assistant", "Hello."),
        Message("user", "A bike, please"),
        Message("assistant", "Which one?"),
    )


def test_without_a_sentence_it_goes_on_at_once() -> None:
    quiet = Policy(resumed="")
    assert said(resumed(j.CallOpened(), GREETED, TURN, ANSWER, policy=quiet)[1]) == ""
    commands = resumed(j.CallOpened(), GREETED, TURN, policy=quiet)[1]
    assert said(commands) == ""
    assert len(asked(commands)) == 1


def test_an_answer_of_which_nothing_was_heard_is_asked_for_again_with_what_came_since() -> None:
    cut = j.AgentSpoke(2, 1, "turn.ended", "", "Which one?", True, 2000, 2500, sent_ms=2300, again=True)
    _, commands = resumed(j.CallOpened(), GREETED, TURN, cut, j.CallerSpoke(2, " a red one", 2400, 3000))
    (ask,) = asked(commands)
    assert (ask.turn, ask.transcript) == (2, "A bike, please a red one")
    assert ask.interrupted == Interruption("", "Which one?")


def test_what_was_said_over_speech_stands_behind_it() -> None:
    over = j.CallerSpoke(2, "Sure?", 2500, 3000, over_speech=True)
    _, commands = resumed(j.CallOpened(), TURN, over, ANSWER)
    (ask,) = asked(commands)
    assert [message.content for message in ask.messages] == ["A bike, please", "Which one?", "Sure?"]
    assert ask.transcript == "Sure?"


def test_a_filler_is_not_the_agents() -> None:
    slow = msgspec.structs.replace(ANSWER, heard="One moment, please. Which one?", filler=20)
    past = read_past([TURN, slow], Policy())
    assert past.messages[-1] == Message("assistant", "Which one?")


def test_what_the_caller_was_asked_to_say_again_is_not_asked_about() -> None:
    lost = j.CallerSpoke(2, "The re", 5000, 9000, incomplete=True, degraded=True)
    _, commands = resumed(j.CallOpened(), GREETED, TURN, ANSWER, lost)
    assert asked(commands) == []
    assert read_past([lost], Policy()).messages == []


def test_how_a_call_is_held_is_kept_when_it_changes() -> None:
    talk = Conversation(Policy(greeting="", warm=True))
    kept: list[j.Entry] = []

    def happen(*events: on.Event, at: float) -> list[do.Command]:
        commands = [command for event in events for command in talk.handle(event, at)]
        kept.extend(command.entry for command in commands if isinstance(command, do.Record))
        return commands

    (ask,) = asked(happen(on.StreamStarted(), at=0.0))
    change = Set(voice="v", tuning=Tuning(keyterms=("bike",)))
    happen(on.AgentActed(ask.reply, change), on.AgentFinished(ask.reply), at=0.5)
    standings = [entry for entry in kept if isinstance(entry, j.Standing)]
    assert standings == [j.Standing(500, voice="v", tuning={"keyterms": ["bike"]})]
    happen(on.TurnStarted(), at=1.0)
    (ask,) = asked(happen(on.TurnEnded("My number"), at=2.0))
    assert len([entry for entry in kept if isinstance(entry, j.Standing)]) == 1
    happen(on.AgentActed(ask.reply, GatherDigits(length=3)), on.AgentFinished(ask.reply), at=2.5)
    *_, standing = [entry for entry in kept if isinstance(entry, j.Standing)]
    assert GatherDigits(**standing.gather) == GatherDigits(length=3)
    (ask,) = asked(happen(*(on.DigitPressed(key) for key in "123"), at=3.0))
    transfer = Transfer("+15550100", "A caller.")
    happen(on.AgentActed(ask.reply, transfer), on.AgentFinished(ask.reply), at=3.5)
    *_, standing = [entry for entry in kept if isinstance(entry, j.Standing)]
    assert (standing.gather, Transfer(**standing.consulting)) == ({}, transfer)
    happen(on.OtherAccepted("room"), at=4.0)
    *_, standing = [entry for entry in kept if isinstance(entry, j.Standing)]
    assert (standing.consulting, left_of(standing.left)) == ({}, do.LeaveCall("transfer", transfer, "room"))


def test_a_call_that_nobody_has_greeted_begins() -> None:
    policy = Policy(greeting="Hello there.")
    _, commands = resumed(j.CallOpened(), policy=policy)
    (ask,) = asked(commands)
    assert (ask.occasion, ask.reply) == ("call.started", 1)
    assert said(commands).startswith("Hello there.")


def test_how_the_call_was_held_stays_so() -> None:
    tuning = {"end_threshold": 0.1, "keyterms": ["bike"]}
    standing = j.Standing(900, voice="v", language="de", tuning=tuning)
    talk, commands = resumed(j.CallOpened(), GREETED, standing, j.RecordingPaused(950), TURN)
    assert do.PauseRecording(30_000) in commands
    assert do.TuneRecognizer(Tuning(end_threshold=0.1, keyterms=("bike",))) in commands
    assert talk.recording == "paused"
    (ask,) = asked(commands)
    more = talk.handle(on.AgentActed(ask.reply, Say("Gern. ")), NOW + 1)
    more += talk.handle(on.AgentFinished(ask.reply), NOW + 1)
    (synthesis,) = [one for one in more if isinstance(one, do.Synthesize) and "Gern" in one.text]
    assert (synthesis.voice, synthesis.language) == ("v", "de")


def test_a_number_goes_on_to_be_gathered() -> None:
    gather = msgspec.structs.asdict(GatherDigits(length=3))
    keys = (j.KeyPressed(5000, "1"), j.KeyPressed(6000, "2"))
    standing = j.Standing(4000, gather=gather)
    talk, commands = resumed(j.CallOpened(), TURN, ANSWER, standing, *keys, policy=Policy(resumed=""))
    assert asked(commands) == []
    (ask,) = asked(talk.handle(on.DigitPressed("3"), NOW + 0.5))
    assert (ask.occasion, ask.digits) == ("digits", "123")


def test_a_number_of_which_nobody_was_told_is_told() -> None:
    gathered = j.DigitsGathered(6000, "42", 2)
    talk, commands = resumed(j.CallOpened(), TURN, ANSWER, gathered, policy=Policy(resumed=""))
    assert [(ask.occasion, ask.digits) for ask in asked(commands)] == [("digits", "42")]
    assert talk.deadline is not None


def test_a_message_ends_where_the_call_broke_off() -> None:
    message = msgspec.structs.asdict(RecordMessage())
    part = j.CallerSpoke(2, "Call me back", 5000, 6000)
    _, commands = resumed(j.CallOpened(), TURN, ANSWER, j.Standing(4000, message=message), part)
    assert do.Record(j.MessageLeft(1, "Call me back", 4000, 6000)) in commands
    (ask,) = asked(commands)
    assert (ask.occasion, ask.transcript) == ("message", "Call me back")


def test_a_call_that_was_left_for_somebody_else_is_left_still() -> None:
    left = {"reason": "transfer", "transfer": {"to": "+15550100", "summary": "", "caller_id": "", "digits": ""}}
    entries: list[j.Entry] = [j.CallOpened(), TURN, ANSWER, j.Standing(4000, left=left)]
    talk = Conversation.resume(entries, Policy(), epoch=2, began=NOW - 30, now=NOW)
    assert talk.leaves_for_a_while
    assert talk.deadline is not None
    assert talk.handle(on.DeadlineReached(), NOW) == [do.FinishRecognizer()]  # Nobody is there to be heard.
    commands = talk.handle(on.TransferEnded("busy"), NOW + 1)
    assert do.Record(j.TransferTried(31_000, "+15550100", "busy")) in commands
    assert talk.expects_stream
    commands = talk.handle(on.StreamStarted(), NOW + 2)
    (ask,) = asked(commands)
    assert (ask.occasion, ask.transfer) == ("transfer.ended", do.TransferResult("+15550100", "busy"))


def test_who_was_being_called_for_a_warm_transfer_was_not_reached() -> None:
    consulting = {"to": "+15550100", "summary": "A caller."}
    standing = j.Standing(4000, consulting=consulting)
    _, commands = resumed(j.CallOpened(), TURN, ANSWER, standing, policy=Policy(resumed=""))
    assert do.Record(j.TransferTried(30_000, "+15550100", "failed", warm=True)) in commands
    assert [(ask.occasion, ask.transfer) for ask in asked(commands)] == [
        ("transfer.ended", do.TransferResult("+15550100", "failed"))
    ]


def test_marks_of_before_mean_nothing() -> None:
    talk, commands = resumed(j.CallOpened(), TURN, ANSWER, epoch=7)
    (utterance,) = {command.utterance for command in commands if isinstance(command, do.Synthesize)}
    more = talk.handle(on.SpeechArrived(utterance, b"\x11" * 8000), NOW + 0.1)
    more += talk.handle(on.SpeechFinished(utterance), NOW + 0.1)
    marks = [command.name for command in more if isinstance(command, do.SendMark)]
    assert marks
    assert all(mark.startswith("7.") for mark in marks)
    assert talk.handle(on.MarkReturned("1.1"), NOW + 0.2) == []


def test_nobody_speaks_in_a_call_that_is_only_transcribed() -> None:
    _, commands = resumed(j.CallOpened(), TURN, policy=Policy(agent=False))
    assert commands == [do.Record(j.StreamResumed(30_000))]


def test_a_call_that_does_not_come_back_ends() -> None:
    talk = Conversation.resume([j.CallOpened(), TURN], Policy(), epoch=2, began=NOW - 30, now=NOW)
    moments = [NOW]
    for _ in range(5):
        if talk.deadline is None:
            break
        moments.append(talk.deadline)
        talk.handle(on.DeadlineReached(), moments[-1])
    assert talk.over


# --- wherever the journal breaks off ---------------------------------------------------------------------------


@dataclasses.dataclass
class Moment:
    """A call after one of its steps."""

    now: float
    entries: list[j.Entry]
    messages: list[Message]
    waiting: str
    """What the caller said and nobody has answered to the end."""
    turns: int
    held: tuple[object, ...]
    """Voice, language, and whether a number is keyed in, a message left, or somebody called meanwhile."""
    live: bool


def moments_of(world: World) -> list[Moment]:
    """Play a call once more, and look at its state after each step that has left something in the journal."""
    talk = Conversation(world.policy)
    entries: list[j.Entry] = []
    found = []
    for now, event, _ in world.steps:
        new = [command.entry for command in talk.handle(event, now) if isinstance(command, do.Record)]
        if not new:
            continue
        entries += new
        state = talk._talk
        reply = state.speech.reply
        open_one = "" if reply is None or reply.speculative else reply.transcript
        found.append(
            Moment(
                now,
                [*entries],
                [*state.messages, *state.over_speech],
                joined([*([open_one] if open_one else []), *state.unanswered]),
                state.turn.number - state.turn.speaking,
                (
                    state.speech.voice,
                    state.speech.language,
                    state.tuning,
                    state.digits.wanted is not None,
                    state.message.wanted is not None,
                    state.passage.consulting is not None,
                ),
                state.state in {"live", "broken"} and not state.by_machine,
            )
        )
    return found


@settings(max_examples=60, deadline=None)
@given(plots, habits, policies, traits, st.booleans())
def test_cut_anywhere_it_goes_on_with_the_same_conversation(
    plot: Any, habit: Habits, policy: Policy, trait: PhoneTraits, hang_up: bool
) -> None:
    world = play(plot, habit, policy, trait, hang_up=hang_up)
    for moment in moments_of(world):
        past = read_past(moment.entries, policy)
        if not moment.live:
            continue
        assert past.turns == moment.turns
        assert [*past.messages, *past.over_speech] == moment.messages
        stands = past.standing
        open_ones = (bool(stands.gather), bool(stands.message), bool(stands.consulting))
        tuning = tuning_of(stands.tuning)
        assert (stands.voice or None, stands.language or None, tuning, *open_ones) == moment.held
        if not past.standing.message:
            assert joined(text for _, text in past.unanswered) == moment.waiting


@settings(max_examples=60, deadline=None)
@given(plots, habits, policies, traits, st.integers(0, 200))
def test_cut_anywhere_each_turn_has_one_answer_and_there_is_always_a_deadline(
    plot: Any, habit: Habits, policy: Policy, trait: PhoneTraits, cut: int
) -> None:
    world = play(plot, habit, policy, trait, hang_up=False)
    entries = world.entries()
    entries = entries[: cut % (len(entries) + 1)]
    if any(isinstance(entry, j.CallClosed) for entry in entries):
        return
    last_ms = max((read_past(entries, policy).at_ms, 0))
    talk = Conversation.resume(entries, policy, epoch=2, began=1000 - last_ms / 1000, now=1000.0)
    assert talk.deadline is not None
    commands = talk.handle(on.StreamStarted(), 1000.5)
    commands += talk.handle(on.RecognizerConnected(), 1000.6)
    kept = [*entries, *(command.entry for command in commands if isinstance(command, do.Record))]
    answered = {
        spoke.turn
        for spoke in kept
        if isinstance(spoke, j.AgentSpoke) and not spoke.again and spoke.occasion == "turn.ended"
    }
    questions = [ask for ask in asked(commands) if ask.occasion == "turn.ended"]
    assert len(questions) <= 1
    assert not answered & {ask.turn for ask in questions}
    now = 1000.6
    for _ in range(2000):
        if talk.over:
            break
        deadline = talk.deadline
        assert deadline is not None
        now = max(now, deadline)
        done = talk.handle(on.DeadlineReached(), now)
        kept += [command.entry for command in done if isinstance(command, do.Record)]
        if any(isinstance(command, do.FinishRecognizer) for command in done):
            kept += [c.entry for c in talk.handle(on.RecognizerClosed(), now) if isinstance(c, do.Record)]
    assert talk.over
    numbers = [spoke.turn for spoke in kept if isinstance(spoke, j.CallerSpoke)]
    assert numbers == list(range(1, len(numbers) + 1))
    replies = [spoke.reply for spoke in kept if isinstance(spoke, j.AgentSpoke)]
    assert replies == sorted(set(replies))
    assert len([entry for entry in kept if isinstance(entry, j.CallClosed)]) == 1
