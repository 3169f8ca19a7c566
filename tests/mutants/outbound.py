"""Mutants of what is done when a machine answers a call of ours."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_ANSWERER = "answerer.py"
_TALK = "state.py"

MUTANTS = (
    Mutant(_ANSWERER, "    talk.answerer_taken = True\n", "", "The message begins anew again and again."),
    Mutant(
        _ANSWERER,
        "    talk.record(journal.AnswererTold(talk.ms(), talk.answerer))\n",
        "",
        "Nobody knows who answered.",
    ),
    Mutant(
        _ANSWERER, "    if not talk.by_machine:\n        return True\n", "", "People hear the machine's message."
    ),
    Mutant(
        _ANSWERER,
        "    _stop_talking(talk)\n    if",
        "    if",
        "The machine records the agent's greeting.",
    ),
    Mutant(_ANSWERER, 'if talk.answerer == "fax":', "if False:", "A fax is read a message."),
    Mutant(_ANSWERER, "elif talk.policy.voicemail:", "elif False:", "No message is left."),
    Mutant(_ANSWERER, "protected=True", "protected=False", "The beep cuts the message off."),
    Mutant(
        _ANSWERER, 'do.LeaveCall("machine")', 'do.LeaveCall("agent")', "The record says that the agent hung up."
    ),
    Mutant(
        _ANSWERER,
        "not talk.by_machine or reply is None",
        "reply is None",
        "People are hung up on behind the agent's first sentence.",
    ),
    Mutant(
        _ANSWERER,
        "or not talk.speech.playout.heard_out(talk.now)",
        "or not reply.done",
        "The message is not heard to its end.",
    ),
    Mutant(
        _ANSWERER,
        "if talk.operated and reply.occasion != operator.OCCASION:",
        "if False:",
        "What an operator says to a machine is lost.",
    ),
    Mutant(
        _ANSWERER,
        "    talk.operated.clear()\n",
        "",
        "What an operator wanted to say to a person is said to a machine.",
    ),
    Mutant(
        _ANSWERER, "        talk.speech.silence(talk.now)\n", "", "The machine records what the phone still holds."
    ),
    Mutant(_ANSWERER, "interrupted=True", "interrupted=False", "The record says that the greeting was heard."),
    Mutant(
        _ANSWERER, "    talk.drop_speculation()\n", "", "A guess at the machine's words is not told as dropped."
    ),
    Mutant(
        _ANSWERER,
        '    talk.stop_consulting("canceled")\n',
        "",
        "Somebody is called to be connected with a machine.",
    ),
    Mutant(_ANSWERER, "    talk.digits.take()\n", "", "The line of a machine stays secret."),
    Mutant(
        "machine.py",
        "self._talk.answerer = self._talk.answerer or kind",
        "self._talk.answerer = kind",
        "A person is taken for a machine.",
    ),
    Mutant("journal.py", 'startswith(("machine", "fax"))', 'startswith("machine")', "A fax is talked to."),
    Mutant(
        _TALK,
        "if journal.is_machine(self.answerer):",
        "if False:",
        "The agent is asked to greet a machine.",
    ),
    Mutant(
        _TALK,
        'if meaning != "words" or degraded or not self.policy.agent or self.by_machine:',
        'if meaning != "words" or degraded or not self.policy.agent:',
        "What the machine says stands in the conversation as the caller's.",
    ),
    Mutant(
        _TALK,
        "        if self.by_machine:\n            self.leave",
        "        if False:\n            self.leave",
        "A machine is told that the bridge cannot help.",
    ),
)
