// The meaning of pooling.
#include <math.h>
#include <string.h>

#include "ir/eval_common.h"

typedef struct {
    int64_t in_h, in_w, channels, out_h, out_w;
    int64_t kernel[2], stride[2], dilation[2], low[2], high[2];
    bool count_pads;
} Pool;

static Pool pool_new(const Op *op, const Type *in, const Type *out) {
    Pool pool = {.in_h = in->shape[1], .in_w = in->shape[2], .channels = in->shape[3],
                 .out_h = out->shape[1], .out_w = out->shape[2]};
    pool.count_pads = op->kind == OP_avg_pool2d && op_bool(op, "count_include_pad");
    IntList pads = op_ints(op, "pads");
    for (int i = 0; i < 2; i++) {
        pool.kernel[i] = int_at(op_ints(op, "kernel"), i);
        pool.stride[i] = int_at(op_ints(op, "strides"), i);
        pool.dilation[i] = int_at(op_ints(op, "dilations"), i);
        pool.low[i] = int_at(pads, i);
        pool.high[i] = int_at(pads, i + 2);
    }
    return pool;
}

// The taps of one window: where they lie, and whether in the input or in its padding. Taps beyond the padding
// (ceil_mode) count as absent always.
typedef struct {
    int64_t y, x;
    bool inside;
} Tap;

static int64_t window_taps(const Pool *pool, int64_t out_y, int64_t out_x, Tap *taps) {
    int64_t count = 0;
    for (int64_t ky = 0; ky < pool->kernel[0]; ky++)
        for (int64_t kx = 0; kx < pool->kernel[1]; kx++) {
            int64_t y = out_y * pool->stride[0] + ky * pool->dilation[0] - pool->low[0];
            int64_t x = out_x * pool->stride[1] + kx * pool->dilation[1] - pool->low[1];
            if (y >= pool->in_h + pool->high[0] || x >= pool->in_w + pool->high[1]) continue;
            taps[count++] = (Tap){y, x, y >= 0 && x >= 0 && y < pool->in_h && x < pool->in_w};
        }
    return count;
}

// What one op's windows share.
typedef struct {
    Pool pool;
    const Tensor *input;
    Tensor *result;
    const double *image; // avg: values minus zero point
    double *sums;
    Finish finish;
    float *multipliers;
} Pooling;

static void max_window(const Pooling *p, int64_t n, const Tap *taps, int64_t tap_count, int64_t out) {
    const Pool *pool = &p->pool;
    const Quant *quant = p->result->type->quant;
    for (int64_t c = 0; c < pool->channels; c++) {
        double best = quant ? quant->storage_min : -INFINITY;
        for (int64_t t = 0; t < tap_count; t++) {
            if (!taps[t].inside) continue;
            double x = tensor_f64(p->input, ((n * pool->in_h + taps[t].y) * pool->in_w + taps[t].x) * pool->channels + c);
            if (x > best || isnan(x)) best = x;
        }
        tensor_set_f64(p->result, out + c, best);
    }
}

static bool avg_window(Diag *diag, Pooling *p, int64_t n, const Tap *taps, int64_t tap_count, int64_t out) {
    const Pool *pool = &p->pool;
    int64_t inside = 0;
    memset(p->sums, 0, sizeof(double) * (size_t)pool->channels);
    for (int64_t t = 0; t < tap_count; t++) {
        if (!taps[t].inside) continue;
        inside++;
        const double *pixel = p->image + ((n * pool->in_h + taps[t].y) * pool->in_w + taps[t].x) * pool->channels;
        for (int64_t c = 0; c < pool->channels; c++) p->sums[c] += pixel[c];
    }
    int64_t count = pool->count_pads ? tap_count : inside;
    if (!count) count = 1; // the average of nothing (dilated taps all in the padding) is 0
    const Quant *in = p->input->type->quant, *to = p->result->type->quant;
    for (int64_t c = 0; c < pool->channels; c++)
        if (to) p->multipliers[c] = mean_multiplier(in->scale[0], to->scale[0], count);
        else p->sums[c] /= (double)count;
    return finish_row(diag, &p->finish, p->sums, out, pool->channels);
}

static bool eval_pool(Diag *diag, const Op *op, const Tensor *input, Tensor *result) {
    Arena *scratch = arena_new();
    Pooling p = {pool_new(op, input->type, result->type), input, result, NULL, NULL, finish_new(op, result, "none"), NULL};
    const Pool *pool = &p.pool;
    bool average = op->kind == OP_avg_pool2d, done = true;
    if (average) {
        p.image = tensor_centered(scratch, input);
        p.sums = ARENA_ARRAY(scratch, double, pool->channels);
        p.multipliers = ARENA_ARRAY(scratch, float, pool->channels);
        p.finish.multiplier = result->type->quant ? p.multipliers : NULL;
    }
    Tap *taps = ARENA_ARRAY(scratch, Tap, pool->kernel[0] * pool->kernel[1]);
    int64_t pixels = input->type->shape[0] * pool->out_h * pool->out_w;
    for (int64_t i = 0; done && i < pixels; i++) {
        int64_t out_x = i % pool->out_w, out_y = i / pool->out_w % pool->out_h, n = i / pool->out_w / pool->out_h;
        int64_t count = window_taps(pool, out_y, out_x, taps);
        if (average) done = avg_window(diag, &p, n, taps, count, i * pool->channels);
        else max_window(&p, n, taps, count, i * pool->channels);
    }
    arena_free(scratch);
    return done;
}

bool eval_max_pool2d(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    return eval_pool(diag, op, operands[0], results[0]);
}

bool eval_avg_pool2d(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    return eval_pool(diag, op, operands[0], results[0]);
}
