"""docs/reference/asyncapi.json: the events that are sent, and those of Stage 3, as AsyncAPI 3.

`PYTHONPATH=.:plugins python -m tools.docs.events` writes it, from the models that the events are
written by; `--check` fails if it differs.
"""

import inspect
import json
import sys
from typing import Any

from pydantic import TypeAdapter

import stage4
from clustering_tasks.contract.cloud_events import CLUSTERS_CHANGED, DATA, CloudEvent
from clustering_tasks.stage3.events import Stage3Event
from stage4.database.outbox import API_PATH
from stage4.events.nats_stream import PREFIX
from stage4.events.nats_stream import STREAM as NATS_STREAM
from stage4.events.redis_stream import LONGEST, STREAM
from stage4.events.stage3.stream import DEAD_SUFFIX, GROUP
from stage4.events.stage3.stream import STREAM as STAGE3_STREAM
from tools.docs.contract import Written
from tools.docs.settings import run

PAGE = "docs/reference/asyncapi.json"

_WHAT = {
    "created": "A job waits for its start.",
    "started": "A job has started, or starts again after it was cleared.",
    "progress": "A job has come further; at most one event in 5 s.",
    "paused": "Nothing new starts until the job is resumed.",
    "resumed": "A paused job goes on.",
    "completed": "A job has ended well; its clusters are published, or a later run's are.",
    "failed": "A job has failed.",
    "canceled": "A user has ended a job.",
}
_HEADERS = {
    "webhook-id": "`id` of the event; the same on every attempt.",
    "webhook-timestamp": "Time of the attempt, in seconds since 1970.",
    "webhook-signature": "`v1,` and HMAC-SHA-256 in base64; several, separated by blanks, while a "
    "secret is replaced.",
}
Json = dict[str, Any]


def files() -> dict[str, str]:
    """Render the document: its path in the repository, and its content."""
    return {PAGE: json.dumps(document(), indent=2, ensure_ascii=False) + "\n"}


def document() -> Json:
    """Describe channels, messages and operations."""
    messages = {_key(kind): _message(kind) for kind in DATA}
    received = {"embeddings": _received()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Stage 4 clustering: events",
            "version": stage4.__version__,
            "description": "CloudEvents 1.0 in JSON. Each event is sent at least once: whoever has "
            "seen its `id` drops it. The events of a job (`subject`) come in the order of "
            "`sequence`. docs/EVENTS.md says how receivers are set up.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {
            "webhook": _channel(
                "{address}",
                "A webhook of the installation, or the `callback_url` of a run.",
                messages,
                parameters={"address": {"description": "Of an Airflow connection, or the run's."}},
            ),
            "redis": _channel(
                STREAM,
                f"A stream of Redis, of about {LONGEST:,} entries. An entry has the fields `event` "
                "(the type without `clustering.`), `id`, `job_id`, `sequence`, and `cloudevent`, "
                "the JSON.",
                messages,
            ),
            "nats": _channel(
                f"{PREFIX}.{{type}}",
                f"Subjects of NATS, stored by the stream `{NATS_STREAM}` of JetStream; an "
                "installation may have another prefix and stream. A message has the headers "
                "`Content-Type` and `Nats-Msg-Id`, the `id` of the event.",
                messages,
                parameters={"type": {"enum": [*DATA], "description": "Of the event."}},
            ),
            "stage3Webhook": _channel(
                f"{API_PATH}/stage3/events",
                "Of Airflow's API server; the answer 202 says that the event is stored.",
                received,
            ),
            "stage3Redis": _channel(
                STAGE3_STREAM,
                f"Stage 3's stream, read by the consumer group `{GROUP}`. What is no event goes to "
                f"`{STAGE3_STREAM}{DEAD_SUFFIX}`.",
                received,
            ),
        },
        "operations": {
            "postWebhook": _operation("webhook", "Posts an event, signed as Standard Webhooks."),
            "appendToStream": _operation("redis", "Appends an event by XADD."),
            "publishToStream": _operation(
                "nats", "Publishes an event, and waits until the stream has stored it."
            ),
            "takeWebhook": _operation(
                "stage3Webhook", "Takes an event, signed as Standard Webhooks.", "receive"
            ),
            "readStream": _operation("stage3Redis", "Reads events, each at least once.", "receive"),
        },
        "components": {"messages": messages | received, "schemas": _schemas()},
    }


def _channel(address: str, description: str, messages: Json, **more: Any) -> Json:
    named = {key: {"$ref": f"#/components/messages/{key}"} for key in messages}
    return {"address": address, "description": description, "messages": named, **more}


def _operation(channel: str, summary: str, action: str = "send") -> Json:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


def _message(kind: str) -> Json:
    names = [model.__name__ for model in DATA[kind]]
    options = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    data = options[0] if len(options) == 1 else {"oneOf": options}
    own = {"properties": {"type": {"const": kind}, "data": data}}
    return {
        "name": kind,
        "summary": "Readers of a level see other clusters."
        if kind == CLUSTERS_CHANGED
        else _WHAT[_key(kind)],
        "headers": _headers(),
        "payload": {"allOf": [{"$ref": "#/components/schemas/CloudEvent"}, own]},
    }


def _received() -> Json:
    return {
        "name": "embedding.*.completed",
        "summary": "Stage 3 has new embeddings: a run of the level is started, once for an event.",
        "contentType": "application/json",
        "headers": _headers(),
        "payload": {"$ref": "#/components/schemas/Stage3Event"},
    }


def _headers() -> Json:
    headers = {name: {"type": "string", "description": text} for name, text in _HEADERS.items()}
    return {"type": "object", "properties": headers}


def _key(kind: str) -> str:
    return "clusters_changed" if kind == CLUSTERS_CHANGED else kind.rpartition(".")[2]


def _schemas() -> Json:
    models = {model.__name__: model for group in DATA.values() for model in group}
    found: Json = {}
    for name, model in {"CloudEvent": CloudEvent, "Stage3Event": Stage3Event, **models}.items():
        schema = TypeAdapter(model).json_schema(
            schema_generator=Written, ref_template="#/components/schemas/{model}"
        )
        found |= schema.pop("$defs", {})
        found[name] = schema | {"description": inspect.getdoc(model)}
    return dict(sorted(found.items()))


if __name__ == "__main__":
    sys.exit(run(files))
