"""The names by which a system under test and the bench know each other: see `systems`. Needs nothing."""

from typing import Final

SPEECH_URL: Final = "BENCH_SPEECH_URL"
AGENT_URL: Final = "BENCH_AGENT_URL"
CHAT_URL: Final = "BENCH_CHAT_URL"
PORT: Final = "BENCH_PORT"
AUTH_TOKEN: Final = "BENCH_AUTH_TOKEN"  # noqa: S105  (the name of a variable)
FOLDER: Final = "BENCH_FOLDER"
READY: Final = "ready at"

AGENT_PATH: Final = "/agent"
CHAT_BASE: Final = "/v1"
CHAT_PATH: Final = f"{CHAT_BASE}/chat/completions"
