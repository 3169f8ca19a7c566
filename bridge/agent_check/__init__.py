"""The conformance kit for authors of webhook agents: `phone-bridge agent check URL`."""
