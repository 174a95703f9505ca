"""Secrets of Standard Webhooks 1.0: `whsec_`, and 24 to 64 bytes in base64."""

import base64

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64
WANTED = f"`{PREFIX}` and {LEAST_BYTES} to {MOST_BYTES} bytes in base64"


def webhook_secrets(text: str) -> list[str]:
    """Split secrets at blanks, and refuse what is none; a message never quotes one.

    Libraries sign with what is no secret, too: without the prefix, and with the letters that
    base64 does not know left out. A receiver that is stricter would refuse every event.

    Raises:
        ValueError: there is none, or one is no secret.
    """
    secrets = text.split()
    if not secrets:
        raise ValueError(f"no secret: it is {WANTED}")
    for number, secret in enumerate(secrets, 1):
        which = "the secret" if len(secrets) == 1 else f"secret {number} of {len(secrets)}"
        _check(secret, which)
    return secrets


def _check(secret: str, which: str) -> None:
    if not secret.startswith(PREFIX):
        raise ValueError(f"{which} does not begin with `{PREFIX}`: it is {WANTED}")
    try:
        size = len(base64.b64decode(secret.removeprefix(PREFIX), validate=True))
    except ValueError:  # binascii.Error is one; no ASCII
        raise ValueError(f"{which} is not base64 behind `{PREFIX}`: it is {WANTED}") from None
    if not LEAST_BYTES <= size <= MOST_BYTES:
        raise ValueError(f"{which} has {size} bytes: it is {WANTED}")
