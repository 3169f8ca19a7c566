import asyncio
import os

from aiohttp import web


async def agent(request: web.Request) -> web.StreamResponse:
    event = await request.json()
    if event["type"] == "call.started":
        return web.json_response({"say": "Hello! Tell me something, and I will think about it."})
    if event["type"] != "turn.ended":
        return web.Response(status=204)  # nothing to say
    heard = event["turn"]["transcript"]
    if "bye" in heard.lower():
        return web.json_response({"actions": [{"type": "say", "text": "Good-bye!"}, {"type": "hang_up"}]})
    speech = web.StreamResponse(headers={"content-type": "text/plain"})
    await speech.prepare(request)
    for sentence in ("You said: ", heard, " That is interesting. ", "Tell me more, or say good-bye."):
        await speech.write(sentence.encode())  # spoken at once, while the next sentence is being made
        await asyncio.sleep(0.2)
    return speech


app = web.Application()
app.router.add_post("/", agent)
# handler_cancellation: when the caller interrupts, the bridge hangs up on agent() and it stops where it is.
web.run_app(app, port=int(os.environ.get("PORT", "3000")), handler_cancellation=True)
