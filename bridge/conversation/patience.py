"""How long the agent waits for a caller who says nothing."""

from __future__ import annotations

from bridge.conversation.policy import Policy


class Patience:
    """The ladder of prompts for a silent caller: asked again, asked once more, let go.

    Silence is counted from the last thing that happened: the end of the agent's speech as the caller heard it,
    words of the caller, a key. Noise does not count as an answer.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._rung = 0
        self._asking = False
        self._since = 0.0

    def stir(self, now: float) -> None:
        """Something happened at `now`. The ladder starts anew, unless it was only our own prompt that ended."""
        if not self._asking:
            self._rung = 0
        self._asking = False
        self._since = now

    def asked(self) -> None:
        """What ends next is a prompt of ours again: the agent had nothing to say to the silence."""
        self._asking = True

    @property
    def next_at(self) -> float:
        """When the next prompt is due."""
        return self._since + self._policy.silence_s

    def take_prompt(self) -> str | None:
        """Return the next prompt, or None when all were said and the caller is to be let go."""
        self._asking = True
        if self._rung >= len(self._policy.silence_prompts):
            return None
        self._rung += 1
        return self._policy.silence_prompts[self._rung - 1]
