"""A disk for logs that hangs: who writes to it cannot be killed before it answers, and nobody else is late for that."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from supervisor import wire
from tests.disks import ext4
from tests.process import observed
from tests.process.conftest import StartKeeper, whatever_the_tracking
from tests.process.harness import SOON, WINDOW

pytestmark = pytest.mark.process


@whatever_the_tracking
def test_a_log_disk_that_hangs_holds_up_those_who_write_to_it_alone(start_keeper: StartKeeper, tmp_path: Path) -> None:
    with ext4(str(tmp_path / "logs")) as disk:
        keeper = start_keeper(log_dir=disk.path)
        writer, writing = keeper.begin("writes.py", "1000000", "65536", "0.001", timeout=WINDOW)
        other, main = keeper.begin("ignores.py", timeout=WINDOW, log_driver="none")
        disk.freeze()
        observed.until(lambda: observed.state(writing.pid) == "D", "a writer that waits for the disk")
        late = keeper.start("graceful.py", timeout=WINDOW)  # its log cannot even be opened
        stopped_at = [keeper.stop(run) for run in (writer, other, late)]
        assert stopped_at[1] + WINDOW <= keeper.until(lambda: main.died_at, "its death") < stopped_at[1] + WINDOW + SOON
        keeper.wait(wire.Emptied, other)
        (fact,) = json.loads(keeper.wait(wire.Looked, writer).facts)
        assert (fact["pid"], fact["state"]) == (writing.pid, "D"), "it is named"
        keeper.until(lambda: len(keeper.find(wire.Signalled, writer, signum=signal.SIGKILL)) >= 2, "a second SIGKILL")
        assert keeper.find(wire.Exited, writer) == [], "it is not called ended before it is"
        assert keeper.listed().runs == sorted([writer, late, other])
        disk.thaw()
        assert keeper.wait(wire.Exited, writer).signal == signal.SIGTERM
        keeper.wait(wire.Emptied, writer)
        keeper.wait(wire.Emptied, late)
        keeper.forget_all()
        keeper.end()
