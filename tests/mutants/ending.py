"""Mistakes about the call as a whole: its record, its stream, and its end."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_TALK = "state.py"
_MACHINE = "machine.py"
_JOURNAL = "journal.py"

MUTANTS = (
    Mutant(
        _TALK,
        "        else:\n            reply.done = True\n\n    def ask",
        "\n    def ask",
        "Where nobody answers, the greeting is never over and never recorded.",
    ),
    Mutant(
        _TALK,
        'messages.append(do.Message("user", self.turn.transcript.strip()))',
        "pass",
        "An agent that is asked early does not see what it is asked.",
    ),
    Mutant(
        _TALK,
        "                reply.speculative,\n                self.interruption,\n",
        "                reply.speculative,\n                None,\n",
        "An interrupted agent does not know it, and goes on as if all had been heard.",
    ),
    Mutant(
        _TALK,
        "        self.patience.stir(self.now)\n        heard_answer",
        "        heard_answer",
        "The caller is asked whether they are there right after a long answer.",
    ),
    Mutant(
        _TALK,
        'self.messages.append(do.Message("assistant", heard_answer.strip()))',
        'self.messages.append(do.Message("assistant", reply.answer.strip()))',
        "The agent believes that the caller heard what was cut off.",
    ),
    Mutant(
        _TALK,
        "if interrupted and begun and reply.answer and reply",
        "if interrupted and reply.answer and reply",
        "An agent that was not audible yet is told that it was interrupted.",
    ),
    Mutant(
        _TALK,
        '        elif reply.occasion == "turn.ended" and not interrupted:\n            self.interruption = None\n',
        "",
        "An interruption is told again with every later question.",
    ),
    Mutant(
        _TALK,
        '        elif reply.occasion == "turn.ended" and not interrupted:\n            self.interruption = None\n',
        "        else:\n            self.interruption = None\n",
        "An agent that was cut off is not told when the bridge itself spoke in between.",
    ),
    Mutant(
        _TALK,
        "(cut and not heard_answer.strip())",
        "cut",
        "Each interruption has the question before it answered again.",
    ),
    Mutant(
        _TALK,
        "(cut and not heard_answer.strip())",
        "(cut and not heard.strip())",
        "A caller who goes on over `One moment, please` has the first half of the question forgotten.",
    ),
    Mutant(
        _TALK,
        "self.unanswered.insert(0, reply.transcript)",
        "self.unanswered.append(reply.transcript)",
        "The halves of a question reach the agent the wrong way round.",
    ),
    Mutant(
        _TALK,
        'if reply.text or reply.occasion in {"turn.ended", "digits"}:',
        'if reply.occasion in {"turn.ended", "digits"}:',
        "Greetings and prompts are missing in the record.",
    ),
    Mutant(
        _TALK,
        "words = policy.farewell if transfer is None else policy.handover",
        "words = policy.farewell",
        "A caller who is passed on hears good-bye.",
    ),
    Mutant(
        _TALK,
        '        if self.state not in {"live", "broken"}:\n            return\n',
        "",
        "A call that is being left is left again.",
    ),
    Mutant(
        _TALK,
        'if self.state not in {"live", "broken"}:',
        'if self.state != "live":',
        "A call whose stream is broken outlives a service that is gone for good.",
    ),
    Mutant(
        _TALK,
        "        self.speech.silence(self.now)\n        self.drop_speculation()\n",
        "        self.drop_speculation()\n",
        "The carrier's farewell sounds behind speech that the phone still holds.",
    ),
    Mutant(
        _TALK,
        "        self.speech.silence(self.now)\n        self.drop_speculation()\n",
        "        self.speech.silence(self.now)\n",
        "A prepared answer that nobody heard is kept as one that was given, at our end of the call.",
    ),
    Mutant(
        _TALK,
        "            self.close_reply(self.speech.reply, interrupted=False)\n"
        "        self.state, self.reason, self.left",
        "            pass\n        self.state, self.reason, self.left",
        "An agent goes on working for a call that is being left.",
    ),
    Mutant(
        _TALK,
        "        self.until = self.now + self.policy.reattach_s\n        self.out.append(leave)",
        "        self.out.append(leave)",
        "The recogniser is closed before the line is: the caller's last words are lost.",
    ),
    Mutant(
        _TALK,
        "        self.speech.playout.cut(self.now)\n        self.drop_speculation()\n",
        "        self.speech.playout.cut(self.now)\n",
        "A prepared answer that nobody heard is kept as one that was given, at the caller's end of the call.",
    ),
    Mutant(
        _TALK,
        "            self.close_reply(self.speech.reply, interrupted=False)\n        self.state, self.reason = ",
        "            pass\n        self.state, self.reason = ",
        "What the caller heard before hanging up is not kept.",
    ),
    Mutant(
        _TALK,
        "        self.until = self.now + self.policy.drain_s\n",
        "",
        "The last words before the hang-up are lost.",
    ),
    Mutant(
        _TALK,
        "        self.out.append(do.FinishRecognizer())\n",
        "",
        "The last words before the hang-up come ten seconds late or never.",
    ),
    Mutant(
        _TALK,
        "        if self.turn.speaking:\n            self.close_turn(incomplete=True)\n        playout",
        "        playout",
        "A sentence that the end of the call cut is not kept.",
    ),
    Mutant(
        _TALK,
        "playout.lost_marks, self.left.transfer_to",
        'playout.lost_marks, ""',
        "The record does not tell whom the caller was passed on to.",
    ),
    Mutant(
        _TALK,
        "playout.under_runs, playout.lost_marks,",
        "playout.lost_marks, playout.under_runs,",
        "Lost marks are reported as a phone that ran dry.",
    ),
    Mutant(
        _TALK,
        "        if self.policy.agent:\n            number = self.speech.next_reply()",
        "        if self.policy is not None:\n            number = self.speech.next_reply()",
        "An agent that has no part in the call is told of its end.",
    ),
    Mutant(
        _TALK,
        "self.ms(), tuple(self.messages), self.passage.transferred,",
        "self.ms(), (), self.passage.transferred,",
        "The agent does not learn how the call went.",
    ),
    Mutant(_TALK, '        self.state = "over"\n', "", "A call that is over ends again with every event."),
    Mutant(
        _TALK,
        "self.now if moment is None else moment) - self.began)",
        "self.now if moment is None else moment))",
        "The record's times are those of the machine, not of the call.",
    ),
    Mutant(
        _MACHINE,
        "talk.now = max(now, talk.now)",
        "talk.now = now",
        "A clock that is set back makes words unheard and the record's times run backwards.",
    ),
    Mutant(
        _MACHINE,
        "while self._settle():\n                pass",
        "self._settle()",
        "A turn's end is answered only when something else happens.",
    ),
    Mutant(
        _MACHINE,
        'case "leaving" | "broken" if',
        'case "broken" if',
        "A carrier that does not answer our hanging up keeps the call open for ever.",
    ),
    Mutant(
        _MACHINE,
        'case "leaving" | "broken" if',
        'case "leaving" if',
        "A call whose stream never comes back is open for ever.",
    ),
    Mutant(
        _MACHINE,
        'talk.drain(talk.reason or "lost")',
        'talk.drain("lost")',
        "The record does not tell why we hung up.",
    ),
    Mutant(
        _MACHINE,
        "talk.speech.playout.cut(talk.now, told=True)",
        "talk.speech.playout.cut(talk.now)",
        "Words that a dead line swallowed count as heard, and are not said again.",
    ),
    Mutant(
        _MACHINE,
        "                talk.speech.playout.cut(talk.now, told=True)\n",
        "",
        "A call that comes back goes on behind the words that got lost.",
    ),
    Mutant(
        _MACHINE,
        'talk.state, talk.until = "broken", talk.now + talk.policy.reattach_s',
        'talk.state = "broken"',
        "A call whose stream breaks is given up at once.",
    ),
    Mutant(
        _MACHINE,
        'on.StreamLost() if talk.state == "live":',
        'on.StreamLost() if talk.state in {"live", "broken"}:',
        "A stream that breaks twice is recorded twice, and waited for twice as long.",
    ),
    Mutant(
        _MACHINE,
        'talk.began = talk.now if talk.state == "waiting" else talk.began',
        "pass",
        "A call that never began is recorded as one of many hours.",
    ),
    Mutant(
        _MACHINE,
        'on.StreamStopped(reason) if talk.state in {"waiting", "live", "broken"}:',
        'on.StreamStopped(reason) if talk.state in {"waiting", "live", "broken", "leaving"}:',
        "A call that was ended for its length is recorded as ended by the agent.",
    ),
    Mutant(
        _MACHINE,
        'on.StreamStopped(reason) if talk.state in {"waiting", "live", "broken"}:',
        'on.StreamStopped(reason) if talk.state in {"waiting", "live"}:',
        "A caller who hangs up while the stream is broken is waited for.",
    ),
    Mutant(
        _MACHINE,
        'on.StreamStopped() | on.StreamLost() if talk.state == "leaving":',
        'on.StreamStopped() if talk.state == "leaving":',
        "A socket that just closes after our hang-up keeps the call for ten seconds more.",
    ),
    Mutant(
        _MACHINE,
        "                if final:\n                    talk.leave_for_failure",
        "                if event:\n                    talk.leave_for_failure",
        "One passing error of the recogniser ends the call.",
    ),
    Mutant(
        _MACHINE,
        'on.RecognizerClosed() if talk.state == "draining":',
        "on.RecognizerClosed():",
        "A recogniser that closes in mid-call ends the call without a word.",
    ),
    Mutant(
        _JOURNAL,
        "    if kind is None:\n        return None\n",
        "    if kind is None:\n        kind = NoteTaken\n",
        "A record of a newer version cannot be read.",
    ),
    Mutant(
        _JOURNAL,
        " for name, value in data.items() if name in known}",
        ' for name, value in data.items() if name != "entry"}',
        "A record with a new field cannot be read.",
    ),
    Mutant(_JOURNAL, '    "stream_broke": StreamBroke,\n', "", "A broken stream breaks the record."),
    Mutant(
        _JOURNAL,
        '    "stream_resumed": StreamResumed,\n',
        '    "stream_resumed": StreamBroke,\n',
        "A call that came back cannot be recorded.",
    ),
    Mutant(
        _JOURNAL,
        "isinstance(entry, CallerSpoke) and entry.transcript.strip():",
        "isinstance(entry, CallerSpoke):",
        "The transcript is full of empty lines.",
    ),
    Mutant(
        _JOURNAL,
        "and (entry.heard or entry.unheard):",
        "and entry.heard:",
        "The transcript hides what the agent wanted to say and nobody heard.",
    ),
    Mutant(
        _JOURNAL,
        "entry.sent_ms if entry.sent_ms is not None else entry.asked_ms",
        "entry.asked_ms",
        "The transcript shows answers as begun before they were audible.",
    ),
    Mutant(
        _JOURNAL,
        'Line("agent", entry.heard, began',
        'Line("agent", entry.heard + entry.unheard, began',
        "The transcript shows words that the caller never heard.",
    ),
    Mutant(
        _JOURNAL,
        "return sorted(lines, key=lambda line: line.started_ms)",
        "return lines",
        "In the transcript answers stand before their questions.",
    ),
)
