// See state.h. Nothing here may use more than the architecture's baseline, as in entry.c.
#include "runtime/state.h"

QN_ENTRY void qn_states_reset(const struct qn_states *states, unsigned char *memory) {
    int32_t i;
    for (i = 0; i < states->count; i++) {
        const struct qn_state *state = &states->items[i];
        const unsigned char *start = (const unsigned char *)state->start;
        size_t k;
        for (k = 0; k < state->bytes; k++) memory[state->offset[0] + k] = start ? start[k] : 0;
    }
}

QN_ENTRY void qn_states_bind(const struct qn_states *states, unsigned char *memory, int32_t turn, const void *const **inputs,
                             void *const **outputs) {
    const void **in = (const void **)(void *)(memory + states->addresses);
    void **out = (void **)(void *)(in + states->input_count + states->count);
    int32_t i;
    for (i = 0; i < states->input_count; i++) in[i] = (*inputs)[i];
    for (i = 0; i < states->output_count; i++) out[i] = (*outputs)[i];
    for (i = 0; i < states->count; i++) {
        in[states->input_count + i] = memory + states->items[i].offset[turn];
        out[states->output_count + i] = memory + states->items[i].offset[1 - turn];
    }
    *inputs = in;
    *outputs = out;
}
