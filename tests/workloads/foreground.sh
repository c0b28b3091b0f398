#!/bin/sh
# A start script as there are many: it has a trap for SIGTERM, and runs its server (COMMAND…) in the foreground.
# The trap runs when the server is over, and nobody tells the server.
trap 'exit 12' TERM
"$@"
exit 13
