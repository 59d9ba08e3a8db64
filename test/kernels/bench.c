// Measuring rows of kernels.def: each on its shapes, the best of several runs, as GMAC/s and share of the peak, or GB/s.
#include "test/kernels/bench.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ir/cost.h"
#include "passes/pack.h"
#include "runtime/kernel_table.h"
#include "tools/peak.h"

enum { MAX_CALLS = 64 };

double bench_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool has_weights(const KernelInfo *row) {
    return !strcmp(row->family, "conv2d") || !strcmp(row->family, "depthwise") || !strcmp(row->family, "linear");
}
static bool is_f32(const KernelInfo *row) { return strstr(row->operands, "f32") != NULL; }

// Memory aligned to 64 bytes with room to over-read, filled with small values (as floats too).
static void *buffer_new(Arena *arena, size_t bytes) {
    uint8_t *memory = arena_alloc(arena, bytes + 192);
    memory += 64 + (64 - (uintptr_t)memory % 64) % 64;
    for (size_t i = 0; i < bytes; i++) memory[i] = (uint8_t)(i % 4 == 3 ? 0x3F : i % 251);
    return memory;
}

static void *copy_new(Arena *arena, const void *bytes, size_t count) {
    return bytes ? memcpy(buffer_new(arena, count), bytes, count) : NULL;
}

static void pack_layer(const KernelInfo *row, Arena *arena, const BenchCall *call, void **ptrs) {
    KernelArgs args;
    Packed packed = {0};
    args_begin(&args, row->family);
    memcpy(args.words, call->args, (size_t)args.family->words * 4);
    PackSource source = {.kernel_h = 1, .kernel_w = 1, .args = &args};
    if (!strcmp(row->family, "linear")) {
        source.out_c = args_get(&args, "n"), source.in_c = args_get(&args, "k");
    } else {
        source.out_c = args_get(&args, "out_c"), source.in_c = args_get(&args, "in_c") / args_get(&args, "group");
        source.kernel_h = args_get(&args, "kernel_h"), source.kernel_w = args_get(&args, "kernel_w");
    }
    const size_t weights = (size_t)(source.out_c * source.kernel_h * source.kernel_w * source.in_c);
    source.weight = buffer_new(arena, weights * (is_f32(row) ? 4 : 1));
    if (!is_f32(row)) {
        float *multiplier = arena_alloc(arena, (size_t)source.out_c * 4);
        for (int64_t o = 0; o < source.out_c; o++) multiplier[o] = 0.001f;
        source.multiplier = multiplier;
    }
    pack_find(row->packing)(arena, &source, &packed);
    ptrs[1] = copy_new(arena, packed.weight, packed.weight_bytes);
    ptrs[2] = copy_new(arena, packed.bias, packed.bias_bytes);
    ptrs[3] = copy_new(arena, packed.multiplier, packed.multiplier_bytes);
}

// Seconds of one call: the least of several runs of some milliseconds each.
static double measure(void (*fn)(void), int pointers, const BenchCall *call, void **ptrs) {
    const int32_t rows = *(const int32_t *)call->args;
    double best = 1e9;
    for (int repeat = 1, run = 0; run < 12;) {
        const double begin = bench_seconds();
        for (int i = 0; i < repeat; i++) qn_kernel_call(fn, pointers, call->args, ptrs, 0, rows);
        const double seconds = bench_seconds() - begin;
        if (seconds < 0.004) {
            repeat *= 2;
            continue;
        }
        if (seconds / repeat < best) best = seconds / repeat;
        run++;
    }
    return best;
}

// How far estimates are off, of rows that cost.def has.
typedef struct { int count; double sum, worst; } Deviation;

static void print_estimate(const KernelInfo *row, const BenchCall *call, const Target *target, double seconds, Deviation *off) {
    KernelArgs args;
    args_begin(&args, row->family);
    memcpy(args.words, call->args, (size_t)args.family->words * 4);
    const Estimate estimate = kernel_estimate(target, row, &args, false);
    const double part = estimate.ns * 1e-9 / seconds - 1;
    if (!estimate.measured) return;
    printf(" %9.2f us estimated, %+.0f %%", 1e-3 * estimate.ns, 100 * part);
    off->count++;
    off->sum += fabs(part);
    off->worst = fmax(off->worst, fabs(part));
}

static void bench_call(const KernelInfo *row, const struct qn_kernel_entry *entry, const BenchCall *call,
                       const Target *target, double peak, Deviation *off) {
    Arena *arena = arena_new();
    void *ptrs[MAX_INPUTS + 1] = {0};
    const int last = entry->pointers - 1;
    for (int i = 0; i <= last; i++)
        if (call->elems[i]) ptrs[i] = buffer_new(arena, call->elems[i] * 8);
    if (has_weights(row)) pack_layer(row, arena, call, ptrs);
    const double seconds = measure(entry->fn, entry->pointers, call, ptrs);
    printf("%-46s %-30s %9.2f us", row->symbol, call->shape, 1e6 * seconds);
    if (call->macs > 0) {
        printf(" %8.2f GMAC/s", 1e-9 * call->macs / seconds);
        if (peak > 0) printf(" %5.1f %% of peak", 100 * call->macs / seconds / peak);
    } else {
        printf(" %8.2f GB/s", 1e-9 * call->bytes / seconds);
    }
    print_estimate(row, call, target, seconds, off);
    printf("\n");
    fflush(stdout);
    arena_free(arena);
}

int bench(const char *filter) {
    const double peaks[2][2] = {{peak_rate(false, false), peak_rate(false, true)},
                                {peak_rate(true, false), peak_rate(true, true)}};
    printf("peak of one core: int8 %.1f, f32 %.1f (256 bits: %.1f) GMAC/s\n", 1e-9 * peaks[0][1], 1e-9 * peaks[1][1],
           1e-9 * peaks[1][0]);
    Deviation off = {0};
    for (int i = 0; i < kernel_count(); i++) {
        const KernelInfo *row = kernel_at(i);
        const struct qn_kernel_entry *entry = &qn_kernel_table[i];
        const Target *target = target_for_isa(row->isa);
        if (!strstr(row->symbol, filter) || !entry->fn || !target) continue;
        BenchCall calls[MAX_CALLS];
        Arena *arena = arena_new();
        const int count = has_weights(row) ? bench_layers(row, arena, calls, MAX_CALLS)
                                           : bench_elements(row, arena, calls, MAX_CALLS);
        for (int k = 0; k < count; k++)
            if (row->guard(calls[k].args))
                bench_call(row, entry, &calls[k], target, peaks[is_f32(row)][strcmp(row->isa, "avx2") != 0], &off);
        arena_free(arena);
    }
    if (off.count)
        printf("%d estimates (ir/cost.def): %.0f %% off on average, %.0f %% at most\n", off.count, 100 * off.sum / off.count, 100 * off.worst);
    return 0;
}
