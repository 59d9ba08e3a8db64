// int8 depthwise convolution for AVX512-VNNI. The input has a halo (or needs none) and is stored unsigned. Four rows of
// 64 channels are interleaved byte by byte, so that one vpdpbusd sums four taps of a column. Vector j, lane l, element e
// of the interleaved holds byte 16 l + 4 j + e: the final packs undo that order. A vector is one pixel of 64 channels, or
// in a last block of few channels 2 pixels of 32, 4 of 16 (`pixels`); constants are repeated for each pixel then.
#include "runtime/kernels/vnni.h"
#include "runtime/kernels/words_avx512vnni.h"

typedef struct { __m512i v[4]; } depthwise_vnni_column;

struct depthwise_vnni {
    int64_t in_row, in_column, pixel, row_step, column_step, out_row, out_column;
    int32_t kernel_h, kernel_w, dilation_w, stride_w, width;
    struct gemm_quant quant;
};
struct depthwise_vnni_block {
    const int8_t *weight;
    const int32_t *bias;
    const float *multiplier;
    int32_t channels;
};

// ---- what both kernels share

// Vector j of a block's constants.
QN_INLINE __m512i depthwise_vnni_constant(const void *block, int j, int pixels) {
    const char *p = (const char *)block + j * (64 / pixels);
    if (pixels == 2) return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)p));
    if (pixels == 4) return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)p));
    return _mm512_loadu_si512(p);
}

QN_INLINE __m512i depthwise_vnni_start(const struct depthwise_vnni *d, const struct depthwise_vnni_block *b, int j,
                                       int pixels) {
    const __m512i bias = depthwise_vnni_constant(b->bias, j, pixels);
    return d->quant.bounded == 2 ? _mm512_add_epi32(bias, _mm512_set1_epi32(VNNI_SHIFT)) : bias;
}

// The second pixel of a vector lies `near` bytes after the first, the third and fourth 2 and 3 times `far`.
QN_INLINE __m512i depthwise_vnni_pixels(const uint8_t *in, int64_t near, int64_t far, int pixels) {
    if (pixels == 1 || (near == 64 / pixels && far == near)) return _mm512_loadu_si512(in);
    if (pixels == 2)
        return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)in)),
                                  _mm256_loadu_si256((const __m256i *)(in + near)), 1);
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)in));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(in + near)), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(in + 2 * far)), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(in + 3 * far)), 3);
}

// Up to four rows of one column; in place of rows beyond `count` stands anything (their weights are zero).
QN_INLINE depthwise_vnni_column depthwise_vnni_read(const uint8_t *in, int64_t row, int count, int64_t near,
                                                    int64_t far, int pixels) {
    const __m512i a = depthwise_vnni_pixels(in, near, far, pixels);
    const __m512i b = count > 1 ? depthwise_vnni_pixels(in + row, near, far, pixels) : a;
    const __m512i c = count > 2 ? depthwise_vnni_pixels(in + 2 * row, near, far, pixels) : b;
    const __m512i d = count > 3 ? depthwise_vnni_pixels(in + 3 * row, near, far, pixels) : c;
    const __m512i e = _mm512_unpacklo_epi8(a, b), f = _mm512_unpackhi_epi8(a, b);
    const __m512i g = _mm512_unpacklo_epi8(c, d), h = _mm512_unpackhi_epi8(c, d);
    return (depthwise_vnni_column){{_mm512_unpacklo_epi16(e, g), _mm512_unpackhi_epi16(e, g),
                                    _mm512_unpacklo_epi16(f, h), _mm512_unpackhi_epi16(f, h)}};
}

// Stores the first `count` pixels of a vector.
QN_INLINE void depthwise_vnni_store(const struct depthwise_vnni *d, const struct depthwise_vnni_block *b,
                                    const __m512i acc[4], uint8_t *out, int count, int pixels) {
    __m512i v[4];
    QN_UNROLL for (int j = 0; j < 4; j++)
        v[j] = vnni_scale(acc[j], _mm512_castsi512_ps(depthwise_vnni_constant(b->multiplier, j, pixels)), &d->quant);
    const __m512i bytes = vnni_pack_lanes(v, &d->quant);
    if (count == pixels && b->channels == 64 / pixels && d->out_column == b->channels) {
        _mm512_storeu_si512(out, bytes);
        return;
    }
    QN_UNROLL for (int i = 0; i < pixels; i++)
        if (i < count) vnni_store_part(out + i * d->out_column, bytes, i, 4 / pixels, b->channels);
}

QN_INLINE struct depthwise_vnni depthwise_vnni_of(const struct qn_depthwise_args *a) {
    const struct depthwise_vnni d = {
        .in_row = (int64_t)a->dilation_h * a->in_row,
        .in_column = (int64_t)a->dilation_w * a->in_pixel,
        .pixel = a->in_pixel,
        .row_step = (int64_t)a->stride_h * a->in_row,
        .column_step = (int64_t)a->stride_w * a->in_pixel,
        .out_row = a->out_row,
        .out_column = a->out_pixel,
        .kernel_h = a->kernel_h, .kernel_w = a->kernel_w,
        .dilation_w = a->dilation_w, .stride_w = a->stride_w, .width = a->out_w,
        .quant = {a->out_zp + 128, a->lo + 128, a->hi + 128, a->bounded},
    };
    return d;
}

QN_INLINE struct depthwise_vnni_block depthwise_vnni_block_at(const struct qn_depthwise_args *a, int32_t channel,
                                                              const void *weight, const void *bias, const void *m) {
    const int32_t channel_bytes = a->kernel_w * ((a->kernel_h + 3) / 4) * 4, rest = a->out_c - channel;
    return (struct depthwise_vnni_block){(const int8_t *)weight + (int64_t)channel * channel_bytes,
                                         (const int32_t *)bias + channel, (const float *)m + channel,
                                         rest < 64 ? rest : 64};
}

// ---- any window: every vector reads its whole window

// `pixels` neighbours, or one of them (`count`) in a row of fewer.
QN_INLINE void depthwise_vnni_window(const struct depthwise_vnni *d, const struct depthwise_vnni_block *b,
                                     const uint8_t *in, uint8_t *out, int count, int pixels) {
    const int64_t step = count == pixels ? d->column_step : 0;
    const int8_t *w = b->weight;
    __m512i acc[4];
    QN_UNROLL for (int j = 0; j < 4; j++) acc[j] = depthwise_vnni_start(d, b, j, pixels);
    QN_NO_UNROLL for (int kx = 0; kx < d->kernel_w; kx++)
        QN_NO_UNROLL for (int ky = 0; ky < d->kernel_h; ky += 4, w += 256 / pixels) {
            const depthwise_vnni_column c = depthwise_vnni_read(in + ky * d->in_row + kx * d->in_column, d->in_row,
                                                                d->kernel_h - ky, step, step, pixels);
            QN_UNROLL for (int j = 0; j < 4; j++)
                acc[j] = _mm512_dpbusd_epi32(acc[j], c.v[j], depthwise_vnni_constant(w, j, pixels));
        }
    depthwise_vnni_store(d, b, acc, out, count, pixels);
}

// A row of pixels. What is left of it at the end is computed with some before it again.
QN_INLINE void depthwise_vnni_row(const struct depthwise_vnni *d, const struct depthwise_vnni_block *b,
                                  const uint8_t *in, uint8_t *out, int pixels) {
    const int count = d->width < pixels ? 1 : pixels;
    QN_NO_UNROLL for (int32_t x = 0; x < d->width; x += count) {
        if (x + count > d->width) x = d->width - count;
        if (count == pixels) depthwise_vnni_window(d, b, in + x * d->column_step, out + x * d->out_column, pixels, pixels);
        else depthwise_vnni_window(d, b, in + x * d->column_step, out + x * d->out_column, 1, pixels);
    }
}

// ---- windows of up to 8 rows and columns: interleaved columns are kept for a part of a row, or of two rows at once

enum { DEPTHWISE_VNNI_COLUMNS = 32, DEPTHWISE_VNNI_TAPS = 8, DEPTHWISE_VNNI_GROUPS = 2 }; // groups: of 4 rows

struct depthwise_vnni_part {
    __m512i columns[DEPTHWISE_VNNI_COLUMNS * DEPTHWISE_VNNI_GROUPS * 4];
    __m512i weight[2][DEPTHWISE_VNNI_TAPS * DEPTHWISE_VNNI_GROUPS * 4]; // of either row of outputs
    __m512i bias[4], multiplier[4];
};

// Groups of rows that `rows` rows of outputs read, `below` rows of the input apart.
QN_INLINE int32_t depthwise_vnni_groups(const struct depthwise_vnni *d, int rows, int32_t below) {
    return (d->kernel_h + (rows - 1) * below + 3) / 4;
}

// A second row of outputs reads the same columns with weights that lie further down.
QN_INLINE __m512i depthwise_vnni_lowered(__m512i weight, __m512i above, int32_t rows) {
    return _mm512_or_si512(_mm512_slli_epi32(weight, 8 * (unsigned)rows), _mm512_srli_epi32(above, 32 - 8 * (unsigned)rows));
}

// What stays for all pixels of a block.
QN_INLINE void depthwise_vnni_prepare(const struct depthwise_vnni *d, const struct depthwise_vnni_block *b, int rows,
                                      int32_t below, struct depthwise_vnni_part *p) {
    const int32_t packed = (d->kernel_h + 3) / 4, groups = depthwise_vnni_groups(d, rows, below);
    QN_NO_UNROLL for (int32_t x = 0; x < d->kernel_w; x++)
        QN_NO_UNROLL for (int32_t g = 0; g < groups; g++)
            QN_UNROLL for (int j = 0; j < 4; j++) {
                const __m512i zero = _mm512_setzero_si512();
                const int32_t at = (x * packed + g) * 4 + j, to = (x * groups + g) * 4 + j;
                const __m512i w = g < packed ? depthwise_vnni_constant(b->weight, at, 1) : zero;
                const __m512i above = g > 0 ? depthwise_vnni_constant(b->weight, at - 4, 1) : zero;
                p->weight[0][to] = w;
                if (rows == 2) p->weight[1][to] = depthwise_vnni_lowered(w, above, below);
            }
    QN_UNROLL for (int j = 0; j < 4; j++) {
        p->bias[j] = depthwise_vnni_start(d, b, j, 1);
        p->multiplier[j] = depthwise_vnni_constant(b->multiplier, j, 1);
    }
}

QN_INLINE void depthwise_vnni_fill(const struct depthwise_vnni *d, const uint8_t *in, int32_t rows, int32_t groups,
                                   int32_t columns, struct depthwise_vnni_part *p) {
    QN_NO_UNROLL for (int32_t x = 0; x < columns; x++)
        QN_UNROLL for (int g = 0; g < DEPTHWISE_VNNI_GROUPS; g++) {
            if (g >= groups) continue;
            const depthwise_vnni_column c =
                depthwise_vnni_read(in + x * d->pixel + 4 * g * d->in_row, d->in_row, rows - 4 * g, 0, 0, 1);
            QN_UNROLL for (int j = 0; j < 4; j++) p->columns[(x * groups + g) * 4 + j] = c.v[j];
        }
}

// `count` neighbours in each of `rows` rows; x: the first column of their windows.
QN_INLINE void depthwise_vnni_pixels_of(const struct depthwise_vnni *d, const struct depthwise_vnni_part *p, int32_t x,
                                        uint8_t *out, int32_t channels, int32_t groups, int rows, int count) {
    __m512i acc[2][2][4], v[4];
    QN_UNROLL for (int i = 0; i < 4; i++)
        QN_UNROLL for (int j = 0; j < 4; j++) acc[i / 2][i % 2][j] = p->bias[j];
    QN_NO_UNROLL for (int32_t k = 0; k < d->kernel_w; k++)
        QN_NO_UNROLL for (int32_t g = 0; g < groups; g++) {
            const __m512i *c = &p->columns[((x + k * d->dilation_w) * groups + g) * 4];
            QN_UNROLL for (int j = 0; j < 4; j++)
                QN_UNROLL for (int i = 0; i < count; i++)
                    QN_UNROLL for (int y = 0; y < rows; y++)
                        acc[y][i][j] = _mm512_dpbusd_epi32(acc[y][i][j], c[i * d->stride_w * groups * 4 + j],
                                                           p->weight[y][(k * groups + g) * 4 + j]);
        }
    QN_UNROLL for (int y = 0; y < rows; y++)
        QN_UNROLL for (int i = 0; i < count; i++) {
            QN_UNROLL for (int j = 0; j < 4; j++)
                v[j] = vnni_scale(acc[y][i][j], _mm512_castsi512_ps(p->multiplier[j]), &d->quant);
            vnni_store_64(out + y * d->out_row + i * d->out_column, vnni_pack_lanes(v, &d->quant), channels);
        }
}

// Pixels of a part of a row that fit; less than 2: the window is too large for this.
QN_INLINE int32_t depthwise_vnni_fitting(const struct depthwise_vnni *d) {
    const int32_t reach = (d->kernel_w - 1) * d->dilation_w + 1;
    if (d->kernel_h > 4 * DEPTHWISE_VNNI_GROUPS || d->kernel_w > DEPTHWISE_VNNI_TAPS || reach > DEPTHWISE_VNNI_COLUMNS) return 0;
    return (DEPTHWISE_VNNI_COLUMNS - reach) / d->stride_w + 1;
}

// A row of a block, or two that are `below` rows of the input apart.
QN_INLINE void depthwise_vnni_parts(const struct depthwise_vnni *d, const struct depthwise_vnni_block *b, const uint8_t *in,
                                    uint8_t *out, int rows, int32_t below) {
    struct depthwise_vnni_part p;
    const int32_t most = depthwise_vnni_fitting(d), parts = (d->width + most - 1) / most;
    const int32_t reach = (d->kernel_w - 1) * d->dilation_w + 1, groups = depthwise_vnni_groups(d, rows, below);
    depthwise_vnni_prepare(d, b, rows, below, &p);
    QN_NO_UNROLL for (int32_t i = 0, x = 0, count; i < parts; i++, x += count) {
        count = (d->width - x) / (parts - i);
        depthwise_vnni_fill(d, in + x * d->column_step, d->kernel_h + (rows - 1) * below, groups,
                            (count - 1) * d->stride_w + reach, &p);
        QN_NO_UNROLL for (int32_t k = 0; k + 2 <= count; k += 2)
            depthwise_vnni_pixels_of(d, &p, k * d->stride_w, out + (x + k) * d->out_column, b->channels, groups, rows, 2);
        if (count % 2)
            depthwise_vnni_pixels_of(d, &p, (count - 1) * d->stride_w, out + (x + count - 1) * d->out_column, b->channels,
                                     groups, rows, 1);
    }
}

// All channels of one row or two.
QN_INLINE void depthwise_vnni_channels(const struct qn_depthwise_args *a, const struct depthwise_vnni *d, const uint8_t *in,
                                       const void *weight, const void *bias, const void *m, uint8_t *out, int rows) {
    QN_NO_UNROLL for (int32_t c = 0; c < a->out_c; c += 64) {
        const struct depthwise_vnni_block b = depthwise_vnni_block_at(a, c, weight, bias, m);
        if (b.channels > 32 && depthwise_vnni_fitting(d) >= 2) {
            depthwise_vnni_parts(d, &b, in + c, out + c, rows, a->stride_h);
            continue;
        }
        QN_NO_UNROLL for (int y = 0; y < rows; y++) {
            const uint8_t *from = in + y * d->row_step + c;
            uint8_t *to = out + y * d->out_row + c;
            if (b.channels > 32) depthwise_vnni_row(d, &b, from, to, 1);
            else if (b.channels > 16) depthwise_vnni_row(d, &b, from, to, 2);
            else depthwise_vnni_row(d, &b, from, to, 4);
        }
    }
}

QN_KERNEL qn_depthwise_s8s8_s8__64c4__avx512vnni(const struct qn_depthwise_args *a, const void *input,
                                                 const void *weight, const void *bias, const void *multiplier,
                                                 void *output, int32_t begin, int32_t end) {
    const struct depthwise_vnni d = depthwise_vnni_of(a);
    const int pairs = depthwise_vnni_fitting(&d) >= 2 && a->dilation_h == 1 && a->stride_h < 4 &&
                      a->kernel_h + a->stride_h <= 4 * DEPTHWISE_VNNI_GROUPS;
    QN_NO_UNROLL for (int32_t row = begin; row < end;) {
        const int64_t image = row / a->out_h, y = row % a->out_h;
        const uint8_t *in = (const uint8_t *)input + image * a->in_image + y * d.row_step;
        uint8_t *out = (uint8_t *)output + image * a->out_image + y * d.out_row;
        const int pair = pairs && y + 1 < a->out_h && row + 1 < end;
        if (pair) depthwise_vnni_channels(a, &d, in, weight, bias, multiplier, out, 2);
        else depthwise_vnni_channels(a, &d, in, weight, bias, multiplier, out, 1);
        row += 1 + pair;
    }
}

// ---- 3x3 windows: columns are kept while the window slides

// The column `by` pixels on from `a`; `b`: the vector of pixels after those of a.
QN_INLINE depthwise_vnni_column depthwise_vnni_shift(const depthwise_vnni_column *a, const depthwise_vnni_column *b,
                                                     int by, int pixels) {
    depthwise_vnni_column c;
    QN_UNROLL for (int j = 0; j < 4; j++)
        c.v[j] = pixels == 2 || by == 2 ? _mm512_alignr_epi64(b->v[j], a->v[j], 4)
                                        : _mm512_alignr_epi64(b->v[j], a->v[j], 2);
    return c;
}

QN_INLINE void depthwise_vnni_pixel3(const struct depthwise_vnni *d, const struct depthwise_vnni_block *b,
                                     const depthwise_vnni_column c[3], const __m512i weight[12], uint8_t *out,
                                     int pixels) {
    __m512i acc[4];
    QN_UNROLL for (int j = 0; j < 4; j++) {
        acc[j] = depthwise_vnni_start(d, b, j, pixels);
        QN_UNROLL for (int x = 0; x < 3; x++) acc[j] = _mm512_dpbusd_epi32(acc[j], c[x].v[j], weight[x * 4 + j]);
    }
    depthwise_vnni_store(d, b, acc, out, pixels, pixels);
}

// `vectors` of pixels side by side, in one row or in two rows at once: four rows of the input serve both, with the
// weights one row further down for the second.
QN_INLINE void depthwise_vnni_run3(const struct depthwise_vnni *d, const struct depthwise_vnni_block *b,
                                   const uint8_t *in, uint8_t *out, int32_t vectors, int rows, int stride, int pixels) {
    __m512i w[2][12];
    QN_UNROLL for (int i = 0; i < 12; i++) {
        w[0][i] = depthwise_vnni_constant(b->weight, i, pixels);
        w[1][i] = _mm512_slli_epi32(w[0][i], 8);
    }
    // How far on the next vector of columns is. The last one is needed only in part, and may not be read beyond that.
    const int64_t step = d->column_step, next = (pixels == 1 ? 2 : pixels * stride) * d->in_column;
    const int dense = step == 64 / pixels;
    depthwise_vnni_column c[3];
    c[0] = depthwise_vnni_read(in, d->in_row, rows + 2, step, step, pixels);
    if (stride == 1 && pixels == 1) c[1] = depthwise_vnni_read(in + d->in_column, d->in_row, rows + 2, step, step, 1);
    QN_NO_UNROLL for (int32_t i = 1; i <= vectors; i++) {
        const int64_t far = dense || i < vectors ? step : 0;
        if (stride == 2) c[1] = depthwise_vnni_read(in + d->in_column, d->in_row, rows + 2, step, step, pixels);
        const depthwise_vnni_column n =
            depthwise_vnni_read(in + next, d->in_row, rows + 2, stride == 1 ? step : far, far, pixels);
        if (stride == 1 && pixels > 1) c[1] = depthwise_vnni_shift(&c[0], &n, 1, pixels);
        c[2] = pixels == 1 || (stride == 1 && pixels == 2) ? n : depthwise_vnni_shift(&c[0], &n, stride == 1 ? 2 : 1, pixels);
        QN_UNROLL for (int y = 0; y < rows; y++) depthwise_vnni_pixel3(d, b, c, w[y], out + y * d->out_row, pixels);
        c[0] = stride == 1 && pixels == 1 ? c[1] : n;
        c[1] = n;
        in += pixels * step;
        out += pixels * d->out_column;
    }
}

QN_INLINE void depthwise_vnni_row3(const struct depthwise_vnni *d, const struct depthwise_vnni_block *b,
                                   const uint8_t *in, uint8_t *out, int rows, int stride, int pixels) {
    if (d->width < pixels) {
        QN_NO_UNROLL for (int y = 0; y < rows; y++)
            depthwise_vnni_row(d, b, in + y * d->row_step, out + y * d->out_row, pixels);
        return;
    }
    depthwise_vnni_run3(d, b, in, out, d->width / pixels, rows, stride, pixels);
    if (pixels == 1 || d->width % pixels == 0) return;
    const int64_t x = d->width - pixels; // the rest, with some before it again
    depthwise_vnni_run3(d, b, in + x * d->column_step, out + x * d->out_column, 1, rows, stride, pixels);
}

// All channels of one row or two: the input rows stay in the cache from block to block.
QN_INLINE void depthwise_vnni_rows3(const struct qn_depthwise_args *a, const struct depthwise_vnni *d, const uint8_t *in,
                                    const void *weight, const void *bias, const void *m, uint8_t *out, int rows,
                                    int stride) {
    const int32_t rest = a->out_c % 64, full = a->out_c - rest;
    QN_NO_UNROLL for (int32_t c = 0; c < full; c += 64) {
        struct depthwise_vnni_block b = depthwise_vnni_block_at(a, c, weight, bias, m);
        b.channels = 64;
        depthwise_vnni_row3(d, &b, in + c, out + c, rows, stride, 1);
    }
    if (rest == 0) return;
    const struct depthwise_vnni_block b = depthwise_vnni_block_at(a, full, weight, bias, m);
    if (rest > 32) depthwise_vnni_row3(d, &b, in + full, out + full, rows, stride, 1);
    else if (rest > 16) depthwise_vnni_row3(d, &b, in + full, out + full, rows, stride, 2);
    else depthwise_vnni_row3(d, &b, in + full, out + full, rows, stride, 4);
}

QN_KERNEL qn_depthwise_s8s8_s8__64x3x3__avx512vnni(const struct qn_depthwise_args *a, const void *input,
                                                   const void *weight, const void *bias, const void *multiplier,
                                                   void *output, int32_t begin, int32_t end) {
    const struct depthwise_vnni d = depthwise_vnni_of(a);
    QN_NO_UNROLL for (int32_t row = begin; row < end;) {
        const int32_t image = row / a->out_h, y = row % a->out_h;
        const int pair = a->stride_h == 1 && a->stride_w == 1 && y + 1 < a->out_h && row + 1 < end;
        const uint8_t *in = (const uint8_t *)input + (int64_t)image * a->in_image + y * d.row_step;
        uint8_t *out = (uint8_t *)output + (int64_t)image * a->out_image + y * d.out_row;
        if (pair) depthwise_vnni_rows3(a, &d, in, weight, bias, multiplier, out, 2, 1);
        else if (a->stride_w == 1) depthwise_vnni_rows3(a, &d, in, weight, bias, multiplier, out, 1, 1);
        else depthwise_vnni_rows3(a, &d, in, weight, bias, multiplier, out, 1, 2);
        row += 1 + pair;
    }
}

// ---- one tap: a vector is 64 channels of a pixel as they lie; each of four products has weights for every fourth

struct depthwise_vnni_point { __m512i weight[4], start[4]; __m512 multiplier[4]; };

QN_INLINE __m512i depthwise_vnni_point_bytes(const struct depthwise_vnni *d, const struct depthwise_vnni_point *p, __m512i x) {
    const __m512i order = _mm512_set4_epi32(0x0F0B0703, 0x0E0A0602, 0x0D090501, 0x0C080400); // of 16: every fourth
    __m512i v[4];
    QN_UNROLL for (int j = 0; j < 4; j++)
        v[j] = vnni_scale(_mm512_dpbusd_epi32(p->start[j], x, p->weight[j]), p->multiplier[j], &d->quant);
    return _mm512_shuffle_epi8(vnni_pack_lanes(v, &d->quant), order);
}

// Up to 64 channels of some rows.
QN_INLINE void depthwise_vnni_points(const struct depthwise_vnni *d, const struct depthwise_vnni_block *b, const uint8_t *in,
                                     uint8_t *out, int32_t rows) {
    const __mmask64 mask = b->channels == 64 ? ~(__mmask64)0 : ((__mmask64)1 << b->channels) - 1;
    struct depthwise_vnni_point p;
    QN_UNROLL for (int j = 0; j < 4; j++) {
        p.weight[j] = _mm512_loadu_si512(b->weight + j * 64);
        p.start[j] = vnni_start(b->bias + j * 16, d->quant.bounded);
        p.multiplier[j] = _mm512_loadu_ps(b->multiplier + j * 16);
    }
    QN_NO_UNROLL for (int32_t y = 0; y < rows; y++)
        QN_NO_UNROLL for (int32_t x = 0; x < d->width; x++) {
            const __m512i pixel = _mm512_maskz_loadu_epi8(mask, in + y * d->row_step + x * d->column_step);
            _mm512_mask_storeu_epi8(out + y * d->out_row + x * d->out_column, mask, depthwise_vnni_point_bytes(d, &p, pixel));
        }
}

QN_KERNEL qn_depthwise_s8s8_s8__64x1x1__avx512vnni(const struct qn_depthwise_args *a, const void *input,
                                                   const void *weight, const void *bias, const void *multiplier,
                                                   void *output, int32_t begin, int32_t end) {
    const struct depthwise_vnni d = depthwise_vnni_of(a);
    QN_NO_UNROLL for (int32_t row = begin; row < end;) {
        const int64_t image = row / a->out_h, y = row % a->out_h;
        const int32_t rows = a->out_h - y < end - row ? a->out_h - (int32_t)y : end - row;
        const uint8_t *in = (const uint8_t *)input + image * a->in_image + y * d.row_step;
        uint8_t *out = (uint8_t *)output + image * a->out_image + y * d.out_row;
        QN_NO_UNROLL for (int32_t c = 0; c < a->out_c; c += 64) {
            const struct depthwise_vnni_block b = depthwise_vnni_block_at(a, c, weight, bias, multiplier);
            depthwise_vnni_points(&d, &b, in + c, out + c, rows);
        }
        row += rows;
    }
}

QN_KERNEL qn_depthwise_s16s8_s16__4x32__avx512vnni(const struct qn_depthwise_args *a, const void *input, const void *weight, const void *bias,
                                         const void *multiplier, void *output, int32_t begin, int32_t end) {
    words_vnni_depthwise_rows(a, input, weight, bias, multiplier, output, begin, end);
}
