"""What Airflow's processes get from the plugins folder, and what it costs them."""

import subprocess
import sys
from pathlib import Path

import pytest

import stage4_plugin

REPO = Path(__file__).parents[3]
# The API's own libraries; every task of every DAG imports the plugin.
HEAVY = {"fastapi", "limits", "psutil", "psycopg", "psycopg_pool", "pydantic_settings", "redis"}


def test_the_plugin_imports_nothing_that_a_task_does_not_need() -> None:
    code = (
        "import sys, airflow.plugins_manager; before = set(sys.modules); import stage4_plugin;"
        f"print(*sorted({{name for name in sys.modules if name.partition('.')[0] in {HEAVY!r}}}"
        " - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{REPO}:{REPO / 'plugins'}", "AIRFLOW_HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == ""


def test_an_api_server_without_a_library_starts_without_the_api(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in [name for name in sys.modules if name.startswith("stage4.api")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "limits", None)
    assert stage4_plugin.Stage4Plugin().fastapi_apps == []
    assert "limits is not installed: install requirements.txt" in caplog.text


def test_the_plugin_brings_the_api_and_the_pages() -> None:
    plugin = stage4_plugin.Stage4Plugin()
    apps = {app["url_prefix"]: app["app"] for app in plugin.fastapi_apps}
    assert set(apps) == {"/stage4/api/v1", "/stage4/pages"}
    for app in apps.values():
        assert app.openapi_url is app.docs_url is None
    for view in plugin.external_views:
        assert view["href"].startswith("stage4/pages/")  # relative: Airflow may have a path
