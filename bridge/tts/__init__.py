"""Text to speech: the contract and its adapters."""
