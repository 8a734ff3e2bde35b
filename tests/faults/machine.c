/* A machine whose disk and clock do as they are told: loaded into a process by LD_PRELOAD, ordered through a file that both map.
 *
 * It stands between a program and the C library, so what the program sees is what a full or a slow disk, or a clock that was set, shows it:
 * ENOSPC from write, a call that takes long, another CLOCK_REALTIME. The monotonic clock is left alone, as setting a clock leaves it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* As machine.rs writes it. */
struct orders {
    volatile int64_t clock_ms;  /* added to the time of day */
    volatile int64_t error;     /* what writing fails with; 0: nothing */
    volatile int64_t delay_ms;  /* what writing and flushing takes */
    volatile int64_t hits;      /* calls that were failed or delayed */
    char path[256];             /* files with this in their path are meant */
};

static struct orders nothing;
static struct orders *orders = &nothing;

__attribute__((constructor)) static void listen_to_orders(void) {
    const char *file = getenv("STEWARD_TEST_MACHINE");
    int fd = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) orders = mapped;
}

static int is_meant(int fd) {
    char link[64], path[4096];
    if (orders->error == 0 && orders->delay_ms == 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, orders->path) != NULL;
}

/* Takes its time, and says whether the call fails. */
static int strikes(int fd) {
    if (!is_meant(fd)) return 0;
    __atomic_add_fetch(&orders->hits, 1, __ATOMIC_SEQ_CST);
    struct timespec delay = { orders->delay_ms / 1000, (orders->delay_ms % 1000) * 1000000 };
    nanosleep(&delay, NULL);
    errno = (int)orders->error;
    return orders->error != 0;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t length) { return strikes(fd) ? -1 : NEXT(write)(fd, bytes, length); }

ssize_t writev(int fd, const struct iovec *pieces, int count) { return strikes(fd) ? -1 : NEXT(writev)(fd, pieces, count); }

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return strikes(fd) ? -1 : NEXT(pwrite)(fd, bytes, length, at); }

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return strikes(fd) ? -1 : NEXT(pwrite64)(fd, bytes, length, at); }

/* What is written already can be flushed on a full disk as well: a flush is delayed and does not fail. */
int fsync(int fd) {
    int64_t error = orders->error;
    if (error == 0) strikes(fd);
    return NEXT(fsync)(fd);
}

int fdatasync(int fd) {
    int64_t error = orders->error;
    if (error == 0) strikes(fd);
    return NEXT(fdatasync)(fd);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static __typeof__(&clock_gettime) next;
    if (next == NULL) next = NEXT(clock_gettime);
    int failed = next(clock, time);
    if (failed == 0 && clock == CLOCK_REALTIME) {
        int64_t ns = time->tv_nsec + orders->clock_ms % 1000 * 1000000;
        time->tv_sec += orders->clock_ms / 1000 + ns / 1000000000;
        time->tv_nsec = ns % 1000000000;
        if (time->tv_nsec < 0) {
            time->tv_sec -= 1;
            time->tv_nsec += 1000000000;
        }
    }
    return failed;
}
