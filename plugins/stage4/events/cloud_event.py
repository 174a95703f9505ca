"""An event of the outbox as a CloudEvent, and the headers that sign it."""

from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
from standardwebhooks import Webhook

from clustering_tasks.contract.cloud_events import CloudEvent
from stage4.database.deliveries import Due

MEDIA_TYPE = "application/cloudevents+json"


def cloud_event(due: Due) -> CloudEvent:
    """Build the envelope."""
    return {
        "specversion": "1.0",
        "id": due.event_id,
        "source": due.source,
        "type": due.type,
        "subject": due.job_id,
        "time": due.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        # Values of the extension `sequence` are compared as texts.
        "sequence": f"{due.sequence:010d}",
        "traceparent": due.traceparent,
        "data": due.data,
    }


def body(due: Due) -> bytes:
    """Write the envelope as JSON, the same whenever the event is sent."""
    return orjson.dumps(cloud_event(due), option=orjson.OPT_SORT_KEYS)


def signed_headers(
    due: Due, content: bytes, secrets: Sequence[str], at: datetime
) -> dict[str, str]:
    """Sign a body as Standard Webhooks 1.0 does, with a signature for each secret.

    Args:
        due: the event, whose id is the same on every attempt.
        content: `body` of it.
        secrets: `whsec_...`; while one is being replaced, the new and the old one.
        at: of the attempt, in UTC.
    """
    text = content.decode()
    signatures = (Webhook(secret).sign(due.event_id, at, text) for secret in secrets)
    return {
        "content-type": MEDIA_TYPE,
        "webhook-id": due.event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
