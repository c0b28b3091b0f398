"""What the keeper starts in the agent's place: hands its end of the link to the test, and ends when the test says so.

It is a process of its own because the keeper must have one to wait for and to kill; all that an agent would say, the
test says. Descriptors: 3 is the link, 4 the test's listening socket, where the link is handed over. With ``--prove`` it
tells a version.
"""

from __future__ import annotations

import socket
import sys

LINK, LISTENER = 3, 4

if __name__ == "__main__":
    if sys.argv[1:] == ["--prove"]:
        sys.exit(print("of the stand-in"))
    with socket.socket(fileno=LISTENER) as listener, socket.socket(socket.AF_UNIX) as control:
        control.connect(listener.getsockname())
        socket.send_fds(control, [b"link"], [LINK])
        status = control.recv(1)
    sys.exit(status[0] if status else 0)
