/* A library for LD_PRELOAD: CLOCK_REALTIME and CLOCK_MONOTONIC differ from the host's by the two numbers of nanoseconds
 * in the file that CLOCKS names. Who changes the file steps the clocks of all that have it. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *steps;

__attribute__((constructor)) static void open_steps(void)
{
	const char *path = getenv("CLOCKS");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	void *found = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (found != MAP_FAILED)
		steps = found;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
	int failed = syscall(SYS_clock_gettime, which, now);

	if (!failed && steps && (which == CLOCK_REALTIME || which == CLOCK_MONOTONIC)) {
		int64_t all = now->tv_sec * INT64_C(1000000000) + now->tv_nsec + steps[which == CLOCK_MONOTONIC];

		now->tv_sec = all / 1000000000;
		now->tv_nsec = all % 1000000000;
	}
	return failed;
}

int gettimeofday(struct timeval *now, void *zone)
{
	struct timespec fine;
	int failed = clock_gettime(CLOCK_REALTIME, &fine);

	(void)zone;
	now->tv_sec = fine.tv_sec;
	now->tv_usec = fine.tv_nsec / 1000;
	return failed;
}

time_t time(time_t *now)
{
	struct timespec fine;

	clock_gettime(CLOCK_REALTIME, &fine);
	if (now)
		*now = fine.tv_sec;
	return fine.tv_sec;
}
