// The thread pool of pool.h. A run is cut into one piece a thread, and each thread takes its own piece first: what it
// needs it has computed itself in the step before, and so has in its cache. Then it takes those that nobody has begun, so
// that nothing waits for a thread that sleeps. A piece is claimed by writing the run's number into its slot: who has
// read the fields of an older run finds all pieces of that run claimed, and can't take one of a newer.
#define _POSIX_C_SOURCE 200809L
#include "runtime/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SPINS_BEFORE_SLEEP = 4000, SPINS_BEFORE_YIELD = 2000, CACHE_LINE = 64 };
enum { PIECE_BITS = 16, MOST_THREADS = (1 << PIECE_BITS) - 1 };

// Of one thread and its piece, in a cache line of its own.
struct slot {
    _Alignas(CACHE_LINE) _Atomic uint64_t claimed, done; // numbers of runs
    struct pool *pool;
    pthread_t thread;
};

struct pool {
    struct qn_pool base; // first: a qn_pool * is a pool *
    pthread_mutex_t running; // one run at a time
    pthread_mutex_t sleep_lock;
    pthread_cond_t wake;
    int started; // threads besides the caller
    struct slot *slots; // one a thread; the caller's is the first
    // Read by all, written once a run.
    _Alignas(CACHE_LINE) _Atomic uint64_t job; // the run's number << PIECE_BITS | pieces
    _Atomic(qn_task *) task;
    _Atomic(void *) context;
    _Atomic int32_t rows;
    _Atomic int stop;
    // Written by those that sleep.
    _Alignas(CACHE_LINE) _Atomic int sleepers;
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield");
#endif
}

// Does piece `piece` of `job` if nobody has begun it.
static void do_piece(struct pool *pool, uint64_t job, int32_t piece, int worker) {
    struct slot *slot = &pool->slots[piece];
    const uint64_t number = job >> PIECE_BITS;
    const int64_t pieces = (int64_t)(job & MOST_THREADS);
    uint64_t claimed = atomic_load_explicit(&slot->claimed, memory_order_relaxed);
    qn_task *task = atomic_load_explicit(&pool->task, memory_order_relaxed);
    void *context = atomic_load_explicit(&pool->context, memory_order_relaxed);
    const int64_t rows = atomic_load_explicit(&pool->rows, memory_order_relaxed);
    if (claimed >= number || !atomic_compare_exchange_strong(&slot->claimed, &claimed, number)) return;
    task(context, worker, (int32_t)(rows * piece / pieces), (int32_t)(rows * (piece + 1) / pieces));
    atomic_store_explicit(&slot->done, number, memory_order_release);
}

// The thread's own piece, then the others in turn. Threads without a piece leave small work to those that have one.
static void do_pieces(struct pool *pool, uint64_t job, int worker) {
    const int32_t pieces = (int32_t)(job & MOST_THREADS);
    if (worker >= pieces) return;
    for (int32_t i = 0; i < pieces; i++) do_piece(pool, job, (worker + i) % pieces, worker);
}

// Waits for another job than the one that is known.
static uint64_t wait_for_job(struct pool *pool, uint64_t known) {
    uint64_t job;
    for (int i = 0; i < SPINS_BEFORE_SLEEP; i++) {
        job = atomic_load_explicit(&pool->job, memory_order_acquire);
        if (job != known) return job;
        relax();
    }
    pthread_mutex_lock(&pool->sleep_lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while ((job = atomic_load(&pool->job)) == known && !atomic_load(&pool->stop))
        pthread_cond_wait(&pool->wake, &pool->sleep_lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->sleep_lock);
    return job;
}

static void *worker_main(void *argument) {
    struct slot *slot = argument;
    struct pool *pool = slot->pool;
    const int worker = (int)(slot - pool->slots);
    for (uint64_t job = 0; !atomic_load_explicit(&pool->stop, memory_order_relaxed);) {
        job = wait_for_job(pool, job);
        do_pieces(pool, job, worker);
    }
    return NULL;
}

static void wake_sleepers(struct pool *pool) {
    if (!atomic_load(&pool->sleepers)) return;
    pthread_mutex_lock(&pool->sleep_lock);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->sleep_lock);
}

static void wait_for_piece(const struct slot *slot, uint64_t number) {
    for (int spins = 0; atomic_load_explicit(&slot->done, memory_order_acquire) != number; spins++)
        if (spins < SPINS_BEFORE_YIELD) relax();
        else sched_yield();
}

static void pool_run(const struct qn_pool *base, qn_task *task, void *context, int32_t rows, int32_t grain) {
    struct pool *pool = (struct pool *)(uintptr_t)base;
    int32_t pieces = grain > 0 ? rows / grain : rows;
    if (pieces > base->threads) pieces = base->threads;
    if (pieces <= 1) {
        if (rows > 0) task(context, 0, 0, rows);
        return;
    }
    pthread_mutex_lock(&pool->running);
    const uint64_t number = (atomic_load_explicit(&pool->job, memory_order_relaxed) >> PIECE_BITS) + 1;
    const uint64_t job = number << PIECE_BITS | (uint64_t)pieces;
    atomic_store_explicit(&pool->task, task, memory_order_relaxed);
    atomic_store_explicit(&pool->context, context, memory_order_relaxed);
    atomic_store_explicit(&pool->rows, rows, memory_order_relaxed);
    atomic_store(&pool->job, job);
    wake_sleepers(pool);
    do_pieces(pool, job, 0);
    for (int32_t i = 0; i < pieces; i++) wait_for_piece(&pool->slots[i], number);
    pthread_mutex_unlock(&pool->running);
}

static int start_threads(struct pool *pool) {
    for (int i = 0; i < pool->base.threads; i++) pool->slots[i].pool = pool;
    for (int i = 1; i < pool->base.threads; i++, pool->started++)
        if (pthread_create(&pool->slots[i].thread, NULL, worker_main, &pool->slots[i])) return 0;
    return 1;
}

struct qn_pool *qn_pool_open(int threads) {
    if (threads <= 0) threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (threads < 1) threads = 1;
    if (threads > MOST_THREADS) return NULL;
    const size_t bytes = sizeof(struct pool) + (size_t)threads * sizeof(struct slot);
    struct pool *pool = aligned_alloc(CACHE_LINE, bytes);
    if (!pool) return NULL;
    memset(pool, 0, bytes);
    pool->base.threads = threads;
    pool->base.run = pool_run;
    pool->slots = (struct slot *)(pool + 1);
    pthread_mutex_init(&pool->running, NULL);
    pthread_mutex_init(&pool->sleep_lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    if (start_threads(pool)) return &pool->base;
    qn_pool_close(&pool->base);
    return NULL;
}

void qn_pool_close(struct qn_pool *base) {
    struct pool *pool = (struct pool *)base;
    if (!pool) return;
    pthread_mutex_lock(&pool->sleep_lock);
    atomic_store(&pool->stop, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->sleep_lock);
    for (int i = 1; i <= pool->started; i++) pthread_join(pool->slots[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->sleep_lock);
    pthread_mutex_destroy(&pool->running);
    free(pool);
}
