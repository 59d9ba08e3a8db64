// The processor's own counters, of the calling thread in user mode, where system and machine give them (Linux: perf_event_open).
#pragma once
#include <stdint.h>

typedef enum { COUNT_CYCLES, COUNT_INSTRUCTIONS, COUNT_L1_MISSES, COUNT_CACHE_MISSES, COUNTERS } Counter;

typedef struct { int fds[COUNTERS]; } Counters;

extern const char *const counter_names[COUNTERS];

// NULL; or why there are none.
const char *counters_open(Counters *counters);
// What has been counted since they were opened.
void counters_read(const Counters *counters, uint64_t values[COUNTERS]);
void counters_close(Counters *counters);
