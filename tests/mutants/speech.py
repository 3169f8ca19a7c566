"""Mistakes about the agent's side: its pieces, their sentences and voices, and what fails on the way."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_SPEECH = "speech.py"
_REPLY = "reply.py"
_SENTENCES = "sentences.py"
_TALK = "state.py"
_MACHINE = "machine.py"

MUTANTS = (
    Mutant(
        _SPEECH,
        "            voice=self.voice,\n            language=self.language,\n",
        "",
        "The voice that the agent has set is gone with the next answer.",
    ),
    Mutant(
        _SPEECH,
        "reply.voice, reply.language = voice or reply.voice, language or reply.language",
        "reply.voice, reply.language = voice, language",
        "Who changes the language loses the voice.",
    ),
    Mutant(
        _SPEECH,
        "                reply.changes.append(action)\n",
        "",
        "A changed voice holds for one answer only.",
    ),
    Mutant(
        _SPEECH,
        "            case _:\n                self.finish_utterance(reply, now)\n",
        "            case _:\n",
        "The good-bye before a hang-up waits although nothing can follow it.",
    ),
    Mutant(
        _SPEECH,
        "say = msgspec.structs.replace(say, text=say.text[:room])",
        "pass",
        "An endless piece of an answer is spoken to its end.",
    ),
    Mutant(
        _SPEECH,
        ' if action.interruptible else "never"',
        "",
        "A legal notice is cut off by the caller's voice.",
    ),
    Mutant(
        _SPEECH,
        "(action.barge_in or self._policy.barge_in)",
        "self._policy.barge_in",
        "A piece of speech cannot have a rule of its own.",
    ),
    Mutant(
        _SPEECH,
        "        if style != reply.style:\n            self.finish_utterance(reply, now)\n"
        "            reply.style = style",
        "        reply.style = style",
        "A sentence in another voice, or that may not be cut, is spoken like the one before it.",
    ),
    Mutant(
        _SPEECH,
        "self._style_of(say, say.voice or reply.voice, say.language or reply.language)",
        "self._style_of(say, reply.voice or say.voice, say.language or reply.language)",
        "A sentence that names its voice is spoken with another.",
    ),
    Mutant(
        _SPEECH,
        "voice = reply.voice if reply.language is None else None",
        "voice = None",
        "Fillers and apologies come in another voice than the agent's.",
    ),
    Mutant(
        _SPEECH,
        "        reply.filler = len(reply.text)\n",
        "",
        "The agent reads `One moment, please` among its own words, and a failure counts as an answer.",
    ),
    Mutant(
        _SPEECH,
        "reply.waiting = text + reply.waiting  # Spaces",
        "reply.waiting = reply.waiting  # Spaces",
        "Spaces between sentences are lost, and words run together.",
    ),
    Mutant(
        _SPEECH,
        "        reply.synthesized_at = reply.audio_at = now\n        if not more:",
        "        reply.synthesized_at = now\n        if not more:",
        "The speech of a slow agent is given up before it can come.",
    ),
    Mutant(
        _MACHINE,
        "or utterance is None or utterance.finished:",
        "or utterance is None:",
        "Audio behind the end of a sentence is played into the next.",
    ),
    Mutant(
        _SPEECH,
        "        reply.audio_at = now\n        match event:",
        "        match event:",
        "A long sentence whose audio comes slowly is broken off.",
    ),
    Mutant(
        _SPEECH,
        "reply.audio_first = reply.audio_first or now",
        "reply.audio_first = now",
        "The record shows the last audio as the first.",
    ),
    Mutant(
        _SPEECH,
        "if commands and reply.sent_first is None:",
        "if commands:",
        "The transcript shows the agent's answer as begun when it was nearly over.",
    ),
    Mutant(
        _SPEECH,
        "        if held:\n            self._out.append(do.ClearPlayout())",
        "        self._out.append(do.ClearPlayout())",
        "The phone is cleared although it holds nothing.",
    ),
    Mutant(
        _SPEECH,
        "        if held:\n            self._out.append(do.ClearPlayout())",
        "        if not held:\n            self._out.append(do.ClearPlayout())",
        "The phone plays on to the end what the caller has interrupted.",
    ),
    Mutant(
        _SPEECH,
        "reply.new_starts, reply.new_start_at, self.held_until = reply.new_starts + 1, now, now + pause",
        "reply.new_start_at, self.held_until = now, now + pause",
        "A connection that breaks again and again is tried for ever, and the caller hears nothing.",
    ),
    Mutant(
        _SPEECH,
        "        if more:\n            reply.utterance = self._utterances\n",
        "",
        "Text that follows a lost connection is never spoken.",
    ),
    Mutant(
        _SPEECH,
        "style = self._styles[self._utterances] = self._styles[failed]",
        "style = self._styles[self._utterances] = Style()",
        "The rest of a sentence comes in another voice.",
    ),
    Mutant(
        _SPEECH,
        "        self._out += [do.CancelSpeech(other) for other in self.playout.unfinished if other != number]\n",
        "",
        "Speech that nobody will hear goes on being made.",
    ),
    Mutant(
        _SPEECH,
        'reply.done, reply.utterance, reply.waiting = True, None, ""',
        'reply.utterance, reply.waiting = None, ""',
        "After failed speech the call waits for an agent that was sent away.",
    ),
    Mutant(
        _SPEECH,
        "        if not reply.done:\n            self._out.append(do.CancelReply(reply.number))\n"
        "        self._out += [",
        "        self._out += [",
        "An agent that was interrupted goes on working for nobody.",
    ),
    Mutant(
        _SPEECH,
        "self._out += [do.CancelSpeech(number) for number in self.playout.unfinished]",
        "pass",
        "Speech that was interrupted goes on being made.",
    ),
    Mutant(
        _SPEECH,
        "            moments.append(self.answer_due(reply))\n",
        "",
        "An agent that never answers is waited for until something else happens.",
    ),
    Mutant(
        _SPEECH,
        "moments.append(reply.text_due(policy.text_pause_s))",
        "pass",
        "Half a sentence of a slow agent is spoken only when something else happens.",
    ),
    Mutant(
        _SPEECH,
        "moments.append(reply.audio_at + self.longest_wait_s)",
        "pass",
        "A speech service that never answers is waited for until something else happens.",
    ),
    Mutant(
        _SPEECH,
        "sending=not (reply.paused or reply.speculative)",
        "sending=True",
        "While speech is held the deadline lies in the past.",
    ),
    Mutant(
        _REPLY,
        "        self.was_speculative = self.speculative\n",
        "",
        "The record does not tell which answers were prepared.",
    ),
    Mutant(
        _REPLY,
        "return self.utterance is not None or bool(self.waiting.strip())",
        "return self.utterance is not None",
        "An agent that stops in mid-sentence is not heard until it goes on.",
    ),
    Mutant(
        _REPLY,
        "return self.text[self.filler :]",
        "return self.text",
        "`One moment, please` counts as the agent's answer.",
    ),
    Mutant(_SENTENCES, "(?=\\s)|[。！？]", "|[。！？]", "`3.50` is spoken as two numbers."),
    Mutant(_SENTENCES, "[\\\"'”’)\\]]*", "", "A closing quotation mark begins the next sentence."),
    Mutant(_SENTENCES, '        "dr",\n', "", "`Dr. Smith` is spoken as two sentences."),
    Mutant(_SENTENCES, "_LOOK_BACK = 40", "_LOOK_BACK = 4", "`Approx.` ends a sentence."),
    Mutant(_SENTENCES, ' and last != "I"', "", "`So do I.` waits for the next sentence."),
    Mutant(
        _SENTENCES,
        "    if last.isdigit():\n",
        '    if last == "":\n',
        "The number of a list's line is spoken as a sentence of its own.",
    ),
    Mutant(
        _TALK,
        "self.speech.voice = change.voice or self.speech.voice",
        "self.speech.voice = change.voice",
        "Who changes only the recogniser loses the voice.",
    ),
    Mutant(
        _TALK,
        "        self.speech.language = change.language or self.speech.language\n",
        "",
        "The language that the agent has set is gone with the next answer.",
    ),
    Mutant(
        _TALK,
        "            self.out.append(do.TuneRecognizer(change.tuning))\n",
        "            pass\n",
        "The recogniser is never tuned.",
    ),
    Mutant(_TALK, "        reply.actions += actions\n", "", "Good-bye is said, and the line stays open."),
    Mutant(
        _TALK,
        "            self.record(journal.SpeculationDropped(self.ms(), reply.turn, reply.number))\n",
        "",
        "Nobody can tell how many answers were prepared in vain.",
    ),
    Mutant(
        _TALK,
        "self.agent_failures += 1",
        "self.agent_failures += 0",
        "A caller hears the apology for ever.",
    ),
    Mutant(
        _TALK,
        "self.agent_failures += 1\n        reply.failed = True",
        "self.agent_failures += 1\n        reply.failed = not reply.answer.strip()",
        "An agent that fails in mid-answer leaves the caller with half of it and without a word.",
    ),
    Mutant(
        _TALK,
        "            self.drop_speculation()  # The turn's end asks again.\n            return\n",
        "            self.drop_speculation()  # The turn's end asks again.\n",
        "A prepared answer that fails counts as a failure that the caller never heard of.",
    ),
    Mutant(
        _TALK,
        "again, stalled = not final and not self.speech.failures,",
        "again, stalled = not self.speech.failures,",
        "What the service has refused is asked for again.",
    ),
    Mutant(
        _TALK,
        "        self.speech.failures += 1\n",
        "",
        "A voice that never comes is apologised for again and again, with that voice.",
    ),
    Mutant(
        _TALK,
        ' or reply.occasion == "prompt":',
        ":",
        "An apology that fails is followed by silence.",
    ),
    Mutant(
        _TALK,
        "        else:\n            reply.failed = True",
        "        elif not self.speech.playout.begun:\n            reply.failed = True",
        "A voice that breaks off in mid-answer leaves the caller with half of it and without a word.",
    ),
    Mutant(
        _TALK,
        "        else:\n            reply.failed = True",
        "",
        "When speech fails the caller hears nothing at all.",
    ),
    Mutant(
        _MACHINE,
        "event.reply != reply.number or reply.done:",
        "event.reply != reply.number:",
        "What an agent sends behind its end, or after it was given up, is spoken.",
    ),
    Mutant(
        _MACHINE,
        "if reply is None or event.reply != reply.number or reply.done:",
        "if reply is None or reply.done:",
        "Late pieces of a cancelled answer are spoken in the next.",
    ),
    Mutant(
        _MACHINE,
        "and isinstance(event.action, Say) and not event.action.text.strip()",
        "and event.action is None",
        "An agent that sends nothing but spaces keeps the caller waiting for ever.",
    ),
    Mutant(
        _MACHINE,
        "reply.text_first = reply.text_first or talk.now",
        "reply.text_first = talk.now",
        "The record shows the agent's last word as its first.",
    ),
    Mutant(
        _MACHINE,
        "                talk.agent_failures = 0\n",
        "",
        "Three failures anywhere in a long call end it.",
    ),
    Mutant(
        "rules.py",
        "        talk.speech.failures = 0\n",
        "        pass\n",
        "Three failed sentences anywhere in a long call end it.",
    ),
    Mutant(
        _MACHINE,
        "wanted = utterance is not None and not utterance.finished",
        "wanted = utterance is not None",
        "An error behind the end of a sentence is apologised for.",
    ),
    Mutant(
        _MACHINE,
        "final=event.final)",
        "final=True)",
        "A lost connection costs the caller the rest of the answer.",
    ),
)
