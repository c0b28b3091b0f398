"""A whole life by all operations: clusters, tokens, tags, room, draining, deletion, and the agent killed in between.

Every reply is read by ECS's own model.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

import supervisor
from supervisor.cli.failures import AgentRefused
from supervisor.shapes.parse import OTHER_OPERATIONS
from tests.conformance import assert_matches
from tests.system.daemon import Daemon, Json

pytestmark = pytest.mark.system


def ask(daemon: Daemon, operation: str, **members: Any) -> Json:
    reply = daemon.call(operation, **members)
    assert_matches(operation, "output", reply)
    return reply


def refused(daemon: Daemon, operation: str, **members: Any) -> str:
    """The code of the refusal."""
    with pytest.raises(AgentRefused) as raised:
        daemon.call(operation, **members)
    return raised.value.error_code


def wait_stopped(daemon: Daemon, cluster: str, arns: list[str]) -> list[Json]:
    """Waits for the end of tasks of a cluster; their records, in that order."""
    for reply in daemon.client.watch(cluster, arns, 60.0):
        if all(task["lastStatus"] == "STOPPED" for task in reply["tasks"]):
            break
    tasks: list[Json] = ask(daemon, "DescribeTasks", cluster=cluster, tasks=arns)["tasks"]
    return tasks


def instance_of(daemon: Daemon, cluster: str) -> Json:
    (arn,) = ask(daemon, "ListContainerInstances", cluster=cluster)["containerInstanceArns"]
    reply = ask(daemon, "DescribeContainerInstances", cluster=cluster, containerInstances=[arn], include=["TAGS"])
    (instance,) = reply["containerInstances"]
    shown: Json = instance
    return shown


def left(instance: Json, what: str) -> int:
    (amount,) = [one["integerValue"] for one in instance["remainingResources"] if one["name"] == what]
    return int(amount)


def test_a_life_by_all_operations_while_the_agent_is_killed(daemon: Daemon) -> None:
    # A cluster and a definition, tags on everything, two tasks by a token.
    cluster = ask(daemon, "CreateCluster", clusterName="batch", tags=[{"key": "team", "value": "blue"}])["cluster"]
    definition = daemon.define(daemon.container("graceful.py", "0", memory=64, cpu=16))
    request = {"cluster": "batch", "taskDefinition": definition, "count": 2, "clientToken": "deploy-1"}
    before = instance_of(daemon, "batch")
    arns = [task["taskArn"] for task in ask(daemon, "RunTask", **request)["tasks"]]
    assert len(arns) == 2
    daemon.hear("main", 2)
    for arn in (arns[0], before["containerInstanceArn"]):
        ask(daemon, "TagResource", resourceArn=arn, tags=[{"key": "shift", "value": "night"}])
    after = instance_of(daemon, "batch")
    assert (after["runningTasksCount"], after["versionInfo"]["agentVersion"]) == (2, supervisor.__version__)
    assert left(before, "MEMORY") - left(after, "MEMORY") == 128
    assert left(before, "CPU") - left(after, "CPU") == 32

    daemon.kill_agent()

    # The next agent knows all of it, and the token still means the same two tasks.
    assert [task["taskArn"] for task in ask(daemon, "RunTask", **request)["tasks"]] == arns
    assert refused(daemon, "RunTask", **request | {"count": 1}) == "ConflictException"
    assert sorted(ask(daemon, "ListTasks", cluster="batch")["taskArns"]) == sorted(arns)
    assert ask(daemon, "ListTasks")["taskArns"] == []
    again = instance_of(daemon, "batch")
    assert again == after
    assert again["tags"] == [{"key": "shift", "value": "night"}]
    assert ask(daemon, "ListTagsForResource", resourceArn=arns[0])["tags"] == again["tags"]
    tags = ask(daemon, "ListTagsForResource", resourceArn=cluster["clusterArn"])["tags"]
    assert tags == [{"key": "team", "value": "blue"}]

    # Draining: every task stops gracefully, none is taken; the agent dies with that under way.
    drain = {"cluster": "batch", "containerInstances": [again["containerInstanceArn"]]}
    (draining,) = ask(daemon, "UpdateContainerInstancesState", **drain, status="DRAINING")["containerInstances"]
    assert draining["status"] == "DRAINING"
    daemon.kill_agent()
    for task in wait_stopped(daemon, "batch", arns):
        assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("TerminationNotice", 0)
    assert instance_of(daemon, "default")["status"] == "DRAINING", "one host, in every cluster"
    place = instance_of(daemon, "default")["containerInstanceArn"]
    failure = {"arn": place, "reason": "AGENT"}
    assert ask(daemon, "RunTask", taskDefinition=definition)["failures"] == [failure]
    started = ask(daemon, "StartTask", taskDefinition=definition, containerInstances=[place])
    assert (started["tasks"], started["failures"]) == ([], [failure])
    ask(daemon, "UpdateContainerInstancesState", **drain, status="ACTIVE")
    assert left(instance_of(daemon, "batch"), "MEMORY") == left(before, "MEMORY")

    # A task in the agent's own cluster; its definition is deleted while it runs, and goes with it.
    (task,) = ask(daemon, "StartTask", taskDefinition=definition, containerInstances=[place])["tasks"]
    daemon.hear("main")
    family = definition.partition(":")[0]
    assert ask(daemon, "ListTaskDefinitionFamilies", familyPrefix=family)["families"] == [family]
    ask(daemon, "DeregisterTaskDefinition", taskDefinition=definition)
    assert refused(daemon, "RunTask", taskDefinition=definition) == "InvalidParameterException"
    assert len(ask(daemon, "ListTaskDefinitions", familyPrefix=family, status="INACTIVE")["taskDefinitionArns"]) == 1
    (deleted,) = ask(daemon, "DeleteTaskDefinitions", taskDefinitions=[definition])["taskDefinitions"]
    assert deleted["status"] == "DELETE_IN_PROGRESS"
    ask(daemon, "DescribeTaskDefinition", taskDefinition=definition)
    ask(daemon, "StopTask", task=task["taskArn"], reason="the end")
    wait_stopped(daemon, "default", [task["taskArn"]])
    assert refused(daemon, "DescribeTaskDefinition", taskDefinition=definition) == "ClientException"

    # The cluster goes last.
    ask(daemon, "UntagResource", resourceArn=cluster["clusterArn"], tagKeys=["team"])
    assert ask(daemon, "DeleteCluster", cluster="batch")["cluster"]["status"] == "INACTIVE"
    daemon.kill_agent()
    assert refused(daemon, "ListTasks", cluster="batch") == "ClusterNotFoundException"
    assert refused(daemon, "DeleteCluster", cluster="default") == "ClusterContainsContainerInstancesException"
    (gone,) = ask(daemon, "DescribeClusters", clusters=["batch"], include=["TAGS"])["clusters"]
    assert (gone["status"], gone["tags"]) == ("INACTIVE", [])
    assert len(ask(daemon, "ListClusters")["clusterArns"]) == 1


def test_the_hosts_own_memory_and_ports_are_what_counts(shared: Daemon) -> None:
    place = instance_of(shared, "default")["containerInstanceArn"]
    huge = shared.define(shared.container("graceful.py", memory=2**31 - 1))
    assert ask(shared, "RunTask", taskDefinition=huge)["failures"] == [{"arn": place, "reason": "RESOURCE:MEMORY"}]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        served = shared.define(shared.container("graceful.py", portMappings=[{"containerPort": port}]))
        reply = ask(shared, "RunTask", taskDefinition=served)
        assert reply["failures"] == [{"arn": place, "reason": "RESOURCE:PORTS"}], "the test itself has the port"
    reply = ask(shared, "RunTask", taskDefinition=served, count=2)
    assert reply["failures"] == [{"arn": place, "reason": "RESOURCE:PORTS"}], "one of the two has the port"
    (task,) = reply["tasks"]
    shared.hear("main")
    shared.stop(task["taskArn"])
    assert shared.wait(task["taskArn"])["containers"][0]["networkBindings"][0]["hostPort"] == port
    (task,) = ask(shared, "RunTask", taskDefinition=served)["tasks"]
    shared.hear("main")
    shared.stop(task["taskArn"])
    shared.wait(task["taskArn"])


@pytest.mark.parametrize("operation", sorted(OTHER_OPERATIONS))
def test_an_operation_that_is_not_here_says_so(shared: Daemon, operation: str) -> None:
    assert refused(shared, operation) == "UnsupportedFeatureException"


def test_every_operation_has_a_command(shared: Daemon) -> None:
    shared.cli("create-cluster", "--cluster-name", "by-hand", "--tags", "key=a,value=b")
    shared.cli("describe-clusters", "--clusters", "by-hand", "--include", "TAGS", "STATISTICS")
    shared.cli("list-clusters", "--max-results", "1")
    definition = shared.define(shared.container("graceful.py"))
    shared.cli("list-task-definitions", "--sort", "DESC")
    shared.cli("list-task-definition-families")
    place = instance_of(shared, "by-hand")["containerInstanceArn"]
    started = shared.cli(
        "start-task", "--cluster", "by-hand", "--container-instances", place, "--task-definition", definition
    )
    assert '"failures": []' in started.stdout
    shared.hear("main")
    shared.cli("tag-resource", "--resource-arn", place, "--tags", "key=a,value=b")
    assert '"value": "b"' in shared.cli("list-tags-for-resource", "--resource-arn", place).stdout
    shared.cli("untag-resource", "--resource-arn", place, "--tag-keys", "a")
    shared.cli("list-container-instances", "--cluster", "by-hand")
    (arn,) = ask(shared, "ListTasks", cluster="by-hand")["taskArns"]
    state = ["update-container-instances-state", "--cluster", "by-hand", "--container-instances", place, "--status"]
    shared.cli(*state, "DRAINING")
    wait_stopped(shared, "by-hand", [arn])
    shared.cli("describe-container-instances", "--cluster", "by-hand", "--container-instances", place)
    shared.cli(*state, "ACTIVE")
    shared.cli("deregister-task-definition", "--task-definition", definition)
    shared.cli("delete-task-definitions", "--task-definitions", definition)
    shared.cli("delete-cluster", "--cluster", "by-hand")
