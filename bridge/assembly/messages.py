"""What keeps messages that callers left with the carrier, as the settings say. `bridge.app` calls this."""

from __future__ import annotations

from bridge.assembly.keeping import Keeping
from bridge.assembly.parts import make_redactor
from bridge.conversation.journal import Entry
from bridge.privacy.call import CallRedaction
from bridge.settings import Settings
from bridge.speech.adapters import batch
from bridge.speech.standby import Standby
from bridge.store.base import CallHeader
from bridge.stt.cartesia_batch import CartesiaBatch
from bridge.twilio.recordings import Recordings
from bridge.voicemail.sounds import MessageSounds
from bridge.voicemail.words import MessageWords, Ways


def message_words(settings: Settings, keeping: Keeping, speech_url: str, standby: Standby | None) -> MessageWords:
    """Return what makes text of messages that callers left with Twilio; to be made on the event loop."""
    redactor = make_redactor(settings)
    listeners = [batch(settings, speech_url)]
    if standby is not None:
        listeners.append(CartesiaBatch(standby.link()))

    def language_of(header: CallHeader) -> str:
        ours = header.caller if header.direction == "outbound" else header.called
        return settings.for_number(ours).stt.language

    def redact(entry: Entry) -> Entry:
        return CallRedaction(redactor).entry(entry)

    return MessageWords(Ways(listeners, language_of, redact, keeping.grew, keeping.keys))


def message_sounds(
    settings: Settings, keeping: Keeping, speech_url: str, standby: Standby | None
) -> MessageSounds | None:
    """Return what fetches messages that callers left with Twilio; None: the settings do not name an account."""
    twilio = settings.twilio
    token = twilio.auth_token.get_secret_value()
    if not twilio.account_sid or not token:
        return None
    words = message_words(settings, keeping, speech_url, standby)
    return MessageSounds(Recordings(twilio.account_sid, token, twilio.api_url), keeping.keys, words)
