// What every kernel file includes: argument structs from families.def, and the macros that let one source be
// linked into the compiler, turned to bitcode for the LLVM route, and printed as text for the C route.
#ifndef QN_KERNEL_H
#define QN_KERNEL_H
#include <stddef.h>
#include <stdint.h>

// A kernel's definition: always inlined into the caller's constants where the caller is compiled with it
// (QN_INLINE_KERNELS: bitcode and emitted C), an ordinary function in the compiler itself.
#ifdef QN_INLINE_KERNELS
#define QN_KERNEL __attribute__((always_inline, unused)) QN_KERNEL_LINKAGE inline void
#else
#define QN_KERNEL void
#endif
#ifndef QN_KERNEL_LINKAGE
#define QN_KERNEL_LINKAGE static
#endif
#define QN_INLINE static inline __attribute__((always_inline, unused))

#ifdef __clang__
#define QN_UNROLL _Pragma("clang loop unroll(full)")
#define QN_NO_UNROLL _Pragma("clang loop unroll(disable) vectorize(disable) interleave(disable)")
#elif defined(__GNUC__)
#define QN_UNROLL _Pragma("GCC unroll 32")
#define QN_NO_UNROLL _Pragma("GCC unroll 1")
#else
#define QN_UNROLL
#define QN_NO_UNROLL
#endif

#define I(name) int32_t name;
#define F(name) float name;
#define IV(name, count) int32_t name[count];
#define FAMILY(name, pointers, fields) \
    struct qn_##name##_args { int32_t rows; int32_t scratch_bytes; fields };
#include "runtime/families.def"
#undef FAMILY
#undef I
#undef F
#undef IV

// Operations of the families binary, unary, reduce, arg, softmax and scatter_nd, modes of pool2d, and element types of cast.
enum {
    QN_ADD, QN_SUB, QN_MUL, QN_DIV, QN_MIN, QN_MAX, QN_POW, QN_MOD, QN_FMOD, QN_PRELU, QN_AND, QN_OR, QN_XOR,
    QN_SHIFT_LEFT, QN_SHIFT_RIGHT, QN_EQUAL, QN_LESS, QN_LESS_EQUAL, QN_FUSED_ADD
};
enum {
#define UNARY(code, op, value) QN_##code,
#include "runtime/unary.def"
#undef UNARY
    QN_UNARY_COUNT,
    QN_NOT = QN_UNARY_COUNT, QN_IS_NAN, QN_IS_INF
};
enum {
    QN_REDUCE_SUM, QN_REDUCE_MAX, QN_REDUCE_MIN, QN_REDUCE_PROD, QN_REDUCE_L1, QN_REDUCE_L2, QN_REDUCE_SUM_SQUARE,
    QN_REDUCE_LOG_SUM, QN_REDUCE_LOG_SUM_EXP
};
enum { QN_ARG_MAX, QN_ARG_MIN };
enum { QN_SOFTMAX, QN_LOG_SOFTMAX, QN_HARDMAX };
enum { QN_SCATTER_SET, QN_SCATTER_ADD, QN_SCATTER_MUL, QN_SCATTER_MIN, QN_SCATTER_MAX };
enum { QN_POOL_MAX, QN_POOL_AVERAGE };
enum {
    QN_E_F32, QN_E_F64, QN_E_F16, QN_E_BF16, QN_E_I64, QN_E_I32, QN_E_I16, QN_E_I8, QN_E_U64, QN_E_U32, QN_E_U16, QN_E_U8,
    QN_E_I1
};

#include "runtime/rounding.h"
#endif
