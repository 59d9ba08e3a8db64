// Measuring rows of kernels.def: each on its shapes, the best of several runs, as GMAC/s and share of the peak, or GB/s.
#include "test/kernels/bench.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/cost.h"
#include "test/kernels/measure.h"
#include "runtime/kernel_table.h"
#include "tools/peak.h"

enum { MAX_CALLS = 64 };

// How far estimates are off, of rows that cost.def has.
typedef struct { int count; double sum, worst; } Deviation;

static void print_estimate(const KernelInfo *row, const KernelArgs *args, const Target *target, double seconds, Deviation *off) {
    const Estimate estimate = kernel_estimate(target, row, args, false);
    const double part = estimate.ns * 1e-9 / seconds - 1;
    if (!estimate.measured) return;
    printf(" %9.2f us estimated, %+.0f %%", 1e-3 * estimate.ns, 100 * part);
    off->count++;
    off->sum += fabs(part);
    off->worst = fmax(off->worst, fabs(part));
}

static void bench_call(const KernelInfo *row, const struct qn_kernel_entry *entry, const BenchCall *call,
                       const Target *target, double peak, Deviation *off) {
    enum { ROUNDS = 12 };
    Arena *arena = arena_new();
    void *ptrs[MAX_POINTERS] = {0};
    KernelArgs args;
    args_begin(&args, row->family);
    memcpy(args.words, call->args, (size_t)args.family->words * 4);
    for (int i = 0; i < entry->pointers; i++)
        if (call->elems[i]) ptrs[i] = measure_buffer(arena, call->elems[i] * 8);
    if (measure_has_weights(row)) measure_weights(arena, row, &args, ptrs);
    const int scratch = args_get(&args, "scratch_bytes"), last = entry->pointers - 1;
    if (scratch) ptrs[last + 1] = ptrs[last], ptrs[last] = measure_buffer(arena, (size_t)scratch);
    MeasuredCall measured = {entry->fn, entry->pointers + (scratch > 0), call->args, ptrs, 0};
    measure_calls(&measured, 1, ROUNDS, 0.004);
    const double seconds = measured.least;
    printf("%-46s %-30s %9.2f us", row->symbol, call->shape, 1e6 * seconds);
    if (call->macs > 0) {
        printf(" %8.2f GMAC/s", 1e-9 * call->macs / seconds);
        if (peak > 0) printf(" %5.1f %% of peak", 100 * call->macs / seconds / peak);
    } else {
        printf(" %8.2f GB/s", 1e-9 * call->bytes / seconds);
    }
    print_estimate(row, &args, target, seconds, off);
    printf("\n");
    fflush(stdout);
    arena_free(arena);
}

int bench(const char *filter) {
    double peaks[PEAK_COUNT];
    for (int i = 0; i < PEAK_COUNT; i++) peaks[i] = peak_rate((PeakKind)i);
    printf("peak of one core: int8 %.1f (in tiles: %.1f), f32 %.1f (256 bits: %.1f) GMAC/s\n", 1e-9 * peaks[PEAK_I8],
           1e-9 * peaks[PEAK_I8_TILES], 1e-9 * peaks[PEAK_F32], 1e-9 * peaks[PEAK_F32_256]);
    Deviation off = {0};
    for (int i = 0; i < kernel_count(); i++) {
        const KernelInfo *row = kernel_at(i);
        const struct qn_kernel_entry *entry = &qn_kernel_table[i];
        const Target *target = target_for_isa(row->isa);
        if (!strstr(row->symbol, filter) || !entry->fn || !target) continue;
        BenchCall calls[MAX_CALLS];
        Arena *arena = arena_new();
        const int count = measure_has_weights(row) ? bench_layers(row, arena, calls, MAX_CALLS)
                                           : bench_elements(row, arena, calls, MAX_CALLS);
        for (int k = 0; k < count; k++)
            if (row->guard(calls[k].args))
                bench_call(row, entry, &calls[k], target, peaks[peak_kind(row)], &off);
        arena_free(arena);
    }
    if (off.count)
        printf("%d estimates (ir/cost.def): %.0f %% off on average, %.0f %% at most\n", off.count, 100 * off.sum / off.count, 100 * off.worst);
    return 0;
}
