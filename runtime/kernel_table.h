// The kernels that are linked into this program, by symbol: for execution in process and for the kernels' tests.
// Built from kernels.def and families.def alone: a new row appears here by itself.
#ifndef QN_KERNEL_TABLE_H
#define QN_KERNEL_TABLE_H
#include "runtime/kernel.h"

// The symbol of a row of kernels.def.
#define QN_KERNEL_SYMBOL(family, operands, result, tile, isa) qn_##family##_##operands##_##result##__##tile##__##isa

// A kernel's pointers: all but the last are read only.
#define QN_POINTERS_1 void *
#define QN_POINTERS_2 const void *, QN_POINTERS_1
#define QN_POINTERS_3 const void *, QN_POINTERS_2
#define QN_POINTERS_4 const void *, QN_POINTERS_3
#define QN_POINTERS_5 const void *, QN_POINTERS_4
#define QN_POINTERS_6 const void *, QN_POINTERS_5
// And scratch before the last.
#define QN_SCRATCH_POINTERS_5 const void *, const void *, const void *, const void *, void *, void *
#define QN_SCRATCH_POINTERS_6 const void *, QN_SCRATCH_POINTERS_5

// qn_<family>_fn: the type of a family's kernels. QN_<family>_POINTERS: how many pointers they take.
#define FAMILY(name, pointers, fields)                                                                        \
    typedef void qn_##name##_fn(const struct qn_##name##_args *, QN_POINTERS_##pointers, int32_t begin, int32_t end); \
    enum { QN_##name##_POINTERS = pointers };
#define FAMILY_WITH_SCRATCH(name, pointers, fields)                                                                   \
    typedef void qn_##name##_fn(const struct qn_##name##_args *, QN_SCRATCH_POINTERS_##pointers, int32_t begin, int32_t end); \
    enum { QN_##name##_POINTERS = pointers };
#include "runtime/families.def"
#undef FAMILY

// A prototype of every kernel, also of those that other processors run.
#define KERNEL(family, operands, result, tile, isa, packing, guard) \
    qn_##family##_fn QN_KERNEL_SYMBOL(family, operands, result, tile, isa);
#include "runtime/kernels.def"
#undef KERNEL

struct qn_kernel_entry {
    const char *symbol;
    void (*fn)(void); // NULL: this row is for another architecture
    int pointers;     // without scratch
};

// One entry a row of kernels.def, in its order.
extern const struct qn_kernel_entry qn_kernel_table[];
extern const int qn_kernel_table_count;
const struct qn_kernel_entry *qn_kernel_find(const char *symbol); // NULL if there is none

// Calls a kernel of `pointers` pointers (1 to 7; one more than the entry's where args->scratch_bytes > 0, the scratch
// before the output) on rows [begin, end). `args` is the struct of the kernel's family.
void qn_kernel_call(void (*fn)(void), int pointers, const void *args, void *const *ptrs, int32_t begin, int32_t end);
#endif
