// One group of counters: all count at the same times, and one system call reads them.
#include "tools/counters.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

const char *const counter_names[COUNTERS] = {"cycles", "instructions", "l1_misses", "cache_misses"};

#if defined(__linux__)
#include <linux/perf_event.h>
#include <sys/syscall.h>

static const struct { uint32_t type; uint64_t config; } events[COUNTERS] = {
    {PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
    {PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
    {PERF_TYPE_HW_CACHE, PERF_COUNT_HW_CACHE_L1D | PERF_COUNT_HW_CACHE_OP_READ << 8 | PERF_COUNT_HW_CACHE_RESULT_MISS << 16},
    {PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES},
};

static int event_open(Counter counter, int group) {
    struct perf_event_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.size = sizeof attr;
    attr.type = events[counter].type;
    attr.config = events[counter].config;
    attr.read_format = PERF_FORMAT_GROUP;
    attr.exclude_kernel = attr.exclude_hv = 1;
    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, group, 0UL);
}

const char *counters_open(Counters *counters) {
    for (int i = 0; i < COUNTERS; i++) counters->fds[i] = -1;
    for (int i = 0; i < COUNTERS; i++) {
        counters->fds[i] = event_open((Counter)i, i ? counters->fds[0] : -1);
        if (counters->fds[i] >= 0) continue;
        const char *reason = errno == ENOENT || errno == EOPNOTSUPP ? "this machine shows none to its guests, or has none" : strerror(errno);
        counters_close(counters);
        return reason;
    }
    return NULL;
}

void counters_read(const Counters *counters, uint64_t values[COUNTERS]) {
    uint64_t group[1 + COUNTERS] = {0}; // how many, and each
    if (read(counters->fds[0], group, sizeof group) != (ssize_t)sizeof group) memset(group, 0, sizeof group);
    memcpy(values, group + 1, COUNTERS * sizeof *values);
}

void counters_close(Counters *counters) {
    for (int i = 0; i < COUNTERS; i++) {
        if (counters->fds[i] >= 0) close(counters->fds[i]);
        counters->fds[i] = -1;
    }
}
#else
const char *counters_open(Counters *counters) {
    (void)counters;
    return "not on this system";
}
void counters_read(const Counters *counters, uint64_t values[COUNTERS]) { (void)counters, memset(values, 0, COUNTERS * sizeof *values); }
void counters_close(Counters *counters) { (void)counters; }
#endif
