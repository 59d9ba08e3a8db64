// Runs the network, for the target that is named or else the one that init chooses; prints what init returns, that target, and the scores.
#include <stdio.h>

#include "net.h"

static _Alignas(NET_ARENA_ALIGN) unsigned char arena[NET_ARENA_BYTES];
static float image[64], scores[10];

int main(int argc, char **argv) {
    struct net_inputs in = {image};
    struct net_outputs out = {scores};
    struct qn_options options = {.target = argc > 1 ? argv[1] : NULL};
    for (int i = 0; i < 64; i++) image[i] = (float)(i * 37 % 64) / 64;
    if (net_target(arena)) return 1;
    int status = net_init(arena, &options);
    const char *target = net_target(arena);
    fprintf(stderr, "init %d, %s\n", status, target ? target : "none");
    if (status) return 0;
    for (int i = 0; i < 2; i++) // the same again
        if (net_run(arena, &in, &out, NULL)) return 1;
    for (int i = 0; i < 10; i++) printf("%a\n", (double)scores[i]);
    return net_reset(arena);
}
