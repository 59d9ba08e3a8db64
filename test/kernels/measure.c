// Times kernels in process, in turn, so that what else the machine does hits all of them alike.
#include "test/kernels/measure.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#include "passes/pack.h"
#include "runtime/kernel_table.h"

void *measure_buffer(Arena *arena, size_t bytes) {
    uint8_t *memory = arena_alloc(arena, bytes + 256);
    memory += 64 + (64 - (uintptr_t)memory % 64) % 64;
    for (size_t i = 0; i < bytes; i++) memory[i] = (uint8_t)(i % 4 == 3 ? 0x3F : i % 251);
    return memory;
}

bool measure_has_weights(const KernelInfo *row) {
    return !strncmp(row->family, "conv2d", 6) || !strncmp(row->family, "winograd", 8) || !strcmp(row->family, "depthwise") || !strcmp(row->family, "linear");
}

static void *copy_new(Arena *arena, const void *bytes, size_t count) {
    return bytes ? memcpy(measure_buffer(arena, count), bytes, count) : NULL;
}

void measure_weights(Arena *arena, const KernelInfo *row, const KernelArgs *args, void **ptrs) {
    const bool is_f32 = strstr(row->operands, "f32") != NULL;
    Packed packed = {0};
    PackSource source = {.kernel_h = 1, .kernel_w = 1, .args = args};
    if (!strcmp(row->family, "linear")) {
        source.out_c = args_get(args, "n"), source.in_c = args_get(args, "k");
    } else {
        source.out_c = args_get(args, "out_c"), source.in_c = args_get(args, "in_c") / args_get(args, "group");
        source.kernel_h = args_get(args, "kernel_h"), source.kernel_w = args_get(args, "kernel_w");
    }
    const size_t weights = (size_t)(source.out_c * source.kernel_h * source.kernel_w * source.in_c);
    source.weight = measure_buffer(arena, weights * (is_f32 ? 4 : 1));
    if (!is_f32) {
        float *multiplier = arena_alloc(arena, (size_t)source.out_c * 4);
        for (int64_t o = 0; o < source.out_c; o++) multiplier[o] = 0.001f;
        source.multiplier = multiplier;
    }
    pack_find(row->packing)(arena, &source, &packed);
    ptrs[1] = copy_new(arena, packed.weight, packed.weight_bytes);
    ptrs[2] = copy_new(arena, packed.bias, packed.bias_bytes);
    ptrs[3] = copy_new(arena, packed.multiplier, packed.multiplier_bytes);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double run(const MeasuredCall *call, int repeat) {
    const int32_t rows = *(const int32_t *)call->args;
    const double begin = now();
    for (int i = 0; i < repeat; i++) qn_kernel_call(call->fn, call->pointers, call->args, call->ptrs, 0, rows);
    return (now() - begin) / repeat;
}

void measure_calls(MeasuredCall *calls, int count, int rounds, double seconds) {
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < count; i++) {
            MeasuredCall *call = &calls[i];
            if (!round) call->least = run(call, 1); // also brings it to the caches
            const double repeats = seconds / (call->least > 1e-8 ? call->least : 1e-8);
            const double taken = run(call, repeats > 1 ? (int)repeats : 1);
            if (taken < call->least) call->least = taken;
        }
}
