"""Acts as Twilio and a caller, over real sockets."""
