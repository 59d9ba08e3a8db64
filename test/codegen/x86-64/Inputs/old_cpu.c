// Prints what init and run return, and the scores.
#include <stdio.h>

#include "net.h"

static _Alignas(NET_ARENA_ALIGN) unsigned char arena[NET_ARENA_BYTES];
static float image[64], scores[10];

int main(void) {
    struct net_inputs in = {image};
    struct net_outputs out = {scores};
    for (int i = 0; i < 64; i++) image[i] = (float)(i * 37 % 64) / 64;
    int status = net_init(arena, NULL);
    printf("init %d\n", status);
    if (status) return 0;
    printf("run %d\n", net_run(arena, &in, &out, NULL));
    for (int i = 0; i < 10; i++) printf("%a\n", (double)scores[i]);
    return 0;
}
