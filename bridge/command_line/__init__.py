"""The commands of `phone-bridge`, a file each. `bridge.cli` puts them together and imports them when called."""
