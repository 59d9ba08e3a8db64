// Calls that kn.rows has run together over bands of rows: what the pass that makes it, the verifier and the code generators
// agree on. How they run: runtime/fused.h.
#pragma once
#include "ir/targets.h"
#include "runtime/fused.h"

typedef struct {
    int count;                        // steps: the calls but those that fill halos
    const Op *calls[QN_MOST_FUSED];
    const Op *allocs[QN_MOST_FUSED];  // what calls[i] makes for calls[i + 1]; none for the last
    const Op *halos[QN_MOST_FUSED];   // the call that fills the halo of that; NULL: none
    struct qn_row_buffer buffers[QN_MOST_FUSED]; // without slots and offsets
} FusedRows;

// The kn.alloc or other op whose memory a buffer lies in.
const Op *buffer_memory(const Value *buffer);
// Does `user` alone read what `maker` and `halo` (NULL: none) make, each row of its result from some rows of that? Then these are
// described in `buffer`. The arguments are those of the calls.
bool rows_between(const Op *maker, const KernelArgs *made, const Op *halo, const Op *user, const KernelArgs *used, struct qn_row_buffer *buffer);
// The calls after `rows`, a kn.rows. False where they can't run like that.
bool fused_rows(const Op *rows, FusedRows *fused);
// Room for the rows that a band of `band` rows of the last call needs.
void fused_slots(FusedRows *fused, int32_t band);
bool op_verify_rows(const Op *op, Diag *diag);
