"""Where what is kept of calls is also sent, as it happens: a webhook, a file, a message bus."""
