"""The carrier: Twilio'\''s webhooks, media stream, signatures and REST API."""
