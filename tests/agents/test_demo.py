from __future__ import annotations

import re

import pytest

from bridge.agents import demo
from bridge.agents.base import Interruption, Message
from bridge.agents.demo_words import digits_in, name_in, spell_digits, topic_of
from bridge.agents.python import PythonAgent
from bridge.conversation.actions import Action, HangUp, Note, Say
from tests.agents.asking import ENDED, STARTED, hear, turn


class Talk:
    """A caller of the demo agent, who keeps the messages as the bridge does."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.notes: list[Note] = []
        self.over = False

    def says(self, text: str, *, cutting_in: bool = False) -> str:
        """Say something and return what is answered."""
        self.messages.append(Message("user", text))
        actions = demo.answer(
            turn(
                transcript=text,
                messages=tuple(self.messages),
                interrupted=Interruption("We are open", " from") if cutting_in else None,
            )
        )
        spoken = words(actions)
        self.messages.append(Message("assistant", spoken))
        self.notes += [action for action in actions if isinstance(action, Note)]
        self.over = isinstance(actions[-1], HangUp) if actions else False
        return spoken


def words(actions: list[Action]) -> str:
    return "".join(action.text for action in actions if isinstance(action, Say))


async def test_the_demo_agent_is_a_python_agent_that_greets() -> None:
    agent = PythonAgent("bridge.agents.demo:agent")
    assert words(await hear(agent, STARTED)).startswith("Hello, this is Riverside Bikes. I can")
    assert await hear(agent, ENDED) == []


def test_a_talk_from_the_first_question_to_the_good_bye() -> None:
    talk = Talk()
    assert talk.says("What are your opening hours?").startswith("We are open from Monday to Friday")
    assert talk.says("Are you open on Saturday?", cutting_in=True).startswith("Sure. On Saturdays we are open")
    assert "fifteen dollars" in talk.says("How much is a flat tire?")
    assert talk.says("I would like to leave a message.") == "Of course. May I have your name, please?"
    assert talk.says("My name is Anna Miller.") == "Thank you, Anna Miller. What number can we reach you on?"
    assert "I have five five five, zero one two three." in talk.says("five five five oh one two three")
    assert "noted your message, and we will call you back." in talk.says("Please call me about the red bike.")
    assert talk.notes == [
        Note(
            {
                "caller_name": "Anna Miller",
                "callback_number": "5550123",
                "message": "Please call me about the red bike.",
            }
        )
    ]
    assert not talk.over
    assert talk.says("No thanks, that's all. Good-bye.").endswith("Good-bye.")
    assert talk.over


def test_the_note_is_kept_before_anything_is_said() -> None:
    talk = Talk()
    for text in ("a message please", "Bob", "no"):
        talk.says(text)
    talk.messages.append(Message("user", "Hello from Bob."))
    first, *_ = demo.answer(turn(transcript="Hello from Bob.", messages=tuple(talk.messages)))
    assert first == Note({"caller_name": "Bob", "callback_number": "", "message": "Hello from Bob."})


def test_an_answer_that_was_thrown_away_leaves_no_trace() -> None:
    talk = Talk()
    talk.says("leave a message")
    early = turn(transcript="My name", messages=(*talk.messages, Message("user", "My name")), speculative=True)
    assert "just your name" in words(demo.answer(early))
    assert talk.says("My name is Bob").startswith("Thank you, Bob.")


def test_the_opening_hours_are_long_enough_to_be_interrupted() -> None:
    actions = demo.answer(turn(transcript="when are you open"))
    assert len(actions) == 3
    assert len(words(actions).split()) > 40  # a voice says three words in a second


def test_questions_in_the_middle_of_a_message_are_answered() -> None:
    talk = Talk()
    talk.says("Can I leave a message?")
    assert talk.says("Wait, where are you located?").endswith("Now to your message. May I have your name, please?")
    assert talk.says("Bob").startswith("Thank you, Bob.")
    assert talk.says("When do you close?").endswith("What number can we reach you on?")
    assert talk.says("never mind") == "All right, no message then. Is there anything else?"
    assert talk.notes == []


def test_a_number_in_pieces_and_a_number_corrected() -> None:
    talk = Talk()
    for text in ("leave a message", "it's Bob"):
        talk.says(text)
    assert talk.says("555") == "So far I have five five five. Please go on."
    assert "five five five, zero one two three" in talk.says("0-1-2-3")
    assert talk.says("No, that's wrong.") == "Sorry about that. Please tell me the number again."
    assert "five five five, nine nine nine nine" in talk.says("triple five double nine, nine nine")
    assert "four one five, five five five, zero one nine nine" in talk.says("No, it's 415-555-0199.")
    assert talk.says("Yes, that's right.") == "Good. What would you like to tell us?"


def test_name_and_number_in_one_breath() -> None:
    talk = Talk()
    talk.says("leave a message")
    answered = talk.says("This is Ann Lee, and my number is 415 555 0199.")
    assert answered.startswith("Thank you, Ann Lee. I have four one five, five five five, zero one nine nine.")


def test_nobody_is_asked_for_ever() -> None:
    talk = Talk()
    talk.says("leave a message")
    assert "just your name" in talk.says("Hm.. 17")
    assert talk.says("1 2 3 hm").startswith("Never mind the name.")
    assert "digit by digit" in talk.says("what do you mean")
    assert talk.says("I really cannot say").startswith("We will do without a number.")


def test_what_is_not_understood_ends_in_an_offer() -> None:
    talk = Talk()
    assert talk.says("Do you sell elephants?").startswith("Sorry, I did not get that.")
    assert talk.says("Elephants!").endswith("Shall I take a message, so that somebody calls you back?")
    assert talk.says("Yes, please.") == "Of course. May I have your name, please?"
    talk = Talk()
    talk.says("Elephants?")
    talk.says("Elephants!")
    assert talk.says("No.") == "All right. What else can I do for you?"


def test_the_last_answer_is_repeated_on_request() -> None:
    talk = Talk()
    hours = talk.says("What are your opening hours?")
    assert talk.says("Sorry, can you repeat that?") == hours
    for text in ("leave a message", "Bob", "no number", "Call me."):
        talk.says(text)
    assert "I have noted your message" in talk.says("What did you say?")
    assert len(talk.notes) == 1, "repeated, not noted again"


@pytest.mark.parametrize(
    "text", ["Thanks!", "Thank you so much. Bye.", "Good bye", "no", "That's all.", "See you on Sunday, bye."]
)
def test_thanks_and_good_bye_end_the_call(text: str) -> None:
    talk = Talk()
    assert talk.says(text).endswith("Good-bye.")
    assert talk.over


@pytest.mark.parametrize("text", ["", " ", "…"])
def test_no_words_no_answer(text: str) -> None:
    assert demo.answer(turn(transcript=text)) == []


def test_keys_and_silence_are_answered() -> None:
    talk = Talk()
    talk.says("leave a message")
    silent = turn(occasion="silence", transcript="", messages=tuple(talk.messages))
    assert words(demo.answer(silent)) == "Are you still there? May I have your name, please?"
    assert words(demo.answer(turn(occasion="digits", digits="1"))).startswith("I heard you press a key.")


def test_every_reply_can_be_spoken() -> None:
    replies = [*demo.ANSWERS.values(), demo.GREETING, demo.GOODBYE]
    for reply in replies:
        for sentence in reply:
            assert isinstance(sentence, str)
            assert re.fullmatch(r"[A-Za-z ,'-]+[.?]", sentence), sentence


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("555-0123", "5550123"),
        ("five five five oh one two three", "5550123"),
        ("Five, five, five. Zero one two three.", "5550123"),
        ("It's 5 5 5, 0 1 2 3, thanks", "5550123"),
        ("double five five oh twenty one", "555021"),
        ("five five for five oh one too", "5545012"),
        ("eight hundred five five five", "800555"),
        ("twenty-one fifteen thirty", "211530"),
        ("Oh, call me for the bike", ""),
        ("", ""),
    ],
)
def test_digits_are_understood_in_words_and_numerals(text: str, digits: str) -> None:
    assert digits_in(text) == digits


def test_digits_are_read_back_one_by_one() -> None:
    assert spell_digits("5550123") == "five five five, zero one two three"
    assert spell_digits("4155550199") == "four one five, five five five, zero one nine nine"
    assert spell_digits("") == ""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My name is Anna Miller.", "Anna Miller"),
        ("yes, hello, this is anna", "Anna"),
        ("It's Jean-Luc Picard, thanks", "Jean-Luc Picard"),
        ("I'm O'Neill.", "O'Neill"),
        ("Bob speaking.", "Bob"),
        ("Uh, Bob. You can reach me at 555 0123", "Bob"),
        ("I would really like to talk to somebody else", ""),
        ("Thank you.", ""),
        ("Yes.", ""),
    ],
)
def test_names_are_found(text: str, name: str) -> None:
    assert name_in(text) == name


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("What are your ours?", "hours"),
        ("When do you open tomorrow", "hours"),
        ("opning hours please", "hours"),
        ("Where is the shop?", "address"),
        ("How much would it be?", "prices"),
        ("can I leave a massage", "message"),
        ("Somebody should call me back about the price", "message"),
        ("are you open on Saturday", "saturday"),
        ("And on Sundays?", "sunday"),
        ("I want to rent a bike", "rental"),
        ("am I talking to a robot", "identity"),
        ("thank you so much", None),
        ("Is this your house?", None),
    ],
)
def test_topics_survive_misheard_words(text: str, topic: str | None) -> None:
    assert topic_of(text) == topic
