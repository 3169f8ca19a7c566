"""Mistakes about time: limits, fillers, notices, silence, and outages of speech to text."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_LIMITS = "limits.py"
_OUTAGE = "outage.py"
_PATIENCE = "patience.py"
_MACHINE = "machine.py"
_TALK = "state.py"

MUTANTS = (
    Mutant(
        _LIMITS,
        "talk.now < talk.began + talk.policy.max_call_s",
        "talk.now < talk.patience.next_at + talk.policy.max_call_s",
        "A call that is used never reaches its longest length.",
    ),
    Mutant(
        _LIMITS,
        "if not turn.speaking or talk.outage.since is not None:",
        "if not turn.speaking:",
        "A turn is ended by us while the service that would tell of it is away.",
    ),
    Mutant(
        _LIMITS,
        "talk.close_turn(incomplete=True)\n    turn.given_up = turn.transcript",
        "talk.close_turn(incomplete=True)",
        "The late end of a turn that we ended is answered a second time.",
    ),
    Mutant(
        _LIMITS,
        "        talk.turn.given_up = talk.turn.transcript\n",
        "",
        "The end of a turn that got lost brings all its words again.",
    ),
    Mutant(
        _LIMITS,
        "    talk.out.append(do.CancelReply(reply.number))\n    waited_s",
        "    waited_s",
        "An agent that is too slow goes on working for nobody.",
    ),
    Mutant(
        _LIMITS,
        "reply.done or talk.now < talk.speech.answer_due(reply)",
        "reply.done or talk.now < reply.asked_at + talk.policy.agent_timeout_s",
        "A long answer that is still streaming is broken off.",
    ),
    Mutant(
        _LIMITS,
        "if talk.now < reply.text_due(talk.policy.text_pause_s):",
        "if talk.now < reply.text_due(talk.policy.agent_timeout_s):",
        "The deadline comes and nothing is done: half a sentence waits for seconds.",
    ),
    Mutant(
        _LIMITS,
        "    talk.out.append(do.CancelSpeech(unfinished[0]))\n",
        "",
        "Speech that came too late goes on being made.",
    ),
    Mutant(
        _LIMITS,
        '"speech_timeout", message, final=True)',
        '"speech_timeout", message, final=False)',
        "The caller waits thirty seconds for a speech service that never answers.",
    ),
    Mutant(
        _LIMITS,
        "talk.now < reply.audio_at + limit_s",
        "talk.now < reply.asked_at + limit_s",
        "The second half of a long answer is cut off.",
    ),
    Mutant(
        _LIMITS,
        "not _floor_free(talk) or talk.outage.since is not None:",
        "not _floor_free(talk):",
        "A caller whom nobody can understand is asked whether they are there.",
    ),
    Mutant(
        _LIMITS,
        "if not talk.policy.agent or not _floor_free(talk) or talk",
        "if not _floor_free(talk) or talk",
        "In a call that is only transcribed a voice asks whether anybody is there.",
    ),
    Mutant(
        _LIMITS,
        'talk.prompt(talk.policy.silence_farewell, HangUp("silence"))',
        "talk.prompt(talk.policy.silence_farewell)",
        "A silent caller hears good-bye for ever.",
    ),
    Mutant(
        _LIMITS,
        "    talk.limit_told = True\n",
        "",
        "The notice of the call's end is repeated until the end.",
    ),
    Mutant(
        _LIMITS,
        "talk.now < _limit_notice_at(talk) or not _floor_free(talk):",
        "talk.now < _limit_notice_at(talk):",
        "The notice of the call's end cuts into somebody's sentence.",
    ),
    Mutant(
        _LIMITS,
        "    outage.noted = True\n",
        "",
        "The loss of a turn is noticed again and again, and the call hangs.",
    ),
    Mutant(
        _LIMITS,
        "    outage.owed = policy.agent\n",
        "",
        "A caller whose words got lost waits for an answer that never comes.",
    ),
    Mutant(
        _LIMITS,
        "        talk.out.append(do.ForgetTurn())\n",
        "        pass\n",
        "What the caller says again is heard twice.",
    ),
    Mutant(
        _LIMITS,
        "talk.close_turn(incomplete=True, degraded=True)",
        "talk.close_turn(incomplete=True)",
        "Half a sentence is answered, and nobody can tell that words are missing.",
    ),
    Mutant(
        _LIMITS,
        "    outage.owed = False\n",
        "",
        "The caller is asked again and again to repeat the same sentence.",
    ),
    Mutant(
        _LIMITS,
        "if not outage.owed or not _floor_free(talk):",
        "if not outage.owed:",
        "The bridge speaks into the agent's sentence.",
    ),
    Mutant(
        _LIMITS,
        "talk.now < talk.outage.since + talk.policy.outage_limit_s and",
        "talk.now < talk.outage.since + talk.policy.max_call_s and",
        "A call in which nobody can be understood goes on for hours.",
    ),
    Mutant(
        _LIMITS,
        "if not talk.policy.agent or talk.outage.since is None:",
        "if talk.outage.since is None:",
        "A call that is only transcribed is ended because the service is away.",
    ),
    Mutant(
        _LIMITS,
        "not talk.policy.filler or reply.speculative or",
        "not talk.policy.filler or",
        "The caller is told to wait while still speaking.",
    ),
    Mutant(
        _LIMITS,
        "reply.done or reply.paused or reply.text:",
        "reply.done or reply.text:",
        "`One moment, please` is prepared while the caller makes a sound, and said into it or right after it.",
    ),
    Mutant(
        _LIMITS,
        'reply.occasion in {"turn.ended", "digits"} and not reply.actions',
        "not reply.actions",
        "A caller who has asked nothing yet is told to wait.",
    ),
    Mutant(
        _LIMITS,
        "max(reply.asked_at, reply.certain_at)",
        "reply.asked_at",
        "A prepared answer is covered as slow at the very end of the turn.",
    ),
    Mutant(
        _LIMITS,
        " or policy.limit_notice_s >= policy.max_call_s:",
        ":",
        "A short call begins with the notice of its end.",
    ),
    Mutant(
        _LIMITS,
        "    elif turn.speaking:\n",
        "    if turn.speaking:\n",
        "During an outage the deadline lies in the past: the clock is asked again and again to no end.",
    ),
    Mutant(
        _LIMITS,
        "            due.append(too_long)\n",
        "            pass\n",
        "Nobody notices that the caller's turn got lost.",
    ),
    Mutant(
        _LIMITS,
        "            due.append(outage.since + policy.outage_limit_s)\n",
        "            pass\n",
        "Nobody notices that the call makes no sense any more.",
    ),
    Mutant(
        _LIMITS,
        "            due.append(_filler_at(talk, reply))\n",
        "            pass\n",
        "A slow agent is covered only when something else happens.",
    ),
    Mutant(
        _LIMITS,
        "        due.append(turn.touched_at + policy.turn_stall_s)\n",
        "        pass\n",
        "A turn whose end never comes is open for ever.",
    ),
    Mutant(
        _LIMITS,
        "        due.append(_limit_notice_at(talk))\n",
        "        pass\n",
        "The notice of the call's end comes only when something else happens.",
    ),
    Mutant(
        _OUTAGE,
        "self.since, self.told_at, self.noted = None, None, False",
        "self.since = None",
        "The second outage of a call is dealt with by silence.",
    ),
    Mutant(
        _OUTAGE,
        "self.since, self.told_at, self.noted = None, None, False",
        "self.noted = False",
        "A service that came back is still held to be away, and the call is ended.",
    ),
    Mutant(
        _OUTAGE,
        "self.connected, self._back_at = False, None",
        "self._back_at = None",
        "A connection that breaks in mid-call is not noticed.",
    ),
    Mutant(
        _OUTAGE,
        "not self.connected and self.since is None",
        "not self.connected",
        "Each attempt that fails prolongs the caller's wait.",
    ),
    Mutant(
        _OUTAGE,
        "not self.connected and self.since is None",
        "self.since is None",
        "An error on a good connection counts as an outage: a silent caller is not asked whether they are there.",
    ),
    Mutant(
        _PATIENCE,
        "        if not self._asking:\n            self._rung = 0",
        "        self._rung = 0",
        "A silent caller is asked for ever whether they are there.",
    ),
    Mutant(
        _PATIENCE,
        "            self._rung = 0\n        self._asking = False",
        "            self._rung = 0",
        "A caller who was silent once is let go the next time without being asked again.",
    ),
    Mutant(
        _PATIENCE,
        "        self._asking = False\n        self._since = now",
        "        self._asking = False",
        "The caller is asked whether they are there right after the agent's last word.",
    ),
    Mutant(
        _PATIENCE,
        "        self._asking = True\n        if self._rung",
        "        if self._rung",
        "The ladder of prompts has no end.",
    ),
    Mutant(
        _TALK,
        "self.turn.touched_at = self.now\n            self.patience.stir(self.now)\n        self.outage",
        "self.patience.stir(self.now)\n        self.outage",
        "A turn is ended as soon as the service that was away is back.",
    ),
    Mutant(
        _TALK,
        "self.turn.touched_at = self.now\n            self.patience.stir(self.now)\n        self.outage",
        "self.turn.touched_at = self.now\n        self.outage",
        "A caller who could not be understood is asked whether they are there.",
    ),
    Mutant(
        _MACHINE,
        "                talk.outage.back(talk.now, standby=standby)\n",
        "                pass\n",
        "A service that came back is still held to be away, and the call is ended.",
    ),
    Mutant(
        _MACHINE,
        "                talk.outage.failed(talk.now)\n",
        "",
        "A service that never answers leaves the caller unheard for ever.",
    ),
    Mutant(
        "state.py",
        "        self.patience.stir(self.now)\n        reply = self.speech.reply\n        asked",
        "        reply = self.speech.reply\n        asked",
        "A caller who presses keys is asked whether they are there.",
    ),
    Mutant(
        _MACHINE,
        'talk.state = "live"\n        talk.patience.stir(talk.now)',
        'talk.state = "live"',
        "A caller whose line comes back is asked at once whether they are there.",
    ),
)
