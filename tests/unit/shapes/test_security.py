"""``secrets`` and ``dockerSecurityOptions``: what is accepted, shown, and refused with its path."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor import shapes
from tests.unit.shapes.samples import container, refusal, register

PASSWORD = {"name": "PASSWORD", "valueFrom": "file:db/password"}
KEY = {"name": "KEY", "valueFrom": "file:/run/keys/a b"}


def test_secrets_are_shown_as_they_were_given() -> None:
    definition = register(container(secrets=[PASSWORD, KEY], environment=[{"name": "A", "value": "1"}]))
    (defined,) = definition.container_definitions
    assert [shapes.source_of(secret) for secret in defined.secrets] == ["db/password", "/run/keys/a b"]
    shown = shapes.render_definition(definition)["containerDefinitions"][0]
    assert list(shown["secrets"]) == [PASSWORD, KEY]
    assert "secrets" not in shapes.render_definition(register())["containerDefinitions"][0]


@pytest.mark.parametrize(
    ("secrets", "words"),
    [
        ([{"name": "A", "valueFrom": "arn:aws:ssm:x"}], "[0].valueFrom: Secrets Manager and Parameter Store cannot be"),
        ([PASSWORD, {"name": "A", "valueFrom": "name"}], "[1].valueFrom: expected file:NAME or file:/absolute/path"),
        ([{"name": "A", "valueFrom": "file:"}], "[0].valueFrom: expected file:NAME"),
        ([{"name": "A", "valueFrom": "file:../a"}], "[0].valueFrom: no part of '../a' may be empty, a dot, or two"),
        ([{"name": "A", "valueFrom": "file:a//b"}], "[0].valueFrom: no part of"),
        ([{"name": "A", "valueFrom": "file:./a"}], "[0].valueFrom: no part of"),
        ([{"name": "A", "valueFrom": "file:a\0"}], "[0].valueFrom: contains a NUL"),
        ([{"name": "", "valueFrom": "file:a"}], "[0].name: a variable must have a name"),
        ([{"name": "A=B", "valueFrom": "file:a"}], "[0].name: 'A=B' contains '='"),
        ([{"name": "SUPERVISOR_X", "valueFrom": "file:a"}], "[0].name: SUPERVISOR_* is set by the agent"),
        ([PASSWORD, PASSWORD], "[1].name: 'PASSWORD' is set twice"),
        ([{"name": "TAKEN", "valueFrom": "file:a"}], "[0].name: 'TAKEN' is set twice"),
        ([{"name": f"V{n}", "valueFrom": "file:a"} for n in range(201)], ": expected up to 200, got 201"),
    ],
)
def test_what_is_no_secret_is_refused(secrets: list[Any], words: str) -> None:
    text = refusal(container(secrets=secrets, environment=[{"name": "TAKEN", "value": "1"}]))
    assert text.startswith(f"containerDefinitions[0].secrets{words}")


@pytest.mark.parametrize(
    ("options", "forbids"),
    [
        (["no-new-privileges"], True),
        (["no-new-privileges:true"], True),
        (["no-new-privileges:false"], False),
        ([], False),
    ],
)
def test_new_privileges_are_forbidden_where_it_is_asked_for(options: list[str], forbids: bool) -> None:
    definition = register(container(dockerSecurityOptions=options))
    assert shapes.forbids_new_privileges(definition.container_definitions[0]) is forbids
    shown = shapes.render_definition(definition)["containerDefinitions"][0]
    assert list(shown.get("dockerSecurityOptions", [])) == options


@pytest.mark.parametrize("option", ["apparmor:x", "label:level:s0", "seccomp=unconfined", "No-New-Privileges", ""])
def test_other_security_options_are_refused(option: str) -> None:
    text = refusal(container(dockerSecurityOptions=["no-new-privileges", option]))
    assert text.startswith("containerDefinitions[0].dockerSecurityOptions[1]: a process host cannot do")
