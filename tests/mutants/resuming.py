"""Mutants of how a call goes on whose process died, and of what is kept for that."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_PAST, _RESUMING, _STANDING = "past.py", "resuming.py", "standing.py"

MUTANTS = (
    Mutant(_PAST, "if spoke.over_speech:", "if False:", "What was said over speech stands before it."),
    Mutant(
        _PAST,
        "heard, answer = spoke.heard[spoke.filler :],",
        "heard, answer = spoke.heard,",
        "The agent is told that it said what covered its slowness.",
    ),
    Mutant(
        _PAST,
        "bool(spoke.heard[spoke.filler :].strip())",
        "bool(spoke.heard.strip())",
        "What covered the agent's slowness counts as an answer that was broken off.",
    ),
    Mutant(
        _PAST,
        ' and spoke.occasion != "operator"',
        "",
        "What an operator has said before a crash is missing in the conversation.",
    ),
    Mutant(
        _PAST,
        "    if spoke.again:\n        return\n",
        "",
        "What the caller said is lost where nothing of the answer was heard.",
    ),
    Mutant(_PAST, "if one[0] > spoke.turn]", "if one[0] >= spoke.turn]", "What was answered is asked again."),
    Mutant(
        _PAST,
        "past.unanswered = [one for one in past.unanswered if one[0] > spoke.turn]",
        "past.unanswered.clear()",
        "What was said while an answer was spoken is lost.",
    ),
    Mutant(
        _PAST, "past.replies = max(past.replies, spoke.reply)", "pass", "Replies are numbered from the beginning."
    ),
    Mutant(
        _PAST,
        "if spoke.degraded or not policy.agent",
        "if not policy.agent",
        "What the caller was asked to say again is asked about, too.",
    ),
    Mutant(_PAST, "past.gathered = digits", "pass", "A number that was keyed in is lost."),
    Mutant(
        _RESUMING,
        "talk.turn.number, talk.echoes = past.turns, past.echoes",
        "pass",
        "Turns are numbered from the beginning.",
    ),
    Mutant(
        _RESUMING,
        "now + talk.policy.reattach_s",
        "now",
        "A call is given up before its stream can be there.",
    ),
    Mutant(_RESUMING, "talk.out.append(do.PauseRecording(talk.ms()))", "pass", "A paused recording goes on."),
    Mutant(
        _RESUMING,
        "talk.out.append(do.TuneRecognizer(talk.tuning))",
        "pass",
        "The new recogniser does not listen for what the agent has named.",
    ),
    Mutant(_RESUMING, "    talk.ask(reply)\n", "", "What nobody has answered is not asked again."),
    Mutant(
        _RESUMING,
        "talk.digits.begin(gather, talk.now)",
        "pass",
        "A number that was being keyed in is taken for single keys.",
    ),
    Mutant(
        _RESUMING,
        'talk.passage.returned = do.TransferResult(wanted.to, "failed")',
        "pass",
        "The agent never learns that nobody was reached.",
    ),
    Mutant(_RESUMING, "    talk.record(spoke)\n", "", "What was heard of a broken answer is not in the record."),
    Mutant(
        _RESUMING,
        "reply.repeats = past.sounding.reply",
        "pass",
        "The agent is not told which of its answers was broken off.",
    ),
    Mutant(
        _RESUMING,
        "        talk.digits.take()\n        reply.actions",
        "        reply.actions",
        "Half a number stands before the whole one that the caller keys in anew.",
    ),
    Mutant(
        "journal.py",
        "last.reply <= closed",
        "last.reply < closed",
        "An answer that was heard to its end counts as broken off.",
    ),
    Mutant(
        "journal.py",
        " or not last.heard.strip()",
        "",
        "An answer of which nothing may be kept is in the record as one without words.",
    ),
    Mutant(
        _RESUMING,
        "    return not talk.unanswered and not",
        "    return not",
        "What the caller has said is not asked again where the agent has remembered something.",
    ),
    Mutant(
        "state.py",
        "self.remember(None if lost else reply.remembers)",
        "self.remember(reply.remembers)",
        "The agent remembers that it said what nobody has heard.",
    ),
    Mutant(
        "rules.py",
        "    talk.remember(reply.remembers_now)\n",
        "",
        "What must be known at once is forgotten in a crash while the agent speaks.",
    ),
    Mutant(
        "speech.py",
        "                if reply.taken_up:\n",
        "                if False:\n",
        "The agent hangs up after a crash, and a number is gathered first.",
    ),
    Mutant(
        _STANDING, "if (stands := _stands(talk)) != self._kept:", "if False:", "How a call is held is not kept."
    ),
    Mutant(
        "transfers.py",
        "talk.out.append(do.FinishRecognizer())  # One",
        "pass  # One",
        "A recogniser waits for hours for a caller who talks with somebody else.",
    ),
    Mutant(
        "machine.py",
        "conversation._stand.stands_already(talk)",
        "pass",
        "With each crash a call is away for hours from then on.",
    ),
    Mutant("machine.py", "resuming.go_on(talk, past)", "pass", "The caller is not told that the call is back."),
)
