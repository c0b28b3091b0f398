/* The main process has called vfork, and waits for a child that never execs: no signal but SIGKILL wakes it.
 *
 * It would exit with code 8 on SIGTERM. The child does not handle SIGTERM; once it is gone, the main process can act.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void leave(int signum) {
    (void)signum;
    _exit(8);
}

int main(void) {
    const char *path = getenv("READY");
    int fd = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    pid_t parent = getpid();
    signal(SIGTERM, leave);
    if (vfork() == 0) {
        signal(SIGTERM, SIG_DFL);
        if (fd >= 0) dprintf(fd, "main %d\nvforked %d\n", (int)parent, (int)getpid());
        for (;;) pause();
    }
    for (;;) pause();
}
