"""The files under gateway/docs/deploy, tried by the programs that read them and against what the gateway exports."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import e2i_gateway
import pytest

from gateway.settings import Settings
from tests.support.client import Client

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "gateway" / "docs" / "deploy"
METRICS = (ROOT / "gateway" / "docs" / "reference" / "metrics.md").read_text()
RULES = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "e2i-gateway.json").read_text())
LOCK = DEPLOY / "requirements.lock"
UNIT = DEPLOY / "systemd" / "e2i-gateway.service"


def program(name: str) -> str:
    """Its path; the test is skipped where it is not installed."""
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/usr/local/bin:/bin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str | Path) -> str:
    """What a command prints, which must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def exported() -> set[str]:
    """The names of samples, by the reference, which is compared with what the gateway exports."""
    names = {"up", "ALERTS", "process_resident_memory_bytes", "process_cpu_seconds_total"}
    for name, kind in re.findall(r"^\| `(e2i_\w+)` \| (\w+) \|", METRICS, re.MULTILINE):
        names |= {"counter": {f"{name}_total"}, "gauge": {name}}.get(
            kind, {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
        )
    return names


def named(expression: str) -> set[str]:
    """The metrics of an expression of PromQL: what is neither a function, a label nor a text."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\b(by|without|on)\s*\([^)]*\)|\[[^\]]*\]", "", bare)
    return set(re.findall(r"\b(?:e2i|process)_\w+", bare))


def test_rules_ask_for_metrics_that_are_exported() -> None:
    expressions = re.findall(r"expr: (?:>-\n)?(.*?)\n        (?:for|labels)", RULES.read_text(), re.DOTALL)
    assert len(expressions) == RULES.read_text().count("- alert:") >= 12
    for expression in expressions:
        assert named(expression) <= exported(), expression
        assert named(expression) or re.search(r"\bup\{", expression)


@pytest.mark.slow
def test_promtool_takes_the_rules_and_their_tests() -> None:
    promtool = program("promtool")
    assert "16 rules found" in run(promtool, "check", "rules", RULES)
    assert "SUCCESS" in run(promtool, "test", "rules", DEPLOY / "prometheus" / "alerts.test.yaml")
    assert "SUCCESS" in run(promtool, "check", "config", DEPLOY / "prometheus" / "scrape.yaml")


def test_every_alert_is_tried_both_ways() -> None:
    tests = (DEPLOY / "prometheus" / "alerts.test.yaml").read_text()
    for alert in re.findall(r"- alert: (\w+)", RULES.read_text()):
        assert f"alertname: {alert}, exp_alerts: []" in tests
        assert f'alertname="{alert}"' in tests


def test_the_dashboard_asks_for_metrics_that_are_exported() -> None:
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    missing = {name for expression in asked for name in named(expression)} - exported()
    assert asked
    assert missing == set()
    assert {name for name in exported() if name.startswith("e2i_")} <= (
        {name for expression in asked for name in named(expression)}
        | {"e2i_request_seconds_count", "e2i_request_seconds_sum"}
    ), "a metric that no panel shows"


def test_panels_of_the_dashboard_have_places_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (column, row)
        for at in (panel["gridPos"] for panel in panels)
        for column in range(at["x"], at["x"] + at["w"])
        for row in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(taken)) == len(taken)


@pytest.mark.slow
def test_the_dashboard_is_promql() -> None:
    promtool = program("promtool")
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            rule = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
            text = json.dumps({"groups": [{"name": "x", "rules": [{"record": "x", "expr": rule}]}]})
            done = subprocess.run(
                [promtool, "check", "rules", "/dev/stdin"], input=text, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, (rule, done.stderr)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    command = tmp_path / "e2i-gateway"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(
        re.sub(r"/opt/e2i-gateway/venv/bin/e2i-gateway", str(command), UNIT.read_text()).replace(
            "EnvironmentFile=", "EnvironmentFile=-"
        )
    )
    said = run(analyze, "verify", unit)
    assert [line for line in said.splitlines() if UNIT.name in line] == []


def test_kubernetes_takes_the_base() -> None:
    made = run(program("kubectl"), "kustomize", DEPLOY / "kubernetes")
    assert {"Deployment", "Service", "PodDisruptionBudget", "ConfigMap", "ServiceAccount"} == set(
        re.findall(r"^kind: (\w+)", made, re.MULTILINE)
    )
    assert "replicas: 2" in made
    for field in (
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "readOnlyRootFilesystem: true",
        "runAsNonRoot: true",
    ):
        assert field in made


def test_settings_of_the_base_and_the_unit_exist() -> None:
    known = {(field.alias or name).upper() for name, field in Settings.model_fields.items()}
    given = set(re.findall(r"GATEWAY_[A-Z_]+", (DEPLOY / "kubernetes" / "kustomization.yaml").read_text()))
    given |= set(re.findall(r"GATEWAY_[A-Z_]+", UNIT.read_text()))
    assert {name for name in given if name not in known and name.removeprefix("GATEWAY_") not in known} == set()


@pytest.mark.slow
async def test_the_version_is_said(demo: Client) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    schema = (ROOT / "schema" / "schema.graphql").read_bytes()
    answer = await demo.http.get("/version")
    assert answer.json() == {"version": project["version"], "schema": hashlib.sha256(schema).hexdigest()}
    command = Path(sys.executable).with_name("e2i-gateway")
    assert run(command, "--version") == f"e2i-gateway {project['version']}\n"


def test_the_image_has_what_the_package_has() -> None:
    text = (DEPLOY / "container" / "Containerfile").read_text()
    assert all(f"COPY {name} {name}\n" in text for name in e2i_gateway.ROOMS)
    for source in re.findall(r"^COPY ([\w. -]+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in source.split())
    assert re.search(r"^USER \d+$", text, re.MULTILINE), "the image must not run as root"
    assert f"ARG LOCK={LOCK.relative_to(ROOT)}\n" in text


def pinned(lock: Path) -> dict[str, str]:
    """The versions of a lock file, by name."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(), re.MULTILINE))


def test_a_service_is_installed_from_what_is_tested() -> None:
    """Its lock has what the gateway needs and what settings ask for, at the versions that tests run with."""
    service, base = pinned(LOCK), pinned(ROOT / "requirements.lock")
    tested = pinned(ROOT / "requirements-dev.lock")
    assert base.items() <= service.items() <= tested.items()
    assert {"httpx", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"} <= service.keys() - base.keys()
