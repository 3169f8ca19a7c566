"""Plays a scripted party on its leg."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from bridge.simulator.line import CallError
from bridge.simulator.party import Party


class PartyLeg(Protocol):
    """What a party does on its leg; a `SimulatedCall` is one."""

    async def asked_for_keys(self) -> bool:
        """Wait until keys are asked for, or the leg is connected; False if it ends before."""

    async def connected(self) -> bool:
        """Wait until the leg hears somebody; False if it ends before."""

    async def digits(self, keys: str) -> None:
        """Press keys."""

    async def say(self, audio: bytes) -> object:
        """Say mu-law audio."""

    async def hang_up(self) -> None:
        """Hang up."""


async def play_party(leg: PartyLeg, party: Party) -> None:
    """Do what the party does, until its leg is over. Cancelling does no more of it."""
    with contextlib.suppress(CallError):  # the leg ended in the middle of it
        if party.does is not None:
            await party.does(leg)
            return
        if party.keys and await leg.asked_for_keys():
            await leg.digits(party.keys)
        if not party.talk and party.hang_up_after_s is None:
            return
        if not await leg.connected():
            return
        if party.talk:
            await leg.say(party.talk)
        if party.hang_up_after_s is not None:
            await asyncio.sleep(party.hang_up_after_s)
            await leg.hang_up()
