"""A rule that is not asked would have found nothing to do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings

from bridge.conversation import rules
from bridge.conversation.machine import Conversation
from bridge.conversation.policy import Policy
from bridge.conversation.rules import Rule
from bridge.conversation.situation import situation
from bridge.conversation.state import Talk
from bridge.simulator.phone import PhoneTraits
from tests.conversation.test_properties import calls, play
from tests.conversation.world import Habits


def watched(rule: Rule) -> Rule:
    """Return the rule, with a look at what it leaves behind when it finds nothing to do."""

    def watch(talk: Talk) -> bool:
        there, out = situation(talk), len(talk.out)
        asked = rule in rules.rules_in(there)
        if rule(talk):
            assert asked, f"{rule.__name__} has something to do in situation {there:b}, and is not asked"
            return True
        assert situation(talk) == there, f"{rule.__name__} found nothing to do, and changed {there:b}"
        assert asked or len(talk.out) == out
        return False

    return watch


@settings(max_examples=120, deadline=None)
@calls
def test_the_rules_that_are_left_out_change_nothing(
    plot: Any, habit: Habits, policy: Policy, trait: PhoneTraits, hang_up: bool
) -> None:
    world = play(plot, habit, policy, trait, hang_up=hang_up)
    every = tuple(map(watched, rules.RULES))
    again = Conversation(policy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "rules_of", lambda _: every)
        for moment, event, commands in world.steps:
            assert again.handle(event, moment) == commands


def test_every_rule_has_its_place_in_the_order() -> None:
    assert len(set(rules.RULES)) == len(rules.RULES)
    assert set(rules._NEEDS) <= set(rules.RULES)
