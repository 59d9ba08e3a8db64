// The table of kernels that are linked into this program, and a call by pointer count. A row whose instruction set
// belongs to another architecture keeps its place, with no function.
#include "runtime/kernel_table.h"

#include <string.h>

// One line an instruction set of isas.def: is it compiled on this architecture? (The preprocessor must know it: the
// others' symbols do not exist.)
#define FUNCTION_any(symbol) (void (*)(void))symbol
#if defined(__x86_64__)
#define FUNCTION_x86_64(symbol) FUNCTION_any(symbol)
#else
#define FUNCTION_x86_64(symbol) NULL
#endif
#define FUNCTION_generic FUNCTION_any
#define FUNCTION_sse2 FUNCTION_x86_64
#define FUNCTION_avx2 FUNCTION_x86_64
#define FUNCTION_avxvnni FUNCTION_x86_64
#define FUNCTION_avx512 FUNCTION_x86_64
#define FUNCTION_avx512vnni FUNCTION_x86_64
#define FUNCTION_amx FUNCTION_x86_64

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const struct qn_kernel_entry qn_kernel_table[] = {
#define KERNEL(family, operands, result, tile, isa, packing, guard)  \
    {TEXT(QN_KERNEL_SYMBOL(family, operands, result, tile, isa)),    \
     FUNCTION_##isa(QN_KERNEL_SYMBOL(family, operands, result, tile, isa)), QN_##family##_POINTERS},
#include "runtime/kernels.def"
#undef KERNEL
};
const int qn_kernel_table_count = sizeof qn_kernel_table / sizeof *qn_kernel_table;

const struct qn_kernel_entry *qn_kernel_find(const char *symbol) {
    for (int i = 0; i < qn_kernel_table_count; i++)
        if (!strcmp(qn_kernel_table[i].symbol, symbol)) return &qn_kernel_table[i];
    return NULL;
}

// Kernels differ in the struct that their first pointer points to; all pointers are passed alike.
typedef void fn1(const void *, void *, int32_t, int32_t);
typedef void fn2(const void *, void *, void *, int32_t, int32_t);
typedef void fn3(const void *, void *, void *, void *, int32_t, int32_t);
typedef void fn4(const void *, void *, void *, void *, void *, int32_t, int32_t);
typedef void fn5(const void *, void *, void *, void *, void *, void *, int32_t, int32_t);
typedef void fn6(const void *, void *, void *, void *, void *, void *, void *, int32_t, int32_t);
typedef void fn7(const void *, void *, void *, void *, void *, void *, void *, void *, int32_t, int32_t);

void qn_kernel_call(void (*fn)(void), int pointers, const void *args, void *const *p, int32_t begin, int32_t end) {
    switch (pointers) {
    case 1: ((fn1 *)fn)(args, p[0], begin, end); break;
    case 2: ((fn2 *)fn)(args, p[0], p[1], begin, end); break;
    case 3: ((fn3 *)fn)(args, p[0], p[1], p[2], begin, end); break;
    case 4: ((fn4 *)fn)(args, p[0], p[1], p[2], p[3], begin, end); break;
    case 5: ((fn5 *)fn)(args, p[0], p[1], p[2], p[3], p[4], begin, end); break;
    case 6: ((fn6 *)fn)(args, p[0], p[1], p[2], p[3], p[4], p[5], begin, end); break;
    case 7: ((fn7 *)fn)(args, p[0], p[1], p[2], p[3], p[4], p[5], p[6], begin, end); break;
    }
}
