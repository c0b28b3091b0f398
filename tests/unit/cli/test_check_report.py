"""What was found out, as text, JSON and JUnit XML."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.check_report import Checked, as_json, as_junit, clean, text_of_end, text_of_run
from supervisor.cli.verdict import CheckedRun, Verdict

GOOD = CheckedRun(1, Verdict.GRACEFUL, "exited with code 0", 0.412, 0.1, 30.0, 0, warnings=["it left a child"])
BAD = CheckedRun(
    2,
    Verdict.NOT_GRACEFUL,
    "still running at the end",
    0.4,
    5.004,
    5.0,
    137,
    finding="4711 (sh) is a shell that waits for its child",
    advice=["write exec before the last command"],
    timeline=[
        {"after": 0.0, "at": 1.0, "what": "signalled", "text": "SIGTERM to the main process, 4711"},
        {"after": 5.0, "at": 6.0, "what": "killed", "text": "SIGKILL to 2 processes: 4711, 4712"},
    ],
    processes=[{"pid": 4711, "name": "sh", "finding": "waits for its child"}, {"pid": 4712, "command": "sleep 9"}],
    log=["listening", "bye"],
)
NEVER = CheckedRun(3, Verdict.NOT_TRIED, "not ready within 30 s", log=["hm"])


MANY = "0.10 s (fastest), 0.30 s (median), 25.00 s (slowest)"


def checked(*runs: CheckedRun, asked: int = 0, ready: tuple[str, str] = ("tcp", "8080")) -> Checked:
    return Checked(["./server", "--name", "a b"], "SIGTERM", 30.0, ready, asked or len(runs), runs)


def test_a_good_run_is_told_in_a_line_and_its_warnings() -> None:
    assert list(text_of_run(GOOD)) == [
        "run 1: graceful: exited with code 0 (ready after 0.41 s, stopped after 0.10 s of 30 s)",
        "  warning: it left a child",
    ]


def test_a_bad_run_is_told_with_all_that_helps() -> None:
    assert list(text_of_run(BAD)) == [
        "run 2: NOT GRACEFUL: still running at the end (ready after 0.40 s, stopped after 5.00 s of 5 s)",
        "  why: 4711 (sh) is a shell that waits for its child",
        "    4711 (sh): waits for its child",
        "    4712 (process): sleep 9",
        "  advice: write exec before the last command",
        "  timeline:",
        "       +0.000 s  SIGTERM to the main process, 4711",
        "       +5.000 s  SIGKILL to 2 processes: 4711, 4712",
        "  the last lines of its output:",
        "    | listening",
        "    | bye",
    ]


def test_one_process_is_told_of_once() -> None:
    (process, _) = BAD.processes
    lines = list(text_of_run(BAD._replace(processes=[process])))
    assert "    4711 (sh): waits for its child" not in lines
    assert "    4711 (sh): waits for its child" in text_of_run(BAD._replace(processes=[process], finding=""))


def test_advice_names_the_option_too() -> None:
    advice = "set the label `supervisor.stop-signal` to SIGQUIT, or a longer `stopTimeout`"
    said = "set the label `supervisor.stop-signal` (here: --signal) to SIGQUIT, or a longer `stopTimeout` (here: "
    assert any(said in line for line in text_of_run(BAD._replace(advice=[advice])))
    assert as_json(checked(BAD._replace(advice=[advice])))["runs"][0]["advice"] == [advice]


def test_a_run_that_could_not_be_tried() -> None:
    assert list(text_of_run(NEVER)) == [
        "run 3: NOT TRIED: not ready within 30 s",
        "  the last lines of its output:",
        "    | hm",
    ]


@pytest.mark.parametrize(
    ("told", "lines"),
    [
        (checked(GOOD), ["graceful: 1 of 1 run; stopped after 0.10 s, less than 1 % of the window"]),
        (
            checked(GOOD, GOOD._replace(seconds=0.3), GOOD._replace(seconds=25.0)),
            [
                f"graceful: 3 of 3 runs; stopped after {MANY}, 83 % of the window",
                "warning: the slowest stop used 83 % of its window: give it more time, or less to do",
            ],
        ),
        (checked(NEVER, asked=5), ["NOT TRIED: 1 of 5 runs"]),
        (checked(NEVER, ready=("time", "1")), ["NOT TRIED: 1 of 1 run"]),
        (
            checked(GOOD, ready=("time", "1")),
            [
                "graceful: 1 of 1 run; stopped after 0.10 s, less than 1 % of the window",
                "note: it was taken to be ready 1 s after its start; --ready-tcp, --ready-http or --ready-log see it",
            ],
        ),
    ],
)
def test_the_end(told: Checked, lines: list[str]) -> None:
    assert list(text_of_end(told)) == lines


def test_json() -> None:
    document = json.loads(json.dumps(as_json(checked(GOOD, BAD, NEVER))))
    assert document["version"] == 1
    assert (document["verdict"], document["exitStatus"]) == ("not-graceful", 1)
    assert document["command"] == ["./server", "--name", "a b"]
    assert (document["stopSignal"], document["stopTimeout"]) == ("SIGTERM", 30.0)
    assert document["readiness"] == {"by": "tcp", "target": "8080"}
    assert document["summary"] == {
        "asked": 3,
        "graceful": 1,
        "notGraceful": 1,
        "notTried": 1,
        "fastest": 0.1,
        "median": pytest.approx(2.552),
        "slowest": 5.004,
        "shareOfWindow": 1.0008,
        "warnings": [],
    }
    good, bad, never = document["runs"]
    assert good == {
        "number": 1,
        "verdict": "graceful",
        "reason": "exited with code 0",
        "readyAfter": 0.412,
        "stopSeconds": 0.1,
        "window": 30.0,
        "exitCode": 0,
        "warnings": ["it left a child"],
        "advice": [],
        "timeline": [],
        "processes": [],
        "log": [],
    }
    assert (bad["finding"], bad["processes"][0]["pid"]) == (BAD.finding, 4711)
    assert "exitCode" not in never


def test_junit() -> None:
    (suite,) = suites = ET.fromstring(as_junit(checked(GOOD, BAD, NEVER, asked=5)))
    for element in (suites, suite):
        counts = [element.get(name) for name in ("tests", "failures", "errors", "skipped")]
        assert counts == ["5", "1", "1", "2"]
    assert suite.get("name") == "./server --name 'a b'"
    good, bad, never, *skipped = suite
    assert (good.get("name"), good.get("time")) == ("stop, run 1", "0.512")
    assert [(child.tag, child.text) for child in good] == [("system-err", "it left a child")]
    failure = bad.find("failure")
    assert failure is not None
    assert failure.text is not None
    assert failure.get("message") == BAD.reason
    for said in ("waits for its child", "advice: write exec", "+5.000 s  SIGKILL", "| bye"):
        assert said in failure.text
    assert bad.findtext("system-out") == "listening\nbye"
    error = never.find("error")
    assert error is not None
    assert error.get("message") == "not ready within 30 s"
    assert [[child.tag for child in case] for case in skipped] == [["skipped"], ["skipped"]]


@given(st.text(st.characters()))
def test_junit_is_well_formed_whatever_was_written(text: str) -> None:
    run = BAD._replace(reason=text, finding=text, log=[text], warnings=[text], advice=[text])
    told = checked(run)._replace(command=[text])
    (suite,) = ET.fromstring(as_junit(told))
    assert suite[0].find("failure") is not None


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[1;31mred\x1b[0m and \x1b]0;title\x07done", "red and done"),
        ("a\tb\x00c\x1b", "a b c"),
    ],
)
def test_control_sequences_are_not_repeated(line: str, shown: str) -> None:
    assert clean(line) == shown
