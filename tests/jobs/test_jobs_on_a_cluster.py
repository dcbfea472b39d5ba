"""Jobs on a real Ray head with dashboard and token: the study under an `s3:` root, both ways to submit, ids, exit codes."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from end_to_end.small_job import job_fields
from object_stores.servers import BUCKET, CREDENTIALS, moto_server
from ray_clusters.forwarder import Forwarder
from ray_clusters.head import BIN, Head, ray_head
from ray_clusters.listeners import listeners

from cluster.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from cluster.storage import open_result_set, open_store

pytestmark = [pytest.mark.ray, pytest.mark.distributed, pytest.mark.slow]
REPOSITORY = Path(__file__).parents[2]
CODE = ("cluster", "retrieval", "trainer", "jobs")
TINY = ["arms={hybrid: {mono: 0.5, cross: 0.5}}", "training.steps=2", "evaluation.baselines=[]"]
SECRETS = list(CREDENTIALS)
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    with ray_head(cpus=4, environment={"MIXLINGUAL_STORAGE_CACHE": str(tmp_path_factory.mktemp("cache"))}) as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a study of its own, and with what no job needs."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in CODE:
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data").mkdir()
    fields = json.loads(json.dumps(job_fields(folder / "data")).replace(str(folder / "data"), "data"))
    (folder / "data" / "run.yaml").write_text(yaml.safe_dump(fields | {"root": "s3://elsewhere/nothing"}))
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "left-out.log").write_text("not packed")
    return folder


def environment_of(head: Head, **more: str) -> dict[str, str]:
    """What a client's environment holds: the dashboard, the token, the secrets of the bucket."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "AWS_", "MIXLINGUAL_"))}
    cluster = {"RAY_API_SERVER_ADDRESS": head.url, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": head.token}
    return kept | CREDENTIALS | cluster | {"PYTHONPATH": str(REPOSITORY)} | more


@pytest.fixture(scope="module")
def mixlingual(head: Head, checkout: Path) -> Run:
    """Run a command in the checkout, as a user of the cluster."""

    def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "jobs.cli", *map(str, arguments)]
        environment = environment_of(head, **more)
        return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=400)

    return run


def result_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def check_results(root: str, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """The bucket holds the whole study, to be read from any machine."""
    for name, value in (CREDENTIALS | {"MIXLINGUAL_STORAGE_CACHE": str(cache)}).items():
        monkeypatch.setenv(name, value)
    store = open_store(root)
    names = {key.removesuffix("/COMMIT") for key in store.list("") if key.endswith("/COMMIT")}
    kinds = [name.partition("/")[0] for name in names]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "groups": 1, "encoders": 2, "vectors": 1, "evaluations": 1, "runs": 1,
    }  # fmt: skip
    for name in names:
        open_result_set(store, name)
    (run,) = [name for name in names if name.startswith("runs/")]
    assert "<html" in open_result_set(store, run).path("index.html").read_text(encoding="utf-8")


def test_a_study_is_submitted_once(
    mixlingual: Run, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"s3://{BUCKET}/submitted?endpoint={server}"
    words = ["submit", "--env", SECRETS[0], "--env", SECRETS[1], "--", "run", "--config", "data/run.yaml"]
    words += ["--root", root, *TINY]
    done = mixlingual(*words)
    assert done.returncode == EXIT_OK, done.stdout + done.stderr
    assert re.search(r"package of .*: \d+ files, \d\.\d MiB\n", done.stderr)
    assert re.search(rf"^report: s3://{BUCKET}/submitted/runs/\w+/upload-\w+/index.html ", done.stdout, re.MULTILINE)
    (job,) = re.findall(r"^job (run-run-[0-9a-f]{12}): succeeded after \d+ s$", done.stdout, re.MULTILINE)
    assert not [secret for secret in CREDENTIALS.values() if secret in done.stdout + done.stderr]
    check_results(root, monkeypatch, tmp_path)

    again = mixlingual(*words)
    assert again.returncode == EXIT_OK
    assert again.stdout.startswith(f"job {job}: done already; read it with mixlingual logs {job}")
    log = mixlingual("logs", job, "--follow")
    assert log.returncode == EXIT_OK and "report: s3://" in log.stdout


def test_plain_ray_submits_it_too(
    head: Head, checkout: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"s3://{BUCKET}/plain?endpoint={server}"
    entrypoint = ["python", "-m", "jobs.cli", "run", "--config", "data/run.yaml", "--root", root, *TINY]
    command = [BIN / "ray", "job", "submit", "--working-dir", ".", "--runtime-env-json"]
    command += [json.dumps({"env_vars": CREDENTIALS}), "--", *entrypoint]
    done = subprocess.run(
        [str(word) for word in command],
        cwd=checkout,
        env=environment_of(head),
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == EXIT_OK, done.stdout + done.stderr
    check_results(root, monkeypatch, tmp_path)


def test_the_exit_code_of_the_command_comes_through(mixlingual: Run) -> None:
    words = ["submit", "--json", "--", "python", "-c", "import sys; sys.exit(3)"]
    first = mixlingual(*words)
    assert first.returncode == 3
    job = result_of(first)["job"]
    assert result_of(first) | {"started": 0, "ended": 0} == {
        "job": job, "status": "FAILED", "command": "python -c 'import sys; sys.exit(3)'",
        "started": 0, "ended": 0, "command_exit_code": 3, "submitted": True,
    }  # fmt: skip
    second = mixlingual(*words)
    assert second.returncode == 3 and result_of(second)["job"] == f"{job}-2", "what failed is tried again"


def test_a_client_comes_and_goes_and_the_job_goes_on(mixlingual: Run, head: Head, checkout: Path) -> None:
    words = ["submit", "--name", "long", "--", "python", "-c", "import time; print('here'); time.sleep(600)"]
    command = [sys.executable, "-m", "jobs.cli", *words]
    with subprocess.Popen(
        command,
        cwd=checkout,
        env=environment_of(head),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has them, and so their children, ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as client:
        try:
            assert client.stdout is not None
            while client.stdout.readline() not in ("here\n", ""):
                pass
            assert client.poll() is None, client.stderr and client.stderr.read()
            client.send_signal(signal.SIGINT)
            rest, _ = client.communicate(timeout=60)
        finally:
            client.kill()
    assert client.returncode == EXIT_FAILED
    job, back = re.findall(r"^job (\S+): goes on without us; come back with (.*), end it", rest, re.MULTILINE)[0]
    assert back == f"mixlingual logs {job} --follow"

    again = mixlingual(*words[:1], "--no-wait", "--json", *words[1:])
    assert again.returncode == EXIT_OK
    assert {name: result_of(again)[name] for name in ("job", "status", "submitted")} == {
        "job": job, "status": "RUNNING", "submitted": False,
    }  # fmt: skip
    assert result_of(mixlingual("stop", job, "--json"))["status"] == "STOPPED"
    assert f"{job}  stopped after " in mixlingual("status").stdout


def test_a_log_is_shown_once_though_the_connection_breaks(head: Head, checkout: Path) -> None:
    code = "import time\nfor line in range(8): print('line', line, flush=True); time.sleep(1)"
    with Forwarder(int(head.url.rpartition(":")[2])) as forwarder:
        command = [sys.executable, "-m", "jobs.cli", "submit", "--address", forwarder.url, "--", "python", "-c", code]
        environment = environment_of(head)
        with subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdout is not None
            shown = []
            for line in client.stdout:
                shown.append(line)
                if line in ("line 1\n", "line 4\n"):
                    forwarder.drop()
    assert client.returncode == EXIT_OK
    assert [line for line in shown if line.startswith("line ")] == [f"line {number}\n" for number in range(8)]
    assert forwarder.cut >= 2


def test_without_the_token_one_sentence_says_what_to_do(mixlingual: Run, head: Head, tmp_path: Path) -> None:
    remedy = "set RAY_AUTH_TOKEN to the cluster's token, or RAY_AUTH_TOKEN_PATH to a file that holds it"
    submit = ("submit", "--", "python", "-c", "print('never')")
    none = {"RAY_AUTH_TOKEN": "", "HOME": str(tmp_path)}
    for more, said in (
        (none, f"the Ray cluster at {head.url} asks for a token, and there is none here; {remedy}"),
        (
            {"RAY_AUTH_TOKEN": "f" * 64},
            f"the Ray cluster at {head.url} refuses the token from RAY_AUTH_TOKEN; {remedy}",
        ),
    ):
        done = mixlingual(*submit, **more)
        assert (done.returncode, done.stdout, done.stderr) == (EXIT_USAGE, "", f"mixlingual: {said}\n")
    driver = joining(head, **none)
    assert driver.stderr.splitlines()[-1] == (
        f"cluster.errors.ConfigError: ray.address: Ray at {head.address} asks for a token, and there is none here; {remedy}"
    )


def test_what_a_cluster_does_not_know_is_said_in_one_line(mixlingual: Run) -> None:
    done = mixlingual("stop", "nothing")
    assert done.returncode == EXIT_USAGE and done.stdout == ""
    assert re.fullmatch(r"mixlingual: job nothing: the Ray cluster at \S+ knows none of that id; .*\n", done.stderr)


def test_nothing_listens_beyond_loopback(head: Head) -> None:
    assert listeners(head.processes()) == {"127.0.0.1"}


OPEN = ("/", "/api/gcs_healthz", "/api/local_raylet_healthz")
"""What a dashboard answers to anybody: the page that asks for the token, and whether it lives."""
ADDRESSES = (
    *OPEN,
    "/api/jobs/",
    "/api/version",
    "/api/cluster_status",
    "/nodes?view=summary",
    "/logs",
    "/api/job_agent/jobs/",
)
METHODS = (
    "NodeInfoGcsService/GetAllNodeInfo", "InternalKVGcsService/InternalKVKeys", "NodeManagerService/RequestWorkerLease",
    "ObjectManagerService/Pull", "ReporterService/GetTraceback", "CoreWorkerService/PushTask",
)  # fmt: skip


def test_no_port_answers_without_the_token(head: Head) -> None:
    ports = {
        connection.laddr.port
        for process in head.processes()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    by_http = {port: {address: by_get(port, address) for address in ADDRESSES} for port in ports}
    speaking = {port: answers for port, answers in by_http.items() if answers["/api/version"]}
    metrics = [port for port, answers in speaking.items() if "ray_" in answers["/api/version"][1]]
    assert len(metrics) == 1 and len(speaking) >= 4
    for port, answers in speaking.items():
        for address, (status, _) in answers.items():
            assert port in metrics or status in (401, 404) or (status == 200 and address in OPEN), (
                port,
                address,
                status,
            )
    said = {(port, method): by_call(port, method, "") for port in ports - speaking.keys() for method in METHODS}
    with_it = {place: by_call(*place, head.token) for place in said}
    heard = [place for place, code in with_it.items() if code not in ("UNIMPLEMENTED", "UNAVAILABLE")]
    assert len({method for _, method in heard}) >= 5, with_it
    assert {said[place] for place in heard} == {"UNAUTHENTICATED"}


def by_get(port: int, address: str) -> tuple[int, str] | None:
    """Status and beginning of what a port answers to HTTP without a token; None where it speaks something else."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{address}", timeout=20) as response:
            return response.status, response.read(4000).decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, ""
    except (http.client.HTTPException, OSError):
        return None


def by_call(port: int, method: str, token: str) -> str:
    """How a port answers a remote call."""
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(f"/ray.rpc.{method}", request_serializer=bytes, response_deserializer=bytes)
        try:
            call(b"", timeout=20, metadata=[("authorization", f"Bearer {token}")] if token else None)
        except grpc.RpcError as error:
            return error.code().name
    return "OK"


def joining(head: Head, **more: str) -> subprocess.CompletedProcess[str]:
    """A driver of this machine's that joins the head."""
    code = (
        "from cluster.ray_runtime import RayConfig, ray_cluster\n"
        f"with ray_cluster(RayConfig(address='{head.address}'), cpus_needed=4): print('joined')"
    )
    return subprocess.run(
        [sys.executable, "-c", code], env=environment_of(head, **more), capture_output=True, text=True, timeout=120
    )


def test_a_driver_of_this_machine_joins_a_head_on_loopback(head: Head) -> None:
    done = joining(head)
    assert done.stdout == "joined\n", done.stderr
