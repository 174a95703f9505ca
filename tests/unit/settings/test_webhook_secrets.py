import base64

import pytest

from clustering_tasks.settings.webhook_secrets import webhook_secrets


def secret(size: int) -> str:
    return "whsec_" + base64.b64encode(bytes(range(size))).decode()


@pytest.mark.parametrize("size", [24, 32, 64])
def test_one_secret_or_two(size: int) -> None:
    assert webhook_secrets(secret(size)) == [secret(size)]
    assert webhook_secrets(f" {secret(size)}  {secret(33)}\n") == [secret(size), secret(33)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "no secret"),
        (secret(32).removeprefix("whsec_"), "does not begin with `whsec_`"),
        (secret(32).upper(), "does not begin with `whsec_`"),
        ("whsec_", "has 0 bytes"),
        (secret(23), "has 23 bytes"),
        (secret(65), "has 65 bytes"),
        ("whsec_" + "*" * 32, "is not base64"),
        (secret(32).replace("A", "-"), "is not base64"),
        (secret(32).rstrip("="), "is not base64"),
        ("whsec_" + "ä" * 32, "is not base64"),
        (f"{secret(32)} {secret(5)}", "secret 2 of 2 has 5 bytes"),
    ],
)
def test_what_is_no_secret_is_refused_and_not_quoted(given: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        webhook_secrets(given)
    for part in given.split():
        assert part == "whsec_" or part.removeprefix("whsec_") not in str(refused.value)
