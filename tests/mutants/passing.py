"""Mutants of how callers are passed on, and of what an agent says unasked."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_TRANSFERS = "transfers.py"
_RULES = "rules.py"
_TALK = "state.py"
_MACHINE = "machine.py"
_SPEECH = "speech.py"
_PLAYOUT = "playout.py"

MUTANTS = (
    Mutant(
        "dialling.py",
        '"[^@;?]*".join',
        '".*".join',
        "Callers are passed on to addresses that only end as they should.",
    ),
    Mutant(
        _TRANSFERS, "    talk.deferred.clear()\n    policy", "    policy", "Who was not connected is hung up on."
    ),
    Mutant(_TRANSFERS, "not wanted.summary or not policy.warm", "not wanted.summary", "A caller waits for nobody."),
    Mutant(_TRANSFERS, 'do.LeaveCall("transfer", wanted))', 'do.LeaveCall("transfer"))', "The caller gets nobody."),
    Mutant(
        _TRANSFERS,
        '    talk.stop_consulting("canceled")\n    talk.passage.consulting = wanted',
        "    talk.passage.consulting = wanted",
        "Two people are called for one caller.",
    ),
    Mutant(
        _TRANSFERS,
        'talk.leave(do.LeaveCall("transfer", wanted, conference))',
        "pass",
        "Who accepts waits for ever.",
    ),
    Mutant(
        _TRANSFERS,
        "talk.passage.returned = talk.stop_consulting(status)",
        "talk.stop_consulting(status)",
        "The agent never learns that nobody took the call.",
    ),
    Mutant(
        _TRANSFERS,
        " and talk.left.transfer is not None and talk.passage.returned is None",
        " and talk.left.transfer is not None",
        "A callback that comes twice counts twice.",
    ),
    Mutant(
        _TRANSFERS,
        "        talk.passage.transferred = result\n",
        "",
        "The agent does not learn that the two have talked.",
    ),
    Mutant(
        _TRANSFERS,
        "    if talked:\n",
        "    if not talked:\n",
        "Who talked is brought back, and who was not reached is let go.",
    ),
    Mutant(
        _TRANSFERS,
        "        talk.out.append(talk.left)\n        if not",
        "        if not",
        "A last resort that is not reached ends without a word.",
    ),
    Mutant(
        _TRANSFERS,
        "        talk.until = talk.now + talk.policy.reattach_s\n\n\ndef _message",
        "\n\ndef _message",
        "A caller who is gone is waited for all day.",
    ),
    Mutant(
        _TRANSFERS,
        "lasts_s = ring_s + do.LONGEST_TALK_S if",
        "lasts_s = ring_s if",
        "A talk of a minute ends the record while the two still talk.",
    ),
    Mutant(
        _TRANSFERS,
        "    talk.out.append(do.FinishRecognizer())\n",
        "",
        "Speech to text is paid for while the caller talks to somebody else.",
    ),
    Mutant(
        _TRANSFERS,
        "talk.until = min(talk.until, talk.now + _TOLD_WITHIN_S)",
        "finish(talk)",
        "How a transfer ended is lost when the caller hangs up first.",
    ),
    Mutant(_TRANSFERS, "    elif talk.recognizer_closed:\n", "    elif True:\n", "The last words are lost."),
    Mutant(
        _TRANSFERS,
        "        talk.unanswered.clear()",
        "        pass",
        "Thanks for connecting me is answered after the return.",
    ),
    Mutant(
        _TRANSFERS, "    talk.outage = Outage()\n", "", "An outage that is over ends the call of who comes back."
    ),
    Mutant(_TRANSFERS, "    talk.out.append(do.OpenRecognizer())\n", "", "Who comes back is not understood."),
    Mutant(
        _RULES,
        "    reply.fallback, reply.transfer = talk.policy.transfer_failed, result\n",
        "    reply.transfer = result\n",
        "Who comes back to an agent that says nothing hears nothing.",
    ),
    Mutant(
        _RULES,
        "result is None or not _nobody_speaks(talk)",
        "result is None or talk.speech.reply is not None",
        "The caller is talked over when nobody was reached.",
    ),
    Mutant(
        _MACHINE,
        "return talk.passage.returned is not None or bool(talk.left.digits)",
        "return True",
        "A stray stream takes a caller away from who they talk to.",
    ),
    Mutant(
        _MACHINE,
        "                talk.drain(reason)\n            case on.StreamStopped() | on.StreamLost() if",
        "                transfers.go_away(talk)\n            case on.StreamStopped() | on.StreamLost() if",
        "A bridge that stops waits for hours.",
    ),
    Mutant(
        _TALK,
        '        if status == "canceled":\n            self.out.append(do.CancelOther())\n',
        "",
        "A phone rings for a caller who is gone.",
    ),
    Mutant(
        _TALK,
        "        if reply.fallback and not reply.text:\n",
        "        if not reply.text:\n",
        "An agent that fails is not apologised for.",
    ),
    Mutant(
        _TALK,
        '        if reply.occasion == "silence":\n            self.patience.asked()\n',
        "",
        "The ladder of prompts has no end.",
    ),
    Mutant(
        _TALK,
        "over_speech and (self.over_speech_only or not self.unanswered)",
        "over_speech",
        "An answer counts as said over the agent's speech because a later word was.",
    ),
    Mutant(
        _RULES, "    if reply.fallback and reply.silent:\n", "    if reply.fallback:\n", "The agent is talked over."
    ),
    Mutant(
        _RULES,
        "playout.keys_cut(talk.now) and not",
        "not",
        "A key cuts off what only words may.",
    ),
    Mutant(
        _RULES,
        "    return talk.speech.playout.preemptible(talk.now)\n",
        "    return True\n",
        "What the agent says unasked cuts off its answer.",
    ),
    Mutant(_RULES, "    talk.floor_wanted = False\n", "", "An agent that wanted to speak once is asked for ever."),
    Mutant(
        _RULES,
        "return not talk.turn.speaking or _only_noise(talk)",
        "return not talk.turn.speaking",
        "Noise keeps the agent from speaking.",
    ),
    Mutant(
        _SPEECH,
        'aside = reply.occasion == "silence" and not reply.text',
        "aside = False",
        "A silent caller waits for a slow agent.",
    ),
    Mutant(_PLAYOUT, "return not left or left[0].keys", "return True", "A key cuts off what nothing may."),
    Mutant(
        _PLAYOUT,
        "all(utterance.preemptible for utterance in left)",
        "left[0].preemptible",
        "What matters is replaced because it begins with what does not.",
    ),
    Mutant(
        _TRANSFERS,
        "case on.OtherAccepted(conference) if talk.passage.consulting is not None:",
        'case on.OtherAccepted(conference) if talk.state == "live" and talk.passage.consulting is not None:',
        "Who accepts while the caller's stream is broken waits for ever.",
    ),
    Mutant(
        _TRANSFERS,
        "        _let_other_go(talk)\n        talk.until",
        "        talk.until",
        "Who has accepted waits in the conference for a caller who is gone.",
    ),
    Mutant(
        _TRANSFERS,
        "policy.failure_transfer\n        _let_other_go(talk)\n",
        "policy.failure_transfer\n",
        "Who has accepted waits in the conference for a caller who was not joined.",
    ),
    Mutant(
        _TRANSFERS,
        "    if talk.left.conference:\n",
        "    if True:\n",
        "Nobody was called, and nobody is hung up on.",
    ),
    Mutant(
        _TRANSFERS,
        "talk.passage.consulting is None or talk.now < talk.passage.consulting_until",
        "True",
        "A caller waits for ever for somebody of whom nothing is told.",
    ),
    Mutant(
        _TRANSFERS,
        '    talk.out.append(do.CancelOther())\n    talk.passage.returned = talk.stop_consulting("no-answer")',
        '    talk.passage.returned = talk.stop_consulting("no-answer")',
        "Who was given up may still take the call.",
    ),
    Mutant(
        _RULES,
        "        due.append(talk.passage.consulting_until)\n",
        "        pass\n",
        "Nobody looks when that is due.",
    ),
    Mutant(
        _TRANSFERS,
        "        talk.out.append(do.TuneRecognizer(talk.tuning))\n",
        "        pass\n",
        "Who comes back is heard with other settings.",
    ),
    Mutant(_TRANSFERS, "if talk.tuning != Tuning():", "if True:", "Nothing is set, and set again."),
    Mutant(
        _TRANSFERS,
        "    if not talk.left.digits:\n",
        "    if True:\n",
        "What the caller said while the carrier sent keys is lost.",
    ),
    Mutant(
        _TRANSFERS,
        "    if talk.digits.wanted is not None:\n        talk.digits.take()\n",
        "",
        "A number is asked for that belongs to before the transfer.",
    ),
    Mutant(
        _TALK,
        "        if not leave.digits:\n            self.passage.returned = None",
        "        if False:\n            self.passage.returned = None",
        "The result of one transfer brings the caller back from the next.",
    ),
    Mutant(
        _TALK,
        "        if not leave.digits:\n            self.passage.returned = None",
        "        if True:\n            self.passage.returned = None",
        "Keys of the carrier make the agent forget a transfer.",
    ),
    Mutant(
        _TALK,
        "            self.passage.returned = self.passage.returned or reply.transfer",
        "            pass",
        "A caller who speaks at the wrong moment keeps the agent from learning of a transfer.",
    ),
    Mutant(
        _TALK,
        "        if lost:\n            self.passage.returned",
        "        if cut:\n            self.passage.returned",
        "A transfer is told of twice.",
    ),
    Mutant(
        _RULES, "reply.speculative or reply.actions or talk.unanswered", "reply.speculative", "A transfer is lost."
    ),
    Mutant(
        _RULES,
        "reply.speculative or reply.actions or talk.unanswered",
        "reply.speculative or reply.actions",
        "The floor is given and taken away in the same moment.",
    ),
    Mutant(
        _TALK,
        "due = self.deferred if reply is None or reply.speculative else reply.actions",
        "due = [] if reply is None or reply.speculative else reply.actions",
        "A secret is kept that is typed while the carrier sends keys.",
    ),
    Mutant(_TALK, "self.masked or self.digits.secret or (", "self.masked or (", "The rest of a secret is kept."),
    Mutant(
        _TALK,
        "(asked is not None and asked.secret)",
        "False",
        "What is typed behind the end of a secret is kept.",
    ),
    Mutant(
        "digits.py", "self.secret = self.secret or secret", "pass", "A secret that is told again is none any more."
    ),
    Mutant(_RULES, "            reply.secret = talk.digits.secret\n", "", "A secret beside words is shown."),
    Mutant("answerer.py", "    talk.deferred.clear()\n", "", "A machine is asked for a number."),
    Mutant(
        "answerer.py",
        "        talk.keep_message()\n",
        "        pass\n",
        "A machine that leaves a message is asked about it over the message for it.",
    ),
    Mutant(
        _RULES,
        "turn.speaking and not _only_noise(talk) and not turn.worded",
        "turn.speaking and not turn.dismissed and not turn.worded",
        "The clock is looked at over and over while a secret is waited for.",
    ),
)
