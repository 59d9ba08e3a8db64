// What docs/embedding.md promises, with two compiled models in one program: whatever was in the arena, with any number of
// threads, in several threads at once, outputs are the same bytes, nothing behind the arena is touched, and each misuse
// has its code.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"
#include "other.h"
#include "runtime/pool.h"

enum { CLASSES = 10, GUARD = 64, CALLERS = 4, MOST_THREADS = 4 };

static float image[64], expected[CLASSES];
static int faults;

#define CHECK(condition) \
    if (!(condition)) faults++, fprintf(stderr, "line %d: %s\n", __LINE__, #condition)

static unsigned char *new_arena(int threads, int filler) {
    size_t bytes = net_arena_bytes(threads);
    unsigned char *arena = aligned_alloc(NET_ARENA_ALIGN, bytes + GUARD);
    memset(arena, filler, bytes + GUARD);
    return arena;
}

static int run(unsigned char *arena, float *scores, const struct qn_pool *pool) {
    struct net_inputs in = {image};
    struct net_outputs out = {scores};
    return net_run(arena, &in, &out, pool);
}

// A pool that splits as much as it may, does the pieces from the last to the first, and counts them.
static int pieces_done;
static void run_backward(const struct qn_pool *pool, qn_task *task, void *context, int32_t rows, int32_t grain) {
    int32_t pieces = rows / grain > 0 ? rows / grain : 1;
    for (int32_t piece = pieces - 1; piece >= 0; piece--, pieces_done++)
        task(context, (int)(piece % pool->threads), (int32_t)((int64_t)rows * piece / pieces),
             (int32_t)((int64_t)rows * (piece + 1) / pieces));
}

static void check_threads(int threads, const struct qn_pool *pool) {
    unsigned char *arena = new_arena(threads, 0xA5 + threads);
    struct qn_options options = {.threads = threads};
    float scores[CLASSES] = {0};
    CHECK(net_init(arena, &options) == QN_OK);
    for (int round = 0; round < 3; round++) CHECK(run(arena, scores, pool) == QN_OK);
    CHECK(!memcmp(scores, expected, sizeof scores));
    for (int i = 0; i < GUARD; i++) CHECK(arena[net_arena_bytes(threads) + i] == (unsigned char)(0xA5 + threads));
    free(arena);
}

static void *call_often(void *unused) {
    (void)unused;
    for (int round = 0; round < 50; round++) check_threads(1, NULL);
    return NULL;
}

static void check_codes(void) {
    unsigned char *arena = new_arena(1, 0xEE);
    struct net_inputs in = {image}, no_in = {NULL};
    float scores[CLASSES];
    struct net_outputs out = {scores}, no_out = {NULL};
    struct qn_pool two = {2, run_backward};
    CHECK(net_run(arena, &in, &out, NULL) == QN_ERR_INIT && net_reset(arena) == QN_ERR_INIT);
    CHECK(net_init(NULL, NULL) == QN_ERR_ARENA && net_init(arena + 1, NULL) == QN_ERR_ARENA);
    CHECK(net_run(NULL, &in, &out, NULL) == QN_ERR_ARENA && net_run(arena + 32, &in, &out, NULL) == QN_ERR_ARENA);
    CHECK(net_init(arena, NULL) == QN_OK && net_reset(arena) == QN_OK);
    CHECK(net_run(arena, NULL, &out, NULL) == QN_ERR_POINTER && net_run(arena, &in, NULL, NULL) == QN_ERR_POINTER);
    CHECK(net_run(arena, &no_in, &out, NULL) == QN_ERR_POINTER && net_run(arena, &in, &no_out, NULL) == QN_ERR_POINTER);
    CHECK(net_run(arena, &in, &out, &two) == QN_ERR_THREADS);
    CHECK(other_reset(arena) == QN_ERR_INIT);
    free(arena);
}

int main(void) {
    for (int i = 0; i < 64; i++) image[i] = (float)(i * 37 % 64) / 64;
    unsigned char *arena = new_arena(1, 0);
    CHECK(net_init(arena, NULL) == QN_OK && run(arena, expected, NULL) == QN_OK);
    free(arena);
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        struct qn_pool backward = {threads, run_backward}, *pool = qn_pool_open(threads);
        check_threads(threads, &backward);
        check_threads(threads, pool);
        qn_pool_close(pool);
    }
    CHECK(pieces_done > 0);
    pthread_t callers[CALLERS];
    for (int i = 0; i < CALLERS; i++) pthread_create(&callers[i], NULL, call_often, NULL);
    for (int i = 0; i < CALLERS; i++) pthread_join(callers[i], NULL);
    check_codes();
    CHECK(!strcmp(net_info.name, "net") && !strcmp(other_info.inputs[0].name, "image"));
    return faults != 0;
}
