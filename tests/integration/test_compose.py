"""What holds for docker-compose.yaml without starting it; tests/e2e/test_compose_up.py starts it.

That the public images exist under their tags is checked nowhere.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from fastapi.routing import APIRoute

from clustering_tasks.settings.deployment import DeploymentSettings
from stage4.api.app import build
from stage4.api.auth_middleware import OPEN_PATH
from stage4_plugin import URL_PREFIX
from tests.docker_compose import FILE, compose_binary

ROOT = Path(__file__).parents[2]
Service = dict[str, Any]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return loaded


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Service]:
    found: dict[str, Service] = compose["services"]
    return found


def test_only_the_ui_is_published_and_on_this_host_alone(services: dict[str, Service]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"api-server": ["127.0.0.1:${STAGE4_UI_PORT:-8080}:8080"]}
    assert not [name for name, service in services.items() if "network_mode" in service]


def test_every_image_is_pinned(services: dict[str, Service]) -> None:
    for name, service in services.items():
        image = re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", service["image"])
        assert re.search(r":v?\d+\.\d+", image), (name, image)


def test_secrets_come_from_the_environment_and_are_required(
    services: dict[str, Service],
) -> None:
    # Without them no document can be deleted, no run has a callback; Redis has no password.
    optional = {"STAGE4_DELETION_SECRET", "STAGE4_CALLBACK_SECRET", "AIRFLOW_CONN_STAGE4_REDIS"}
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if variable in optional:
                continue
            if re.search("PASSWORD$|SECRET|FERNET|SQL_ALCHEMY|CONN_STAGE4", variable):
                assert re.search(r"\$\{\w+:\?[^}]+\}", value), (name, variable)


def test_every_service_is_watched_and_limited(services: dict[str, Service]) -> None:
    for name, service in services.items():
        assert service["mem_limit"], name
        assert service["cpus"], name
        assert service["healthcheck"].get("test") or name == "init", name
        assert "no-new-privileges:true" in service["security_opt"], name


def test_our_services_have_no_root_and_no_capability(services: dict[str, Service]) -> None:
    ours = [service for service in services.values() if "stage4-airflow" in service["image"]]
    assert len(ours) == 5
    assert {service["user"] for service in ours} == {"1000:1000"}
    assert all(service["cap_drop"] == ["ALL"] for service in ours)


def test_the_docker_socket_is_behind_the_proxy(services: dict[str, Service]) -> None:
    holders = [name for name, service in services.items() if "docker.sock" in str(service)]
    assert holders == ["docker-api"]
    reaching = [name for name, service in services.items() if "docker-api" in service["networks"]]
    assert sorted(reaching) == ["docker-api", "scheduler"]
    rules = [rule for rule in services["docker-api"]["command"] if rule.startswith("-allow")]
    assert not any(".*" in rule for rule in rules)
    assert any(rule.startswith("-allowbindmountfrom=") for rule in rules)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/_ping", True),
        ("GET", "/version", True),
        ("GET", "/v1.41/images/json", True),
        ("POST", "/v1.41/containers/create", True),
        ("POST", "/v1.41/containers/0a1b/start", True),
        ("GET", "/v1.41/containers/0a1b/logs", True),
        ("GET", "/v1.41/containers/0a1b/json", True),
        ("POST", "/v1.41/containers/stage4-events-merge-0a1b/stop", True),
        ("POST", "/v1.41/containers/0a1b/wait", True),
        ("DELETE", "/v1.41/containers/0a1b", True),
        ("GET", "/v1.41/containers/json", False),
        ("POST", "/v1.41/containers/0a1b/exec", False),
        ("POST", "/v1.41/images/create", False),
        ("POST", "/v1.41/build", False),
        ("DELETE", "/v1.41/volumes/stage4_postgres", False),
    ],
)
def test_the_proxy_allows_what_the_runner_needs(
    services: dict[str, Service], method: str, path: str, allowed: bool
) -> None:
    prefix = f"-allow{method}="
    rules = [rule.removeprefix(prefix) for rule in services["docker-api"]["command"]]
    matching = [rule for rule in rules if not rule.startswith("-") and re.fullmatch(rule, path)]
    assert bool(matching) == allowed


def test_only_the_scheduler_writes_the_workspace_and_sees_stage3_s_folder(
    services: dict[str, Service],
) -> None:
    seen = {
        name: [volume for volume in service.get("volumes", []) if "STAGE4_" in volume]
        for name, service in services.items()
    }
    assert {name: volumes for name, volumes in seen.items() if volumes} == {
        "api-server": ["${STAGE4_WORKSPACE_DIR:?}:/workspace:ro"],
        "scheduler": [
            "${STAGE4_WORKSPACE_DIR:?}:/workspace",
            "${STAGE4_INDICES_DIR:?}:/indices:ro",
        ],
    }


def test_a_stop_reaches_the_tasks_and_leaves_them_time(services: dict[str, Service]) -> None:
    """Without, the executor waits for its tasks until it is killed, and their containers go on."""
    scheduler = services["scheduler"]
    assert scheduler["init"] is True
    assert scheduler["environment"]["TINI_KILL_PROCESS_GROUP"] == "1"
    assert scheduler["stop_grace_period"] == "60s"


def test_traefiks_route_leads_to_the_api_server_and_asks_what_needs_no_token(
    services: dict[str, Service],
) -> None:
    route = yaml.safe_load((ROOT / "images/traefik/stage4.yaml").read_text())["http"]
    target = route["services"][route["routers"]["stage4"]["service"]]["loadBalancer"]
    assert target["servers"] == [{"url": "http://api-server:8080"}]
    assert "api-server" in services
    path = target["healthCheck"]["path"].removeprefix(URL_PREFIX)
    assert path == OPEN_PATH
    assert path in {route.path for route in build().routes if isinstance(route, APIRoute)}


# Where the containers find things; and the runner, without which there is no socket proxy.
OWN = {
    *("STAGE4_RUNNER", "STAGE4_DOCKER_URL", "STAGE4_CONTAINER_USER"),
    *("STAGE4_WORKSPACE", "STAGE4_HOST_WORKSPACE", "STAGE4_INDICES", "STAGE4_HOST_INDICES"),
}


def test_every_setting_of_an_installation_arrives(services: dict[str, Service]) -> None:
    known = {f"STAGE4_{name}".upper() for name in DeploymentSettings.model_fields}
    for name in ("scheduler", "api-server", "dag-processor", "triggerer", "init"):
        environment = services[name]["environment"]
        assert {each for each in environment if each.startswith("STAGE4_")} == known
        for each in sorted(known - OWN):
            assert re.fullmatch(rf"\$\{{{each}:-[^}}]*\}}", environment[each]), each


def test_airflows_services_write_json_where_the_installation_wants_it(tmp_path: Path) -> None:
    for wanted, told in (({}, "false"), ({"STAGE4_JSON_LOGS": "true"}, "true")):
        services = json.loads(config(tmp_path, required() | wanted).stdout)["services"]
        for name in ("scheduler", "api-server", "dag-processor", "triggerer", "init"):
            assert services[name]["environment"]["AIRFLOW__LOGGING__JSON_LOGS"] == told


def test_every_variable_of_the_example_is_read() -> None:
    example = (ROOT / ".env.example").read_text()
    variables = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE))
    assert len(variables) > 40
    used = set(re.findall(r"\$\{(\w+)", FILE.read_text()))
    assert variables - used == OWN


def test_what_is_left_empty_is_the_default_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"STAGE4_{name}".upper() for name in DeploymentSettings.model_fields]
    for name in names:
        monkeypatch.delenv(name, raising=False)
    default = DeploymentSettings(_env_file=None)
    for name in names:
        monkeypatch.setenv(name, "")
    assert DeploymentSettings(_env_file=None) == default


def test_every_volume_and_network_is_declared(
    compose: dict[str, Any], services: dict[str, Service]
) -> None:
    networks = {name for service in services.values() for name in service["networks"]}
    assert networks == set(compose["networks"])
    mounts = [volume for service in services.values() for volume in service.get("volumes", [])]
    named = {mount.split(":")[0] for mount in mounts if not mount.startswith((".", "/", "$"))}
    assert named == set(compose["volumes"])


def config(folder: Path, values: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What Compose itself makes of the file, with these variables and no others."""
    env = folder / "env"
    env.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    command = [compose_binary(), f"--file={FILE}", f"--env-file={env}", "config", "--format=json"]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env={"HOME": str(folder)}
    )


def required() -> dict[str, str]:
    return dict.fromkeys(re.findall(r"\$\{(\w+):\?", FILE.read_text()), "/x")


def test_compose_accepts_the_file(tmp_path: Path) -> None:
    accepted = config(tmp_path, required())
    assert accepted.returncode == 0, accepted.stderr
    assert accepted.stderr == ""
    assert "redis" not in json.loads(accepted.stdout)["services"]
    with_redis = config(tmp_path, required() | {"COMPOSE_PROFILES": "redis"})
    assert "redis" in json.loads(with_redis.stdout)["services"]


@pytest.mark.parametrize("name", sorted(required()))
def test_compose_names_the_variable_that_is_missing(tmp_path: Path, name: str) -> None:
    refused = config(tmp_path, {key: value for key, value in required().items() if key != name})
    assert refused.returncode != 0
    assert name in refused.stderr


def test_a_setting_in_env_arrives_in_every_service_of_airflow(tmp_path: Path) -> None:
    known = {f"STAGE4_{name}".upper() for name in DeploymentSettings.model_fields} - OWN
    values = {name: f"value of {name}" for name in known}
    services = json.loads(config(tmp_path, required() | values).stdout)["services"]
    for name in ("scheduler", "api-server", "dag-processor", "triggerer", "init"):
        arrived = services[name]["environment"]
        assert {each: arrived[each] for each in known} == values


def test_a_base_image_is_passed_on_where_one_is_given(tmp_path: Path) -> None:
    build = json.loads(config(tmp_path, required() | {"BASE_IMAGE": "mine:1"}).stdout)
    assert build["services"]["api-server"]["build"]["args"] == {"BASE_IMAGE": "mine:1"}
    default = json.loads(config(tmp_path, required()).stdout)["services"]["api-server"]["build"]
    assert not any((default.get("args") or {}).values())
