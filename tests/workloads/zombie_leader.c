/* The main thread has ended and is a zombie; another thread runs on. The process is alive all the same.
 *
 * zombie_leader graceful   the thread waits for SIGTERM, then ends the process with code 6
 * zombie_leader stubborn   SIGTERM is blocked in every thread: only SIGKILL ends it
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static sigset_t term;

static void say(const char *word) {
    const char *path = getenv("READY");
    if (path == NULL) return;
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    dprintf(fd, "%s %d\n", word, (int)getpid());
    close(fd);
}

static void *run_on(void *graceful) {
    int signum;
    say("main");
    if (graceful != NULL) {
        sigwait(&term, &signum);
        _exit(6);
    }
    for (;;) pause();
}

int main(int argc, char **argv) {
    pthread_t thread;
    int graceful = argc > 1 && strcmp(argv[1], "graceful") == 0;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    pthread_create(&thread, NULL, run_on, graceful ? &term : NULL);
    pthread_exit(NULL);
}
