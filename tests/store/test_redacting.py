"""What is kept of a call that was taken over is redacted as if it had been one process all along."""

from __future__ import annotations

from bridge.conversation import journal as j
from bridge.privacy.redactor import Redactor
from bridge.store.base import Reopened
from bridge.store.redacting import RedactingStore
from tests.call.peers import KeptRecord, KeptStore
from tests.store.samples import HEADER


async def test_a_number_that_began_before_goes_on_to_be_struck_out() -> None:
    inner = KeptStore()
    record = KeptRecord(HEADER)
    begun = j.CallerSpoke(1, "My card is 4111 1111", 1000, 3000)
    inner.left[HEADER.sid] = Reopened(HEADER, (begun, j.CallTakenOver(4000, 2)), 2, 4000, record)
    store = RedactingStore(inner, Redactor())
    found = await store.reopen(HEADER.sid)
    assert found is not None
    found.record.append(j.CallerSpoke(2, "1111 1111", 5000, 6000))
    (kept,) = record.entries
    assert isinstance(kept, j.CallerSpoke)
    assert "1111" not in kept.transcript
    assert await store.reopen(HEADER.sid) is None


async def test_what_was_given_along_and_how_a_call_stands_is_redacted_too() -> None:
    inner = KeptStore()
    record = RedactingStore(inner, Redactor()).open(HEADER)
    card = "4111 1111 1111 1111"
    record.append(j.CallArranged(0, {"card": card, "name": "Zoë"}))
    record.append(j.Standing(10, left={"reason": "transfer", "transfer": {"to": "+15550100", "summary": card}}))
    arranged, standing = inner.records[0].entries
    assert isinstance(arranged, j.CallArranged)
    assert isinstance(standing, j.Standing)
    assert arranged.parameters["name"] == "Zoë"
    assert standing.left["transfer"]["to"] == "+15550100"
    assert "4111" not in f"{arranged} {standing}"
