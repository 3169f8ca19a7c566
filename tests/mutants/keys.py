"""Mutants of what happens to keys."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_DIGITS = "digits.py"
_RULES = "rules.py"
_TALK = "state.py"

MUTANTS = (
    Mutant(
        _DIGITS, 'early, self.keys = self.keys, ""', 'early, self.keys = "", ""', "Keys over the prompt are lost."
    ),
    Mutant(_DIGITS, "key == wanted.terminator", 'key == "#"', "A number that ends with a star never ends."),
    Mutant(_DIGITS, "self._due = now + wanted.next_s", "self._due = self._due + 0.0", "A slow number is cut off."),
    Mutant(
        _DIGITS, "len(self.keys) == wanted.length", "len(self.keys) == 1", "A number is told after its first key."
    ),
    Mutant(_DIGITS, "        if self._ended:\n            return\n", "", "What is pressed behind the end counts."),
    Mutant(
        _DIGITS, "self._ended or now >= self._due", "self._ended", "A caller who stops pressing waits for ever."
    ),
    Mutant(
        _DIGITS,
        "self.wanted, self._ended, self.secret = None, False, False",
        "self.secret = False",
        "One number is told twice.",
    ),
    Mutant(
        _TALK,
        "if not secret:\n            self.record(journal.KeyPressed",
        "if True:\n            self.record(journal.KeyPressed",
        "A card number stands in the journal.",
    ),
    Mutant(
        _TALK, 'kept = "" if masked else keys', "kept = keys", "A card number stands in the journal, in one piece."
    ),
    Mutant(
        _TALK,
        "due = self.deferred if reply is None or reply.speculative else",
        "due = self.deferred if reply is None else",
        "A guess of the agent makes the caller unheard.",
    ),
    Mutant(_TALK, "and not self.digits.wanted.masked:", ":", "What is overheard of a secret ends its gathering."),
    Mutant(
        _TALK,
        "        if late:\n            return",
        "        if False:\n            return",
        "A key too many asks again about the number.",
    ),
    Mutant(
        _TALK,
        "if lost and reply.digits:",
        "if False:",
        "The first of two keys is lost.",
    ),
    Mutant(
        _RULES,
        "reply.digits = talk.digits.take()",
        'reply.digits = ""',
        "A key beside words is told as another question.",
    ),
    Mutant(
        _RULES,
        "talk.close_reply(reply, interrupted=gather is None and record is None)",
        "talk.close_reply(reply, interrupted=True)",
        "Who types over a prompt is said to interrupt.",
    ),
    Mutant(
        _RULES,
        "    if gather is not None:\n        talk.digits.begin(gather, talk.now)\n    elif",
        "    if",
        "Keys over the prompt end its gathering.",
    ),
    Mutant(
        _RULES,
        "            case GatherDigits():\n                talk.digits.begin(action, talk.now)\n",
        "",
        "Keys that were asked for are told one by one.",
    ),
    Mutant(
        _RULES,
        "talk.digits.wanted is not None and not talk.digits.complete(talk.now)",
        "False",
        "A number is told before it is together.",
    ),
    Mutant(
        _RULES,
        "if talk.masked or talk.message.wanted is not None:",
        "if talk.message.wanted is not None:",
        "Words overheard of a secret are asked about.",
    ),
    Mutant(
        "limits.py",
        "talk.digits.wanted is None and not talk.digits.keys\n",
        "True\n",
        "A caller who looks for the card is asked whether they are there.",
    ),
)
