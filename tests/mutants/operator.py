"""Mutants of what somebody who looks after a call says and does in the agent's place."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_OPERATOR = "operator.py"
_RULES = "rules.py"
_TALK = "state.py"
_OUTLOOK = "outlook.py"

MUTANTS = (
    Mutant(
        _OPERATOR,
        'case _ if talk.state in {"waiting", "live", "broken"}:',
        "case _:",
        "A sentence that was refused is said to a caller who comes back from somebody else.",
    ),
    Mutant(
        _OPERATOR,
        "                talk.change(action)",
        "                pass",
        "The operator changes a setting, and nothing happens.",
    ),
    Mutant(
        _OPERATOR,
        "Say | Play | SendDigits) for",
        "object) for",
        "A caller who does not stop talking cannot be hung up on.",
    ),
    Mutant(
        _OPERATOR,
        "    return caller_speaks or talk.message.wanted is not None",
        "    return talk.message.wanted is not None",
        "The operator talks over the caller.",
    ),
    Mutant(
        _OPERATOR,
        "    return caller_speaks or talk.message.wanted is not None",
        "    return caller_speaks",
        "The operator's voice is in the message that the caller leaves.",
    ),
    Mutant(
        _OPERATOR,
        "    if talk.by_machine:\n",
        "    if False:\n",
        "A machine records half of the message, and the operator behind it.",
    ),
    Mutant(
        _OPERATOR,
        "    if reply is None or reply.occasion != OCCASION:",
        "    if True:",
        "The operator's second sentence cuts off the first.",
    ),
    Mutant(
        _OPERATOR,
        "        talk.speech.space(reply)\n",
        "        pass\n",
        "Two sentences of the operator stand in the transcript as one word.",
    ),
    Mutant(
        _OPERATOR,
        "    talk.drop_speculation()\n",
        "",
        "The answer that was prepared for the caller stays open under the operator's.",
    ),
    Mutant(
        _OPERATOR,
        "        talk.speech.silence(talk.now)\n",
        "",
        "Two seconds of the agent's speech are heard before the operator is.",
    ),
    Mutant(
        _OPERATOR,
        "interrupted=False, again=True",
        "interrupted=False",
        "What the caller has asked is never answered.",
    ),
    Mutant(
        _OPERATOR,
        "interrupted=False, again=True",
        "interrupted=True",
        "The record says that the caller has cut the agent off, and it was the operator.",
    ),
    Mutant(
        _OPERATOR,
        "    talk.unanswered.clear()\n",
        "",
        "What the caller said before the operator spoke cuts the operator off.",
    ),
    Mutant(
        _OPERATOR,
        "        reply.digits = talk.digits.take()\n",
        "",
        "A key that the caller pressed before the operator spoke cuts the operator off.",
    ),
    Mutant(
        _OPERATOR,
        "        reply.secret = talk.digits.secret\n",
        "",
        "A card number stands in the trace because the operator spoke before it was told.",
    ),
    Mutant(
        _OPERATOR,
        "    talk.speech.finish_text(reply, talk.now)\n",
        "",
        "The operator's reply never ends.",
    ),
    Mutant(
        _RULES,
        "    keys_interrupt,\n    operator_due,\n",
        "    keys_interrupt,\n",
        "Nobody hears the operator.",
    ),
    Mutant(
        _RULES,
        "    if reply.ends_call and not (reply.failed or final) and",
        "    if reply.ends_call and not reply.failed and",
        "A caller who talks on cannot be hung up on.",
    ),
    Mutant(
        _RULES,
        "    if reply.failed and talk.policy.agent and not final:",
        "    if reply.failed and talk.policy.agent:",
        "The bridge apologises for the operator, and does not hang up.",
    ),
    Mutant(
        _RULES,
        "    if talk.unanswered and not final:",
        "    if talk.unanswered:",
        "The operator wanted to hang up, and the caller is talked to again.",
    ),
    Mutant(
        _RULES,
        "    if (talk.operated or (reply is None and waiting)) and",
        "    if reply is None and waiting and",
        "A noise on the line keeps the operator waiting for ever.",
    ),
    Mutant(
        _TALK,
        'lost = reply.occasion == "operator" or (cut and',
        "lost = (cut and",
        "What the caller asked before the operator spoke is never answered.",
    ),
    Mutant(
        _OUTLOOK,
        "    if reply is None or reply.speculative or reply.paused:",
        "    if reply is None or reply.speculative:",
        "Who looks at the call sees the agent talk while it is silent.",
    ),
    Mutant(
        _OUTLOOK,
        "    if reply is None or not talk.speech.playout.begun:",
        "    if reply is None:",
        "Who looks at the call reads an answer that the caller may never hear.",
    ),
    Mutant(
        _TALK,
        "        self.operated.clear()\n",
        "",
        "A sentence for the caller is said to them when they come back from somebody else.",
    ),
)
