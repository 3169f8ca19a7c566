"""Mistakes about the floor: who may speak, and what is done once everything was said."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_RULES = "rules.py"
_SITUATION = "situation.py"
_ACTIONS = "actions.py"

MUTANTS = (
    Mutant(
        _RULES,
        "if reply is None or reply.speculative or not _can_be_cut(talk, reply):\n"
        "        return False\n    if not _in",
        "if reply is None or not _can_be_cut(talk, reply):\n        return False\n    if not _in",
        "An answer prepared at the eager end is cut by the very words that it answers.",
    ),
    Mutant(
        _RULES,
        "reply.speculative or not _can_be_cut(talk, reply):\n        return False\n    if not _in",
        "reply.speculative:\n        return False\n    if not _in",
        "A legal notice is cut off by the caller's voice.",
    ),
    Mutant(
        _RULES,
        "if not _insists(talk) and _words_for_floor",
        "if _words_for_floor",
        "A caller who talks on without recognised words never gets the floor.",
    ),
    Mutant(
        _RULES,
        "_words_for_floor(talk) < _words_needed(talk)",
        "_words_for_floor(talk) <= _words_needed(talk)",
        "One word more than the rule says is needed to interrupt.",
    ),
    Mutant(
        _RULES,
        "    talk.speech.silence(talk.now)\n    talk.close_reply(reply, interrupted=True)",
        "    talk.close_reply(reply, interrupted=True)",
        "Words that come without the start of a turn leave two seconds of speech in the phone.",
    ),
    Mutant(
        _RULES,
        "talk.close_reply(reply, interrupted=True)",
        "talk.close_reply(reply, interrupted=False)",
        "The agent is not told that it was cut off.",
    ),
    Mutant(
        _RULES,
        "not turn.speaking or turn.dismissed:",
        "not turn.speaking:",
        "A long noise keeps the agent silent for as long as it lasts.",
    ),
    Mutant(
        _RULES,
        "if talk.echoes >= _ECHOES_LEARNT and turn.over_reply == reply.number:",
        "if talk.echoes >= _ECHOES_LEARNT:",
        "On a line with an echo the agent starts to speak over a caller who is speaking.",
    ),
    Mutant(
        _RULES,
        "talk.echoes >= _ECHOES_LEARNT and",
        "talk.echoes > _ECHOES_LEARNT and",
        "An echo silences the agent once more than need be.",
    ),
    Mutant(
        _RULES,
        "if talk.echoes >= _ECHOES_LEARNT and turn.over_reply == reply.number:",
        "if turn.over_reply == reply.number:",
        "The agent talks on until the caller's words are recognised.",
    ),
    Mutant(
        _RULES,
        "    if talk.speech.silence(talk.now):\n",
        "    if talk.speech.silence(talk.now) or True:\n",
        "The record says that an agent fell silent which had said nothing.",
    ),
    Mutant(
        _RULES,
        "if turn.speaking and talk.now >= _false_alarm_at(talk):\n        turn.dismissed = True",
        "",
        "A sound without words keeps the agent silent for ever.",
    ),
    Mutant(
        _RULES,
        "    if turn.speaking and not turn.dismissed:\n        return False\n    reply.paused = False",
        "    reply.paused = False",
        "The agent speaks on while the caller still makes a sound.",
    ),
    Mutant(
        _RULES,
        "    if talk.speech.playout.begun:\n        talk.record(journal.AgentResumed",
        "    if talk.speech is not None:\n        talk.record(journal.AgentResumed",
        "The record says that an agent spoke on which had said nothing yet.",
    ),
    Mutant(
        _RULES,
        "    if reply is None or reply.speculative:\n        return False\n    for note",
        "    if reply is None:\n        return False\n    for note",
        "The answer to a turn that is not over is heard.",
    ),
    Mutant(_RULES, "    reply.notes.clear()\n", "", "A note is kept again with every piece of speech."),
    Mutant(_RULES, "    reply.changes.clear()\n", "", "The recogniser is tuned again with every piece of speech."),
    Mutant(
        _RULES,
        "    if not reply.paused:\n        talk.speech.play(reply, talk.now)",
        "    talk.speech.play(reply, talk.now)",
        "The agent's voice goes out while the caller speaks.",
    ),
    Mutant(
        _RULES,
        "reply.speculative or reply.paused or not reply.done:",
        "reply.speculative or not reply.done:",
        "The agent hangs up while the caller makes a sound.",
    ),
    Mutant(
        _RULES,
        "if reply is None or reply.speculative or reply.paused or not reply.done:",
        "if reply is None or reply.paused or not reply.done:",
        "A hang-up that was prepared for half a sentence is carried out.",
    ),
    Mutant(
        _RULES,
        "    if not talk.speech.playout.heard_out(talk.now):\n        return False\n",
        "",
        "The agent hangs up before its good-bye was heard.",
    ),
    Mutant(
        _RULES,
        "    if talk.unanswered and not final:\n        return True  # The",
        "    if not reply:\n        return True  # The",
        "The call is ended although the caller asked something during the good-bye.",
    ),
    Mutant(
        _RULES,
        'talk.leave(do.LeaveCall(reason or "agent"))',
        'talk.leave(do.LeaveCall("agent"))',
        "The record does not tell why the agent hung up.",
    ),
    Mutant(
        _RULES,
        "talk.agent_failures < policy.failures_allowed",
        "talk.agent_failures <= policy.failures_allowed",
        "A caller hears the apology once more than is allowed.",
    ),
    Mutant(
        _RULES,
        "talk.prompt(policy.handover, Transfer(policy.failure_transfer))",
        "talk.prompt(policy.handover)",
        "The caller is promised somebody else, and stays where they are.",
    ),
    Mutant(
        _RULES,
        "if talk.unanswered and (not turn.speaking or _only_noise(talk)):",
        "if talk.unanswered:",
        "The agent is asked while the caller is still speaking.",
    ),
    Mutant(
        _RULES,
        "        turn.eager = False  # One question for one eager end.\n",
        "",
        "A prepared answer that fails is asked for again at once, and again.",
    ),
    Mutant(
        _RULES,
        "elif turn.eager and turn.worded and talk.policy.eager:",
        "elif turn.eager and talk.policy.eager:",
        "The agent is asked about a cough.",
    ),
    Mutant(
        _RULES,
        "elif turn.eager and turn.worded and talk.policy.eager:",
        "elif turn.eager and turn.worded:",
        "Asking at the eager end cannot be switched off.",
    ),
    Mutant(
        _RULES,
        "transcript = joined([*talk.unanswered, turn.transcript])",
        "transcript = turn.transcript",
        "The agent prepares an answer to the second half of a question.",
    ),
    Mutant(
        _RULES,
        "return not (reply.done and playout.heard_out(talk.now))",
        "return True",
        "An answer that was heard to its end counts as interrupted.",
    ),
    Mutant(
        _RULES,
        " if playout.begun else 1",
        " if reply_over else 1",
        "A caller who goes on before the agent is audible must say many words to be heard.",
    ),
    Mutant(
        _RULES,
        "words = sum(map(count_words, talk.unanswered))",
        "words = 0",
        "Words in two breaths never add up to an interruption.",
    ),
    Mutant(
        _RULES,
        'if talk.turn.speaking and talk.meaning() == "words":',
        "if talk.turn.speaking:",
        "A sign of listening cuts the agent off.",
    ),
    Mutant(
        _RULES,
        ' or talk.meaning() == "echo":',
        ":",
        "The agent is cut off by its own echo when that lasts.",
    ),
    Mutant(
        _RULES,
        "since = talk.turn.touched_at if talk.turn.worded else talk.turn.started_at",
        "since = talk.turn.started_at",
        "The agent speaks into the sentence of a slow caller.",
    ),
    Mutant(
        _RULES,
        "since = talk.turn.touched_at if talk.turn.worded else talk.turn.started_at",
        "since = talk.turn.touched_at + 1",
        "A false alarm keeps the agent silent longer than is set.",
    ),
    Mutant(
        _RULES,
        "        if reply.paused:\n            due.append(_false_alarm_at(talk))\n",
        "",
        "After a false alarm the agent is silent until something else happens.",
    ),
    Mutant(
        _RULES,
        "due.append(_insists_at(talk))",
        "pass",
        "A voice without words takes the floor only when something else happens.",
    ),
    Mutant(
        _RULES,
        "talk.policy.barge_in_s and talk.now < _insists_at(talk):",
        "talk.policy.barge_in_s:",
        "The deadline lies in the past: the clock is asked again and again to no end.",
    ),
    Mutant(
        _RULES,
        "    reply_certain,\n    message_begins,\n    reply_over,\n",
        "    message_begins,\n    reply_over,\n    reply_certain,\n",
        "What the agent notes with its last answer is lost.",
    ),
    Mutant(
        _RULES,
        "    caller_interrupts,\n    fall_silent,\n    keys_interrupt,\n    operator_due,\n",
        "    fall_silent,\n    keys_interrupt,\n    operator_due,\n",
        "Nobody can interrupt the agent.",
    ),
    Mutant(
        _RULES,
        "    caller_interrupts,\n    fall_silent,\n    keys_interrupt,\n    operator_due,\n",
        "    caller_interrupts,\n    keys_interrupt,\n    operator_due,\n",
        "The agent talks on until words are recognised.",
    ),
    Mutant(
        _RULES,
        "    caller_interrupts: CERTAIN | CALLER,\n",
        "    caller_interrupts: CERTAIN | CALLER | COMPLETE,\n",
        "Nobody can interrupt an agent that still writes its answer.",
    ),
    Mutant(
        _SITUATION,
        "talk.turn.speaking or talk.unanswered",
        "talk.unanswered",
        "The agent talks on until the caller's turn is over.",
    ),
    Mutant(
        _SITUATION,
        "(COMPLETE if reply.done else OWED)",
        "(OWED if reply.done else COMPLETE)",
        "What the agent wants done behind its words is never done.",
    ),
    Mutant(_SITUATION, "talk.deferred or ", "", "What a call that came back was to do next is never done."),
    Mutant(_ACTIONS, "return int(number)", "return 1", "A single word interrupts where several are wanted."),
    Mutant(_ACTIONS, "return None\n", "return 1\n", "Speech that nothing may cut is cut."),
    Mutant(
        _ACTIONS,
        "if number.isdecimal() and int(number) > 0",
        "if number.isdecimal()",
        "A rule of no words at all is taken, and every cough interrupts.",
    ),
    Mutant(
        _ACTIONS,
        "            words_needed(self.barge_in)  # The author",
        "            str(self.barge_in)  # The author",
        "A misspelt rule breaks the call instead of the agent's own test.",
    ),
    Mutant("policy.py", '    "mm-hmm",\n', "", "`Mm-hmm` cuts the agent off."),
    Mutant("policy.py", 'barge_in: str = "speech"', 'barge_in: str = "never"', "Nobody can interrupt the agent."),
    Mutant("policy.py", "eager: bool = True", "eager: bool = False", "Every answer comes later than it could."),
)
