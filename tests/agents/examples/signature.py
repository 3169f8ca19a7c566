import base64
import hmac
import time
from collections.abc import Mapping


def comes_from_my_bridge(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    stamp = headers["webhook-timestamp"]
    signed = f"{headers['webhook-id']}.{stamp}.".encode() + body
    digest = base64.b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()
    fresh = abs(time.time() - int(stamp)) < 300  # an old request may be a recorded one
    return fresh and hmac.compare_digest(headers["webhook-signature"], f"v1,{digest}")
