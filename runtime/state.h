// What a network keeps from one run to the next, in the arena: each state twice. A run reads one and writes the other, and the next
// run takes them the other way round, so that nothing is copied.
#ifndef QN_STATE_H
#define QN_STATE_H
#include <stddef.h>
#include <stdint.h>

#ifndef QN_ENTRY
#define QN_ENTRY
#endif

// Bytes of it, both places in the memory plan, and what it begins with (NULL: zeros).
struct qn_state {
    size_t bytes, offset[2];
    const void *start;
};

// The network's inputs and outputs are those of the caller, then its states. `addresses`: room for one of each in the memory plan.
struct qn_states {
    int32_t count, input_count, output_count; // of the caller's
    size_t addresses;
    const struct qn_state *items;
};

// memory: the memory plan. All states are what they begin with; the next run is of turn 0.
QN_ENTRY void qn_states_reset(const struct qn_states *states, unsigned char *memory);
// Puts the states' addresses in run number `turn` (0 or 1) behind the caller's.
QN_ENTRY void qn_states_bind(const struct qn_states *states, unsigned char *memory, int32_t turn, const void *const **inputs,
                             void *const **outputs);
#endif
