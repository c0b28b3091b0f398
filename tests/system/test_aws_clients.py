"""The stock aws CLI and boto3, through the whole life of a task, over loopback TCP to a live agent."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import botocore.config
import pytest
from botocore.exceptions import ClientError

from tests.conformance import assert_is
from tests.conftest import PATIENCE
from tests.machine import cannot_test
from tests.system.conftest import StartDaemon
from tests.system.daemon import FACTOR, SUPERVISOR, Daemon, Json

pytestmark = pytest.mark.system

REGION = "local"
AWS = [sys.executable, "-m", "awscli"]


def check_reply(operation_model: Any, response_dict: Any, **_: Any) -> None:
    """Every reply that boto3 gets has the members of botocore's model, with their types, and no other."""
    if response_dict["status_code"] == 200:
        assert_is(operation_model.output_shape, json.loads(response_dict["body"]), operation_model.name)


class Site:
    """A daemon with its TCP door, and the keys to it."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "credentials"
        self.keys = {name: (f"AKID{name.upper()}", secrets.token_hex(20)) for name in ("deploy", "monitoring")}
        self.write()
        self.tcp: Json = {"listen": "127.0.0.1:0", "credentials_file": str(self.file)}
        self.daemon: Daemon
        self.endpoint = ""
        self.verify: Any = None

    def write(self) -> None:
        """The file with the keys, as `aws configure` writes it."""
        lines = []
        for name, (key_id, secret) in self.keys.items():
            lines += [f"[{name}]", f"aws_access_key_id = {key_id}", f"aws_secret_access_key = {secret}"]
            lines += ["supervisor_access = read"] if name == "monitoring" else []
        self.file.touch(0o600)
        self.file.write_text("\n".join(lines) + "\n")

    def opened(self, daemon: Daemon) -> Site:
        """With the address that the kernel chose."""
        self.daemon = daemon
        (door,) = daemon.logged("door_opened", purpose="tcp")
        self.endpoint = f"{'https' if door['tls'] else 'http'}://{door['door']}"
        return self

    def client(self, profile: str = "deploy", region: str = REGION, secret: str | None = None, **config: Any) -> Any:
        """boto3's client of ECS."""
        key_id, known = self.keys.get(profile, ("AKIDNOBODY", "nothing"))
        client = boto3.client(
            "ecs",
            region_name=region,
            endpoint_url=self.endpoint,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret or known,
            verify=self.verify,
            config=botocore.config.Config(**config),
        )
        client.meta.events.register("before-parse.ecs", check_reply)
        return client

    def aws(self, *args: str, profile: str = "deploy", status: int = 0) -> Any:
        """What one line of `aws ecs` prints."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.file.parent),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.file),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        line = [*AWS, "--endpoint-url", self.endpoint, "--region", REGION, "--profile", profile, "ecs", *args]
        done = subprocess.run(line, env=environ, capture_output=True, text=True, timeout=12 * PATIENCE, check=False)
        assert done.returncode == status, f"{args}: {done.returncode}\n{done.stderr}\n{self.daemon.log_text()}"
        return (json.loads(done.stdout) if done.stdout else None) if status == 0 else done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests that leave it as it was."""
    site = Site(tmp_path_factory.mktemp("site"))
    tables: dict[str, Any] = {"api.tcp": site.tcp}
    with Daemon(**tables) as daemon:
        yield site.opened(daemon)


def no_wait() -> Any:
    """The pollers of boto3 ask again without their six seconds; what they ask and conclude is theirs."""
    return mock.patch("botocore.waiter.time.sleep", side_effect=lambda _: threading.Event().wait(0.05))


# -- a whole life --


def test_the_stock_command_line(site: Site) -> None:
    definition = {"family": "aws", "containerDefinitions": [site.daemon.container("graceful.py")]}
    registered = site.aws("register-task-definition", "--cli-input-json", json.dumps(definition))["taskDefinition"]
    assert registered["registeredBy"] == f"arn:aws:iam::{site.daemon.account}:user/deploy"
    assert site.aws("describe-task-definition", "--task-definition", "aws")["taskDefinition"] == registered
    ran = site.aws("run-task", "--task-definition", "aws", "--started-by", "the-cli")
    arn = ran["tasks"][0]["taskArn"]
    site.aws("wait", "tasks-running", "--tasks", arn)
    site.daemon.hear("main")
    assert site.aws("list-tasks", "--started-by", "the-cli") == {"taskArns": [arn]}
    stopped = site.aws("stop-task", "--task", arn, "--reason", "done with it")["task"]
    assert stopped["desiredStatus"] == "STOPPED"
    site.aws("wait", "tasks-stopped", "--tasks", arn)
    task = site.aws("describe-tasks", "--tasks", arn)["tasks"][0]
    assert (task["lastStatus"], task["stoppedReason"]) == ("STOPPED", "done with it")
    (line,) = site.daemon.logged("stop_requested", task=arn.rpartition("/")[2])
    assert line["by_profile"] == "deploy"
    assert line["by_address"].startswith("127.0.0.1:")


def test_the_stock_sdk(site: Site) -> None:
    ecs = site.client()
    ecs.register_task_definition(family="sdk", containerDefinitions=[site.daemon.container("graceful.py")])
    three = {"taskDefinition": "sdk", "count": 3, "startedBy": "the-sdk", "clientToken": "once"}
    arns = {task["taskArn"] for task in ecs.run_task(**three)["tasks"]}
    assert {task["taskArn"] for task in ecs.run_task(**three)["tasks"]} == arns
    with no_wait():
        ecs.get_waiter("tasks_running").wait(tasks=list(arns))
    site.daemon.hear("main", 3)
    pages = ecs.get_paginator("list_tasks").paginate(startedBy="the-sdk", PaginationConfig={"PageSize": 2})
    pages = [page["taskArns"] for page in pages]
    assert [len(page) for page in pages] == [2, 1]
    assert {arn for page in pages for arn in page} == arns
    for arn in arns:
        ecs.stop_task(task=arn, reason="end")
    with no_wait():
        ecs.get_waiter("tasks_stopped").wait(tasks=list(arns))
    for task in ecs.describe_tasks(tasks=list(arns))["tasks"]:
        assert task["containers"][0]["exitCode"] == 7
        assert isinstance(task["stoppedAt"], dt.datetime)
        assert task["createdAt"] <= task["startedAt"] <= task["stoppingAt"] <= task["stoppedAt"]
    missing = ecs.describe_tasks(tasks=["0" * 32])["failures"]
    assert [failure["reason"] for failure in missing] == ["MISSING"]


def test_the_words_of_errors_come_through(site: Site) -> None:
    with refused("ClusterNotFoundException", "Cluster not found."):
        site.client().list_tasks(cluster="elsewhere")
    text = site.aws("stop-task", "--task", "0" * 32, status=255)
    assert "(InvalidParameterException)" in text
    assert "The referenced task was not found." in text


def test_a_killed_agent_is_a_retry(site: Site) -> None:
    """The keeper has the listening socket: what connects meanwhile waits, what was cut off is sent again."""
    ecs = site.client(retries={"max_attempts": 10, "mode": "standard"})
    ecs.register_task_definition(family="retry", containerDefinitions=[site.daemon.container("graceful.py")])
    for number in range(3):
        site.daemon.kill_agent()
        ran = ecs.run_task(taskDefinition="retry", clientToken=f"retry-{number}", startedBy="retry")
        arn = ran["tasks"][0]["taskArn"]
        site.daemon.hear("main")
        site.daemon.kill_agent()
        ecs.stop_task(task=arn)
        with no_wait():
            ecs.get_waiter("tasks_stopped").wait(tasks=[arn])
    stopped = ecs.list_tasks(startedBy="retry", desiredStatus="STOPPED")["taskArns"]
    assert len(stopped) == 3, "one for each token, however often it was sent"


# -- who may not --


@contextlib.contextmanager
def refused(code: str, words: str, status: int = 400) -> Iterator[None]:
    with pytest.raises(ClientError) as caught:
        yield
    error = caught.value.response["Error"]
    assert (error["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert words in error["Message"]


def test_what_is_wrong_with_a_signature(site: Site) -> None:
    with refused("UnrecognizedClientException", "The security token included in the request is invalid."):
        site.client("nobody").list_tasks()
    with refused("InvalidSignatureException", "The request signature we calculated does not match"):
        site.client(secret="wrong").list_tasks()
    with refused("InvalidSignatureException", "Credential should be scoped to a valid region: 'local'"):
        site.client(region="eu-west-1").list_tasks()
    unsigned = botocore.UNSIGNED
    with refused("MissingAuthenticationTokenException", "Missing Authentication Token"):
        site.client(signature_version=unsigned).list_tasks()
    assert {line["code"] for line in site.daemon.logged("authentication_failed")} >= {
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
    }
    assert site.keys["deploy"][1] not in site.daemon.log_text()


@pytest.mark.parametrize(("minutes", "words"), [(-6, "Signature expired: "), (6, "Signature not yet current: ")])
def test_a_clock_that_is_wrong(site: Site, minutes: int, words: str) -> None:
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(minutes=minutes)
    with (
        mock.patch("botocore.auth.get_current_datetime", return_value=now),
        refused("InvalidSignatureException", words),
    ):
        site.client().list_tasks()


def test_a_profile_that_may_only_look(site: Site) -> None:
    assert "taskArns" in site.client("monitoring").list_tasks()
    text = site.aws("stop-task", "--task", "0" * 32, profile="monitoring", status=255)
    assert "(AccessDeniedException)" in text
    assert (
        f"User: arn:aws:iam::{site.daemon.account}:user/monitoring is not authorized to perform: ecs:StopTask" in text
    )
    assert site.daemon.logged("access_denied", action="ecs:StopTask", by_profile="monitoring")


def test_keys_rotate_without_a_restart(site: Site) -> None:
    old = site.client()
    old.list_tasks()
    agent = site.daemon.find_agent()
    site.keys["deploy"] = ("AKIDROTATED", secrets.token_hex(20))
    site.write()
    with refused("UnrecognizedClientException", "token"):
        old.list_tasks()
    site.client().list_tasks()
    assert site.daemon.find_agent() == agent


# -- TLS, and what is refused at the start --


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], dict[str, str]]:
    """Makes a certificate of our own for 127.0.0.1."""
    if shutil.which("openssl") is None:
        cannot_test("openssl is missing: apt-get install openssl")
    directory = tmp_path_factory.mktemp("tls")

    def make() -> dict[str, str]:
        pem = {name: str(directory / f"{name}.pem") for name in ("certificate", "key")}
        line = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
        line += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", pem["key"], "-out", pem["certificate"]]
        subprocess.run(line, check=True, capture_output=True)
        return pem

    return make


def test_tls(tmp_path: Path, certificate: Callable[[], dict[str, str]], start_daemon: StartDaemon) -> None:
    pem = certificate()
    site = Site(tmp_path)
    site.opened(start_daemon(**{"api.tcp": site.tcp | pem}))
    assert site.endpoint.startswith("https://127.0.0.1:")
    site.verify = pem["certificate"]
    assert site.client().list_tasks()["taskArns"] == []
    site.verify = None
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        site.client(retries={"total_max_attempts": 1}).list_tasks()
    plain = site.endpoint.replace("https", "http")
    with mock.patch.object(site, "endpoint", plain), pytest.raises(Exception, match="Connection"):
        site.client(retries={"total_max_attempts": 1}).list_tasks()


def test_a_certificate_gone_wrong_closes_no_other_door(
    tmp_path: Path, certificate: Callable[[], dict[str, str]], start_daemon: StartDaemon
) -> None:
    pem = certificate()
    site = Site(tmp_path)
    daemon = start_daemon(**{"api.tcp": site.tcp | pem})
    Path(pem["certificate"]).write_text("torn")
    daemon.kill_agent()
    assert daemon.call("ListTasks") == {"taskArns": []}
    assert daemon.logged("door_not_opened", door=site.tcp["listen"])
    Path(pem["certificate"]).write_bytes(Path(certificate()["certificate"]).read_bytes())
    daemon.kill_agent()
    assert daemon.call("ListTasks") == {"taskArns": []}
    assert len([line for line in daemon.logged("door_opened") if line["tls"]]) == 2


def test_a_handshake_has_its_limit_too(
    tmp_path: Path, certificate: Callable[[], dict[str, str]], start_daemon: StartDaemon
) -> None:
    pem = certificate()
    site = Site(tmp_path)
    limits = {"request_timeout": FACTOR, "max_connections": 3}
    site.opened(start_daemon(**{"api.tcp": site.tcp | pem, "api": limits}))
    site.verify = pem["certificate"]
    host, port = site.endpoint.removeprefix("https://").split(":")
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection((host, int(port)), PATIENCE)) for _ in range(3)]
        with refused("ServerException", "cannot serve more connections", status=503):
            site.client(retries={"total_max_attempts": 1}).list_tasks()
        for one in silent:
            assert one.recv(1) == b"", "closed, when it had had time enough"
        assert "taskArns" in site.client().list_tasks()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"listen": "0.0.0.0:0"}, "it is not a loopback address, and without TLS others could read the requests"),
        ({"listen": "[::]:0"}, "it is not a loopback address"),
        ({"listen": "127.0.0.1:65536"}, "write an address and port"),
        ({"listen": "127.0.0.300:1"}, "write an address and port"),
        ({"credentials_file": "/nonexistent"}, "cannot read the credentials /nonexistent: No such file"),
        ({"certificate": "/nonexistent"}, "cannot use api.tcp.certificate /nonexistent"),
        ({"key": "/nonexistent"}, "cannot use api.tcp.key: it needs api.tcp.certificate"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value.items()))[1],
)
def test_what_is_refused_at_the_start(tmp_path: Path, change: Json, words: str) -> None:
    site = Site(tmp_path)
    config = tmp_path / "agent.toml"
    config.write_text("[api.tcp]\n" + "".join(f'{key} = "{value}"\n' for key, value in (site.tcp | change).items()))
    line = [*SUPERVISOR, "agent", "--config", str(config), "--state-dir", f"{tmp_path}/state"]
    line += ["--socket", f"{tmp_path}/socket"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "socket").exists()
