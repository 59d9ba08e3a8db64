// What this machine's multipliers can do at most: independent chains of the instruction that each family leans on.
// Multiply-adds a second on one core; 0 where the host lacks the instruction.
#include "tools/peak.h"

#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>

#include "runtime/kernel.h"

enum { CHAINS = 12, ROUNDS = 1 << 20 };

__attribute__((target("avx2,fma"))) static float chains_fma256(void) {
    __m256 acc[CHAINS], x = _mm256_set1_ps(0.5f), sum = _mm256_setzero_ps();
    QN_UNROLL for (int k = 0; k < CHAINS; k++) acc[k] = _mm256_set1_ps((float)k);
    for (int i = 0; i < ROUNDS; i++)
        QN_UNROLL for (int k = 0; k < CHAINS; k++) acc[k] = _mm256_fmadd_ps(acc[k], x, x);
    QN_UNROLL for (int k = 0; k < CHAINS; k++) sum = _mm256_add_ps(sum, acc[k]);
    return _mm256_cvtss_f32(sum);
}
__attribute__((target("avx512f"))) static float chains_fma512(void) {
    __m512 acc[CHAINS], x = _mm512_set1_ps(0.5f), sum = _mm512_setzero_ps();
    QN_UNROLL for (int k = 0; k < CHAINS; k++) acc[k] = _mm512_set1_ps((float)k);
    for (int i = 0; i < ROUNDS; i++)
        QN_UNROLL for (int k = 0; k < CHAINS; k++) acc[k] = _mm512_fmadd_ps(acc[k], x, x);
    QN_UNROLL for (int k = 0; k < CHAINS; k++) sum = _mm512_add_ps(sum, acc[k]);
    return _mm512_cvtss_f32(sum);
}
__attribute__((target("avx512f,avx512vnni"))) static float chains_dot512(void) {
    __m512i acc[CHAINS], x = _mm512_set1_epi8(1), sum = _mm512_setzero_si512();
    QN_UNROLL for (int k = 0; k < CHAINS; k++) acc[k] = _mm512_set1_epi32(k);
    for (int i = 0; i < ROUNDS; i++)
        QN_UNROLL for (int k = 0; k < CHAINS; k++) acc[k] = _mm512_dpbusd_epi32(acc[k], x, x);
    QN_UNROLL for (int k = 0; k < CHAINS; k++) sum = _mm512_add_epi32(sum, acc[k]);
    return (float)_mm_cvtsi128_si32(_mm512_castsi512_si128(sum));
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// The best of a few runs; `lanes` multiply-adds an instruction.
static double rate(float (*chains)(void), int lanes) {
    double best = 0;
    for (int run = 0; run < 5; run++) {
        const double begin = seconds();
        volatile float sink = chains();
        const double speed = (double)ROUNDS * CHAINS * lanes / (seconds() - begin);
        (void)sink;
        if (speed > best) best = speed;
    }
    return best;
}

double peak_rate(bool is_f32, bool wide) {
    __builtin_cpu_init();
    if (!is_f32) return wide && __builtin_cpu_supports("avx512vnni") ? rate(chains_dot512, 64) : 0;
    if (wide && __builtin_cpu_supports("avx512f")) return rate(chains_fma512, 16);
    return __builtin_cpu_supports("fma") ? rate(chains_fma256, 8) : 0;
}
#else
double peak_rate(bool is_f32, bool wide) {
    (void)is_f32, (void)wide;
    return 0;
}
#endif
