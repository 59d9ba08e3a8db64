// Threads over samples. Samples are handed out in order, so when one fails, all before it were begun, and the first
// failure is known once the workers have finished theirs.
#include "quant/parallel.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ir/diag.h"

typedef struct {
    int count;
    SampleTask *task;
    void *context;
    atomic_int next;
    atomic_bool stop;
    pthread_mutex_t lock; // of what follows
    int failed;
    char *message;
} Work;

typedef struct {
    Work *work;
    int index;
    pthread_t thread;
} Worker;

static void record_failure(Work *work, int sample, const char *message) {
    pthread_mutex_lock(&work->lock);
    if (sample < work->failed) {
        work->failed = sample;
        memcpy(work->message, message, MESSAGE_BYTES);
    }
    pthread_mutex_unlock(&work->lock);
    atomic_store(&work->stop, true);
}

static void *run_worker(void *argument) {
    Worker *worker = argument;
    Work *work = worker->work;
    while (!atomic_load(&work->stop)) {
        int sample = atomic_fetch_add(&work->next, 1);
        if (sample >= work->count)
            break;
        char message[MESSAGE_BYTES] = "";
        if (!work->task(work->context, worker->index, sample, message))
            record_failure(work, sample, message);
    }
    return NULL;
}

bool parallel_samples(int threads, int count, SampleTask *task, void *context, int *failed, char *message) {
    Work work = {.count = count, .task = task, .context = context, .lock = PTHREAD_MUTEX_INITIALIZER,
                 .failed = INT_MAX, .message = message};
    Worker *workers = calloc((size_t)threads, sizeof *workers);
    BUG_UNLESS(workers, "out of memory for %d threads", threads);
    int started = 1;
    for (int i = 0; i < threads; i++)
        workers[i] = (Worker){.work = &work, .index = i};
    // Fewer threads than asked for give the same result, later.
    while (started < threads &&
           pthread_create(&workers[started].thread, NULL, run_worker, &workers[started]) == 0)
        started++;
    run_worker(&workers[0]);
    for (int i = 1; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    free(workers);
    pthread_mutex_destroy(&work.lock);
    *failed = work.failed;
    return work.failed == INT_MAX;
}

int parallel_default_threads(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    return 1;
}
