"""The built-in agent: the front desk of a bicycle shop. It needs no key and no network.

It greets, tells opening hours, address and prices, takes a message with a name and a number, and says good-bye. It
remembers nothing by itself: where the talk stands follows from what the caller said so far, which is part of every
question. So an answer that was prepared and thrown away leaves no trace, and any process can go on with the call.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bridge.agents.base import Question
from bridge.agents.demo_words import (
    asks_again,
    digits_in,
    name_in,
    refuses,
    says_goodbye,
    says_hello,
    says_no,
    says_stop,
    says_thanks,
    says_wrong,
    says_yes,
    spell_digits,
    topic_of,
    words_of,
)
from bridge.conversation.actions import Action, HangUp, Note, Say

Awaited: TypeAlias = Literal["anything", "yes_for_message", "name", "number", "text"]

Reply: TypeAlias = tuple[Action | str, ...]
"""Sentences and actions, in order."""

GREETING: Reply = (
    "Hello, this is Riverside Bikes.",
    "I can tell you our opening hours and prices, or take a message.",
    "How can I help you?",
)
ANSWERS: dict[str, Reply] = {
    "hours": (
        "We are open from Monday to Friday, from nine in the morning until half past six in the evening.",
        "On Saturdays we open at ten and close at four in the afternoon.",
        "On Sundays and public holidays the shop is closed, but you can leave your bike in the shed at any time.",
    ),
    "saturday": (
        "On Saturdays we are open from ten until four.",
        "On Sundays we are closed.",
    ),
    "sunday": ("On Sundays and public holidays we are closed.", "On Saturdays we are open from ten until four."),
    "address": (
        "You find us at twelve River Street, next to the old mill.",
        "The tram stops right in front of the door, and you can park behind the house.",
    ),
    "rental": (
        "Yes, we rent out bikes.",
        "A city bike is twenty dollars a day, and an electric bike is forty.",
        "Please bring your driver's license or a passport.",
    ),
    "prices": (
        "A flat tire is fifteen dollars, and you can wait for it.",
        "A full service is eighty dollars and takes two days.",
        "For anything else we look at your bike first and tell you the price.",
    ),
    "identity": (
        "I am a small demonstration program, not a person.",
        "But I can take a message for the people in the shop.",
    ),
}
ASK_NAME = "May I have your name, please?"
ASK_NUMBER = "What number can we reach you on?"
ASK_TEXT = "What would you like to tell us?"
ASK_MORE = "What else can I do for you?"
ANYTHING_ELSE = "Is there anything else?"
GOODBYE = ("Thank you for calling Riverside Bikes.", "Good-bye.")

MIN_NUMBER_DIGITS = 7
"""Fewer than this, and the caller is asked for the rest of the number."""
MAX_NUMBER_DIGITS = 15
"""The longest number there is (E.164); digits after that are dropped."""


@dataclass(slots=True)
class Talk:
    """One talk at the front desk, driven by what the caller says."""

    awaited: Awaited = "anything"
    """What the caller was asked for last."""
    name: str = ""
    number: str = ""
    misses: int = 0
    """How often in a row the caller was not understood."""
    last: Reply = GREETING
    """The last answer, for a caller who did not hear it."""

    def answer(self, text: str) -> Reply:
        """Take what the caller said, move on, and return what to answer."""
        if asks_again(text):
            return tuple(piece for piece in self.last if not isinstance(piece, Note))
        misses, self.misses = self.misses, 0
        taking_message = self.awaited in {"name", "number", "text"}
        self.last = self._in_message(text, misses) if taking_message else self._at_desk(text, misses)
        return self.last

    def _at_desk(self, text: str, misses: int) -> Reply:
        """Answer while nothing but a question of the caller is awaited."""
        topic = topic_of(text)
        offered_message, self.awaited = self.awaited == "yes_for_message", "anything"
        if says_goodbye(text):
            return self._goodbye(text)
        if topic == "message" or (offered_message and says_yes(text)):
            return self._take_message(text)
        if topic is not None:
            return ANSWERS[topic]
        if says_stop(text) and (offered_message or not says_no(text)):
            return ("All right.", ASK_MORE)
        if says_thanks(text) or says_no(text):
            return self._goodbye(text)
        if says_yes(text) or says_hello(text):
            return ("What can I do for you?",)
        return self._not_understood(misses)

    def _in_message(self, text: str, misses: int) -> Reply:
        """Answer while a message is taken. A question in between is answered, then the message goes on."""
        if says_stop(text) and not says_no(text):
            self._forget()
            return ("All right, no message then.", ANYTHING_ELSE)
        if says_goodbye(text, most_words=4):
            return self._goodbye(text)
        match self.awaited:
            case "name":
                return self._take_name(text, misses)
            case "number":
                return self._take_number(text, misses)
            case _:
                return self._take_text(text)

    def _take_message(self, text: str) -> Reply:
        self._forget()
        self.awaited = "name"
        self.number = _number_in(text)
        return ("Of course.", ASK_NAME)

    def _take_name(self, text: str, misses: int) -> Reply:
        if len(words_of(text)) > 2 and (aside := _aside(text)):
            return (*aside, "Now to your message.", ASK_NAME)
        name = "" if says_no(text) else name_in(text)
        if not name and not misses and not refuses(text):
            self.misses = 1
            return ("Sorry, I did not get that.", "Please tell me just your name.")
        # After two tries a message without a name is better than a third try.
        self.name, self.number, self.awaited = name, _number_in(text) or self.number, "number"
        thanks = f"Thank you, {name}." if name else "Never mind the name."
        return self._read_back(thanks) if self.number else (thanks, ASK_NUMBER)

    def _take_number(self, text: str, misses: int) -> Reply:
        digits = digits_in(text)
        if len(digits) == 1 and len(words_of(text)) > 2:
            digits = ""  # "I do not have one" holds a digit's word, but no number
        if not digits:
            return self._no_number(text, misses)
        # A whole number takes the place of a part that was told before.
        whole = digits if len(digits) >= MIN_NUMBER_DIGITS else self.number + digits
        self.number = whole[:MAX_NUMBER_DIGITS]
        if len(self.number) < MIN_NUMBER_DIGITS:
            return (f"So far I have {spell_digits(self.number)}.", "Please go on.")
        return self._read_back("Thank you.")

    def _no_number(self, text: str, misses: int) -> Reply:
        if aside := _aside(text):
            return (*aside, "Now to your message.", ASK_NUMBER)
        if refuses(text) or misses:
            self.awaited, self.number = "text", ""
            return ("We will do without a number.", ASK_TEXT)
        self.misses = 1
        return ("Sorry, I did not get that.", "Please tell me your number, digit by digit.")

    def _read_back(self, thanks: str) -> Reply:
        self.awaited = "text"
        return (thanks, f"I have {spell_digits(self.number)}.", ASK_TEXT)

    def _take_text(self, text: str) -> Reply:
        if says_wrong(text) or (refuses(text) and _number_in(text)):
            self.awaited, self.number = "number", ""
            if _number_in(text):
                return self._take_number(text, 0)
            return ("Sorry about that.", "Please tell me the number again.")
        if says_yes(text):
            return ("Good.", ASK_TEXT)
        note = Note({"caller_name": self.name, "callback_number": self.number, "message": text.strip()})
        thanks = f"Thank you, {self.name}." if self.name else "Thank you."
        promise = ", and we will call you back" if self.number else ""
        self._forget()
        # The note stands before the speech: it is kept even if the caller hangs up at once.
        return (note, thanks, f"I have noted your message{promise}.", ANYTHING_ELSE)

    def _not_understood(self, misses: int) -> Reply:
        self.misses = misses + 1
        if misses % 2 == 0:
            return (
                "Sorry, I did not get that.",
                "You can ask for our opening hours, our address or our prices, or leave a message.",
            )
        self.awaited = "yes_for_message"
        return ("I am afraid I cannot help with that.", "Shall I take a message, so that somebody calls you back?")

    def _goodbye(self, text: str) -> Reply:
        self._forget()
        welcome = ("You are welcome.",) if says_thanks(text) else ()
        return (*welcome, *GOODBYE, HangUp("caller said good-bye"))

    def _forget(self) -> None:
        self.awaited, self.name, self.number = "anything", "", ""


def _aside(text: str) -> Reply:
    return ANSWERS.get(topic_of(text) or "", ())


def _number_in(text: str) -> str:
    digits = digits_in(text)
    return digits[:MAX_NUMBER_DIGITS] if len(digits) >= MIN_NUMBER_DIGITS else ""


def resume(question: Question) -> Talk:
    """Rebuild the talk as it stood before this turn, from what the caller said in the earlier ones."""
    said = [message.content for message in question.messages if message.role == "user"]
    if said and question.occasion == "turn.ended" and said[-1].strip() == question.transcript.strip():
        said.pop()
    talk = Talk()
    for text in said:
        if words_of(text):
            talk.answer(text)
    return talk


def _after_turn(question: Question) -> Reply:
    if not words_of(question.transcript):
        return ()
    reply = resume(question).answer(question.transcript)
    informs = any(reply[0] == sentences[0] for sentences in ANSWERS.values())
    # Somebody who was interrupted says so; the other replies begin with a courtesy of their own.
    return ("Sure.", *reply) if question.interrupted is not None and informs else reply


def _after_silence(question: Question) -> Reply:
    asked = {"name": ASK_NAME, "number": ASK_NUMBER, "text": ASK_TEXT}
    return ("Are you still there?", asked.get(resume(question).awaited, "How can I help you?"))


def _reply(question: Question) -> Reply:
    match question.occasion:
        case "call.started":
            return GREETING
        case "turn.ended":
            return _after_turn(question)
        case "digits":
            return ("I heard you press a key.", "Please just tell me what I can do for you.")
        case "silence":
            return _after_silence(question)
        case _:
            return ()


def answer(question: Question) -> list[Action]:
    """Answer a question: one `Say` per sentence, so that the first can sound while the rest is prepared."""
    actions: list[Action] = []
    for piece in _reply(question):
        if isinstance(piece, str):
            spoken_before = any(isinstance(action, Say) for action in actions)
            actions.append(Say(f" {piece}" if spoken_before else piece))
        else:
            actions.append(piece)
    return actions


async def agent(question: Question) -> AsyncGenerator[Action, None]:
    """Answer as the front desk: `bridge.agents.demo:agent` as the target of a `python` agent."""
    for action in answer(question):
        yield action
