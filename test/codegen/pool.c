// The thread pool: every row is done once, no worker is in two places at once, also when several threads call run.
#include "test/codegen/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { ROWS = 1000, WORKERS = 4, ROUNDS = 2000, CALLERS = 3 };

typedef struct {
    _Atomic int done[ROWS];
    _Atomic int busy[WORKERS];
    _Atomic int faults;
} Count;

static void count_rows(void *context, int worker, int32_t begin, int32_t end) {
    Count *count = context;
    if (worker < 0 || worker >= WORKERS || begin >= end) {
        atomic_fetch_add(&count->faults, 1);
        return;
    }
    if (atomic_exchange(&count->busy[worker], 1)) atomic_fetch_add(&count->faults, 1);
    for (int32_t row = begin; row < end; row++) atomic_fetch_add(&count->done[row], 1);
    atomic_store(&count->busy[worker], 0);
}

typedef struct { struct qn_pool *pool; int faults; } Caller;

static void *call_often(void *argument) {
    Caller *caller = argument;
    Count *count = calloc(1, sizeof *count);
    for (int round = 0; round < ROUNDS; round++) {
        int32_t rows = 1 + round * 7 % ROWS, grain = 1 + round % 50;
        for (int i = 0; i < ROWS; i++) atomic_store(&count->done[i], 0);
        caller->pool->run(caller->pool, count_rows, count, rows, grain);
        for (int i = 0; i < ROWS; i++) caller->faults += atomic_load(&count->done[i]) != (i < rows);
    }
    caller->faults += atomic_load(&count->faults);
    free(count);
    return NULL;
}

bool pool_is_sound(void) {
    struct qn_pool *pool = qn_pool_open(WORKERS);
    Caller callers[CALLERS];
    pthread_t threads[CALLERS];
    int faults = 0;
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (Caller){pool, 0};
        pthread_create(&threads[i], NULL, call_often, &callers[i]);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        faults += callers[i].faults;
    }
    qn_pool_close(pool);
    return faults == 0;
}
