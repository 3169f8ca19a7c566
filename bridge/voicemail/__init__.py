"""Messages that callers left with the carrier: fetched, made text of, and put into the records of their calls."""
