// int8 depthwise convolution for AVX512-VNNI. The input has a halo (or needs none) and is stored unsigned. Four rows of
// 64 channels are interleaved byte by byte, so that one vpdpbusd sums four taps of a column. Channels of a block lie in
// the order that this interleaving and the final packs give: vector j, lane l, element e holds channel 16 l + 4 j + e.
// A last block of at most 32 channels is computed on half vectors (`half`).
#include "runtime/kernels/vnni.h"

typedef struct { __m512i v[4]; } depthwise_vnni_column;

struct depthwise_vnni {
    int64_t in_row, in_column, row_step, column_step, out_row, out_column;
    int32_t kernel_h, kernel_w, width;
    struct vnni_quant quant;
};

#define HALF(a) _mm512_castsi512_si256(a)
#define WIDE(a) _mm512_castsi256_si512(a)

QN_INLINE __m512i depthwise_vnni_load(const void *p, int half) {
    return half ? WIDE(_mm256_loadu_si256((const __m256i *)p)) : _mm512_loadu_si512(p);
}

QN_INLINE __m512i depthwise_vnni_start(const int32_t *bias, const struct vnni_quant *q, int half) {
    if (!half) return vnni_start(bias, q->bounded);
    const __m256i b = _mm256_loadu_si256((const __m256i *)bias);
    return WIDE(q->bounded == 2 ? _mm256_add_epi32(b, _mm256_set1_epi32(VNNI_SHIFT)) : b);
}

QN_INLINE __m512i depthwise_vnni_dot(__m512i acc, __m512i a, __m512i b, int half) {
    return half ? WIDE(_mm256_dpbusd_epi32(HALF(acc), HALF(a), HALF(b))) : _mm512_dpbusd_epi32(acc, a, b);
}

QN_INLINE depthwise_vnni_column depthwise_vnni_interleave(__m512i a, __m512i b, __m512i c, __m512i d, int half) {
    if (half) {
        const __m256i e = _mm256_unpacklo_epi8(HALF(a), HALF(b)), f = _mm256_unpackhi_epi8(HALF(a), HALF(b));
        const __m256i g = _mm256_unpacklo_epi8(HALF(c), HALF(d)), h = _mm256_unpackhi_epi8(HALF(c), HALF(d));
        return (depthwise_vnni_column){{WIDE(_mm256_unpacklo_epi16(e, g)), WIDE(_mm256_unpackhi_epi16(e, g)),
                                        WIDE(_mm256_unpacklo_epi16(f, h)), WIDE(_mm256_unpackhi_epi16(f, h))}};
    }
    const __m512i e = _mm512_unpacklo_epi8(a, b), f = _mm512_unpackhi_epi8(a, b);
    const __m512i g = _mm512_unpacklo_epi8(c, d), h = _mm512_unpackhi_epi8(c, d);
    return (depthwise_vnni_column){{_mm512_unpacklo_epi16(e, g), _mm512_unpackhi_epi16(e, g),
                                    _mm512_unpacklo_epi16(f, h), _mm512_unpackhi_epi16(f, h)}};
}

// Four rows of one column; rows beyond `count` repeat the last one (their weights are zero).
QN_INLINE depthwise_vnni_column depthwise_vnni_read(const uint8_t *in, int64_t row, int count, int half) {
    const __m512i a = depthwise_vnni_load(in, half);
    const __m512i b = count > 1 ? depthwise_vnni_load(in + row, half) : a;
    const __m512i c = count > 2 ? depthwise_vnni_load(in + 2 * row, half) : b;
    const __m512i d = count > 3 ? depthwise_vnni_load(in + 3 * row, half) : _mm512_setzero_si512();
    return depthwise_vnni_interleave(a, b, c, d, half);
}

QN_INLINE __m256i depthwise_vnni_scale_half(__m256i acc, __m256 m, const struct vnni_quant *q) {
    if (q->bounded == 2) {
        const __m256 shift = _mm256_mul_ps(m, _mm256_set1_ps(-8388608.0f));
        return _mm256_cvtps_epi32(_mm256_fmadd_ps(_mm256_castsi256_ps(acc), m, shift));
    }
    __m256 y = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), m);
    if (!q->bounded) y = _mm256_min_ps(y, _mm256_set1_ps(65536.0f));
    return _mm256_cvtps_epi32(y);
}

QN_INLINE void depthwise_vnni_store_half(const __m512i acc[4], const float *m, const struct vnni_quant *q, uint8_t *out,
                                         int32_t channels) {
    __m256i v[4];
    QN_UNROLL for (int j = 0; j < 4; j++)
        v[j] = depthwise_vnni_scale_half(HALF(acc[j]), _mm256_loadu_ps(m + j * 8), q);
    const __m256i zp = _mm256_set1_epi16((int16_t)q->zp);
    const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(v[0], v[1]), zp);
    const __m256i high = _mm256_adds_epi16(_mm256_packs_epi32(v[2], v[3]), zp);
    __m256i bytes = _mm256_packus_epi16(low, high);
    if (q->lo > 0) bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8((char)q->lo));
    if (q->hi < 255) bytes = _mm256_min_epu8(bytes, _mm256_set1_epi8((char)q->hi));
    vnni_store_32(out, bytes, channels);
}

QN_INLINE void depthwise_vnni_store(const __m512i acc[4], const float *m, const struct vnni_quant *q, uint8_t *out,
                                    int32_t channels, int half) {
    __m512i v[4];
    if (half) {
        depthwise_vnni_store_half(acc, m, q, out, channels);
        return;
    }
    QN_UNROLL for (int j = 0; j < 4; j++) v[j] = vnni_scale(acc[j], _mm512_loadu_ps(m + j * 16), q);
    vnni_store_64(out, vnni_pack_lanes(v, q), channels);
}

// One pixel of a 3x3 window: three columns against weights [column][j].
QN_INLINE void depthwise_vnni_pixel3(const struct depthwise_vnni *d, const depthwise_vnni_column c[3],
                                     const __m512i weight[12], const __m512i bias[4], const float *m, uint8_t *out,
                                     int32_t channels, int half) {
    __m512i acc[4];
    QN_UNROLL for (int j = 0; j < 4; j++) {
        acc[j] = bias[j];
        QN_UNROLL for (int x = 0; x < 3; x++) acc[j] = depthwise_vnni_dot(acc[j], c[x].v[j], weight[x * 4 + j], half);
    }
    depthwise_vnni_store(acc, m, &d->quant, out, channels, half);
}

// A row of pixels. Columns are kept while the window slides.
QN_INLINE void depthwise_vnni_row3(const struct depthwise_vnni *d, const uint8_t *in, const int8_t *weight,
                                   const int32_t *bias, const float *m, uint8_t *out, int32_t channels, int stride,
                                   int half) {
    const int bytes = half ? 32 : 64;
    __m512i w[12], b[4];
    QN_UNROLL for (int i = 0; i < 12; i++) w[i] = depthwise_vnni_load(weight + i * bytes, half);
    QN_UNROLL for (int j = 0; j < 4; j++) b[j] = depthwise_vnni_start(bias + j * bytes / 4, &d->quant, half);
    depthwise_vnni_column c[3];
    c[0] = depthwise_vnni_read(in, d->in_row, 3, half);
    if (stride == 1) c[1] = depthwise_vnni_read(in + d->in_column, d->in_row, 3, half);
    QN_NO_UNROLL for (int32_t x = 0; x < d->width; x++) {
        if (stride == 2) c[1] = depthwise_vnni_read(in + d->in_column, d->in_row, 3, half);
        c[2] = depthwise_vnni_read(in + 2 * d->in_column, d->in_row, 3, half);
        depthwise_vnni_pixel3(d, c, w, b, m, out, channels, half);
        c[0] = c[stride == 2 ? 2 : 1];
        c[1] = c[2];
        in += stride * d->in_column;
        out += d->out_column;
    }
}

// All channels of a row: the input rows stay in the cache from block to block.
QN_INLINE void depthwise_vnni_blocks3(const struct depthwise_vnni *d, const uint8_t *in, const int8_t *weight,
                                      const int32_t *bias, const float *m, uint8_t *out, int32_t channels, int stride) {
    const int32_t rest = channels % 64, full = channels - rest;
    QN_NO_UNROLL for (int32_t c = 0; c < full; c += 64)
        depthwise_vnni_row3(d, in + c, weight + c * 12, bias + c, m + c, out + c, 64, stride, 0);
    if (rest > 32)
        depthwise_vnni_row3(d, in + full, weight + full * 12, bias + full, m + full, out + full, rest, stride, 0);
    else if (rest)
        depthwise_vnni_row3(d, in + full, weight + full * 12, bias + full, m + full, out + full, rest, stride, 1);
}

// Any window: every pixel reads its whole window.
QN_INLINE void depthwise_vnni_block(const struct depthwise_vnni *d, const uint8_t *in, const int8_t *weight,
                                    const int32_t *bias, const float *m, uint8_t *out, int32_t rows, int32_t channels,
                                    int half) {
    const int bytes = half ? 32 : 64;
    QN_NO_UNROLL for (int32_t p = 0; p < rows * d->width; p++) {
        const int32_t y = p / d->width, x = p % d->width;
        const int8_t *w = weight;
        __m512i acc[4];
        QN_UNROLL for (int j = 0; j < 4; j++) acc[j] = depthwise_vnni_start(bias + j * bytes / 4, &d->quant, half);
        QN_NO_UNROLL for (int kx = 0; kx < d->kernel_w; kx++)
            QN_NO_UNROLL for (int ky = 0; ky < d->kernel_h; ky += 4) {
                const uint8_t *tap = in + y * d->row_step + ky * d->in_row + x * d->column_step + kx * d->in_column;
                const depthwise_vnni_column c = depthwise_vnni_read(tap, d->in_row, d->kernel_h - ky, half);
                QN_UNROLL for (int j = 0; j < 4; j++, w += bytes)
                    acc[j] = depthwise_vnni_dot(acc[j], c.v[j], depthwise_vnni_load(w, half), half);
            }
        depthwise_vnni_store(acc, m, &d->quant, out + y * d->out_row + x * d->out_column, channels, half);
    }
}

QN_INLINE struct depthwise_vnni depthwise_vnni_of(const struct qn_depthwise_args *a) {
    const struct depthwise_vnni d = {
        .in_row = (int64_t)a->dilation_h * a->in_row,
        .in_column = (int64_t)a->dilation_w * a->in_c,
        .row_step = (int64_t)a->stride_h * a->in_row,
        .column_step = (int64_t)a->stride_w * a->in_c,
        .out_row = a->out_row,
        .out_column = a->out_c,
        .kernel_h = a->kernel_h, .kernel_w = a->kernel_w, .width = a->out_w,
        .quant = {a->out_zp + 128, a->lo + 128, a->hi + 128, a->bounded},
    };
    return d;
}

QN_INLINE void depthwise_vnni_rows3(const struct depthwise_vnni *d, const uint8_t *in, const int8_t *weight,
                                    const int32_t *bias, const float *m, uint8_t *out, int32_t rows, int32_t channels) {
    QN_NO_UNROLL for (int32_t y = 0; y < rows; y++) {
        const uint8_t *from = in + y * d->row_step;
        uint8_t *to = out + y * d->out_row;
        if (d->column_step == d->in_column) depthwise_vnni_blocks3(d, from, weight, bias, m, to, channels, 1);
        else depthwise_vnni_blocks3(d, from, weight, bias, m, to, channels, 2);
    }
}

QN_KERNEL qn_depthwise_s8s8_s8__64x3x3__avx512vnni(const struct qn_depthwise_args *a, const void *input,
                                                   const void *weight, const void *bias, const void *multiplier,
                                                   void *output, int32_t begin, int32_t end) {
    const struct depthwise_vnni d = depthwise_vnni_of(a);
    QN_NO_UNROLL for (int32_t row = begin; row < end;) {
        const int32_t image = row / a->out_h, y = row % a->out_h;
        const int32_t rows = a->out_h - y < end - row ? a->out_h - y : end - row;
        depthwise_vnni_rows3(&d, (const uint8_t *)input + (int64_t)image * a->in_image + y * d.row_step, weight, bias,
                             multiplier, (uint8_t *)output + (int64_t)image * a->out_image + y * d.out_row, rows,
                             a->out_c);
        row += rows;
    }
}

QN_KERNEL qn_depthwise_s8s8_s8__64c4__avx512vnni(const struct qn_depthwise_args *a, const void *input,
                                                 const void *weight, const void *bias, const void *multiplier,
                                                 void *output, int32_t begin, int32_t end) {
    const struct depthwise_vnni d = depthwise_vnni_of(a);
    const int32_t channel_bytes = a->kernel_w * ((a->kernel_h + 3) / 4) * 4;
    QN_NO_UNROLL for (int32_t row = begin; row < end; row++) {
        const int64_t image = row / a->out_h, y = row % a->out_h;
        const uint8_t *in = (const uint8_t *)input + image * a->in_image + y * d.row_step;
        uint8_t *out = (uint8_t *)output + image * a->out_image + y * d.out_row;
        QN_NO_UNROLL for (int32_t c = 0; c < a->out_c; c += 64) {
            const int8_t *w = (const int8_t *)weight + (int64_t)c * channel_bytes;
            const int32_t *b = (const int32_t *)bias + c;
            const float *m = (const float *)multiplier + c;
            const int32_t channels = a->out_c - c;
            if (channels > 32) depthwise_vnni_block(&d, in + c, w, b, m, out + c, 1, channels, 0);
            else depthwise_vnni_block(&d, in + c, w, b, m, out + c, 1, channels, 1);
        }
    }
}
#undef HALF
#undef WIDE
