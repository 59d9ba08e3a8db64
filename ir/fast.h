// Loops over many numbers, compiled for the vectors that the processor has. A FAST_LOOP is an inline function of plain C; FAST_VARIANTS
// makes `name` of `name_loop`, which calls its best copy. Sums are in a fixed order (lanes are written out), and products are not
// contracted: all copies give the same bits.
#pragma once
#include <stdbool.h>

#define FAST_LOOP static inline __attribute__((always_inline))

#if defined(__GNUC__) && !defined(__clang__)
#define FAST_LEVEL __attribute__((optimize("O3")))
#else
#define FAST_LEVEL
#endif

#if defined(__x86_64__) && defined(__GNUC__)
#define FAST_VARIANTS(result, name, parameters, arguments)                                                      \
    FAST_LEVEL __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi2"))) static result name##_v4 parameters { return name##_loop arguments; } \
    FAST_LEVEL __attribute__((target("avx2,bmi2"))) static result name##_v3 parameters { return name##_loop arguments; }       \
    FAST_LEVEL static result name##_v1 parameters { return name##_loop arguments; }                             \
    static result name parameters {                                                                             \
        if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))        \
            return name##_v4 arguments;                                                                         \
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")) return name##_v3 arguments;       \
        return name##_v1 arguments;                                                                             \
    }
#else
#define FAST_VARIANTS(result, name, parameters, arguments) \
    FAST_LEVEL static result name parameters { return name##_loop arguments; }
#endif
