import { createServer } from "node:http";

const server = createServer(async (request, response) => {
  let event;
  try {
    event = JSON.parse(Buffer.concat(await request.toArray()));
  } catch {
    return response.writeHead(400).end();
  }
  const json = (answer) => response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
  if (event.type === "call.started") return json({ say: "Hello! Tell me something, and I will think about it." });
  if (event.type !== "turn.ended") return response.writeHead(204).end(); // nothing to say
  const heard = event.turn.transcript;
  if (heard.toLowerCase().includes("bye"))
    return json({ actions: [{ type: "say", text: "Good-bye!" }, { type: "hang_up" }] });
  response.writeHead(200, { "content-type": "text/plain" });
  for (const sentence of ["You said: ", heard, " That is interesting. ", "Tell me more, or say good-bye."]) {
    if (response.destroyed) return; // the caller interrupted: the bridge has closed the connection
    response.write(sentence); // spoken at once, while the next sentence is being made
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  response.end();
});

server.listen(process.env.PORT ?? 3000, () => console.log(`agent on http://127.0.0.1:${server.address().port}`));
