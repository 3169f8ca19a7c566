"""What is told of the steps of a call: played scenes, seen through a watch."""

from __future__ import annotations

from typing import Any

from bridge.conversation import events as on
from bridge.conversation.actions import GatherDigits, Note, RecordMessage, Transfer
from bridge.conversation.overheard import ListenPolicy, Overheard, PartyJoined, PartyTold
from bridge.live.events import TYPES, News
from bridge.live.watch import Hide, Watch
from bridge.privacy.call import CallRedaction
from bridge.privacy.redactor import Redactor
from tests.conversation.playbook import Play
from tests.conversation.test_transfers import answer

CARD = "4111 1111 1111 1111"
FACTS = {"sid": "CA1", "from": "+1", "to": "+2"}


class Seen(Play):
    """A scene with a watch."""

    def __init__(self, *, fine: bool = True, hide: Hide | None = None, **policy: Any) -> None:
        super().__init__(**policy)
        self.news: list[News] = []
        self._fine = fine
        self._masked = False
        self._watch = Watch("c1", FACTS, self.conversation, hide or Hide())

    def _take(self, event: on.Event) -> list[Any]:
        commands = self.conversation.handle(event, self.now)
        secret, self._masked = self._masked or self.conversation.masked, self.conversation.masked
        told = self._watch.step(self.now, event, commands, secret=secret, fine=self._fine)
        assert {news.type for news in told} <= set(TYPES)
        self.news += told
        self.done += [(self.now - 100.0, command) for command in commands]
        return commands

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [dict(news.data) for news in self.news if news.type == kind]

    @property
    def kinds(self) -> list[str]:
        return [news.type for news in self.news]


def test_a_turn_and_its_answer() -> None:
    seen = Seen()
    seen.start().at(1)
    seen.hears(on.TurnStarted(), on.TurnUpdated(" When"), on.TurnEagerlyEnded(" When are you open?"))
    seen.at(1.2).hears(on.TurnEnded(" When are you open?"))
    seen.agent_says("At nine o'clock.", seconds=1)
    seen.at(1.5).hears(on.MarkReturned("1.1"))
    seen.at(6)
    assert [kind for kind in seen.kinds if kind != "agent.speaking"] == [
        *("call.started", "agent.thinking", "state", "state"),  # Nothing to say at the call's beginning.
        *("turn.started", "turn.words", "turn.words", "agent.thinking"),
        *("turn.ended", "state", "state"),
        *("agent.spoke", "state"),
    ]
    assert [one["state"] for one in seen.told("state")] == [
        *("thinking", "listening"),
        *("thinking", "talking", "listening"),
    ]
    assert [(one["text"], one["eager"]) for one in seen.told("turn.words")] == [
        (" When", False),
        (" When are you open?", True),
    ]
    (turn,) = seen.told("turn.ended")
    assert (turn["speaker"], turn["turn"], turn["text"]) == ("caller", 1, " When are you open?")
    assert (turn["meaning"], turn["started_ms"], turn["ended_ms"], turn["at_ms"]) == ("words", 1000, 1200, 1200)
    (spoke,) = seen.told("agent.spoke")
    assert (spoke["heard"], spoke["unheard"], spoke["interrupted"]) == ("At nine o'clock.", "", False)
    assert spoke["latencies"] == {"text_ms": 0, "audio_ms": 0, "sent_ms": 0, "heard_ms": 300}


def test_what_is_said_is_told_as_it_is_heard() -> None:
    seen = Seen()
    seen.start().at(1).caller_says(" When are you open?")
    seen.at(1.4)
    seen.agent_says("At nine o'clock in the morning.", seconds=3)
    for number in range(4):
        seen.at(2 + number / 2).hears(on.MarkReturned(f"1.{number + 1}"))
    told = seen.told("agent.speaking")
    assert {one["text"] for one in told} == {"At nine o'clock in the morning."}
    assert {one["answer_ms"] for one in told} == {400}
    heard = [one["heard"] for one in told]
    assert heard[0] == ""
    assert heard == sorted(set(heard), key=len)
    assert 0 < len(heard[-1]) < len("At nine o'clock in the morning.")


def test_an_interruption() -> None:
    seen = Seen()
    seen.start().at(1).caller_says(" When are you open?")
    seen.agent_says("At nine o'clock in the morning, and on Sundays at ten.", seconds=6)
    seen.at(2.4).hears(on.MarkReturned("1.1"), on.MarkReturned("1.2"))
    seen.hears(on.TurnStarted())
    assert seen.told("agent.silenced")[0]["reply"] == 2
    assert seen.told("state")[-1]["state"] == "listening"
    seen.hears(on.TurnUpdated(" Thanks"))
    (spoke,) = seen.told("agent.spoke")
    assert spoke["interrupted"]
    assert spoke["heard"] + spoke["unheard"] == "At nine o'clock in the morning, and on Sundays at ten."


def test_a_false_alarm() -> None:
    seen = Seen()
    seen.start().at(1).caller_says(" When are you open?")
    seen.agent_says("At nine o'clock in the morning, and on Sundays at ten.", seconds=6)
    seen.at(2.4).hears(on.TurnStarted())
    seen.hears(on.TurnEnded(""))
    assert [kind for kind in seen.kinds if kind.startswith("agent.")][-1] == "agent.resumed"
    assert seen.told("turn.ended")[-1]["meaning"] == "empty"
    assert seen.told("state")[-1]["state"] == "talking"


def test_without_the_fine_grain_the_rest_is_told_all_the_same() -> None:
    seen = Seen(fine=False)
    seen.start().at(1).caller_says(" When are you open?")
    seen.agent_says("At nine o'clock.", seconds=1)
    seen.at(6)
    assert not seen.told("turn.words")
    assert len(seen.told("agent.speaking")) == 1
    assert len(seen.told("turn.ended")) == len(seen.told("agent.spoke")) == 1


def test_a_secret_is_never_told() -> None:
    seen = Seen()
    seen.start().at(1).caller_says(" I want to pay.")
    answer(seen, GatherDigits(length=3, masked=True))
    seen.at(2).hears(on.TurnStarted(), on.TurnUpdated(" four two"), on.TurnEnded(" four two"))
    seen.at(3).hears(*(on.DigitPressed(key) for key in "427"))
    answer(seen)
    seen.at(4).hears(on.DigitPressed("5"))
    everything = repr(seen.news)
    assert "four two" not in everything
    assert [(one["digit"], one["masked"]) for one in seen.told("key")] == [("", True)] * 3 + [("5", False)]
    assert seen.told("turn.ended")[-1]["masked"]


def test_words_are_struck_through_and_those_that_go_on_more_strictly() -> None:
    redactor = Redactor()
    hide = Hide(CallRedaction(redactor).entry, redactor.log)
    seen = Seen(hide=hide)
    seen.start().at(1)
    seen.hears(on.TurnStarted(), on.TurnUpdated(" It is 4111 1111"), on.TurnEnded(f" It is {CARD}."))
    seen.agent_says(f"It is {CARD}, thank you.", seconds=2)
    seen.at(2).hears(*(on.MarkReturned(f"1.{number}") for number in range(1, 4)))
    seen.hears(on.OperatorActed((Note({"a": [CARD, {"b": CARD}], "c": 4111}),)))
    seen.hears(*(on.DigitPressed(key) for key in CARD if key != " "))
    seen.at(9)
    everything = repr([news.data for news in seen.news])
    assert "1111" not in everything
    assert seen.told("turn.words")[0]["text"] == " It is [digits]"
    assert seen.told("agent.spoke")[0]["heard"].startswith("It is [card number],")
    assert seen.told("note")[0]["data"] == {"a": ["[card number]", {"b": "[card number]"}], "c": 4111}
    keys = [(one["digit"], one["masked"]) for one in seen.told("key")]
    assert keys[0] == ("4", False)
    assert keys[-1] == ("", True)


def test_what_becomes_of_a_transfer() -> None:
    seen = Seen(warm=True)
    seen.start().at(1).caller_says(" A human, please.")
    answer(seen, Transfer("+15550100009", "A caller."))
    seen.at(5).hears(on.OtherAccepted("room"))
    seen.hears(on.StreamStopped("agent"))
    seen.at(9).hears(on.TransferEnded("completed", 4), on.RecognizerClosed())
    assert [(one["status"], one["warm"]) for one in seen.told("transfer")] == [
        ("calling", True),
        ("leaving", True),
        ("completed", True),
    ]
    assert seen.told("state")[-1]["state"] == "away"
    assert seen.told("call.ended")[0]["reason"] == "transfer"


def test_messages_and_problems() -> None:
    seen = Seen()
    seen.start().at(1).caller_says(" Nobody?")
    answer(seen, RecordMessage(silence_s=2))
    seen.at(2).caller_says(" Call me.")
    seen.at(6).hears(on.RecognizerFailed("speech_unreachable", "reset", final=False))
    assert seen.told("message")[0]["text"] == " Call me."
    assert seen.told("problem")[0] == {
        "at_ms": 6000,
        "source": "stt",
        "code": "speech_unreachable",
        "message": "reset",
    }


def test_two_people() -> None:
    overheard = Overheard(ListenPolicy(to="+3"))
    watch = Watch("c2", FACTS, None, Hide())
    news: list[News] = []
    plot: list[tuple[float, Any]] = [
        (0, on.StreamStarted()),
        (1, PartyJoined("callee")),
        (1, PartyTold("callee", on.TurnStarted())),
        (2, PartyTold("callee", on.TurnUpdated(" Hello"))),
        (3, PartyTold("callee", on.TurnEnded(" Hello?"))),
        (4, on.StreamLost()),
        (5, on.StreamStarted()),
        (6, on.OperatorActed((Note({"k": 1}),))),
        (7, on.StreamStopped("caller")),
        (8, on.DeadlineReached()),
        (20, on.DeadlineReached()),
    ]
    for now, event in plot:
        news += watch.step(50.0 + now, event, overheard.handle(event, 50.0 + now))
    assert [one.type for one in news] == [
        *("call.started", "turn.started", "turn.words", "turn.ended", "state", "state", "note", "call.ended"),
    ]
    assert {one.data["speaker"] for one in news if one.type.startswith("turn")} == {"callee"}
    assert news[3].data["text"] == " Hello?"
    assert [one.data["state"] for one in news if one.type == "state"] == ["away", "listening"]
