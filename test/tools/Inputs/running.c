// Two instances of one compiled model keep states of their own; a reset is that of one of them. Arenas hold anything before.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "running.h"

static float mean[2], total[2];

static int run(void *arena, float a, float b) {
    float x[2] = {a, b};
    struct running_inputs in = {x};
    struct running_outputs out = {mean, total};
    return running_run(arena, &in, &out, NULL);
}

static int is(float a, float b, float c, float d) { return mean[0] == a && mean[1] == b && total[0] == c && total[1] == d; }

#define CHECK(condition) \
    if (!(condition)) return fprintf(stderr, "line %d: %s: %g %g %g %g\n", __LINE__, #condition, mean[0], mean[1], total[0], total[1]), 1

int main(void) {
    unsigned char *one = aligned_alloc(RUNNING_ARENA_ALIGN, RUNNING_ARENA_BYTES), *two = aligned_alloc(RUNNING_ARENA_ALIGN, RUNNING_ARENA_BYTES);
    memset(one, 0xA5, RUNNING_ARENA_BYTES), memset(two, 0x5A, RUNNING_ARENA_BYTES);
    CHECK(running_reset(one) == QN_ERR_INIT);
    CHECK(running_init(one, NULL) == QN_OK && running_init(two, NULL) == QN_OK);
    CHECK(run(one, 2, 4) == QN_OK && is(2, 4, -1, 7.5));
    CHECK(run(one, 2, 4) == QN_OK && is(1, 2, 1, 11.5));
    CHECK(run(two, 6, 8) == QN_OK && is(3, 5, 3, 11.5));
    CHECK(run(one, 4, 0) == QN_OK && is(2, 2, 5, 11.5));
    CHECK(run(two, 0, 0) == QN_OK && is(1.5, 2, 3, 11.5));
    CHECK(running_reset(one) == QN_OK);
    CHECK(run(one, 2, 4) == QN_OK && is(2, 4, -1, 7.5));
    CHECK(run(two, 0, 0) == QN_OK && is(1.5, 2, 3, 11.5));
    CHECK(running_info.input_count == 1 && running_info.output_count == 2);
    free(one), free(two);
    return 0;
}
