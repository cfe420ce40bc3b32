"""A real worker, asked for its health and its metrics."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

from harness import eventually, stopped
from watching import Watched, dray, promtool, values

from dray.observe.names import METRICS, samples

FINISHED = 'dray_jobs_finished_total{{outcome="{}",queue="default",task="tasks.{}"}}'


def test_it_says_that_it_is_well(watched: Watched) -> None:
    for path, names in (
        ("/livez", {"supervisor"}), ("/startupz", {"worker", "store"}), ("/readyz", {"worker", "store", "lease", "claim"}),
    ):  # fmt: skip
        status, found = watched.checks(path)
        assert status == 200, found
        assert set(found) == names
        assert all(check["ok"] for check in found.values())
    status, body, headers = watched.get("/readyz", "HEAD")
    assert (status, body) == (200, "")
    assert int(headers["content-length"]) > 0
    assert watched.get("/")[1].split() == ["/livez", "/readyz", "/startupz", "/metrics"]


def test_the_command_asks_it(watched: Watched) -> None:
    port = str(watched.port)
    done = dray("health", "--port", port, folder=watched.place.folder)
    assert done.returncode == 0, done
    assert "1 of 1 worker processes are ready" in done.stdout
    found = json.loads(dray("health", "live", "--json", folder=watched.place.folder, DRAY_HEALTH_PORT=port).stdout)
    assert found["checks"]["supervisor"]["ok"] is True
    eventually(watched.file.exists, what="the health file")
    assert dray("health", "--file", str(watched.file), folder=watched.place.folder).returncode == 0


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = str(nobody.getsockname()[1])
        done = dray("health", "--port", port, "--timeout", "0.3", folder=tmp_path)
        assert (done.returncode, done.stdout.split()[0]) == (1, "FAILING")
    assert "nobody answers" in dray("health", "--port", port, folder=tmp_path).stdout
    file = tmp_path / "well"
    assert dray("health", "--file", str(file), folder=tmp_path).returncode == 1
    file.touch()
    os.utime(file, (file.stat().st_atime, file.stat().st_mtime - 60))
    done = dray("health", folder=tmp_path, DRAY_HEALTH_FILE=str(file))
    assert (done.returncode, "touched 1m" in done.stdout) == (1, True), done
    done = dray("health", folder=tmp_path)
    assert done.returncode == 2
    assert "DRAY_HEALTH_PORT" in done.stderr


def test_metrics_of_all_that_runs_and_is_enqueued(watched: Watched) -> None:
    place = watched.place
    jobs = [place.enqueue("add", n, 1) for n in range(3)] + [place.enqueue("crunch", 9), place.enqueue("broken")]
    place.wait_final(jobs)
    found = watched.wait_value(FINISHED.format("succeeded", "hello"), 4)
    assert found[FINISHED.format("succeeded", "add")] == 3
    assert found[FINISHED.format("succeeded", "crunch")] == 1
    assert (found[FINISHED.format("retried", "broken")], found[FINISHED.format("failed", "broken")]) == (1, 1)
    assert found['dray_jobs_enqueued_total{queue="default",task="tasks.hello"}'] == 4, "by threads and child processes alike"
    assert found['dray_job_duration_seconds_count{queue="default",task="tasks.broken"}'] == 2
    assert found['dray_job_duration_seconds_bucket{le="+Inf",queue="default",task="tasks.add"}'] == 3
    assert found['dray_worker_slots{executor="async"}'] == 10
    assert found['dray_worker_slots{executor="process"}'] == 1
    assert found['dray_worker_processes{state="ready"}'] == 1
    assert found["dray_lease_age_seconds"] < 15


def test_the_whole_store_is_told_by_who_leads_and_by_who_is_asked(watched: Watched) -> None:
    eventually(lambda: "dray_store_up" in watched.values(), what="the lead")
    found = watched.values("?global=1")
    assert found["dray_store_up"] == 1
    assert found['dray_workers{state="alive"}'] == 1
    assert found['dray_queue_jobs{queue="default",state="running"}'] == 0
    assert found['dray_schedule_lag_seconds{schedule="each hour"}'] == 0
    assert "dray_store_up" not in watched.values("?global=0")


def test_every_metric_that_is_named_is_exported(watched: Watched) -> None:
    _, body, _ = watched.get("/metrics?global=1")
    assert set(re.findall(r"^# TYPE (\w+)", body, re.MULTILINE)) == {metric.name for metric in METRICS}
    told = {name.partition("{")[0] for name in values(body)}
    # Nothing has to be said of a schedule that has not fired.
    assert samples() - told <= {"dray_schedule_last_run_timestamp_seconds"}
    assert told <= samples()


def test_promtool_finds_nothing_wrong(watched: Watched) -> None:
    _, body, headers = watched.get("/metrics?global=1")
    assert headers["content-type"].startswith("text/plain; version=")
    done = subprocess.run([promtool(), "check", "metrics"], input=body, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_newer_format_if_it_is_asked_for(watched: Watched) -> None:
    _, body, headers = watched.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert body.endswith("# EOF\n")


def test_logs_of_jobs_say_whose_they_are(watched: Watched) -> None:
    place = watched.place
    job = place.enqueue("crunch", 4711)
    place.wait_final([job])
    lines = eventually(lambda: [line for line in watched.log() if line["message"].endswith("4711")][1:], what="the lines")
    (node,) = (node.id for node in place.nodes())
    said = {line["message"]: line for line in watched.log() if line["message"].endswith("4711")}
    assert lines
    line = said["in a process 4711"]
    assert (line["job"], line["task"], line["queue"], line["attempt"], line["node"]) == (job.id, "tasks.crunch", "default", 1, node)
    assert said["in a coroutine 4711"]["task"] == "tasks.hello"


def test_a_worker_that_stands_still_is_not_ready(watched: Watched) -> None:
    with stopped(watched.worker.child()):
        eventually(lambda: watched.get("/readyz")[0] == 503, what="readyz")
        assert watched.get("/livez")[0] == 200
    eventually(lambda: watched.get("/readyz")[0] == 200, what="readyz")


def test_counters_do_not_fall_when_a_process_dies(watched: Watched) -> None:
    place = watched.place
    place.wait_final([place.enqueue("hello", 1)])
    before = watched.wait_value(FINISHED.format("succeeded", "hello"), 1)
    os.kill(watched.worker.child(), signal.SIGKILL)
    watched.worker.wait_ready(2)
    after = watched.values()
    assert after["dray_worker_deaths_total"] == before["dray_worker_deaths_total"] + 1
    for name, value in before.items():
        if "_total" in name or "_count" in name or "_bucket" in name:
            assert after[name] >= value, name


def test_z_stopping_it_takes_the_file_away_and_is_clean(watched: Watched) -> None:
    """The last of the module: it ends the worker."""
    eventually(watched.file.exists, what="the health file")
    assert watched.worker.stop() == 0
    assert not watched.file.exists()
    assert "Traceback" not in watched.worker.log


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("from dray import Dray\napp = Dray()\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = dray("worker", "tasks", "--health-port", str(port), folder=tmp_path)
    assert done.returncode == 2
    assert f"port {port}: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr
