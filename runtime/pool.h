// A small thread pool behind the interface qn_pool, for hosts that have none of their own (link pool.c and -pthread).
// Workers wait for work by spinning for some microseconds, then sleep. Nothing is allocated after opening. Each thread
// gets the same part of the rows in every run, and work never waits for a thread that sleeps: who is done with his part
// takes another's that is not begun. Several threads may call run at once; they take turns.
#ifndef QN_POOL_H
#define QN_POOL_H
#include "runtime/qanat.h"
#ifdef __cplusplus
extern "C" {
#endif

// A pool of `threads` threads, the caller's own among them (0: one a processor). NULL when there is no memory or no
// thread to be had.
struct qn_pool *qn_pool_open(int threads);
void qn_pool_close(struct qn_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
