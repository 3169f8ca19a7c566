"""Calls of all kinds, made up by hypothesis and judged against an independent phone."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import (
    Action,
    GatherDigits,
    HandOff,
    HangUp,
    Note,
    RecordMessage,
    Say,
    SendDigits,
    Set,
    Transfer,
    Tuning,
)
from bridge.conversation.journal import AgentResumed, AgentSpoke, AnswererTold, CallerSpoke
from bridge.conversation.machine import Conversation
from bridge.conversation.policy import Policy
from bridge.simulator.phone import PhoneTraits
from tests.conversation.world import Habits, Passing, World

TEXTS = (
    "Yes.",
    "We are open from nine to six. On Saturdays we close at four. ",
    "That costs 20 dollars, Dr. Smith. Anything else? ",
    "One moment please",
    "This call is recorded for your safety. ",
    "Good-bye.",
)
CALLER = (" Hello there", " What about Sunday?", " okay", " uh-huh", "", "  ", " I want a bike. Please")

says = st.builds(
    Say,
    st.sampled_from(TEXTS),
    interruptible=st.sampled_from((True, True, True, False)),
    barge_in=st.sampled_from((None, None, None, "words:2", "speech", "keys", "voice")),
    preemptible=st.sampled_from((False, False, True)),
)
changes = st.just(Set(voice="other", tuning=Tuning(end_threshold=0.1)))
passing: st.SearchStrategy[Action] = st.sampled_from(
    (Transfer("+15550100"), Transfer("+15550100", "A caller."), SendDigits("12", by_carrier=True), HandOff("{}"))
)
actions: st.SearchStrategy[Action] = st.one_of(
    says,
    says,
    says,
    says,
    st.just(Note({"k": 1})),
    changes,
    st.builds(HangUp),
    passing,
    st.sampled_from(
        (
            RecordMessage(max_s=9.0, silence_s=2.0),
            GatherDigits(length=2, first_s=5.0, next_s=2.0),
            GatherDigits(length=4, first_s=5.0, next_s=2.0, masked=True),
            SendDigits("1w2"),
        )
    ),
)
calls_end = st.sampled_from(("no-answer", "completed", "busy", "failed", ""))
delays = st.sampled_from((0.0, 0.02, 1.0, 7.0, 20.0))
endings = st.sampled_from((0.0, 0.05, 2.0, 12.0, None))
dialled = st.builds(Passing, calls_end, delays, st.booleans(), endings, st.booleans())
consulted = st.builds(
    Passing, st.sampled_from(("accepted", "accepted", "declined", "busy", "canceled", "")), delays, st.booleans()
)
habits = st.builds(
    Habits,
    answers=st.lists(st.lists(actions, max_size=3).map(tuple), max_size=6).map(tuple),
    answer_delay=st.sampled_from((0.0, 0.1, 0.6, 3.0)),
    piece_delay=st.sampled_from((0.0, 0.05, 0.7)),
    failing_answers=st.frozensets(st.integers(0, 5), max_size=1),
    silent_answers=st.frozensets(st.integers(0, 5), max_size=1),
    speech_delay=st.sampled_from((0.0, 0.05, 0.4)),
    chunk=st.sampled_from((0.05, 0.4, 5.0)),
    chunk_delay=st.sampled_from((0.0, 0.02, 0.2)),
    word_times=st.booleans(),
    failing_speech=st.frozensets(st.integers(1, 5), max_size=1),
    lost_speech=st.frozensets(st.integers(1, 6), max_size=2),
    consulted=st.lists(consulted, min_size=1, max_size=3).map(tuple),
    dialled=st.lists(dialled, min_size=1, max_size=3).map(tuple),
)
traits = st.builds(
    PhoneTraits,
    down_s=st.sampled_from((0.0, 0.03, 0.12, 0.24)),
    up_s=st.sampled_from((0.0, 0.03, 0.2)),
    lost_marks=st.frozensets(st.integers(0, 25), max_size=6),
    after_clear=st.sampled_from(("at_once", "never", "late")),
)
policies = st.builds(
    Policy,
    eager=st.booleans(),
    barge_in=st.sampled_from(("speech", "speech", "speech", "never", "words:2")),
    barge_in_s=st.sampled_from((0.0, 0.0, 1.0)),
    echo_guard=st.booleans(),
    filler=st.sampled_from(("One moment.", "")),
    filler_s=st.sampled_from((0.5, 2.0)),
    outage_s=st.sampled_from((1.0, 8.0)),
    warm=st.booleans(),
    failure_transfer=st.sampled_from(("", "+15550100")),
    voicemail=st.sampled_from(("", "Please call us back. Good-bye.")),
    whole_sentences=st.booleans(),
    greeting=st.sampled_from(("", "Hello, this is the shop. How can I help you?")),
    lead_s=st.sampled_from((0.6, 2.0, 10.0)),
    segment_s=st.sampled_from((0.25, 0.5)),
    silence_s=st.sampled_from((3.0, 15.0)),
    agent_timeout_s=st.just(4.0),
    speech_timeout_s=st.just(4.0),
)
pauses = st.sampled_from((0.0, 0.1, 0.35, 0.8, 2.5, 5.0))


@st.composite
def caller_turns(draw: st.DrawFn) -> list[tuple[float, on.Event]]:
    """One turn of the caller: the service's events, with pauses between them."""
    text = draw(st.sampled_from(CALLER))
    words = text.split(" ")
    events: list[tuple[float, on.Event]] = [(draw(pauses), on.TurnStarted())]
    ends = sorted(draw(st.sets(st.integers(1, len(words)), max_size=2)))
    events += [(draw(pauses), on.TurnUpdated(" ".join(words[:end]))) for end in ends]
    for _ in range(draw(st.integers(0, 2))):
        cut = draw(st.integers(0, len(words)))
        events.append((draw(pauses), on.TurnEagerlyEnded(" ".join(words[:cut]))))
        if draw(st.booleans()):
            events.append((draw(pauses), on.TurnResumed()))
    events.append((draw(pauses), on.TurnEnded(text)))
    return events


SECRET = "7"
"""A key that the caller presses where a secret is asked for, and nowhere else."""
disturbances = st.sampled_from(
    (
        [(1.0, on.StreamLost()), (2.0, on.StreamStarted())],
        [(0.3, on.TurnEnded(" stray end"))],
        [(0.3, on.TurnUpdated(" stray"))],
        [(0.2, on.DigitPressed("5"))],
        [(0.2, on.MarkReturned("0.1")), (0.1, on.MarkReturned("9.9"))],
        [(0.2, on.RecognizerFailed("speech_unreachable", "reset", final=False))],
        [(0.2, on.RecognizerLost("speech_unreachable", "reset")), (0.4, on.RecognizerConnected())],
        [
            (0.2, on.TurnStarted()),
            (0.3, on.RecognizerLost("speech_server", "1011")),
            (4.0, on.RecognizerConnected()),
        ],
        [(0.2, on.TurnStarted()), (0.2, on.TurnStarted())],
        [(0.1, on.StreamStarted())],
        [(0.2, on.FloorWanted())],
        [(0.2, on.FloorWanted()), (0.0, on.TurnStarted())],
        [(0.2, on.OperatorActed((Say("One moment, the operator speaks."),)))],
        [(0.2, on.TurnStarted()), (0.1, on.OperatorActed((Say("Hello?"), Note({"k": 2}))))],
        [(0.2, on.OperatorActed((Say("One. "),))), (0.4, on.OperatorActed((Say("Two."), Transfer("+15550100"))))],
        [(0.9, on.OperatorActed((Say("Good-bye."), HangUp("operator"))))],
        [(0.2, on.TransferEnded("busy")), (0.1, on.OtherAccepted("room"))],
        [(0.5, on.StreamLost()), (0.1, on.OtherAccepted("room")), (0.5, on.StreamStarted())],
        [(0.2, on.AnswererKnown("human"))],
        [(0.2, on.AnswererKnown("machine_end_beep"))],
        [(0.2, on.RecognizerClosed()), (0.2, on.RecognizerFailed("speech_auth", "401", final=True))],
        [(0.5, on.DigitPressed(SECRET)), (0.1, on.DigitPressed(SECRET))],
        [(0.0, on.DigitPressed(SECRET))] * 4,
        [(0.0, on.DigitPressed(SECRET))] * 5,
    )
)
plots = st.lists(st.one_of(caller_turns(), caller_turns(), caller_turns(), disturbances), max_size=6)


def play(plot: Any, habit: Habits, policy: Policy, trait: PhoneTraits, *, hang_up: bool) -> World:
    world = World(habit, policy, trait)
    world.happen(on.StreamStarted())
    world.happen(on.RecognizerConnected())
    world.run_until(50.5)
    for pause, event in itertools.chain.from_iterable(plot):
        world.run_until(world.now + pause)
        if event == on.DigitPressed(SECRET) and not world.conversation.masked:
            continue
        world.happen(event)
        world.run_until(world.now)
    world.run_until(world.now + (1.5 if hang_up else 60.0))
    if hang_up:
        world.happen(on.StreamStopped("caller"))
        world.run_until(world.now + 20)
    return world


calls = given(plots, habits, policies, traits, st.booleans())


@settings(max_examples=120, deadline=None)
@calls
def test_what_counts_as_heard_did_sound_and_is_a_prefix_of_what_was_said(
    plot: Any, habit: Habits, policy: Policy, trait: PhoneTraits, hang_up: bool
) -> None:
    world = play(plot, habit, policy, trait, hang_up=hang_up)
    by_reply: dict[int, list[int]] = {}
    for spoke in world.kept(AgentSpoke):
        if spoke.reply in world.said and spoke.occasion == "turn.ended":
            said = (f"{policy.filler} " if spoke.reply in world.filled else "") + world.said[spoke.reply]
            assert said.startswith(spoke.heard)
            assert said.startswith(spoke.heard + spoke.unheard)
        by_reply[spoke.reply] = utterances_of(world, spoke.reply)
    for spoke in world.kept(AgentSpoke):
        words = [word for word in world.words if word.utterance in by_reply[spoke.reply]]
        words.sort(key=lambda word: world.order.index(word.utterance))
        # Without word times a word's place is estimated by its share of the audio: it may be one off.
        heard = len(spoke.heard.split()) - (0 if habit.word_times else 1)
        sounded = world.fully_sounded(world.sounded_at_close[spoke.reply])
        missing = [word.text for word in words[: max(heard, 0)] if word.code not in sounded]
        assert not missing, f"counted as heard, but never sounded: {missing} of {spoke}"


def utterances_of(world: World, reply: int) -> list[int]:
    """Return the utterances that were spoken while this reply was the open one."""
    numbers: list[int] = []
    opened: list[int] = []
    for _, _, commands in world.steps:
        for command in commands:
            if isinstance(command, do.Synthesize) and command.utterance not in opened:
                opened.append(command.utterance)
            elif isinstance(command, do.Record) and isinstance(
                command.entry, AgentSpoke | journal.SpeculationDropped
            ):
                if command.entry.reply == reply:
                    numbers = opened
                opened = []
    return numbers


@settings(max_examples=120, deadline=None)
@calls
def test_while_the_caller_speaks_nothing_that_may_be_cut_reaches_the_phone(
    plot: Any, habit: Habits, policy: Policy, trait: PhoneTraits, hang_up: bool
) -> None:
    habit = dataclasses.replace(
        habit,
        answers=tuple(
            tuple(
                # Where only keys cut, words neither cut nor silence.
                msgspec.structs.replace(
                    a, interruptible=True, barge_in=None if a.barge_in == "keys" else a.barge_in
                )
                if isinstance(a, Say)
                else a
                for a in answer
                if not isinstance(a, SendDigits)
            )
            for answer in habit.answers
        ),
    )
    world = play(plot, habit, policy, trait, hang_up=hang_up)
    silent_until = 0.0  # a sound that brings no words keeps the agent silent for a while, words until their end
    for moment, event, commands in world.steps:
        if isinstance(event, on.AnswererKnown) and event.kind != "human":
            break  # A machine is told its message whatever it says.
        match event:
            case on.TurnStarted():
                silent_until = moment + policy.false_alarm_s
            case on.TurnUpdated(text) | on.TurnEagerlyEnded(text) if text.strip() not in {"", "okay", "uh-huh"}:
                silent_until = float("inf")
            case on.TurnEnded():
                silent_until = 0.0
            case _:
                pass
        for command in commands:
            entry = command.entry if isinstance(command, do.Record) else None
            if isinstance(entry, AgentResumed) or (
                isinstance(entry, CallerSpoke) and not isinstance(event, on.TurnStarted)
            ):
                silent_until = 0.0
            if isinstance(command, do.SendAudio) and policy.barge_in == "speech":
                assert moment >= silent_until


@settings(max_examples=120, deadline=None)
@calls
def test_one_reply_at_a_time_and_every_turn_kept_once(
    plot: Any, habit: Habits, policy: Policy, trait: PhoneTraits, hang_up: bool
) -> None:
    world = play(plot, habit, policy, trait, hang_up=hang_up)
    open_reply = 0
    quiet = set()
    for _, event, commands in world.steps:
        if (
            isinstance(event, on.AgentFinished | on.AgentFailed)
            and event.reply == open_reply
            and open_reply in quiet
        ):
            open_reply = 0  # Where nobody waits for an answer, nothing is kept of an agent that has none.
        for command in commands:
            if isinstance(command, do.AskAgent):
                assert not open_reply, f"reply {command.reply} is asked for while {open_reply} is open"
                open_reply = command.reply
                if command.occasion not in {"turn.ended", "digits"}:
                    quiet.add(open_reply)
            elif isinstance(command, do.CancelReply) or (
                isinstance(command, do.Record)
                and isinstance(command.entry, AgentSpoke | journal.SpeculationDropped)
            ):
                open_reply = 0
    numbers = [spoke.turn for spoke in world.kept(CallerSpoke)]
    assert numbers == list(range(1, len(numbers) + 1))
    replies = [spoke.reply for spoke in world.kept(AgentSpoke)]
    assert replies == sorted(set(replies))


@settings(max_examples=120, deadline=None)
@calls
def test_a_call_never_gets_stuck_and_after_its_end_there_is_silence(
    plot: Any, habit: Habits, policy: Policy, trait: PhoneTraits, hang_up: bool
) -> None:
    world = play(plot, habit, policy, trait, hang_up=hang_up)
    # A silent caller is let go, and a call that hangs up is over: within the limits every call ends.
    world.run_until(world.now + 2 * policy.max_call_s + 600)
    assert world.conversation.over
    assert world.conversation.deadline is None
    (closed,) = world.kept(journal.CallClosed)
    assert world.entries()[-1] == closed
    for event in (on.TurnStarted(), on.TurnEnded("x"), on.StreamStarted(), on.StreamStopped("x")):
        assert world.conversation.handle(event, world.now) == []


@settings(max_examples=120, deadline=None)
@calls
def test_words_of_the_caller_are_answered_in_the_end(
    plot: Any, habit: Habits, policy: Policy, trait: PhoneTraits, hang_up: bool
) -> None:
    world = play(plot, habit, policy, trait, hang_up=False)
    if world.left or world.conversation.over or any("machine" in told.kind for told in world.kept(AnswererTold)):
        return  # Somebody hung up before, or nobody was there.
    said = []
    left = False
    for _, event, commands in world.steps:
        entries = [command.entry for command in commands if isinstance(command, do.Record)]
        spoken = [entry for entry in entries if isinstance(entry, CallerSpoke)]
        # What is said into a line that is left for somebody else is for them.
        said += [spoke for spoke in spoken if spoke.meaning == "words" and not spoke.degraded and not left]
        leaving = [command for command in commands if isinstance(command, do.LeaveCall)]
        left = (left and not isinstance(event, on.StreamStarted)) or any(leave.transfer for leave in leaving)
    if said:
        asked = [c for _, _, cs in world.steps for c in cs if isinstance(c, do.AskAgent) and not c.speculative]
        committed = [s.turn for s in world.kept(AgentSpoke) if s.speculative]
        assert said[-1].turn in [ask.turn for ask in asked] + committed


@settings(max_examples=120, deadline=None)
@calls
def test_a_machine_is_asked_nothing_and_told_its_message_whole(
    plot: Any, habit: Habits, policy: Policy, trait: PhoneTraits, hang_up: bool
) -> None:
    plot = [*plot, [(0.2, on.AnswererKnown("machine_end_other"))]]
    habit = dataclasses.replace(habit, failing_speech=frozenset(), lost_speech=frozenset())
    world = play(plot, habit, policy, trait, hang_up=False)
    told = next((n for n, (_, event, _) in enumerate(world.steps) if isinstance(event, on.AnswererKnown)), None)
    taken = world.kept(journal.AnswererTold)
    if told is None or not taken or any(one.kind == "human" for one in taken):
        return
    later = [command for _, _, commands in world.steps[told + 1 :] for command in commands]
    assert not [command for command in later if isinstance(command, do.AskAgent)]
    leaves = [c for _, _, cs in world.steps[told:] for c in cs if isinstance(c, do.LeaveCall)]
    broken = any(isinstance(event, on.StreamLost) for _, event, _ in world.steps[told:])
    if not broken and leaves:
        assert [leave.reason for leave in leaves] == ["voicemail" if policy.voicemail else "machine"]
        if policy.voicemail:
            spoken = [spoke for spoke in world.kept(AgentSpoke) if spoke.occasion != "operator"]
            assert spoken[-1].heard == policy.voicemail


@settings(max_examples=120, deadline=None)
@calls
def test_the_same_events_give_the_same_commands_and_the_journal_survives_json(
    plot: Any, habit: Habits, policy: Policy, trait: PhoneTraits, hang_up: bool
) -> None:
    world = play(plot, habit, policy, trait, hang_up=hang_up)
    again = Conversation(dataclasses.replace(policy))
    for moment, event, commands in world.steps:
        assert again.handle(event, moment) == commands
    entries = world.entries()
    back = [journal.from_dict(json.loads(json.dumps(journal.to_dict(entry)))) for entry in entries]
    assert back == entries


@settings(max_examples=120, deadline=None)
@calls
def test_a_call_that_is_left_is_left_alone_and_nobody_is_left_waiting(
    plot: Any, habit: Habits, policy: Policy, trait: PhoneTraits, hang_up: bool
) -> None:
    world = play(plot, habit, policy, trait, hang_up=hang_up)
    world.run_until(world.now + 2 * policy.max_call_s + 600)
    called = for_a_while = for_good = False
    begun = 0
    for _, event, commands in world.steps:
        if isinstance(event, on.StreamStarted) and not for_good:
            for_a_while = False
        for command in commands:
            match command:
                case do.LeaveCall():
                    assert not for_good
                    assert not for_a_while or not command.for_a_while
                    for_good, for_a_while = not command.for_a_while, command.for_a_while
                    called = called and not command.conference
                    begun += command.transfer is not None and not command.conference
                case do.CallOther():
                    assert not called
                    called, begun = True, begun + 1
                case do.CancelOther():
                    called = False
                case do.SendAudio() | do.SendMark() | do.ClearPlayout() | do.Synthesize() | do.AskAgent():
                    assert not for_a_while
                    assert not for_good
                case do.Record(journal.TransferTried(warm=True)) if isinstance(event, on.TransferEnded):
                    called = False
                case do.Close():
                    assert not called
                case _:
                    pass
    tried = len(world.kept(journal.TransferTried))
    assert begun - 1 <= tried <= begun


@settings(max_examples=120, deadline=None)
@calls
def test_secrets_are_for_the_agent_alone_and_the_journal_can_be_cut_anywhere(
    plot: Any, habit: Habits, policy: Policy, trait: PhoneTraits, hang_up: bool
) -> None:
    world = play(plot, habit, policy, trait, hang_up=hang_up)
    for _, _, commands in world.steps:
        for command in commands:
            if isinstance(command, do.AskAgent):
                assert command.masked or SECRET not in command.digits
            if isinstance(command, do.Record):
                entry = command.entry
                assert not isinstance(entry, journal.KeyPressed) or entry.digit != SECRET
                assert not isinstance(entry, journal.DigitsGathered) or SECRET not in entry.digits
    entries = world.entries()
    whole = [msgspec.structs.astuple(line) for line in journal.transcript(entries)]
    for end in range(0, len(entries), 1 + len(entries) // 8):
        part = [msgspec.structs.astuple(line) for line in journal.transcript(entries[:end])]
        rest = iter(whole)
        assert all(line in rest for line in part)  # In the same order, each once.
