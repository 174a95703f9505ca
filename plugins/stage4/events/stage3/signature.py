"""Whether a request is from Stage 3: the signature of Standard Webhooks 1.0."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from standardwebhooks import Webhook, WebhookVerificationError

TOLERANCE = timedelta(minutes=5)
_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


class UnsignedError(ValueError):
    """A request that nobody with the secret has signed."""


class StaleError(ValueError):
    """A request that says it was signed long ago, or will be; the message says how long."""


def check_signature(body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> None:
    """Refuse a request that Stage 3 has not signed just now.

    Args:
        body: as it came.
        headers: of the request, in small letters.
        secrets: `whsec_...`; while one is being replaced, the new and the old one.

    Raises:
        UnsignedError: a header is missing, or no signature is right.
        StaleError: its time is not that of `TOLERANCE` around now.
    """
    signed = {name: headers.get(name, "") for name in _HEADERS}
    seconds = signed["webhook-timestamp"]
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) < 12):
        raise UnsignedError
    age = datetime.now(UTC) - datetime.fromtimestamp(int(seconds), UTC)
    if abs(age) > TOLERANCE:
        raise StaleError(f"signed {age.total_seconds():.0f} s ago")
    if not any(_is_signed(body, signed, secret) for secret in secrets):
        raise UnsignedError


def _is_signed(body: bytes, headers: dict[str, str], secret: str) -> bool:
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):  # no UTF-8, no base64, no comma
        return False
    return True
