import { createHmac, timingSafeEqual } from "node:crypto";

export function comesFromMyBridge(secret, headers, body) {
  const stamp = headers["webhook-timestamp"];
  const signed = `${headers["webhook-id"]}.${stamp}.${body}`;
  const wanted = Buffer.from("v1," + createHmac("sha256", secret).update(signed).digest("base64"));
  const given = Buffer.from(headers["webhook-signature"]);
  const fresh = Math.abs(Date.now() / 1000 - stamp) < 300; // an old request may be a recorded one
  return fresh && given.length === wanted.length && timingSafeEqual(given, wanted);
}
