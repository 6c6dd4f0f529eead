"""`deploy/` is valid by its schemas and fits this gateway. `docs/operations.md` is tested in `test_operations`."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml
from prometheus_client import generate_latest

from app.api.metrics import Metrics
from app.config import OTHER_VARIABLES, Settings, load_configuration
from app.domain.errors import SourceUnauthorized
from app.forward.forwarder import ForwardMetrics
from app.main import create_app
from app.providers.base import CommonSettings
from app.providers.http.response import Response, error_for
from app.providers.registry import find_providers
from app.providers.subnoto import PROVIDER as SUBNOTO

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
NAME = "app.kubernetes.io/component"


def documents() -> list[dict[str, Any]]:
    return [document for path in MANIFESTS for document in yaml.safe_load_all(path.read_text())]


def of_kind(kind: str, name: str = "audit-gateway") -> dict[str, Any]:
    (found,) = [each for each in documents() if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
SERVICE = SERVICES["gateway"]
CONFIG_MAP = of_kind("ConfigMap")["data"]
POD = of_kind("Deployment")["spec"]["template"]["spec"]
LABELS = of_kind("Deployment")["spec"]["template"]["metadata"]["labels"]
(CONTAINER,) = [each for each in POD["containers"] if each["name"] == "gateway"]
RULES = [rule for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
         for rule in group["rules"]]  # fmt: skip


def variables_of_example() -> set[str]:
    return set(re.findall(r"^([A-Z_]+)=", (DEPLOY / "gateway.env.example").read_text(), flags=re.MULTILINE))


def routes() -> set[str]:
    app = create_app(Settings(auth="off"), [], providers={})
    return set(app.openapi()["paths"])


def test_the_compose_files_fit_the_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    files = map(str, DEPLOY.rglob("compose.yaml"))
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [*MANIFESTS, DEPLOY / "forward" / "kubernetes.yaml"], ids=lambda path: path.name)
def test_the_manifests_fit_kubernetes_schemas(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_every_variable_is_a_setting() -> None:
    known = {f"GATEWAY_{name.upper()}" for name in Settings.model_fields} | set(OTHER_VARIABLES)
    known |= {variable for provider in find_providers([]).values() for variable in provider.variables}
    environment_of_compose, config_map = set(SERVICE["environment"]), set(CONFIG_MAP)
    for given in (environment_of_compose, config_map, variables_of_example()):
        assert given
        assert given - known == set()
    # No committed file has a value for a secret.
    assert not variables_of_example() & (environment_of_compose | config_map)
    assert re.search(r"^\w+=.+", (DEPLOY / "gateway.env.example").read_text(), flags=re.MULTILINE) is None


def test_the_values_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for values in (SERVICE["environment"], CONFIG_MAP):
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        assert load_configuration(DEPLOY / "gateway.toml", env_file=None).tables == ()
        settings = load_configuration(DEPLOY / "gateway.toml", env_file=None).settings
        assert settings.redis_url is not None
        assert settings.max_in_flight == 32
        assert SUBNOTO.from_environment(
            values | {"SUBNOTO_ACCESS_KEY": "a", "SUBNOTO_SECRET_KEY": "b"}, CommonSettings()
        )


def test_the_accounts_of_the_example_file_are_read(tmp_path: Path) -> None:
    """The tables are comments, so that the file is valid without an account."""
    text = (DEPLOY / "gateway.toml").read_text()
    tables = "\n".join(line.removeprefix("# ").removeprefix("#") for line in text.partition("#\n")[2].splitlines())
    (tmp_path / "gateway.toml").write_text(tables)
    keys = {f"{name}_{part}": "x" for name in ("SALES", "HR") for part in ("COMPANY_KEY", "API_KEY")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keys.items():
            patch.setenv(name, value)
        found = load_configuration(tmp_path / "gateway.toml", env_file=None)
    assert [table["name"] for table in found.tables] == ["sales", "hr"]


def test_the_health_checks_call_existing_paths() -> None:
    paths = routes()
    for probe, path in (("startup", "ready"), ("readiness", "ready"), ("liveness", "live")):
        request = CONTAINER[f"{probe}Probe"]["httpGet"]
        assert request["path"] == f"/health/{path}"
        assert request["path"] in paths
        assert request["port"] == CONTAINER["ports"][0]["name"]
    assert '127.0.0.1:{os.environ[\\"GATEWAY_PORT\\"]}/health/ready' in DOCKERFILE


def test_the_ports_are_those_of_the_image() -> None:
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, flags=re.MULTILINE)
    assert f"GATEWAY_PORT={exposed}" in DOCKERFILE
    assert CONTAINER["ports"][0]["containerPort"] == int(exposed)
    assert SERVICE["expose"] == [exposed]
    assert SERVICES["nginx"]["ports"] == ["8443:8443"]
    assert f"server gateway:{exposed};" in (DEPLOY / "nginx.conf").read_text()
    for name, component in (("", "gateway"), ("-valkey", "valkey"), ("-subnoto-proxy", "subnoto-proxy")):
        service, deployment = of_kind("Service", f"audit-gateway{name}"), of_kind("Deployment", f"audit-gateway{name}")
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert labels[NAME] == component
        ports = {
            port["name"] for each in deployment["spec"]["template"]["spec"]["containers"] for port in each["ports"]
        }
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_the_addresses_of_other_services_are_valid() -> None:
    services = {each["metadata"]["name"] for each in documents()}
    for variable, port in (("GATEWAY_REDIS_URL", 6379), ("SUBNOTO_BASE_URL", 8080)):
        url = httpx.URL(CONFIG_MAP[variable])
        assert url.host in services
        assert of_kind("Service", url.host)["spec"]["ports"][0]["port"] == url.port == port
        assert httpx.URL(SERVICE["environment"][variable]).host in SERVICES
    egress = [port["port"] for rule in of_kind("NetworkPolicy")["spec"]["egress"] for port in rule["ports"]]
    assert {53, 443, 4318, 6379, 8080} == set(egress)


def test_the_grace_period_outlasts_the_last_response() -> None:
    for values, grace in (
        (CONFIG_MAP, POD["terminationGracePeriodSeconds"]),
        (SERVICE["environment"], int(SERVICE["stop_grace_period"].removesuffix("s"))),
    ):
        settings = Settings(**{name.removeprefix("GATEWAY_").lower(): value for name, value in values.items()})
        # The server waits a second more than the deadline.
        assert grace > settings.shutdown_grace + settings.deadline + 1
    probe = CONTAINER["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < float(CONFIG_MAP["GATEWAY_SHUTDOWN_GRACE"])


def test_the_container_has_no_unneeded_privilege() -> None:
    (user,) = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, flags=re.MULTILINE)
    assert SERVICE["user"] == ":".join(user)
    context = POD["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == tuple(map(int, user))
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert POD["automountServiceAccountToken"] is False
    assert (SERVICE["read_only"], SERVICE["cap_drop"]) == (True, ["ALL"])
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    mounted = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert mounted == {"api-keys": "/etc/audit-gateway/keys", "config": "/etc/audit-gateway/config", "tmp": "/tmp"}
    assert CONFIG_MAP["GATEWAY_API_KEYS_FILE"].startswith(f"{mounted['api-keys']}/")
    for each in SERVICES.values():
        assert each["cap_drop"] == ["ALL"]
        assert each["deploy"]["resources"]["limits"]["memory"]


def test_no_secret_is_committed() -> None:
    assert not [each for each in documents() if each["kind"] == "Secret"]
    assert set((DEPLOY / ".gitignore").read_text().split()) == {"forward.env", "gateway.env", "keys/", "tls/"}


def test_the_keys_are_mounted_by_their_folder() -> None:
    """A file mounted by itself or by subPath is never replaced in the container: no change of keys would arrive."""
    file = SERVICE["environment"]["GATEWAY_API_KEYS_FILE"]
    mounted, configuration = SERVICE["volumes"]
    assert configuration["target"] == SERVICE["environment"]["GATEWAY_CONFIG"]
    assert (mounted["type"], mounted["source"], mounted["read_only"]) == ("bind", "./keys", True)
    assert file == f"{mounted['target']}/keys.jsonl"
    assert not {"secrets", "configs"} & (yaml.safe_load((DEPLOY / "compose.yaml").read_text()).keys() | SERVICE.keys())
    assert not [mount for mount in CONTAINER["volumeMounts"] if "subPath" in mount]
    assert CONFIG_MAP["GATEWAY_CONFIG"] == configuration["target"]
    assert CONFIG_MAP["GATEWAY_API_KEYS_FILE"] == file


def test_the_proxy_of_subnoto_is_started_for_subnoto_only() -> None:
    assert {name: each["profiles"] for name, each in SERVICES.items() if "profiles" in each} == {
        "subnoto-proxy": ["subnoto"]
    }
    # A dependency on a service that is not started is an error.
    assert set(SERVICE["depends_on"]) == {"valkey"}
    # The proxy's address alone configures no source.
    assert not SUBNOTO.from_environment(SERVICE["environment"], CommonSettings())


def test_the_disruption_budget_and_the_scaler_select_the_gateway() -> None:
    assert of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == LABELS
    scaler = of_kind("HorizontalPodAutoscaler")["spec"]
    assert (scaler["scaleTargetRef"]["name"], scaler["minReplicas"] >= 2) == ("audit-gateway", True)
    assert "replicas" not in of_kind("Deployment")["spec"]


def test_every_metric_of_the_alerts_exists() -> None:
    metrics = Metrics()
    metrics.on_shared_state(True)
    metrics.on_circuit("s", "open")
    metrics_text = metrics.exposition().decode()
    metrics_text += generate_latest(ForwardMetrics("", lambda: 0.0).registry).decode()
    # A counter without a sample has a TYPE line only.
    families = set(re.findall(r"^# TYPE (\S+) ", metrics_text, flags=re.MULTILINE))
    families |= {f"{name}_bucket" for name in families}
    for rule in RULES:
        named = set(re.findall(r"\b(?:gateway_\w+|up)\b", rule["expr"]))
        assert named, rule["alert"]
        assert named - families <= {"up"}, rule["alert"]
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert rule["annotations"].keys() >= {"summary", "description"}
        assert f"| `{rule['alert']}`" in OPERATIONS
    limit = CONFIG_MAP["GATEWAY_MAX_IN_FLIGHT"]
    (full,) = [rule for rule in RULES if rule["alert"] == "AuditGatewayFull"]
    assert full["expr"].endswith(f"* {limit}")
    assert "/events" in routes()  # the route label of AuditGatewaySlow


def test_the_credentials_alert_covers_every_refusing_status() -> None:
    (rule,) = [rule for rule in RULES if rule["alert"] == "AuditGatewayCredentialsRefused"]
    (pattern,) = re.findall(r'outcome=~"([^"]+)"', rule["expr"])
    codes = {status: error_for(Response(status, b"", {}, None), code="Refused").code for status in range(400, 600)}
    refused = {status for status, code in codes.items() if code == SourceUnauthorized.code}
    assert refused == {status for status in codes if re.fullmatch(pattern, str(status))}


def test_the_scrape_finds_the_pods() -> None:
    job, forward = yaml.safe_load((DEPLOY / "prometheus" / "scrape.yaml").read_text())["scrape_configs"]
    assert job["metrics_path"] in routes()
    component, port = job["relabel_configs"][0]["regex"].split(";")
    assert LABELS[NAME] == component
    assert CONTAINER["ports"][0]["name"] == port
    assert '{job="audit-gateway"}' in (DEPLOY / "prometheus" / "alerts.yaml").read_text()
    assert job["job_name"] == "audit-gateway"
    manifest = next(yaml.safe_load_all((DEPLOY / "forward" / "kubernetes.yaml").read_text()))
    template = manifest["spec"]["template"]
    component, port = forward["relabel_configs"][0]["regex"].split(";")
    assert template["metadata"]["labels"][NAME] == component
    assert template["spec"]["containers"][0]["ports"][0]["name"] == port
