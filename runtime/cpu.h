// What this processor can do, asked of it directly (cpuid, xgetbv): no library, no allocation. Used by the compiler to
// choose the host's target, and by every compiled model before it runs its first vector instruction.
#ifndef QN_CPU_H
#define QN_CPU_H
#include <stdint.h>

enum {
#define CPU_FEATURE(name, text, leaf, subleaf, reg, bit, state) QN_CPU_INDEX_##name,
#include "runtime/cpu.def"
#undef CPU_FEATURE
    QN_CPU_COUNT
};
#define QN_CPU_BIT(name) ((uint64_t)1 << QN_CPU_INDEX_##name)

#if defined(__x86_64__)
static inline void qn_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t reg[4]) {
    __asm__ volatile("cpuid" : "=a"(reg[0]), "=b"(reg[1]), "=c"(reg[2]), "=d"(reg[3]) : "a"(leaf), "c"(subleaf));
}

// Linux saves AMX's tiles for processes that asked for it (arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA).
static inline int qn_cpu_ask_for_tiles(void) {
#if defined(__linux__)
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(158L), "D"(0x1023L), "S"(18L) : "rcx", "r11", "memory");
    return result == 0;
#else
    return 0;
#endif
}

// Registers that the operating system saves: 0 xmm only, 1 ymm, 2 zmm and masks, 3 tiles, where they are asked for.
static inline int qn_cpu_state(int tiles) {
    uint32_t reg[4], low, high;
    qn_cpuid(1, 0, reg);
    if (!(reg[2] >> 27 & 1)) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    if (tiles && (low & 0x600e6) == 0x600e6 && qn_cpu_ask_for_tiles()) return 3;
    return (low & 0xe6) == 0xe6 ? 2 : (low & 6) == 6 ? 1 : 0;
}

// One feature: the leaf must exist, and the system must save its registers.
static inline uint64_t qn_cpu_feature(int index, uint32_t leaf, uint32_t subleaf, int reg, int bit, int state,
                                      int saved) {
    uint32_t value[4];
    qn_cpuid(leaf & 0x80000000u, 0, value);
    if (value[0] < leaf || state > saved) return 0;
    if (subleaf) {
        qn_cpuid(leaf, 0, value);
        if (value[0] < subleaf) return 0;
    }
    qn_cpuid(leaf, subleaf, value);
    return (uint64_t)(value[reg] >> bit & 1) << index;
}
#endif

// Those of `needed`, a set of QN_CPU_BIT(…), that this processor and its system do not support.
static inline uint64_t qn_cpu_lacks(uint64_t needed) {
    uint64_t features = 0;
#if defined(__x86_64__)
    const int saved = qn_cpu_state((needed & QN_CPU_BIT(AMXTILE)) != 0);
#define CPU_FEATURE(name, text, leaf, subleaf, reg, bit, state) \
    features |= qn_cpu_feature(QN_CPU_INDEX_##name, leaf, subleaf, reg, bit, state, saved);
#include "runtime/cpu.def"
#undef CPU_FEATURE
#endif
    return needed & ~features;
}
#endif
