// The targets that Qanat compiles for, and the kernel rows that each can run.
#pragma once
#include <stdbool.h>

#include "ir/ir.h"

typedef struct Target {
    const char *name, *triple, *cpu, *features;
    const char *isas; // space separated, best first
    Elem activations; // storage of 8-bit activations: ELEM_I8 or ELEM_U8
    long l1_bytes, l2_bytes;
    double clock_mhz, memory_bytes; // a cycle, of one core: for estimates
} Target;

int target_count(void);
const Target *target_at(int index);
const Target *target_find(const char *name);
// The best target that this machine runs; `host_supports` says it of any.
const Target *target_host(void);
bool target_host_supports(const Target *target);
const Target *target_for_isa(const char *isa); // a target of this machine that runs it; NULL: none does
// The set of QN_CPU_BIT(…) of runtime/cpu.h that code for the target may use.
uint64_t target_cpu_features(const Target *target);
bool target_has_isa(const Target *target, const char *isa);

// A field of a family's arguments: offset in 4-byte words from the start of its struct; `rows` and `scratch_bytes`
// are words 0 and 1.
typedef struct { const char *name; char kind; /* 'I' or 'F' */ int count, word; } FieldInfo;
typedef struct { const char *name; int pointer_count, field_count, words; const FieldInfo *fields; } FamilyInfo;
const FamilyInfo *family_find(const char *name);
const char *const *family_names(int *count);

// Arguments of a call as the words of its struct.
enum { MAX_ARG_WORDS = 96 };
typedef struct { const FamilyInfo *family; int32_t words[MAX_ARG_WORDS]; } KernelArgs;
void args_begin(KernelArgs *args, const char *family);
void args_int(KernelArgs *args, const char *field, int64_t value);
void args_float(KernelArgs *args, const char *field, float value);
void args_ints(KernelArgs *args, const char *field, int count, const int64_t *values);
float args_get_float(const KernelArgs *args, const char *field);
int32_t args_get(const KernelArgs *args, const char *field);
// As attributes of kn.call, and back.
Attr *args_to_attrs(Arena *arena, Attr *next, const KernelArgs *args);
bool args_from_op(KernelArgs *args, const Op *kn_call);
// What a kernel's time depends on. What it doesn't is made 0: zero points, clamps and factors, and how threads share it.
KernelArgs args_shape(const KernelArgs *args);

typedef struct KernelInfo {
    const char *symbol, *family, *operands, *result, *tile, *isa, *packing;
    const char *condition; // the guard's text
    bool (*guard)(const void *args); // of the family's struct
} KernelInfo;
int kernel_count(void);
const KernelInfo *kernel_at(int index);
const KernelInfo *kernel_find(const char *symbol);

// A row of a call's family, operands and result that the target can run.
typedef struct {
    const KernelInfo *row;
    const char *refused; // why it may not be taken; NULL: it may
    double ns;           // estimated (ir/cost.h)
    bool measured;       // by figures of its own: only such estimates are compared
} Candidate;
enum { MAX_CANDIDATES = 16 };
// In the order of kernels.def; returns how many. `only`: NULL for all rows, or the one instruction-set family to take rows
// from (generic always remains), or "-symbol,-symbol": all rows but those.
int kernel_candidates(const Target *target, const char *only, const char *operands, const char *result,
                      const KernelArgs *args, Candidate candidates[MAX_CANDIDATES]);
// The first that may be taken, or one behind it whose estimate is less; NULL if none. `in_order`: the first, whatever it costs.
const KernelInfo *kernel_choose(const Candidate *candidates, int count, bool in_order);
