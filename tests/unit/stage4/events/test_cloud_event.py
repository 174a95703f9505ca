"""What is sent, read by other implementations of the standards."""

import base64
import json
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cloudevents.v1.http import from_http
from pydantic import TypeAdapter
from standardwebhooks import Webhook, WebhookVerificationError
from svix.webhooks import Webhook as Svix
from svix.webhooks import WebhookVerificationError as SvixRefuses

from clustering_tasks.contract.cloud_events import CloudEvent
from stage4.events.cloud_event import body, signed_headers
from tests.events_out import NOON, OLD_SECRET, SECRET, due


def headers(*secrets: str, at: datetime | None = None) -> dict[str, str]:
    """Sign by the clock, unless told otherwise: receivers refuse what is minutes old."""
    return signed_headers(due(), body(due()), secrets, at or datetime.now(UTC))


def test_the_official_sdk_reads_the_event() -> None:
    event = from_http(headers(SECRET), body(due()))
    assert event.get_attributes() == {
        "specversion": "1.0",
        "id": due().event_id,
        "source": "urn:stage4:clustering",
        "type": "clustering.job.started",
        "subject": "cluster_events.manual__1",
        "time": "2026-03-01T12:00:00Z",
        "datacontenttype": "application/json",
        "sequence": "0000000007",
        "traceparent": due().traceparent,
    }
    assert event.get_data() == due().data
    TypeAdapter(CloudEvent).validate_python(json.loads(body(due())))


def test_later_sequences_are_greater_as_texts() -> None:
    texts = [json.loads(body(due(sequence=number)))["sequence"] for number in (1, 9, 10, 10**6)]
    assert texts == sorted(texts)


def verify(secret: str, signed: dict[str, str], content: bytes = body(due())) -> bool:
    """Check a signature by the words of the standard, with OpenSSL's HMAC."""
    key = base64.b64decode(secret.removeprefix("whsec_")).hex()
    text = f"{signed['webhook-id']}.{signed['webhook-timestamp']}.".encode() + content
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key}", "-binary"],
        input=text,
        capture_output=True,
        check=True,
    )
    return f"v1,{base64.b64encode(done.stdout).decode()}" in signed["webhook-signature"].split(" ")


def test_signatures_verify_with_openssl() -> None:
    signed = headers(SECRET)
    assert verify(SECRET, signed)
    assert not verify(OLD_SECRET, signed)
    assert not verify(SECRET, signed, body(due()).replace(b"started", b"stopped"))
    assert not verify(SECRET, signed | {"webhook-id": "another"})
    assert not verify(SECRET, signed | {"webhook-timestamp": "1"})


def test_the_reference_library_takes_it() -> None:
    assert Webhook(SECRET).verify(body(due()), headers(SECRET))["data"] == due().data


def test_a_second_implementation_takes_it_and_nothing_that_was_changed() -> None:
    signed = headers(SECRET)
    Svix(SECRET).verify(body(due()), signed)
    changed = body(due()).replace(b"started", b"stopped")
    for secret, content, sent in (
        (OLD_SECRET, body(due()), signed),
        (SECRET, changed, signed),
        (SECRET, body(due()), signed | {"webhook-id": "another"}),
        (SECRET, body(due()), headers(SECRET, at=NOON)),
    ):
        with pytest.raises(SvixRefuses):
            Svix(secret).verify(content, sent)


def test_while_a_secret_is_replaced_both_verify() -> None:
    signed = headers(SECRET, OLD_SECRET)
    for secret in (SECRET, OLD_SECRET):
        assert verify(secret, signed)
        Webhook(secret).verify(body(due()), signed)
        Svix(secret).verify(body(due()), signed)


def test_a_stale_event_is_told_from_one_that_is_sent_again() -> None:
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(SECRET).verify(body(due()), headers(SECRET, at=NOON))
    again = headers(SECRET, at=datetime.now(UTC) + timedelta(seconds=60))
    Webhook(SECRET).verify(body(due()), again)
    assert again["webhook-id"] == headers(SECRET)["webhook-id"]  # what a receiver drops it by
    assert again["webhook-timestamp"] != headers(SECRET)["webhook-timestamp"]
