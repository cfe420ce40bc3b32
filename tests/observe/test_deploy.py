"""What is shipped under deploy/ is well-formed, and speaks of what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from harness import eventually, new_url
from watching import promtool

from dray import Dray
from dray.cli.main import cli
from dray.config import DEFAULTS
from dray.observe.names import BY_NAME, METRICS, OUTCOMES, STATES, samples

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dray.json").read_text(encoding="utf-8"))
RULES = DEPLOY / "prometheus" / "dray.rules.yml"
UNIT = DEPLOY / "systemd" / "dray-worker.service"
LABEL = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
VARIABLES = {"$queue": ".*", "$task": ".*", "$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h"}


def documents() -> list[dict[str, Any]]:
    """All objects of the Kubernetes manifests."""
    found = []
    for file in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        found += [one for one in yaml.safe_load_all(file.read_text(encoding="utf-8")) if one]
    return found


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for one in documents() if one["kind"] == kind]


def expressions() -> Iterator[str]:
    """All of PromQL that is shipped."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (one["expr"] for one in DASHBOARD["annotations"]["list"])
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


# -- metrics


def test_every_metric_that_is_asked_for_exists() -> None:
    recorded = {
        rule["record"] for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"] if
        "record" in rule
    }  # fmt: skip
    asked = set()
    texts = [*expressions(), *(one.get("definition", "") for one in DASHBOARD["templating"]["list"])]
    for text in texts:
        asked |= set(re.findall(r"\bdray[_:][\w:]+", text))
    assert len(asked) > 15
    assert asked - samples() - recorded == set()
    # … and none is exported that nobody would ever look at.
    families = {name for name in BY_NAME if any(one.startswith(name) for one in asked)}
    assert set(BY_NAME) - families == {"dray_build_info"}


def test_every_label_and_value_that_is_asked_for_exists() -> None:
    known = {"outcome": set(OUTCOMES), "state": {*STATES, "alive", "stopping", "dead", "starting"}}
    for expression in expressions():
        for name, labels in re.findall(r"\b(dray_\w+)\{([^}]*)\}", expression):
            metric = BY_NAME[re.sub(r"_(bucket|sum|count)$", "", name)]
            for label, _, value in LABEL.findall(labels):
                assert label in metric.labels, f"{name} has no label {label}"
                if label in known and not value.startswith("$"):
                    assert set(value.split("|")) <= known[label], f"{name}: {value}"
        for label in re.findall(r"by \(([\w, ]+)\)", expression):
            assert set(label.split(", ")) <= {one for metric in METRICS for one in metric.labels} | {"le", "instance"}


def test_promql_is_right(tmp_path: Path) -> None:
    tool = promtool()
    for what in ("check", "test"):
        file = RULES if what == "check" else RULES.with_name("dray.rules.test.yml")
        done = subprocess.run([tool, what, "rules", file.name], cwd=RULES.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    rules = []
    for number, expression in enumerate(expressions()):
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        assert "$" not in expression, f"an unknown variable in {expression}"
        rules.append({"record": f"r{number}", "expr": expression})
    file = tmp_path / "all.yml"
    file.write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))
    done = subprocess.run([tool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_laid_out() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "queue", "task"]


def test_every_alert_says_what_to_do() -> None:
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["labels"]["severity"] in ("page", "ticket")
                assert set(rule["annotations"]) == {"summary", "description"}
                commands = re.findall(r"`dray (\w+)", rule["annotations"]["description"])
                assert set(commands) <= set(cli.commands)


# -- systemd


def test_the_unit_is_right(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8")
    settings = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line and not line.startswith("#"))
    assert (settings["Type"], settings["KillMode"]) == ("notify", "mixed")
    grace = re.search(r"--grace (\d+)s", text)
    assert grace is not None
    assert int(settings["TimeoutStopSec"].rstrip("s")) >= int(grace[1]) + 10
    assert int(settings["WatchdogSec"].rstrip("s")) >= 10, "told at each turn, a second apart"
    arguments_exist("worker", re.findall(r"(--[\w-]+)", next(line for line in text.splitlines() if line.startswith("ExecStart="))))
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    program = tmp_path / "dray"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace("/srv/shop/.venv/bin/dray", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if UNIT.name in line]
    assert complaints == []


def arguments_exist(command: str, flags: list[str]) -> None:
    """Whether a command has these options."""
    known = {option for parameter in cli.commands[command].params for option in parameter.opts}
    assert set(flags) <= known, f"dray {command} has no option {set(flags) - known}"


# -- Kubernetes


def test_what_kustomize_collects_is_there() -> None:
    (kustomization,) = of_kind("Kustomization")
    files = {file.name for file in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert set(kustomization["resources"]) < files
    assert files - set(kustomization["resources"]) == {"kustomization.yaml", "keda.yaml", "keda-postgresql.yaml"}
    (image,) = kustomization["images"]
    assert {one["image"] for one in containers()} == {image["name"]}


def containers() -> list[dict[str, Any]]:
    return [one for deployment in of_kind("Deployment") for one in deployment["spec"]["template"]["spec"]["containers"]]


def test_objects_have_what_the_api_asks_for() -> None:
    versions = {
        "Deployment": "apps/v1", "Service": "v1", "Secret": "v1", "PodDisruptionBudget": "policy/v1",
        "ScaledObject": "keda.sh/v1alpha1", "TriggerAuthentication": "keda.sh/v1alpha1",
        "Kustomization": "kustomize.config.k8s.io/v1beta1",
    }  # fmt: skip
    for one in documents():
        assert one["apiVersion"] == versions[one["kind"]]
        if one["kind"] != "Kustomization":
            assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", one["metadata"]["name"])
    labels = [deployment["spec"]["template"]["metadata"]["labels"] for deployment in of_kind("Deployment")]
    for deployment in of_kind("Deployment"):
        spec = deployment["spec"]
        assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    for one in of_kind("Service") + of_kind("PodDisruptionBudget"):
        selector = one["spec"]["selector"]
        selector = selector.get("matchLabels", selector)
        assert sum(selector.items() <= found.items() for found in labels) == 1, f"{one['metadata']['name']} selects one of them"


def test_containers_say_what_the_command_line_understands() -> None:
    (secret,) = of_kind("Secret")
    for one in containers():
        program, command, *_ = one["command"]
        assert program == "dray"
        arguments_exist(command, [argument for argument in one["args"] if argument.startswith("--")])
        assert all(isinstance(argument, str) for argument in one["args"])
        ports = {port["name"]: port["containerPort"] for port in one["ports"]}
        assert str(next(iter(ports.values()))) in one["args"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in one:
                (how,) = one[probe].keys() & {"httpGet", "tcpSocket", "exec"}
                assert one[probe][how]["port"] in ports
                assert one[probe][how].get("path", "/livez") in ("/livez", "/readyz", "/startupz")
        for variable in one["env"]:
            name = variable["name"]
            assert name.removeprefix("DRAY_").lower() in DEFAULTS or f"$({name})" in one["args"], name
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["secretKeyRef"]
                assert (reference["name"], reference["key"] in secret["stringData"]) == (secret["metadata"]["name"], True)


def test_a_pod_has_the_time_that_its_worker_takes() -> None:
    (worker,) = (one for one in of_kind("Deployment") if one["metadata"]["name"] == "dray-worker")
    pod = worker["spec"]["template"]
    arguments = pod["spec"]["containers"][0]["args"]
    grace = int(arguments[arguments.index("--grace") + 1].rstrip("s"))
    assert pod["spec"]["terminationGracePeriodSeconds"] >= grace + 10
    port = str(pod["spec"]["containers"][0]["ports"][0]["containerPort"])
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == port
    assert port in arguments


def test_what_scales_points_at_what_is_there() -> None:
    workers = {one["metadata"]["name"] for one in of_kind("Deployment")}
    keys = set(of_kind("Secret")[0]["stringData"])
    services = {one["metadata"]["name"] for one in of_kind("Service")}
    authentications = {one["metadata"]["name"]: one for one in of_kind("TriggerAuthentication")}
    for one in of_kind("TriggerAuthentication"):
        assert {reference["key"] for reference in one["spec"]["secretTargetRef"]} <= keys
    for one in of_kind("ScaledObject"):
        assert one["spec"]["scaleTargetRef"]["name"] in workers
        for trigger in one["spec"]["triggers"]:
            assert trigger["authenticationRef"]["name"] in authentications
            assert all(isinstance(value, str) for value in trigger["metadata"].values()), "KEDA takes strings only"
            if trigger["type"] == "metrics-api":
                assert re.fullmatch(r"http://([\w-]+)/api/v1/scaling", trigger["metadata"]["url"])
                assert trigger["metadata"]["url"].split("/")[2] in services
                assert trigger["metadata"]["valueLocation"] == "backlog"


def test_the_statement_for_postgresql_counts_what_there_is_to_do(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    (query,) = (
        trigger["metadata"]["query"] for one in of_kind("ScaledObject") for trigger in one["spec"]["triggers"] if
        trigger["type"] == "postgresql"
    )  # fmt: skip
    with new_url("postgres", tmp_path, lambda: request.getfixturevalue("postgres")) as url:
        app = Dray(url)

        @app.task(name="add")
        async def add() -> None: ...

        assert app.store.where

        def number() -> float:
            with psycopg.connect(url, options="-c search_path=public") as server:
                row = server.execute(query).fetchone()
            assert row is not None
            return float(row[0])

        assert number() == 0, "not null, when there is nothing"
        app.enqueue_many(add.call() for _ in range(7))
        add.using(delay="1h").enqueue()
        assert number() == 7
        add.using(delay="1ms").enqueue()
        eventually(lambda: number() == 8, what="it is due, but nobody is there to make it ready")
        app.close()


def test_every_metric_is_in_the_manual() -> None:
    text = (DEPLOY.parent / "docs" / "observe.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(dray_\w+)` \|", text, re.MULTILINE)) == set(BY_NAME)
    for metric in METRICS:
        (row,) = re.findall(rf"^\| `{metric.name}` \| (\w+) \| (.*) \| .* \|$", text, re.MULTILINE)
        assert row == (metric.kind, ", ".join(f"`{label}`" for label in metric.labels) or "–")
