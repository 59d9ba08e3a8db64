#include "quant/means.h"

#include <string.h>

#include "ir/ops.h"
#include "ir/fast.h"

struct Taps {
    bool is_linear; // its places follow one another, in whatever rows they lie
    int64_t images, channels, groups, outputs; // channels: of the operand
    int64_t in[2], out[2], kernel[2], stride[2], dilation[2], pad[2];
};

Taps *taps_new(Arena *arena, const Op *layer) {
    const Type *in = op_operand(layer, 0)->type, *weight = op_operand(layer, 1)->type, *out = layer->results[0].type;
    Taps *taps = ARENA_NEW(arena, Taps);
    *taps = (Taps){.is_linear = layer->kind == OP_linear, .images = 1, .channels = in->shape[in->rank - 1], .groups = 1, .outputs = weight->shape[0]};
    for (int d = 0; d < 2; d++) taps->in[d] = taps->out[d] = taps->kernel[d] = taps->stride[d] = taps->dilation[d] = 1;
    taps->in[1] = taps->out[1] = type_elem_count(in) / taps->channels;
    if (taps->is_linear) return taps;
    const conv2d_view conv = as_conv2d(layer);
    taps->images = in->shape[0], taps->groups = conv.group;
    for (int d = 0; d < 2; d++) {
        taps->in[d] = in->shape[1 + d], taps->out[d] = out->shape[1 + d], taps->kernel[d] = weight->shape[1 + d];
        taps->stride[d] = int_at(conv.strides, d), taps->dilation[d] = int_at(conv.dilations, d), taps->pad[d] = int_at(conv.pads, d);
    }
    return taps;
}

static int64_t width_of(const Taps *taps) { return taps->kernel[1] * taps->channels; }

int64_t taps_count(const Taps *taps) { return taps->kernel[0] * width_of(taps); }

// The sums of one row, and of its columns by their remainder of the stride.
int64_t taps_room(const Taps *taps) { return width_of(taps) + taps->stride[1] * taps->channels; }

bool taps_can_sum(const Taps *taps, const Type *type) {
    return taps->is_linear || buffer_rows_of(type, NULL).elems % (taps->in[1] * taps->channels) == 0;
}

// ---- one row of the operand

FAST_LOOP void add_floats_loop(double *restrict to, const float *restrict from, int64_t count, double sign) {
    for (int64_t i = 0; i < count; i++) to[i] += sign * (double)from[i];
}
FAST_VARIANTS(void, add_floats, (double *restrict to, const float *restrict from, int64_t count, double sign), (to, from, count, sign))

enum { BLOCK = 32, RUN = 32 }; // channels whose sums stay in registers; columns that are added as floats

// columns[x % stride][channel]: over the row, from left to right.
FAST_LOOP void sum_columns_loop(double *columns, const float *row, int64_t width, int64_t channels, int64_t stride) {
    for (int64_t first = 0; first < stride && first < width; first++, columns += channels) {
        int64_t c = 0;
        for (; c + BLOCK <= channels; c += BLOCK) {
            for (int k = 0; k < BLOCK; k++) columns[c + k] = 0;
            for (int64_t x = first; x < width;) {
                float sums[BLOCK] = {0};
                for (int n = 0; n < RUN && x < width; n++, x += stride)
                    for (int k = 0; k < BLOCK; k++) sums[k] += row[x * channels + c + k];
                for (int k = 0; k < BLOCK; k++) columns[c + k] += (double)sums[k];
            }
        }
        for (; c < channels; c++) {
            columns[c] = 0;
            for (int64_t x = first; x < width; x += stride) columns[c] += (double)row[x * channels + c];
        }
    }
}
FAST_VARIANTS(void, sum_columns, (double *columns, const float *row, int64_t width, int64_t channels, int64_t stride), (columns, row, width, channels, stride))

FAST_LOOP void add_doubles_loop(double *restrict to, const double *restrict from, int64_t count) {
    for (int64_t i = 0; i < count; i++) to[i] += from[i];
}
FAST_VARIANTS(void, add_doubles, (double *restrict to, const double *restrict from, int64_t count), (to, from, count))

typedef struct {
    const Taps *taps;
    double *room, *sums;
} Walk;

static void add_column(const Walk *walk, double *to, const float *row, int64_t x, int sign) {
    const int64_t channels = walk->taps->channels;
    add_floats(to, row + x * channels, channels, sign);
}

// The columns that tap k reads: *first, a stride further …, *last.
static void columns_of(const Taps *taps, int64_t k, int64_t *first, int64_t *last) {
    const int64_t stride = taps->stride[1], start = k * taps->dilation[1] - taps->pad[1];
    *first = start < 0 ? start + (-start + stride - 1) / stride * stride : start;
    *last = start + (taps->out[1] - 1) * stride;
    while (*last >= taps->in[1]) *last -= stride;
}

static void add_tap(const Walk *walk, const float *row, int64_t k, const double *columns, double *to) {
    const Taps *taps = walk->taps;
    const int64_t stride = taps->stride[1], channels = taps->channels;
    int64_t first, last;
    columns_of(taps, k, &first, &last);
    if (first > last) return;
    const double *all = columns + first % stride * channels;
    add_doubles(to, all, channels);
    for (int64_t x = first % stride; x < taps->in[1]; x += stride)
        if (x < first || x > last) add_column(walk, to, row, x, -1);
}

static bool reads_row(const Taps *taps, int64_t k, int64_t y) {
    const int64_t from = y + taps->pad[0] - k * taps->dilation[0];
    return from >= 0 && from % taps->stride[0] == 0 && from / taps->stride[0] < taps->out[0];
}

static void add_row(const Walk *walk, int64_t y, const float *row) {
    const Taps *taps = walk->taps;
    const int64_t width = width_of(taps);
    double *own = walk->room, *columns = own + width;
    memset(own, 0, sizeof *own * (size_t)(width + taps->stride[1] * taps->channels));
    sum_columns(columns, row, taps->in[1], taps->channels, taps->stride[1]);
    for (int64_t k = 0; k < taps->kernel[1]; k++) add_tap(walk, row, k, columns, own + k * taps->channels);
    for (int64_t k = 0; k < taps->kernel[0]; k++)
        if (reads_row(taps, k, y)) add_doubles(walk->sums + k * width, own, width);
}

static void add_rows(const Walk *walk, int64_t at, const float *data, int64_t elems) {
    const int64_t row = walk->taps->in[1] * walk->taps->channels;
    BUG_UNLESS(at % row == 0 && elems % row == 0, "rows in pieces");
    for (int64_t i = 0; i < elems; i += row) add_row(walk, (at + i) / row % walk->taps->in[0], data + i);
}

static void add_places(const Walk *walk, int64_t at, const float *data, int64_t elems) {
    const int64_t channels = walk->taps->channels;
    for (int64_t i = 0, count; i < elems; i += count) {
        const int64_t channel = (at + i) % channels;
        count = elems - i < channels - channel ? elems - i : channels - channel;
        add_floats(walk->sums + channel, data + i, count, 1);
    }
}

void taps_add(const Taps *taps, const BufferRows *rows, int64_t at, double *room, double *sums) {
    const Walk walk = {taps, room, sums};
    for (int64_t i = 0; i < rows->count; i++) (taps->is_linear ? add_places : add_rows)(&walk, at + i * rows->elems, buffer_row(rows, i), rows->elems);
}

// ---- results

enum { LANES = 8 };

FAST_LOOP double product_loop(const float *w, const double *sums, int64_t count) {
    double lanes[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) lanes[l] += (double)w[i + l] * sums[i + l];
    for (; i < count; i++) sum += (double)w[i] * sums[i];
    for (int l = 0; l < LANES; l++) sum += lanes[l];
    return sum;
}
FAST_VARIANTS(double, product, (const float *w, const double *sums, int64_t count), (w, sums, count))

void taps_mean(const Taps *taps, const double *sums, const float *weights, double *means) {
    const int64_t count = taps->kernel[0] * taps->kernel[1], each = taps->channels / taps->groups, rows = taps->outputs / taps->groups;
    const double places = (double)(taps->images * taps->out[0] * taps->out[1]);
    for (int64_t o = 0; o < taps->outputs; o++) {
        double sum = 0;
        for (int64_t t = 0; t < count; t++) sum += product(weights + (o * count + t) * each, sums + t * taps->channels + o / rows * each, each);
        means[o] = sum / places;
    }
}
