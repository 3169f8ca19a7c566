"""What is in config/deploy: it can be read by those it is for, and fits the bridge that it starts and watches.

`promtool test rules tests/deploy/alerts.test.yaml` and `kubernetes-validate --strict` look closer, where they are
installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import compose_spec
import promql_parser
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from bridge.health import HealthRoutes, Signs
from bridge.metrics import LABELS, OTHER, Metrics
from bridge.settings import Settings
from bridge.settings.source import load_settings

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "config" / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
RECORDED_S = 15
"""As long as `bridge.app` gives recordings at a stop."""
OF_OTHERS = {"up"}
"""Metrics that others make than `Metrics`: Prometheus itself."""


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def resource(name: str) -> dict[str, Any]:
    found: dict[str, Any] = loaded(KUBERNETES / f"{name}.yaml")
    return found


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = resource("stateful-set")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (only,) = pod()["containers"]
    found: dict[str, Any] = only
    return found


def settings_of(environment: dict[str, str]) -> Settings:
    return load_settings(environment=environment, files=())


# --- Kubernetes --------------------------------------------------------------------------------------------


def test_every_manifest_is_in_the_kustomization_but_the_template_of_secrets() -> None:
    there = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml", "secrets.example.yaml"}
    assert set(resource("kustomization")["resources"]) == there


def test_the_bridge_starts_with_the_settings_and_secrets_that_the_manifests_give_it() -> None:
    environment = {**resource("settings")["data"], **resource("secrets.example")["stringData"]}
    settings = settings_of(environment)
    assert settings.server.public_url == f"https://{resource('ingress')['spec']['rules'][0]['host']}"
    assert settings.bus.url.startswith("nats://")
    assert settings.server.trusted_proxies, "else the limit of connections from one address meets the ingress"
    target = int(resource("autoscaler")["spec"]["metrics"][0]["pods"]["target"]["averageValue"])
    assert target < settings.admission.max_calls, "there is room for those who call before another pod is there"
    assert settings.store.url.startswith("postgresql://")


def test_a_pod_has_the_time_to_let_its_calls_end() -> None:
    drain_s = settings_of(resource("settings")["data"] | {"BRIDGE_TWILIO__AUTH_TOKEN": "x"}).server.drain_seconds
    command = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert command[0] == "sleep"
    assert pod()["terminationGracePeriodSeconds"] >= drain_s + int(command[1]) + RECORDED_S


def test_a_pod_can_do_no_more_than_it_must() -> None:
    whole, own = pod()["securityContext"], container()["securityContext"]
    assert whole["runAsNonRoot"] is True
    assert f"--uid {whole['runAsUser']}" in DOCKERFILE
    assert f"USER {whole['runAsUser']}:{whole['runAsGroup']}" in DOCKERFILE
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["automountServiceAccountToken"] is False
    assert {mount["mountPath"] for mount in container()["volumeMounts"]} == {"/data", "/tmp"}


def test_each_pod_has_a_volume_of_its_own_which_outlives_it() -> None:
    """Two that shared one would take each other's live calls for calls that were left."""
    (claim,) = resource("stateful-set")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    (mount,) = [one for one in container()["volumeMounts"] if one["name"] == claim["metadata"]["name"]]
    folder = settings_of(resource("settings")["data"] | {"BRIDGE_TWILIO__AUTH_TOKEN": "x"}).store.recordings
    assert folder.is_relative_to(mount["mountPath"])
    kept = resource("stateful-set")["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert kept == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_probes_ask_what_the_bridge_answers() -> None:
    class Router:
        def __init__(self) -> None:
            self.paths: list[str] = []

        def add_get(self, path: str, _: object) -> None:
            self.paths.append(path)

    other: Any = None
    app: Any = type("App", (), {"router": Router()})()
    HealthRoutes(other, other, other, Signs(other, other)).add_to(app)
    named = {kind: container()[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert named == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert set(named.values()) <= set(app.router.paths)


def test_the_parts_name_each_other_rightly() -> None:
    labels = resource("stateful-set")["spec"]["template"]["metadata"]["labels"]
    assert resource("service")["spec"]["selector"].items() <= labels.items()
    assert resource("disruption-budget")["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert resource("autoscaler")["spec"]["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": resource("stateful-set")["kind"],
        "name": resource("stateful-set")["metadata"]["name"],
    }
    (metric,) = resource("autoscaler")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] in names_of_the_bridge()
    (rule,) = loaded(DEPLOY / "prometheus/adapter.yaml")["rules"]
    assert rule["name"]["as"] == metric["pods"]["metric"]["name"]
    given = {next(iter(source.values()))["name"] for source in container()["envFrom"]}
    assert given == {resource("settings")["metadata"]["name"], resource("secrets.example")["metadata"]["name"]}


def test_a_silent_stream_is_not_cut_before_the_longest_call_is_over() -> None:
    longest_s = settings_of({}).turns.max_call_seconds
    annotations = resource("ingress")["metadata"]["annotations"]
    for name in ("proxy-read-timeout", "proxy-send-timeout"):
        assert float(annotations[f"nginx.ingress.kubernetes.io/{name}"]) >= longest_s


# --- compose and Dockerfile ----------------------------------------------------------------------------------


def compose() -> dict[str, Any]:
    found: dict[str, Any] = loaded(DEPLOY / "compose.yaml")  # The merge keys are resolved by this.
    return found


def test_the_compose_file_is_one() -> None:
    read = compose_spec.PyCompose.from_json(json.dumps(compose()))
    assert sorted(read.service_names()) == ["bridge", "nats", "postgres"]
    for service in compose()["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert {name.split(":")[0] for one in compose()["services"].values() for name in one.get("volumes", [])} == set(
        compose()["volumes"]
    )
    for other in compose()["services"]["bridge"]["depends_on"]:
        assert "healthcheck" in compose()["services"][other], "the bridge waits for it to be healthy"


def test_the_bridge_starts_with_the_settings_of_the_compose_file() -> None:
    bridge = compose()["services"]["bridge"]
    given = {
        "BRIDGE_SERVER__PUBLIC_URL": "https://voice.example.com",
        "BRIDGE_TWILIO__ACCOUNT_SID": "AC" + "0" * 32,
        "BRIDGE_AGENT__URL": "http://127.0.0.1:3000/",
    }
    environment = {
        name: given.get(name, re.sub(r"\$\{\w+:[?-]\}", "filled-in", value))
        for name, value in bridge["environment"].items()
    }
    assert not any("$" in value for value in environment.values())
    settings = settings_of(environment)
    assert settings.store.url == "postgresql://bridge:filled-in@postgres:5432/calls"
    assert float(bridge["stop_grace_period"].removesuffix("s")) >= settings.server.drain_seconds + RECORDED_S


def test_the_dockerfile_is_without_reproach() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_extras_that_images_are_built_with_exist() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    there = set(re.findall(r"^(\w+) = \[", extras, re.MULTILINE))
    named = [
        re.search(r"^ARG EXTRAS=(\S+)$", DOCKERFILE, re.MULTILINE),
        re.search(r"EXTRAS=(\S+)\.", (KUBERNETES / "stateful-set.yaml").read_text()),
    ]
    texts = [found[1] for found in named if found] + [compose()["services"]["bridge"]["build"]["args"]["EXTRAS"]]
    assert len(texts) == 3
    for text in texts:
        assert set(text.split(",")) <= there


# --- what watches --------------------------------------------------------------------------------------------


def names_of_the_bridge() -> set[str]:
    """The names of all series that a bridge can show."""
    metrics = Metrics()
    for name, metric in vars(metrics).items():
        if isinstance(metric, MetricWrapperBase) and metric._labelnames:
            metric.labels(**dict.fromkeys(LABELS.get(f"{name}_total", metric._labelnames), OTHER))
    page = metrics.render()[0].decode()
    return {sample.name for family in text_string_to_metric_families(page) for sample in family.samples}


def expressions() -> Iterator[tuple[str, str]]:
    """Every PromQL expression of alerts and dashboard, with where it stands."""
    for group in loaded(DEPLOY / "prometheus/alerts.yaml")["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    dashboard = json.loads((DEPLOY / "grafana/phone-bridge.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")


def selectors(expression: Any) -> Iterator[Any]:
    """The vector selectors of an expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
        return
    for part in ("expr", "lhs", "rhs", "vector_selector"):
        if (inner := getattr(expression, part, None)) is not None:
            yield from selectors(inner)
    for inner in getattr(expression, "args", None) or []:
        yield from selectors(inner)


def test_every_metric_that_is_watched_exists_with_its_labels() -> None:
    there = names_of_the_bridge() | OF_OTHERS
    watched = set()
    for where, text in expressions():
        found = [*selectors(promql_parser.parse(text))]
        assert found, where
        for one in found:
            assert one.name in there or one.name.startswith("process_"), (where, one.name)
            watched.add(one.name.removesuffix("_bucket"))
            known = LABELS.get(one.name.removeprefix("phone_bridge_"), {})
            for matcher in one.matchers.matchers:
                assert matcher.name in {*known, "instance", "job"}, (where, matcher.name)
                if matcher.name in known and str(matcher.op).endswith("Equal"):
                    assert matcher.value in known[matcher.name], (where, matcher.value)
    # And whatever the bridge shows is on the dashboard or watched by an alert.
    families = {
        re.sub(r"_seconds_(bucket|count|sum)$", "_seconds", name)
        for name in names_of_the_bridge()
        if name.startswith("phone_bridge_") and not name.endswith("_created")
    }
    assert families - watched == set()


def test_every_alert_says_what_to_do_first() -> None:
    alerts = [rule for group in loaded(DEPLOY / "prometheus/alerts.yaml")["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in alerts}) == len(alerts) > 15
    for rule in alerts:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "runbook"}
        assert "\n" not in rule["annotations"]["runbook"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_alerts_fire_when_they_should() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", ROOT / "tests/deploy/alerts.test.yaml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
