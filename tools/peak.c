// What this machine's multipliers can do at most: independent chains of the instruction that each family leans on.
#include "tools/peak.h"

#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>

#include "runtime/cpu.h"
#include "runtime/kernel.h"

enum { CHAINS = 12, ROUNDS = 1 << 20, TILE_CHAINS = 6, TILE_ROUNDS = 1 << 16 };

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

__attribute__((target("avx2,avxvnni"))) static float chains_dot256(void) {
    __m256i acc[CHAINS], x = _mm256_set1_epi8(1), sum = _mm256_setzero_si256();
    QN_UNROLL for (int k = 0; k < CHAINS; k++) acc[k] = _mm256_set1_epi32(k);
    for (int i = 0; i < ROUNDS; i++)
        QN_UNROLL for (int k = 0; k < CHAINS; k++) acc[k] = _mm256_dpbusd_avx_epi32(acc[k], x, x);
    QN_UNROLL for (int k = 0; k < CHAINS; k++) sum = _mm256_add_epi32(sum, acc[k]);
    return (float)_mm_cvtsi128_si32(_mm256_castsi256_si128(sum));
}

// Without dot products of bytes: pairs of 16 bits are multiplied, and their sums added.
#define CHAINS_MADD(bits, features, VEC, SET, MADD, ADD, LOW)                                                   \
    __attribute__((target(features))) static float chains_madd##bits(void) {                                  \
        VEC acc[CHAINS], x = SET(1), sum = SET(0);                                                             \
        QN_UNROLL for (int k = 0; k < CHAINS; k++) acc[k] = SET(k);                                            \
        for (int i = 0; i < ROUNDS; i++)                                                                       \
            QN_UNROLL for (int k = 0; k < CHAINS; k++) acc[k] = ADD(acc[k], MADD(acc[k], x));                  \
        QN_UNROLL for (int k = 0; k < CHAINS; k++) sum = ADD(sum, acc[k]);                                     \
        return (float)_mm_cvtsi128_si32(LOW(sum));                                                             \
    }
#define WHOLE(v) (v)
CHAINS_MADD(128, "sse2", __m128i, _mm_set1_epi32, _mm_madd_epi16, _mm_add_epi32, WHOLE)
CHAINS_MADD(256, "avx2", __m256i, _mm256_set1_epi32, _mm256_madd_epi16, _mm256_add_epi32, _mm256_castsi256_si128)
CHAINS_MADD(512, "avx512f,avx512bw", __m512i, _mm512_set1_epi32, _mm512_madd_epi16, _mm512_add_epi32, _mm512_castsi512_si128)

static float chains_mul128(void) {
    __m128 acc[CHAINS], x = _mm_set1_ps(0.5f), sum = _mm_setzero_ps();
    QN_UNROLL for (int k = 0; k < CHAINS; k++) acc[k] = _mm_set1_ps((float)k);
    for (int i = 0; i < ROUNDS; i++)
        QN_UNROLL for (int k = 0; k < CHAINS; k++) acc[k] = _mm_add_ps(_mm_mul_ps(acc[k], x), x);
    QN_UNROLL for (int k = 0; k < CHAINS; k++) sum = _mm_add_ps(sum, acc[k]);
    return _mm_cvtss_f32(sum);
}

// Six tile registers of sums, one of 16 x 64 activations, one of weights.
__attribute__((target("amx-tile,amx-int8"))) static float chains_tiles(void) {
    enum { R = 16, B = 64 }; // eight registers of so many rows of so many bytes
    static const struct { uint8_t palette, start_row, reserved[14]; uint16_t row_bytes[16]; uint8_t rows[16]; } config = {
        1, 0, {0}, {B, B, B, B, B, B, B, B}, {R, R, R, R, R, R, R, R}};
    _tile_loadconfig(&config);
    _tile_zero(6);
    _tile_zero(7);
    for (int i = 0; i < TILE_ROUNDS; i++) {
        _tile_dpbusd(0, 6, 7);
        _tile_dpbusd(1, 6, 7);
        _tile_dpbusd(2, 6, 7);
        _tile_dpbusd(3, 6, 7);
        _tile_dpbusd(4, 6, 7);
        _tile_dpbusd(5, 6, 7);
    }
    _tile_release();
    return 0;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// The best of a few runs, each of so many multiply-adds.
static double rate(float (*chains)(void), double macs) {
    double best = 0;
    for (int run = 0; run < 5; run++) {
        const double begin = seconds();
        volatile float sink = chains();
        const double speed = macs / (seconds() - begin);
        (void)sink;
        if (speed > best) best = speed;
    }
    return best;
}

double peak_rate(PeakKind kind) {
    const double vectors = (double)ROUNDS * CHAINS, tiles = (double)TILE_ROUNDS * TILE_CHAINS;
    switch (kind) {
    case PEAK_I8_TILES: return qn_cpu_lacks(QN_CPU_BIT(AMXTILE) | QN_CPU_BIT(AMXINT8)) ? 0 : rate(chains_tiles, tiles * 16 * 16 * 64);
    case PEAK_I8: return qn_cpu_lacks(QN_CPU_BIT(AVX512F) | QN_CPU_BIT(AVX512VNNI)) ? 0 : rate(chains_dot512, vectors * 64);
    case PEAK_I8_DOT256: return qn_cpu_lacks(QN_CPU_BIT(AVX2) | QN_CPU_BIT(AVXVNNI)) ? 0 : rate(chains_dot256, vectors * 32);
    case PEAK_I8_512: return qn_cpu_lacks(QN_CPU_BIT(AVX512F) | QN_CPU_BIT(AVX512BW)) ? 0 : rate(chains_madd512, vectors * 32);
    case PEAK_I8_256: return qn_cpu_lacks(QN_CPU_BIT(AVX2)) ? 0 : rate(chains_madd256, vectors * 16);
    case PEAK_I8_128: return rate(chains_madd128, vectors * 8);
    case PEAK_F32_128: return rate(chains_mul128, vectors * 4);
    case PEAK_F32_256: return qn_cpu_lacks(QN_CPU_BIT(AVX2) | QN_CPU_BIT(FMA)) ? 0 : rate(chains_fma256, vectors * 8);
    case PEAK_F32: return qn_cpu_lacks(QN_CPU_BIT(AVX512F)) ? peak_rate(PEAK_F32_256) : rate(chains_fma512, vectors * 16);
    case PEAK_COUNT: break;
    }
    return 0;
}
#else
double peak_rate(PeakKind kind) {
    (void)kind;
    return 0;
}
#endif

PeakKind peak_kind(const KernelInfo *row) {
    static const struct { const char *isa; PeakKind i8, f32; } kinds[] = {
        {"amx", PEAK_I8_TILES, PEAK_F32}, {"avx512", PEAK_I8_512, PEAK_F32}, {"avxvnni", PEAK_I8_DOT256, PEAK_F32_256}, {"avx2", PEAK_I8_256, PEAK_F32_256}, {"sse2", PEAK_I8_128, PEAK_F32_128}};
    bool is_f32 = strstr(row->operands, "f32");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(row->isa, kinds[i].isa)) return is_f32 ? kinds[i].f32 : kinds[i].i8;
    return is_f32 ? PEAK_F32 : PEAK_I8;
}
