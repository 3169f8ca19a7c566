"""Mutants of what becomes of a call between two people."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_FILE = "overheard.py"

MUTANTS = (
    Mutant(
        _FILE,
        "TransferEnded(status, duration_s) if not self._dialled:",
        "TransferEnded(status, duration_s):",
        "A callback that comes twice is told twice.",
    ),
    Mutant(
        _FILE,
        'StreamStarted() if self._state == "broken":',
        'StreamStarted() if self._state == "draining":',
        "A stream that comes back is not listened to.",
    ),
    Mutant(
        _FILE,
        'self._state in {"waiting", "live", "broken"}',
        'self._state in {"live", "broken"}',
        "A call that is over before it began stays for ever.",
    ),
    Mutant(
        _FILE,
        "        if not self._dialled:\n            return self._policy.ended\n",
        "",
        "The caller who hung up was not reached.",
    ),
    Mutant(
        _FILE,
        '"callee" if self._dialled in {"completed", "answered"}',
        '"callee" if self._dialled',
        "A busy line is told as a talk.",
    ),
    Mutant(
        _FILE,
        "                side.outage.lost(self._now)\n",
        "                pass\n",
        "A turn is cut off while its words are still to come.",
    ),
    Mutant(
        _FILE,
        "                side.closed = True\n",
        "                pass\n",
        "Every call ends ten seconds too late.",
    ),
    Mutant(
        _FILE,
        "                if turn.speaking:\n                    self._close_turn(party, incomplete=True)",
        "                if False:\n                    self._close_turn(party, incomplete=True)",
        "Words are lost when the service forgets to end a turn.",
    ),
    Mutant(
        _FILE,
        'known=late if transcript.startswith(late) else "")',
        'known="")',
        "What was said before an outage stands there twice.",
    ),
    Mutant(
        _FILE,
        "            case on.TurnResumed():\n                turn.touched_at = self._now\n",
        "",
        "Who pauses and goes on is cut off.",
    ),
    Mutant(
        _FILE,
        "or all(side.closed for side in self._sides.values())",
        "or any(side.closed for side in self._sides.values())",
        "The last words of the slower side are lost.",
    ),
    Mutant(
        _FILE, '        self._out.append(do.LeaveCall("limit"))\n', "", "A call that is too long is listened to on."
    ),
    Mutant(
        _FILE,
        "        side.turn.given_up = side.turn.transcript\n",
        "",
        "What is told late of a turn that was ended stands there again.",
    ),
    Mutant(
        _FILE,
        "self._ms(turn.touched_at if incomplete else self._now)",
        "self._ms(self._now)",
        "A forgotten turn lasts until it was missed.",
    ),
    Mutant(
        _FILE,
        "            if side.turn.speaking:\n                self._close_turn(party, incomplete=True)",
        "            if False:\n                self._close_turn(party, incomplete=True)",
        "What is being said when the call ends is lost.",
    ),
    Mutant(
        _FILE, "self._now + self._policy.reattach_s", "self._now", "A stream that breaks ends the call at once."
    ),
)
