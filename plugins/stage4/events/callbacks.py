"""Whether a run's `callback_url` may be used."""

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.deployment import DeploymentSettings, deployment
from stage4.events.guard import RefusedAddressError, Rules, check_now, check_url


async def check_callback(url: str | None) -> None:
    """Refuse a callback that no event would be sent to, as far as can be told now.

    A host that has no address now, or whose name server is slow, is judged when an event is sent.

    Raises:
        SettingsError: the installation takes no callbacks, or not this one.
    """
    if url is None:
        return
    where = deployment()
    if not where.callbacks:
        raise SettingsError(
            "callback_url: this installation takes none (STAGE4_CALLBACK_HOSTS and "
            "STAGE4_CALLBACK_SECRET)"
        )
    try:
        await check_now(url, callback_rules(where))
    except RefusedAddressError as error:
        allowed = ", ".join(where.callback_hosts)
        networks = ", ".join(where.callback_networks) or "the public internet"
        raise SettingsError(
            f"callback_url: {error}; allowed hosts: {allowed}; allowed networks: {networks}"
        ) from None


def allowed_callback(url: str | None) -> str | None:
    """Return a callback whose text may be used, None for any other; asks no name server."""
    where = deployment()
    if url is None or not where.callbacks:
        return None
    try:
        check_url(url, callback_rules(where))
    except RefusedAddressError:
        return None
    return url


def callback_rules(where: DeploymentSettings) -> Rules:
    """Which addresses a run's `callback_url` may have."""
    return Rules(where.callback_hosts, where.callback_networks)
