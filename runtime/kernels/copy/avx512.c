// Copies for AVX-512: transposes, and runs of elements side by side.
#include "runtime/kernels/transpose_avx512.h"

QN_INLINE void copy_avx512_store(const void *user, uint8_t *out, __m128i bytes, __mmask16 mask) {
    (void)user;
    _mm_mask_storeu_epi8(out, mask, bytes);
}

// ---- bytes of up to four runs, one by one in turn, and nothing between them in the output

struct copy_avx512 { int32_t runs, flip; ptrdiff_t in_step; __m512i order; __mmask16 kept; };

// In each lane stand four bytes of each run; byte p is of run p % runs. `kept`: the dwords that these fill.
QN_INLINE struct copy_avx512 copy_avx512_new(const struct qn_copy_args *a) {
    struct copy_avx512 c = {.runs = a->shape[4], .flip = a->flip, .in_step = a->in[4]};
    uint8_t order[16];
    for (int p = 0; p < 16; p++) order[p] = p < 4 * c.runs ? (uint8_t)(p % c.runs * 4 + p / c.runs) : 0;
    c.order = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)order));
    c.kept = (__mmask16)((0xF >> (4 - c.runs)) * 0x1111);
    return c;
}

QN_INLINE __m512i copy_avx512_mixed(const struct copy_avx512 *c, const uint8_t *in, __mmask16 mask) {
    const __m512i by_four = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i v = _mm512_castsi128_si512(_mm_maskz_loadu_epi8(mask, in));
    if (c->runs > 1) v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask, in + c->in_step), 1);
    if (c->runs > 2) v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask, in + 2 * c->in_step), 2);
    if (c->runs > 3) v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask, in + 3 * c->in_step), 3);
    v = _mm512_shuffle_epi8(_mm512_permutexvar_epi32(by_four, v), c->order);
    if (c->runs < 4) v = _mm512_maskz_compress_epi32(c->kept, v);
    return c->flip ? _mm512_xor_si512(v, _mm512_set1_epi8((char)c->flip)) : v;
}

QN_INLINE void copy_avx512_some(const struct copy_avx512 *c, const uint8_t *in, uint8_t *out, int32_t count) {
    const __mmask64 mask = count * c->runs == 64 ? ~(__mmask64)0 : ((uint64_t)1 << (count * c->runs)) - 1;
    _mm512_mask_storeu_epi8(out, mask, copy_avx512_mixed(c, in, (__mmask16)((1u << count) - 1)));
}

// The last 16 overlap those before them.
QN_INLINE void copy_avx512_mix(const struct copy_avx512 *c, const uint8_t *in, uint8_t *out, int32_t count) {
    if (count < 16) {
        copy_avx512_some(c, in, out, count);
        return;
    }
    QN_NO_UNROLL for (int32_t i = 0; i < count; i += 16) {
        const int32_t at = qn_min(i, count - 16);
        copy_avx512_some(c, in + at, out + (ptrdiff_t)at * c->runs, 16);
    }
}

QN_INLINE void copy_avx512_in_turn(const struct qn_copy_args *a, int along, const void *input, void *output, int32_t begin,
                                   int32_t end) {
    const struct copy_avx512 c = copy_avx512_new(a);
    const int32_t planes = along == 3 ? 1 : a->shape[3];
    QN_NO_UNROLL for (int32_t r = begin, rows; r < end; r += rows) {
        rows = transpose_avx512_rows(a->shape, along, r, end);
        const uint8_t *in = (const uint8_t *)input + qn_row_offset(a->shape, a->in, r);
        uint8_t *out = (uint8_t *)output + qn_row_offset(a->shape, a->out, r);
        QN_NO_UNROLL for (int32_t i = 0; i < a->shape[2]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < planes; j++)
                copy_avx512_mix(&c, in + (ptrdiff_t)i * a->in[2] + (ptrdiff_t)j * a->in[3],
                                out + (ptrdiff_t)i * a->out[2] + (ptrdiff_t)j * a->out[3], along == 3 ? a->shape[3] : rows);
    }
}

QN_KERNEL qn_copy_any_any__64x16__avx512(const struct qn_copy_args *a, const void *input, void *output, int32_t begin,
                                         int32_t end) {
    const int along = transpose_avx512_along(a->shape, a->in);
    if (a->elem_bytes == 1 && a->shape[4] <= 4 && a->out[along] == a->shape[4]) {
        copy_avx512_in_turn(a, along, input, output, begin, end);
        return;
    }
    const struct transpose_avx512 t = {.shape = a->shape, .in = a->in, .out = a->out, .in_bytes = a->elem_bytes,
                                       .out_bytes = a->elem_bytes, .flip = a->flip};
    transpose_avx512(t, input, output, begin, end, copy_avx512_store);
}

// ---- runs

QN_INLINE __mmask64 copy_avx512_bytes(ptrdiff_t count) { return count >= 64 ? ~(__mmask64)0 : ((uint64_t)1 << count) - 1; }

QN_INLINE void copy_avx512_run(const uint8_t *in, uint8_t *out, ptrdiff_t bytes, __m512i flip) {
    ptrdiff_t i = 0;
    QN_NO_UNROLL for (; i + 64 <= bytes; i += 64) _mm512_storeu_si512(out + i, _mm512_xor_si512(_mm512_loadu_si512(in + i), flip));
    if (i == bytes) return;
    const __mmask64 mask = copy_avx512_bytes(bytes - i);
    _mm512_mask_storeu_epi8(out + i, mask, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, in + i), flip));
}

// Rows of 2 or 4 bytes, of which one side has every other.
QN_INLINE int copy_avx512_is_pairs(const struct qn_copy_args *a) {
    const int32_t size = a->shape[4], bytes = size * a->elem_bytes;
    return (bytes == 2 || bytes == 4) && a->shape[0] == 1 && a->shape[2] == 1 && a->shape[3] == 1 &&
           ((a->in[1] == 2 * size && a->out[1] == size) || (a->in[1] == size && a->out[1] == 2 * size));
}

// To `bytes` side by side; nothing behind the last of them is read.
QN_INLINE void copy_avx512_take(const uint8_t *in, uint8_t *out, int32_t bytes, int32_t width, __m256i flip) {
    const __m512i v = _mm512_maskz_loadu_epi8(copy_avx512_bytes(2 * bytes - width), in);
    const __m256i taken = width == 2 ? _mm512_cvtepi32_epi16(v) : _mm512_cvtepi64_epi32(v);
    _mm256_mask_storeu_epi8(out, (__mmask32)copy_avx512_bytes(bytes), _mm256_xor_si256(taken, flip));
}

QN_INLINE void copy_avx512_put(const uint8_t *in, uint8_t *out, int32_t bytes, int32_t width, __m256i flip) {
    const uint64_t places = width == 2 ? 0x3333333333333333 : 0x0F0F0F0F0F0F0F0F;
    const __m256i v = _mm256_xor_si256(_mm256_maskz_loadu_epi8((__mmask32)copy_avx512_bytes(bytes), in), flip);
    const __m512i put = width == 2 ? _mm512_cvtepu16_epi32(v) : _mm512_cvtepu32_epi64(v);
    _mm512_mask_storeu_epi8(out, copy_avx512_bytes(2 * bytes) & places, put);
}

QN_INLINE void copy_avx512_pairs(const struct qn_copy_args *a, const uint8_t *in, uint8_t *out, int32_t rows) {
    const int32_t width = a->shape[4] * a->elem_bytes, in_step = a->in[1] * a->elem_bytes, out_step = a->out[1] * a->elem_bytes;
    const __m256i flip = _mm256_set1_epi8((char)a->flip);
    QN_NO_UNROLL for (int32_t r = 0; r < rows; r += 32 / width) {
        const int32_t bytes = qn_min((rows - r) * width, 32);
        const ptrdiff_t from = (ptrdiff_t)r * in_step, to = (ptrdiff_t)r * out_step;
        if (in_step > out_step) copy_avx512_take(in + from, out + to, bytes, width, flip);
        else copy_avx512_put(in + from, out + to, bytes, width, flip);
    }
}

QN_KERNEL qn_copy_any_any__64__avx512(const struct qn_copy_args *a, const void *input, void *output, int32_t begin, int32_t end) {
    const __m512i flip = _mm512_set1_epi8((char)a->flip);
    const ptrdiff_t bytes = a->elem_bytes;
    if (copy_avx512_is_pairs(a)) {
        copy_avx512_pairs(a, (const uint8_t *)input + (ptrdiff_t)begin * a->in[1] * bytes, (uint8_t *)output + (ptrdiff_t)begin * a->out[1] * bytes,
                          end - begin);
        return;
    }
    const struct qn_walk walk = qn_walk_new(a->shape, 2, a->in, a->out, a->out);
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const uint8_t *in = (const uint8_t *)input + qn_row_offset(a->shape, a->in, r) * bytes;
        uint8_t *out = (uint8_t *)output + qn_row_offset(a->shape, a->out, r) * bytes;
        QN_NO_UNROLL for (int32_t i = 0; i < walk.size[0]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < walk.size[1]; j++)
                copy_avx512_run(in + qn_run_offset(&walk, 0, i, j) * bytes, out + qn_run_offset(&walk, 1, i, j) * bytes,
                                walk.size[2] * bytes, flip);
    }
}
