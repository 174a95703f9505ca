"""Events of Stage 3 for tests: in its stream, and signed as its webhook."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from standardwebhooks import Webhook

from tests.events_out import SECRET

Json = dict[str, Any]


def event(job: str, level: str = "event", embeddings: int | None = 40, **own: Any) -> Json:
    fields = {
        "event_type": "embedding.job.completed",
        "job_id": job,
        "embedding_type": level,
        "total_embeddings": embeddings,
    }
    return {name: value for name, value in (fields | own).items() if value is not None}


def signed(
    body: bytes | Json, secret: str = SECRET, ago: float = 0, message: str = "msg_1"
) -> dict[str, Any]:
    """What httpx needs to post it: content and headers."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    at = datetime.now(UTC) - timedelta(seconds=ago)
    return {
        "content": content,
        "headers": {
            "content-type": "application/json",
            "webhook-id": message,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(message, at, content.decode()),
        },
    }
