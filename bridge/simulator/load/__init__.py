"""Acts as the carrier for hundreds of calls at once, at a small part of what they cost the bridge.

Everything on the wire is as Twilio's: signed handshake, connected, start, media, mark and stop. What differs from
the rest of the simulator is only the price: no task, timer or WebSocket object per frame. A frame is a template
that is filled in, sent on a bare socket by one timer that all phones share.
"""
