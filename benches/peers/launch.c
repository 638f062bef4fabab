/* launch FD PROGRAM ARGS...: runs the program and writes numbers to descriptor FD: when it starts
 *     begin_ns
 * and when it ended
 *     end_ns user_us system_us peak_kib status
 * Times are of CLOCK_MONOTONIC. The peak is that of the program and of the processes it waited for.
 *
 * A process of its own, because Linux charges a program for the peak of whoever started it by vfork or posix_spawn. A
 * Python script has 10 MiB and more; this has less than any program it starts. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int count, char **words) {
    if (count < 3) return 2;
    int report = atoi(words[1]);
    signal(SIGINT, SIG_IGN);
    dprintf(report, "%lld\n", now());
    pid_t child = vfork();
    if (child < 0) return 2;
    if (child == 0) {
        signal(SIGINT, SIG_DFL);
        close(report);
        execvp(words[2], words + 2);
        _exit(127);
    }
    int status;
    struct rusage usage;
    if (wait4(child, &status, 0, &usage) < 0) return 2;
    long long end = now();
    dprintf(report, "%lld %lld %lld %ld %d\n", end,
            usage.ru_utime.tv_sec * 1000000LL + usage.ru_utime.tv_usec,
            usage.ru_stime.tv_sec * 1000000LL + usage.ru_stime.tv_usec, usage.ru_maxrss,
            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}
