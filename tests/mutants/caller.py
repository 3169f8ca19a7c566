"""Mistakes about the caller: which words are whose, when a turn begins and ends, and what it means."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_TURN = "caller.py"
_ECHO = "echo.py"
_EVENTS = "machine.py"
_TALK = "state.py"
_MEANING = "meaning.py"

MUTANTS = (
    Mutant(_TURN, "self.number += 1", "self.number = 1", "Every turn is kept as the first."),
    Mutant(
        _TURN,
        "self.speaking, self.eager, self.dismissed = True, False, False",
        "self.speaking, self.eager = True, False",
        "After one long noise no sound of the caller silences the agent any more.",
    ),
    Mutant(
        _TURN,
        'self.transcript, self.eager_at, self.given_up, self.over_reply = "", None, None, None',
        'self.transcript, self.eager_at, self.over_reply = "", None, None',
        "Once a turn was given up, a caller who says the same later is not heard.",
    ),
    Mutant(
        _TURN,
        'self.transcript, self.eager_at, self.given_up, self.over_reply = "", None, None, None',
        'self.transcript, self.eager_at, self.given_up = "", None, None',
        "After an echo, a caller who repeats the agent's words is taken for another one.",
    ),
    Mutant(
        _TURN,
        'self.transcript, self.eager_at, self.given_up, self.over_reply = "", None, None, None',
        'self.transcript, self.given_up, self.over_reply = "", None, None',
        "The record shows an eager end in a turn that had none.",
    ),
    Mutant(
        _TURN,
        "transcript != self.transcript and (transcript.strip() or not self.worded)",
        "transcript != self.transcript",
        "An empty text at the end wipes out what the caller said.",
    ),
    Mutant(
        _TURN,
        "transcript != self.transcript and (transcript.strip() or not self.worded)",
        "transcript.strip() or not self.worded",
        "A service that only repeats itself keeps a turn open for ever.",
    ),
    Mutant(
        _TURN,
        "transcript = transcript.removeprefix(self.known)",
        "transcript = str(transcript)",
        "A turn that goes on after we ended it has its first half answered twice.",
    ),
    Mutant(
        _TURN,
        "return not transcript.strip() or same_words(self.given_up, transcript)",
        "return not transcript.strip()",
        "The late end of a turn that was given up is answered a second time.",
    ),
    Mutant(
        _TURN,
        "return not transcript.strip() or same_words(self.given_up, transcript)",
        "return same_words(self.given_up, transcript)",
        "The empty late end of a turn that was given up is kept as another turn.",
    ),
    Mutant(
        _TURN,
        "return self.number > 0 and recent and same_words(self.transcript, transcript)",
        "return False",
        "An end that the service tells twice is answered twice.",
    ),
    Mutant(
        _TURN,
        "recent = not end or now < self.ended_at + _REPEATED_S",
        "recent = True",
        "A caller who says `yes` to two questions is heard once.",
    ),
    Mutant(
        _TURN,
        "return bare(one) == bare(other)",
        "return one == other",
        "A comma that the service adds at the end throws the prepared answer away.",
    ),
    Mutant(
        _TURN,
        "said in _bare_of(listed)",
        "any(map(said.startswith, _bare_of(listed)))",
        "`Okay, stop!` is taken for a sign of listening, and the agent talks on.",
    ),
    Mutant(
        _TURN,
        "if c.isalnum()",
        "if c.isalpha()",
        "`A table for 2` and `a table for 3` are the same: the answer to the wrong one is spoken.",
    ),
    Mutant(_ECHO, "WINDOW_S = 1.2", "WINDOW_S = 12.0", "A caller who repeats a phrase on purpose is not answered."),
    Mutant(_ECHO, "_WORDS_AFTER = 4", "_WORDS_AFTER = 40", "A caller who guesses what comes next is not answered."),
    Mutant(_ECHO, "_ALIKE = 0.8", "_ALIKE = 0.3", "A caller who shares a word with the agent is not answered."),
    Mutant(
        _ECHO,
        "wanted = ceil(len(said) * _ALIKE)",
        "wanted = int(len(said) * _ALIKE)",
        "Whatever single word the caller says is an echo.",
    ),
    Mutant(
        _ECHO,
        "range(first, min(last, len(candidates)) + 1)",
        "range(first, min(last, len(candidates)))",
        "The echo of the last words is answered as if the caller had said them.",
    ),
    Mutant(
        _ECHO,
        "(half and len(one) > 1)",
        "half",
        "A mere `e` of the caller is an echo of any word that ends so.",
    ),
    Mutant(
        _ECHO,
        " or (index == last and other.startswith(one))",
        "",
        "An echo whose last word is cut in half interrupts the agent.",
    ),
    Mutant(
        _ECHO,
        "(index == 0 and other.endswith(one)) or ",
        "",
        "An echo whose first word is cut in half interrupts the agent.",
    ),
    Mutant(
        _ECHO,
        "heard + next_words[:_WORDS_AFTER]",
        "next_words[:_WORDS_AFTER] + heard",
        "An echo of the words around this moment is not known as one.",
    ),
    Mutant(
        _EVENTS,
        "if turn.speaking:\n                    talk.close_turn(incomplete=True)",
        "if not turn.speaking:\n                    pass",
        "When the service forgets an end, the words of the first turn are lost.",
    ),
    Mutant(
        _EVENTS,
        "turn.eager, turn.touched_at = False, talk.now",
        "turn.touched_at = talk.now",
        "A caller who goes on after an eager end has half a sentence put to the agent.",
    ),
    Mutant(
        _EVENTS,
        "turn.eager, turn.touched_at = False, talk.now",
        "turn.eager = False",
        "A caller who pauses and goes on is cut off as if the service had fallen silent.",
    ),
    Mutant(
        _EVENTS,
        "turn.eager, turn.touched_at = False, talk.now\n                talk.drop_speculation()",
        "turn.eager, turn.touched_at = False, talk.now",
        "The answer to half a sentence stays prepared after the caller went on.",
    ),
    Mutant(
        _EVENTS,
        "turn.eager, turn.eager_at = True, talk.now\n                    talk.drop_stale_speculation()",
        "turn.eager, turn.eager_at = True, talk.now",
        "The agent is not asked again when the caller said more before the next eager end.",
    ),
    Mutant(
        _EVENTS,
        "turn.eager, turn.eager_at = True, talk.now",
        "turn.eager = True",
        "The record does not tell when the eager end came.",
    ),
    Mutant(
        _EVENTS,
        "if turn.repeats(transcript, talk.now, end=isinstance(event, on.TurnEnded)):\n                    return",
        "",
        "The late end of a turn that we ended makes another turn of the same words.",
    ),
    Mutant(
        _EVENTS,
        "turn.hear(transcript, talk.now)",
        "if not isinstance(event, on.TurnEnded):\n                    turn.hear(transcript, talk.now)",
        "The last words of the caller's turn are lost.",
    ),
    Mutant(
        _EVENTS,
        "talk.close_turn(incomplete=False)",
        "talk.close_turn(incomplete=True)",
        "Every turn is kept as broken off.",
    ),
    Mutant(
        _TALK,
        "self.policy.echo_guard and reply is not None",
        "reply is not None",
        "The echo guard cannot be switched off.",
    ),
    Mutant(
        _TALK,
        "reply is not None and self.speech.playout.sounding(self.now)",
        "reply is not None",
        "A caller who repeats the agent's words in its pause is not answered.",
    ),
    Mutant(
        _TALK,
        "self.turn.over_from = self.speech.playout.heard_before(self.now, WINDOW_S)",
        "self.turn.over_from = 0",
        "A phrase from the beginning of a long answer, asked back, is taken for an echo.",
    ),
    Mutant(
        _TALK,
        "turn.speaking, turn.eager, turn.ended_at = False, False, self.now",
        "turn.speaking, turn.ended_at = False, self.now",
        "The agent is asked a second time what it has answered, and its answer is never spoken.",
    ),
    Mutant(
        _TALK,
        'self.echoes += meaning == "echo"',
        'self.echoes += meaning != "words"',
        "After two signs of listening the agent no longer falls silent for the caller.",
    ),
    Mutant(
        _TALK,
        'self.echoes += meaning == "echo"',
        "self.echoes += 0",
        "On a line that gives everything back the agent is silenced by each of its words.",
    ),
    Mutant(
        _TALK,
        'if meaning not in {"empty", "echo"}:\n            self.patience.stir(self.now)',
        "self.patience.stir(self.now)",
        "A noisy line counts as a caller who is there, for ever.",
    ),
    Mutant(
        _TALK,
        'meaning != "words" or degraded or',
        'meaning != "words" or',
        "Half a sentence is answered although the caller is asked to say it again.",
    ),
    Mutant(
        _TALK,
        "            self.drop_speculation()\n            return\n        # What is said",
        "            return\n        # What is said",
        "A prepared answer to a turn that got lost is held for ever, and the call is mute.",
    ),
    Mutant(
        _TALK,
        '(self.over_speech if over_speech else self.messages).append(do.Message("user", turn.transcript.strip()))',
        "pass",
        "The agent does not find what the caller said among the messages.",
    ),
    Mutant(
        _TALK,
        "same_words(reply.transcript, joined(self.unanswered))",
        "same_words(reply.transcript, turn.transcript)",
        "The answer that was prepared to both halves of a question is thrown away and asked for again.",
    ),
    Mutant(
        _TALK,
        "same_words(reply.transcript, joined(self.unanswered))",
        "reply.transcript",
        "The answer to half a sentence is spoken although the caller went on.",
    ),
    Mutant(
        _TALK,
        "self.speech.release(reply, self.now)\n                self.unanswered.clear()",
        "self.speech.release(reply, self.now)",
        "What was answered ahead of time is answered again.",
    ),
    Mutant(
        _MEANING,
        "if _is_echo(turn, speech, now):",
        "if reply is not None and speech.playout.sounding(now) and _is_echo(turn, speech, now):",
        "An echo that is recognised after the voice was stopped takes the floor.",
    ),
    Mutant(
        _MEANING,
        " or not speech.playout.begun:",
        ":",
        "`Okay` before the agent has said a word is not answered.",
    ),
    Mutant(
        _MEANING,
        'asked = reply.done or reply.text.rstrip().endswith(("?", "？"))',
        "asked = True",
        "`Uh-huh` while the agent thinks of its next sentence cuts it off.",
    ),
    Mutant(
        _MEANING,
        "speech.unheard_words(reply, now) <= 2",
        "speech.unheard_words(reply, now) <= 20",
        "`Uh-huh` in the middle of an answer cuts it off.",
    ),
    Mutant(
        _MEANING,
        "speech.unheard_words(reply, now) <= 2",
        "speech.unheard_words(reply, now) < 0",
        "`Okay` over the last word of a question is not taken as its answer.",
    ),
    Mutant(
        _MEANING,
        "reply.text[turn.over_from : heard], reply.text[heard:]",
        'reply.text[turn.over_from : heard], ""',
        "An echo that runs ahead of what is certain to have sounded interrupts the agent.",
    ),
    Mutant(
        _TALK,
        "now = joined([*self.unanswered, self.turn.transcript])",
        "now = self.turn.transcript",
        "A second eager end with the same words throws the prepared answer away.",
    ),
)
