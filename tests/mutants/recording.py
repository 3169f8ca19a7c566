"""Mutants of how a call's recording is paused."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_FILE = "recording.py"

MUTANTS = (
    Mutant(
        _FILE,
        "return _pause(0) if",
        "return [] if",
        "What is said before anybody consents is in the journal as recorded.",
    ),
    Mutant(_FILE, '{state, "off"}', '{"off"}', "A second pause is told as another one."),
    Mutant(_FILE, '{state, "off"}', "{state}", "A call that is not recorded is said to be resumed."),
    Mutant(_FILE, "self.state = state\n        if", "if", "A recording that was paused is never resumed."),
    Mutant(_FILE, 'if state == "paused":', 'if state == "on":', "A pause resumes."),
    Mutant(
        "state.py",
        '"on" and self.recording.state == "off"',
        '"off"',
        "An agent never learns that nothing is recorded.",
    ),
    Mutant("machine.py", "talk.out += talk.recording.begin()", "pass", "A call that begins paused is recorded."),
    Mutant(
        "overheard.py",
        "self._out += self._recording.begin()",
        "pass",
        "Two people's call that begins paused is recorded.",
    ),
    Mutant(
        "overheard.py",
        'Set(recording=("on" | "paused") as state) if self._state != "waiting":',
        'Set(recording=("on" | "paused") as state):',
        "A pause before two people's call has a time that cannot be.",
    ),
)
