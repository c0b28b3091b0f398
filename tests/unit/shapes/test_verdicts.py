from __future__ import annotations

from typing import Any

import pytest

from supervisor.shapes import render_definition

from .samples import CANNOT, NOT_YET, REFUSED_IN_A_CONTAINER, container, refusal, register


@pytest.mark.parametrize(("member", "value", "why"), [(m, v, w) for m, (v, w) in REFUSED_IN_A_CONTAINER.items()])
def test_what_a_container_cannot_have(member: str, value: Any, why: str) -> None:
    assert refusal(container(), container(name="b", **{member: value})) == f"containerDefinitions[1].{member}: {why}"


@pytest.mark.parametrize("member", REFUSED_IN_A_CONTAINER)
def test_asking_for_nothing_is_accepted_and_given_back(member: str) -> None:
    value = REFUSED_IN_A_CONTAINER[member][0]
    nothing = type(value)()  # False, "", [] or {}
    definition = register(container(**{member: nothing}))
    assert definition.container_definitions[0].echo == {member: nothing}


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"linuxParameters": {"capabilities": {"add": ["NET_ADMIN"]}}}, f"linuxParameters.capabilities: {CANNOT}"),
        ({"linuxParameters": {"capabilities": {"drop": ["ALL"]}}}, f"linuxParameters.capabilities: {CANNOT}"),
        ({"linuxParameters": {"devices": [{"hostPath": "/dev/x"}]}}, f"linuxParameters.devices: {CANNOT}"),
        ({"linuxParameters": {"tmpfs": [{"containerPath": "/x", "size": 1}]}}, f"linuxParameters.tmpfs: {CANNOT}"),
        ({"linuxParameters": {"sharedMemorySize": 64}}, f"linuxParameters.sharedMemorySize: {CANNOT}"),
        ({"linuxParameters": {"maxSwap": 0}}, f"linuxParameters.maxSwap: {CANNOT}"),
        ({"linuxParameters": {"swappiness": 0}}, f"linuxParameters.swappiness: {CANNOT}"),
        ({"startTimeout": -1}, "startTimeout: expected 0 or more seconds, got -1"),
        ({"stopTimeout": -1}, "stopTimeout: expected 0 or more seconds, got -1"),
        ({"versionConsistency": "x"}, "versionConsistency: expected enabled or disabled"),
        ({"cpu": -1}, "cpu: expected 0 or more, got -1"),
        ({"memory": 0}, "memory: expected 1 or more MiB, got 0"),
        ({"memoryReservation": -1}, "memoryReservation: expected 1 or more MiB, got -1"),
        (
            {"memory": 1, "memoryReservation": 2},
            "memoryReservation: 2 MiB are more than memory, 1 MiB; lower it",
        ),
        ({"name": "a b"}, "name: expected 1 to 255 letters, digits, - and _, got 'a b'"),
        ({"name": "web\n"}, "name: expected 1 to 255 letters, digits, - and _, got 'web\\n'"),
        (
            {"command": []},
            "command: there is nothing to run, and no image here to supply it; give entryPoint or command",
        ),
        ({"command": [""]}, "command[0]: the program's name is empty; give its path or name"),
        ({"entryPoint": [""]}, "entryPoint[0]: the program's name is empty; give its path or name"),
        (
            {"command": ["a", "b\0c"]},
            "command[1]: contains a NUL character, which cannot be given to a process; remove it",
        ),
        (
            {"entryPoint": ["\0"]},
            "entryPoint[0]: contains a NUL character, which cannot be given to a process; remove it",
        ),
        ({"environment": [{"value": "x"}]}, "environment[0].name: a variable must have a name"),
        ({"environment": [{"name": ""}]}, "environment[0].name: a variable must have a name"),
        (
            {"environment": [{"name": "A=B"}]},
            "environment[0].name: 'A=B' contains '=', which ends the name of a variable; remove it",
        ),
        (
            {"environment": [{"name": "A\0"}]},
            "environment[0].name: contains a NUL character, which cannot be given to a process; remove it",
        ),
        (
            {"environment": [{"name": "A"}, {"name": "B", "value": "\0"}]},
            "environment[1].value: contains a NUL character, which cannot be given to a process; remove it",
        ),
        (
            {"environment": [{"name": "SUPERVISOR_CONTAINER_ID", "value": "x"}]},
            "environment[0].name: SUPERVISOR_* is set by the agent; rename 'SUPERVISOR_CONTAINER_ID'",
        ),
        ({"workingDirectory": "srv"}, "workingDirectory: expected an absolute path, got 'srv'"),
        (
            {"workingDirectory": "/a\0"},
            "workingDirectory: contains a NUL character, which cannot be given to a process; remove it",
        ),
        ({"user": "a:b:c"}, "user: expected user, user:group, uid or uid:gid, got 'a:b:c'"),
        ({"user": ":b"}, "user: expected user, user:group, uid or uid:gid, got ':b'"),
        ({"user": "a:"}, "user: expected user, user:group, uid or uid:gid, got 'a:'"),
        ({"user": "a b"}, "user: expected user, user:group, uid or uid:gid, got 'a b'"),
        ({"user": "a\0"}, "user: expected user, user:group, uid or uid:gid, got 'a\\x00'"),
        ({"user": "4294967295"}, "user: '4294967295' is too large; ids go up to 4294967294"),
        ({"user": "0:" + "9" * 11}, "user: '99999999999' is too large; ids go up to 4294967294"),
        (
            {"ulimits": [{"name": "files", "softLimit": 1, "hardLimit": 1}]},
            (
                "ulimits[0].name: expected one of core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile,"
                " nproc, rss, rtprio, rttime, sigpending, stack, got 'files'"
            ),
        ),
        (
            {"ulimits": [{"name": "core", "softLimit": 2, "hardLimit": 1}]},
            "ulimits[0].softLimit: more than hardLimit; lower it to 1 or less",
        ),
        (
            {"ulimits": [{"name": "core", "softLimit": -1, "hardLimit": 1}]},
            "ulimits[0].softLimit: more than hardLimit; lower it to 1 or less",
        ),
        (
            {"ulimits": [{"name": "core", "softLimit": -2, "hardLimit": 1}]},
            "ulimits[0].softLimit: expected 0 or more, or -1 for unlimited, got -2",
        ),
        (
            {"ulimits": [{"name": "core", "softLimit": 1, "hardLimit": 1}] * 2},
            "ulimits[1].name: core is there twice; remove one",
        ),
        (
            {"logConfiguration": {"logDriver": "awslogs"}},
            (
                "logConfiguration.logDriver: 'awslogs' is not supported; use one of json-file, file, journald,"
                " inherit, none"
            ),
        ),
        (
            {"logConfiguration": {"logDriver": "json-file", "options": {"labels": "x"}}},
            "logConfiguration.options['labels']: json-file does not support it; remove it",
        ),
        (
            {"logConfiguration": {"logDriver": "none", "options": {"tag": "x"}}},
            "logConfiguration.options['tag']: none does not support it; remove it",
        ),
        (
            {"logConfiguration": {"logDriver": "journald", "options": {"tag": "\0"}}},
            "logConfiguration.options['tag']: contains a NUL character, which cannot be given to a process; remove it",
        ),
        (
            {"logConfiguration": {"logDriver": "none", "secretOptions": [{"name": "a", "valueFrom": "b"}]}},
            f"logConfiguration.secretOptions: {NOT_YET}",
        ),
        ({"portMappings": [{}]}, "portMappings[0].containerPort: expected 1 to 65535"),
        ({"portMappings": [{"containerPort": 0}]}, "portMappings[0].containerPort: expected 1 to 65535"),
        ({"portMappings": [{"containerPort": 65536}]}, "portMappings[0].containerPort: expected 1 to 65535"),
        ({"portMappings": [{"containerPortRange": "1-2"}]}, f"portMappings[0].containerPortRange: {NOT_YET}"),
        (
            {"portMappings": [{"containerPort": 80}, {"containerPort": 80, "hostPort": 8080}]},
            (
                "portMappings[1].hostPort: a process host does not translate ports; remove it, or set it to 80,"
                " the containerPort"
            ),
        ),
        (
            {"portMappings": [{"containerPort": 80, "protocol": "sctp"}]},
            "portMappings[0].protocol: expected tcp or udp, got 'sctp'",
        ),
        (
            {"portMappings": [{"containerPort": 80, "appProtocol": "ftp"}]},
            "portMappings[0].appProtocol: expected http, http2 or grpc, got 'ftp'",
        ),
        (
            {"dependsOn": [{"containerName": "zzz", "condition": "START"}]},
            "dependsOn[0].containerName: no container has the name 'zzz'",
        ),
        (
            {"dependsOn": [{"containerName": "side", "condition": "HEALTHY"}]},
            "dependsOn[0].condition: side has no healthCheck, so it never is HEALTHY; give it one, or use START",
        ),
        (
            {"dependsOn": [{"containerName": "side", "condition": "start"}]},
            "dependsOn[0].condition: expected one of START, COMPLETE, SUCCESS, HEALTHY, got 'start'",
        ),
        (
            {"dockerLabels": {"supervisor.stop-signal": "KILL"}},
            (
                "dockerLabels['supervisor.stop-signal']: 'KILL' cannot be handled, so nothing could stop in its own"
                " way; use SIGTERM"
            ),
        ),
        (
            {"dockerLabels": {"supervisor.stop-scope": "all"}},
            "dockerLabels['supervisor.stop-scope']: expected main or group, got 'all'",
        ),
        (
            {"dockerLabels": {"supervisor.stopsignal": "TERM"}},
            "dockerLabels['supervisor.stopsignal']: unknown label; did you mean 'supervisor.stop-signal'?",
        ),
        (
            {"mountPoints": [{"sourceVolume": "data", "containerPath": "/x"}]},
            "mountPoints[0].sourceVolume: no volume has the name 'data'",
        ),
    ],
)
def test_what_is_wrong_in_a_container_is_named(members: dict[str, Any], text: str) -> None:
    side = container(name="side", essential=False)
    assert refusal(side, container(**members)) == f"containerDefinitions[1].{text}"


def test_of_a_port_mapping_more_is_given_back_than_is_obeyed() -> None:
    port = {"containerPort": 80, "name": "http", "appProtocol": "http"}
    rendered = render_definition(register(container(portMappings=[port])))
    assert rendered["containerDefinitions"][0]["portMappings"] == [{**port, "hostPort": 0, "protocol": "tcp"}]


@pytest.mark.parametrize("user", ["www", "www:www", "1000", "1000:1000", "4294967294", "a.b@c", "DOM\\u"])
def test_users(user: str) -> None:
    assert register(container(user=user)).container_definitions[0].user == user


@pytest.mark.parametrize("member", ["user", "workingDirectory", "image"])
def test_an_empty_text_is_absent(member: str) -> None:
    assert register(container(**{member: ""})) == register(container())
