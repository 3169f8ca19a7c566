"""Mutants of how messages are taken."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_MESSAGE = "message.py"
_RULES = "rules.py"
_TALK = "state.py"

MUTANTS = (
    Mutant(_MESSAGE, "min(since, now), now", "now, now", "A message lacks what was said over the prompt."),
    Mutant(_MESSAGE, "self.number += 1", "self.number = 1", "Two messages of a call are one file."),
    Mutant(
        _MESSAGE,
        "self._texts.append(transcript)\n        self._quiet_since = now",
        "self._texts.append(transcript)",
        "A message ends while the caller takes a breath.",
    ),
    Mutant(_MESSAGE, "key == self.wanted.terminator", "key", "Any key ends a message."),
    Mutant(
        _MESSAGE,
        "self.wanted is not None and self.over_at is None:",
        "self.wanted is not None:",
        "A message that ended with the call lasts until its last words are recognised.",
    ),
    Mutant(_MESSAGE, "if now >= self._longest or", "if", "A caller may talk to the voicemail for hours."),
    Mutant(
        _MESSAGE,
        "(not speaking or now >= self.over_at + _TAIL_S)",
        "True",
        "The last words before the key are lost.",
    ),
    Mutant(
        _RULES,
        "or (ended and turn.speaking and not turn.dismissed)",
        "",
        "The words of a slow recogniser are lost when the key is pressed.",
    ),
    Mutant(
        _MESSAGE,
        "self.over_at + (_TAIL_S if speaking else 0.0)",
        "self.over_at + 60.0",
        "Whoever talks on when the time is up is waited for.",
    ),
    Mutant(
        _MESSAGE, "self._longest if speaking else min(", "min(", "The clock rings and rings while somebody talks."
    ),
    Mutant(_MESSAGE, "self.wanted, self._texts = None, []", "self._texts = []", "A message is told twice."),
    Mutant(
        _TALK,
        'if meaning not in {"empty", "echo"}:\n                self.message',
        "if True:\n                self.message",
        "Noise keeps a message open.",
    ),
    Mutant(
        _TALK,
        "self.message.wanted is not None:\n            self.message.press",
        "False:\n            self.message.press",
        "The key that ends a message is told as a key.",
    ),
    Mutant(
        _TALK,
        "self.digits.take()  # Keys before",
        "pass  # Keys before",
        "A key that skips the prompt is told later.",
    ),
    Mutant(
        _TALK,
        "since = turn.started_at if early or turn.speaking else self.now",
        "since = self.now",
        "What was said over the prompt is missing from the file.",
    ),
    Mutant(
        _TALK,
        "        for text in self.unanswered:\n            self.message.hear(text, self.now)\n",
        "",
        "What was said over the prompt is lost.",
    ),
    Mutant(
        _RULES,
        '    reply.transcript = ""  # Who goes on',
        "    # Who goes on",
        "A message is asked about as if it were a question.",
    ),
    Mutant(
        _TALK,
        'self.state, self.reason = "draining", reason\n        self.message.stop(self.now)',
        'self.state, self.reason = "draining", reason',
        "The file of a message goes on behind the call.",
    ),
    Mutant(
        _TALK,
        "        if self.message.wanted is not None:\n            self.keep_message()\n",
        "",
        "A message that ends with the call is lost.",
    ),
    Mutant(
        _RULES,
        "    message_begins,\n",
        "",
        "Nobody can leave a message.",
    ),
    Mutant(
        _RULES,
        "    elif record is not None:\n        talk.begin_message(record)\n",
        "",
        "A key over the prompt makes voicemail fail.",
    ),
    Mutant(
        _RULES,
        "interrupted=gather is None and record is None",
        "interrupted=gather is None",
        "Who skips the prompt of the voicemail is said to interrupt.",
    ),
    Mutant(
        _RULES,
        "if turn.speaking and turn.worded:\n        talk.close_turn(incomplete=True)\n        turn.given",
        "if False:\n        turn.given",
        "The turn in which the time is up is no part of the message.",
    ),
    Mutant(
        _RULES,
        "if talk.masked or talk.message.wanted is not None:",
        "if talk.masked:",
        "The agent answers in the middle of a message.",
    ),
    Mutant(
        _RULES,
        "    if talk.message.wanted is not None:\n        due += message_moments(talk)\n",
        "",
        "A message is over when the next thing happens, if ever.",
    ),
    Mutant(
        _RULES,
        "return [*moments, _false_alarm_at(talk)] if noise else moments",
        "return moments",
        "Noise keeps a message open up to its longest.",
    ),
    Mutant(
        "limits.py",
        "quiet and talk.message.wanted is None and",
        "quiet and",
        "Who thinks about a message is asked whether they are there.",
    ),
)
