"""A clinic's booking agent, as its author wrote it for Twilio's ConversationRelay: FastAPI.

It streams what its model writes and never says that it is done: it has found out that Twilio speaks all the same.
"""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # the library has no types


async def model(prompt: str) -> AsyncIterator[str]:
    """What a language model would write."""
    for token in f"You said: {prompt} Which day suits you?".split(" "):
        yield token + " "


def clinic(auth_token: str, sessions: list[list[dict[str, Any]]]) -> FastAPI:
    app = FastAPI()

    @app.websocket("/cr/{tenant}")
    async def conversation(websocket: WebSocket, tenant: str) -> None:
        signature = websocket.headers.get("x-twilio-signature", "")
        if not RequestValidator(auth_token).validate(str(websocket.url), {}, signature):
            await websocket.close(code=1008)
            return
        await websocket.accept()
        session: list[dict[str, Any]] = [{"tenant": tenant}]
        sessions.append(session)
        try:
            while True:
                message = await websocket.receive_json()
                session.append(message)
                match message["type"]:
                    case "setup":
                        name = message["customParameters"].get("name", "there")
                        await websocket.send_json({"type": "text", "token": f"Hello {name}.", "last": True})
                    case "prompt" if not message["last"]:
                        pass  # The patient is still speaking.
                    case "prompt" if "good-bye" in message["voicePrompt"].lower():
                        await websocket.send_json({"type": "end"})
                    case "prompt":
                        async for token in model(message["voicePrompt"]):
                            await websocket.send_json({"type": "text", "token": token})
        except WebSocketDisconnect as closed:
            session.append({"closed": closed.code})

    return app
