"""Whether a run's `callback_url` may be used."""

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.deployment import deployment
from stage4.events.guard import RefusedAddressError, Rules, check_url


def check_callback(url: str | None) -> None:
    """Refuse a callback that no event would be sent to; the address it leads to is judged later.

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
        check_url(url, Rules(where.callback_hosts))
    except RefusedAddressError as error:
        allowed = ", ".join(where.callback_hosts)
        raise SettingsError(f"callback_url: {error}; allowed hosts: {allowed}") from None


def allowed_callback(url: str | None) -> str | None:
    """Return a callback that may be used, None for any other."""
    try:
        check_callback(url)
    except SettingsError:
        return None
    return url
