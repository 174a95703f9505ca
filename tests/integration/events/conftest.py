"""An installation with receivers of events."""

from collections.abc import Iterator

import pytest

from clustering_tasks.settings.deployment import deployment
from tests.events_out import SECRET, WebhookServer, webhook


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookServer]:
    """A webhook, known as `hook`; callbacks may lead to it, too."""
    with webhook() as hook:
        monkeypatch.setenv("AIRFLOW_CONN_HOOK", hook.connection())
        monkeypatch.setenv("STAGE4_EVENT_RECEIVERS", "hook")
        monkeypatch.setenv("STAGE4_CALLBACK_HOSTS", f"127.0.0.1:{hook.server_port}")
        monkeypatch.setenv("STAGE4_CALLBACK_NETWORKS", "127.0.0.0/8")
        monkeypatch.setenv("STAGE4_CALLBACK_SECRET", SECRET)
        deployment.cache_clear()
        yield hook
    deployment.cache_clear()
