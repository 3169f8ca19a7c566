"""Mistakes about what was heard: positions, marks, words, pacing."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_PLAYOUT = "playout.py"
_SOUND = "sound.py"
_UTTERANCE = "utterance.py"
_TALK = "state.py"

MUTANTS = (
    Mutant(
        _PLAYOUT,
        "self._sent = self._marked = self._cut_at = self._told = 0",
        "self._sent = self._marked = self._cut_at = 0",
        "When the line breaks, words count as heard because as many were heard of the last answer.",
    ),
    Mutant(
        _PLAYOUT,
        "        self.begun = False\n        self._anchor",
        "        self._anchor",
        "From the second answer on, `okay` before it is audible is not answered.",
    ),
    Mutant(
        _PLAYOUT,
        "        self.begun = False\n        self._anchor",
        "        self.begun = False\n        self._count = 0\n        self._anchor",
        "A late mark of the last answer counts as heard for this one.",
    ),
    Mutant(
        _PLAYOUT,
        "rest = utterance.split(max(0, self._sent - begin))",
        "rest = utterance.split(0)",
        "After a lost connection audio that is in the phone already is forgotten.",
    ),
    Mutant(
        _PLAYOUT,
        "self._utterances.insert(index + 1, Utterance(",
        "self._utterances.insert(len(self._utterances), Utterance(",
        "The rest of a sentence is spoken behind the next one.",
    ),
    Mutant(
        _PLAYOUT,
        "rules = (utterance.words_needed, utterance.keys, utterance.preemptible)",
        "rules = (1, utterance.keys, utterance.preemptible)",
        "The rest of a legal notice can be cut off.",
    ),
    Mutant(
        _PLAYOUT,
        "                del self._utterances[index + 1 :]\n",
        "",
        "The sentence behind one that failed is spoken without it.",
    ),
    Mutant(
        _PLAYOUT,
        "utterance.finished = utterance.failed = True",
        "utterance.finished = True",
        "Words whose audio never came count as heard.",
    ),
    Mutant(
        _PLAYOUT,
        "while self._sent < end and self._ends - now < self._policy.lead_s:",
        "while self._sent < end:",
        "The phone holds a whole answer, and a hiccup of the network costs all of it.",
    ),
    Mutant(
        _PLAYOUT,
        "take = min(end - self._sent, segment - (self._sent - self._marked))",
        "take = end - self._sent",
        "Only the end of a sentence has a mark: after a cut nobody knows what was heard.",
    ),
    Mutant(
        _PLAYOUT,
        "within=offset > 0",
        "within=True",
        "Thinking between two sentences counts as a phone that ran dry.",
    ),
    Mutant(
        _PLAYOUT,
        "            if self._sent < end or not utterance.finished:\n                break\n"
        "            if self._sent > ",
        "            if self._sent < end:\n                break\n            if self._sent > ",
        "The second sentence is spoken in the middle of the first.",
    ),
    Mutant(
        _PLAYOUT,
        "            if self._sent > self._marked and self._sent == end:\n"
        "                commands.append(self._mark())\n",
        "",
        "The end of a sentence has no mark, and every turn of the call is slower.",
    ),
    Mutant(
        _PLAYOUT,
        "        self.begun = True\n",
        "",
        "A backchannel in the middle of an answer cuts it off.",
    ),
    Mutant(
        _PLAYOUT,
        "self.under_runs += within and self._sent > self._cut_at",
        "self.under_runs += within",
        "Speech that goes on after a false alarm counts as a phone that ran dry.",
    ),
    Mutant(
        _PLAYOUT,
        "self.under_runs += within and self._sent > self._cut_at",
        "pass",
        "Nobody can tell that speech came in shreds.",
    ),
    Mutant(_PLAYOUT, 'f"{self._epoch}.{self._count}"', 'f"{self._count}"', "Marks of an earlier life count."),
    Mutant(
        _PLAYOUT,
        "        self._marked = self._sent\n        return SendMark",
        "        return SendMark",
        "Marks stand in the wrong places, and words count as heard too early.",
    ),
    Mutant(
        _PLAYOUT,
        "self.lost_marks += 1  # Marks come",
        "pass  # Marks come",
        "Nobody can tell that marks get lost on this line.",
    ),
    Mutant(
        _PLAYOUT,
        "        self._told = mark.position\n",
        "",
        "When the line breaks, everything that was heard is said again.",
    ),
    Mutant(
        _PLAYOUT,
        "self._lag = min(max(late, self._policy.latency_s), _LONGEST_LAG_S)",
        "self._lag = self._policy.latency_s",
        "On a slow line words count as heard before they sound.",
    ),
    Mutant(
        _PLAYOUT,
        "        self._notice_gap(late)\n",
        "",
        "Nobody can tell that the network starved the phone.",
    ),
    Mutant(
        _PLAYOUT,
        "self._usual is None or late <= self._usual + _LATE_S",
        "self._usual is None or late <= self._usual",
        "Jitter of the network counts as a phone that ran dry.",
    ),
    Mutant(
        _PLAYOUT,
        "            self.lost_marks += 1\n            self._know",
        "            self._know",
        "Nobody can tell that marks get lost on this line.",
    ),
    Mutant(
        _PLAYOUT,
        "self._pending[0].expected + self._grace <= now:",
        "self._pending[0].expected <= now:",
        "A mark that is a little late counts as lost, and its audio as heard.",
    ),
    Mutant(
        _PLAYOUT,
        "return min(self._clock(now)[0], self._pending[0].position if self._pending else self._sent)",
        "return self._clock(now)[0]",
        "On a line that stalls words count as heard that never sounded.",
    ),
    Mutant(
        _PLAYOUT,
        "starts = max(free, message.at + self._lag)",
        "starts = max(free, message.at)",
        "Words count as heard while they are still on their way.",
    ),
    Mutant(
        _PLAYOUT,
        "utterance.heard = max(utterance.heard, utterance.characters_at(position - begin))",
        "utterance.heard = utterance.characters_at(position - begin)",
        "What was heard is unsaid when a later word's time tells otherwise.",
    ),
    Mutant(
        _PLAYOUT,
        "        if not told:\n            self.listen(now)",
        "        self.listen(now)",
        "Words that a dead line swallowed count as heard.",
    ),
    Mutant(
        _PLAYOUT,
        "position = self._told if told else self._position(now)",
        "position = self._position(now)",
        "After the line broke, the words that it swallowed are not said again.",
    ),
    Mutant(
        _PLAYOUT,
        "position = begin + max(utterance.rewind_to(position - begin), utterance.audio.begin)",
        "position = begin + (position - begin)",
        "After a false alarm the agent goes on in the middle of a word.",
    ),
    Mutant(
        _PLAYOUT,
        "        self._pending.clear()\n        self._messages.clear()\n        self._sent",
        "        self._messages.clear()\n        self._sent",
        "Marks that a clear returns count as heard.",
    ),
    Mutant(
        _PLAYOUT,
        "        self._messages.clear()\n        self._sent",
        "        self._sent",
        "After a cut, audio that was dropped goes on counting as sounding.",
    ),
    Mutant(
        _PLAYOUT,
        "self._sent = self._marked = self._cut_at = position",
        "self._sent = self._marked = position",
        "The silence of a false alarm counts as a phone that ran dry.",
    ),
    Mutant(
        _PLAYOUT,
        "self._sent = self._marked = self._cut_at = position",
        "self._marked = self._cut_at = position",
        "After a false alarm two seconds of speech are missing.",
    ),
    Mutant(
        _PLAYOUT,
        "        self._ends = now\n        return held",
        "        return held",
        "After a false alarm the agent waits before it goes on.",
    ),
    Mutant(
        _PLAYOUT,
        "held = position < self._sent",
        "held = position > 0",
        "The first word of an answer cannot be stopped, and an empty phone is cleared.",
    ),
    Mutant(
        _PLAYOUT,
        "            if position < begin or not utterance.finished:\n",
        "            if begin >= 0:\n",
        "Everything behind a legal notice is as protected as the notice.",
    ),
    Mutant(
        _PLAYOUT,
        "if position < begin or not utterance.finished:",
        "if position < begin:",
        "A legal notice is given up when the caller speaks before its audio has come.",
    ),
    Mutant(
        _PLAYOUT,
        "position = max(0, self._position(now) - to_bytes(seconds))",
        "position = self._position(now)",
        "An echo of the word before this moment interrupts the agent.",
    ),
    Mutant(
        _PLAYOUT,
        "return not self.waiting and self._position(now) >= sum(",
        "return self._position(now) >= sum(",
        "The agent hangs up while its last sentence is still being made.",
    ),
    Mutant(
        _PLAYOUT,
        "return not self.waiting and self._position(now) >= sum(",
        "return not self.waiting and self._sent >= sum(",
        "The agent hangs up as soon as its good-bye was sent.",
    ),
    Mutant(
        _PLAYOUT,
        "            moment = self._pending[0].expected + self._grace\n",
        "            pass\n",
        "A last mark that is lost keeps the agent from listening for ever.",
    ),
    Mutant(
        _PLAYOUT,
        "            moment = refill if moment is None else min(moment, refill)\n",
        "            pass\n",
        "The phone runs dry after the first seconds of an answer.",
    ),
    Mutant(
        _UTTERANCE,
        "            if not 0 <= word.start <= word.end < _LONGEST_S:\n"
        "                continue  # No time at all.\n",
        "",
        "One word with an impossible time breaks the call.",
    ),
    Mutant(
        _UTTERANCE,
        "begin = self.words[-1][0] if self.words else 0",
        "begin = 0",
        "A word that comes twice counts as heard the first time only.",
    ),
    Mutant(
        _UTTERANCE,
        "not (at and _joins(text[at - 1])) and ",
        "",
        "`No` is found inside `know`, and too little counts as heard.",
    ),
    Mutant(
        _UTTERANCE,
        "min(begin + _WORDS_AHEAD, len(self.text))",
        "len(self.text)",
        "A number spoken in words makes a whole paragraph count as heard.",
    ),
    Mutant(
        _UTTERANCE,
        " or _count_words(self.text[begin : end - len(word)]) > 2 * self.missed",
        "",
        "A number spoken in words makes all count as heard up to where the same word stands again.",
    ),
    Mutant(
        _UTTERANCE,
        "        self.missed = 0\n",
        "",
        "Behind a number spoken in words the words may be found anywhere.",
    ),
    Mutant(
        _UTTERANCE,
        "self.missed += _count_words(word)",
        "self.missed = 0",
        "Behind a number nothing more of the sentence counts as heard before its end.",
    ),
    Mutant(
        _UTTERANCE,
        "            return begin\n",
        "            return begin + len(word)\n",
        "A word that is spoken in another form makes half of the next count as heard.",
    ),
    Mutant(
        _UTTERANCE,
        "            end += 1\n",
        "            break\n",
        "What was heard ends before the comma that was spoken with it.",
    ),
    Mutant(
        _UTTERANCE,
        "(self.text[end].isspace() or UNSPACED.match(self.text[end]))",
        "self.text[end].isspace()",
        "The first word of a Japanese answer makes all of it count as heard.",
    ),
    Mutant(
        _UTTERANCE,
        " and not UNSPACED.match(sign)",
        "",
        "Of a Chinese answer only the words before a comma are ever found.",
    ),
    Mutant(
        _UTTERANCE,
        "if self.finished and not self.failed and offset >= len(self.audio):",
        "if self.finished and offset >= len(self.audio):",
        "Words whose audio never came count as heard.",
    ),
    Mutant(
        _UTTERANCE,
        "for end, _, last in self.words if last <= offset), default=0)",
        "for end, last, _ in self.words if last <= offset), default=0)",
        "A word counts as heard as soon as it begins.",
    ),
    Mutant(
        _UTTERANCE,
        "        while at > 0 and not self.text[at : at + 1].isspace():\n            at -= 1\n",
        "",
        "Half a word counts as heard.",
    ),
    Mutant(
        _UTTERANCE,
        "_GUESSED_BYTES_PER_CHARACTER = 1000",
        "_GUESSED_BYTES_PER_CHARACTER = 10",
        "While audio still comes, words count as heard that have not come yet.",
    ),
    Mutant(
        _UTTERANCE,
        "                return min(start, offset)\n",
        "                return offset\n",
        "After a false alarm the agent goes on in the middle of a word.",
    ),
    Mutant(_UTTERANCE, "if last > offset:", "if last >= offset:", "A word that was heard is said again."),
    Mutant(
        _UTTERANCE,
        "for end, _, last in self.words if last <= len(self.audio)]",
        "for end, _, last in self.words]",
        "After a lost connection the words whose audio had not come are missing.",
    ),
    Mutant(
        _UTTERANCE,
        "        if not whole and sent:\n            return None\n",
        "",
        "After a lost connection the beginning of a sentence is heard twice.",
    ),
    Mutant(
        _UTTERANCE,
        "        self.audio.cut(max(heard_bytes, sent))\n",
        "",
        "After a lost connection half a word is heard before the whole of it.",
    ),
    Mutant(
        _UTTERANCE,
        "self.audio.cut(max(heard_bytes, sent))",
        "self.audio.cut(heard_bytes)",
        "After a lost connection the beginning of the rest is taken as sent, and missing.",
    ),
    Mutant(
        _SOUND,
        "            if self._begin + len(piece) > offset:\n",
        "            if self._begin > offset:\n",
        "After a false alarm the agent does not say again the word that was cut off.",
    ),
    Mutant(
        _SOUND,
        "audio = together[first - at : stop - at]",
        "audio = together[first - at :]",
        "A piece of speech is sent twice.",
    ),
    Mutant(
        _TALK,
        "heard_answer = heard[reply.filler :]",
        "heard_answer = heard",
        "`One moment, please` stands in the agent's own words.",
    ),
)
