// The thread pool of pool.h. Pieces of work are claimed from one 64-bit ticket, (generation, pieces left): a claim is a
// compare-and-swap, so a thread that read the fields of an older generation can't take a piece of a newer one.
#define _POSIX_C_SOURCE 200809L
#include "runtime/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { SPINS_BEFORE_SLEEP = 4000, SPINS_BEFORE_YIELD = 2000 };

struct pool {
    struct qn_pool base; // first: a qn_pool * is a pool *
    pthread_mutex_t running; // one run at a time
    pthread_mutex_t sleep_lock;
    pthread_cond_t wake;
    _Atomic int sleepers;
    _Atomic int stop;
    _Atomic uint64_t ticket;
    _Atomic int pending; // pieces not finished
    _Atomic(qn_task *) task;
    _Atomic(void *) context;
    _Atomic int32_t rows, pieces;
    int started; // threads besides the caller
    struct worker { struct pool *pool; int index; pthread_t thread; } *workers;
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield");
#endif
}

// Takes and does one piece; 0 when there is none left.
static int do_piece(struct pool *pool, int worker) {
    uint64_t ticket = atomic_load(&pool->ticket);
    while ((uint32_t)ticket) {
        qn_task *task = atomic_load_explicit(&pool->task, memory_order_relaxed);
        void *context = atomic_load_explicit(&pool->context, memory_order_relaxed);
        int64_t rows = atomic_load_explicit(&pool->rows, memory_order_relaxed);
        int64_t pieces = atomic_load_explicit(&pool->pieces, memory_order_relaxed);
        if (!atomic_compare_exchange_weak(&pool->ticket, &ticket, ticket - 1)) continue;
        int64_t piece = pieces - (uint32_t)ticket;
        task(context, worker, (int32_t)(rows * piece / pieces), (int32_t)(rows * (piece + 1) / pieces));
        atomic_fetch_sub_explicit(&pool->pending, 1, memory_order_release);
        return 1;
    }
    return 0;
}

static void wait_for_work(struct pool *pool) {
    for (int i = 0; i < SPINS_BEFORE_SLEEP; i++) {
        if ((uint32_t)atomic_load_explicit(&pool->ticket, memory_order_relaxed)) return;
        relax();
    }
    pthread_mutex_lock(&pool->sleep_lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!(uint32_t)atomic_load(&pool->ticket) && !atomic_load(&pool->stop))
        pthread_cond_wait(&pool->wake, &pool->sleep_lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->sleep_lock);
}

static void *worker_main(void *argument) {
    struct worker *worker = argument;
    while (!atomic_load(&worker->pool->stop))
        if (!do_piece(worker->pool, worker->index)) wait_for_work(worker->pool);
    return NULL;
}

static void wake_sleepers(struct pool *pool) {
    if (!atomic_load(&pool->sleepers)) return;
    pthread_mutex_lock(&pool->sleep_lock);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->sleep_lock);
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
    atomic_store_explicit(&pool->task, task, memory_order_relaxed);
    atomic_store_explicit(&pool->context, context, memory_order_relaxed);
    atomic_store_explicit(&pool->rows, rows, memory_order_relaxed);
    atomic_store_explicit(&pool->pieces, pieces, memory_order_relaxed);
    atomic_store_explicit(&pool->pending, pieces, memory_order_relaxed);
    uint64_t generation = (atomic_load(&pool->ticket) >> 32) + 1;
    atomic_store(&pool->ticket, generation << 32 | (uint32_t)pieces);
    wake_sleepers(pool);
    while (do_piece(pool, 0)) {}
    for (int spins = 0; atomic_load_explicit(&pool->pending, memory_order_acquire); spins++)
        if (spins < SPINS_BEFORE_YIELD) relax();
        else sched_yield();
    pthread_mutex_unlock(&pool->running);
}

struct qn_pool *qn_pool_open(int threads) {
    if (threads <= 0) threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (threads < 1) threads = 1;
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool) return NULL;
    pool->base.threads = threads;
    pool->base.run = pool_run;
    pthread_mutex_init(&pool->running, NULL);
    pthread_mutex_init(&pool->sleep_lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->workers = calloc((size_t)threads, sizeof *pool->workers);
    int failed = !pool->workers;
    for (int i = 1; i < threads && !failed; i++) {
        struct worker *worker = &pool->workers[i - 1];
        *worker = (struct worker){.pool = pool, .index = i};
        failed = pthread_create(&worker->thread, NULL, worker_main, worker) != 0;
        pool->started += !failed;
    }
    if (!failed) return &pool->base;
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
    for (int i = 0; i < pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->sleep_lock);
    pthread_mutex_destroy(&pool->running);
    free(pool->workers);
    free(pool);
}
