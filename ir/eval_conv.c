// The meaning of convolutions and matrix products. Sums are taken in double: with float operands so that they are
// rounded once, with integers because they are exact there (|sum| < 2^53), so one loop serves both.
#include <string.h>

#include "ir/eval_common.h"

// One multiplier an output channel; NULL for float.
static const float *multipliers(Arena *scratch, const Type *a, const Type *b, const Type *out, int64_t count, bool f32_scales) {
    if (!out->quant) return NULL;
    float *m = ARENA_ARRAY(scratch, float, count);
    for (int64_t i = 0; i < count; i++) {
        const float scales[] = {a->quant->scale[0], b->quant->scale[b->quant->axis < 0 ? 0 : i], out->quant->scale[0]};
        m[i] = f32_scales ? product_multiplier_f32(scales[0], scales[1], scales[2]) : product_multiplier(scales[0], scales[1], scales[2]);
    }
    return m;
}

static void start_sums(double *sums, const Tensor *bias, int64_t count) {
    for (int64_t i = 0; i < count; i++) sums[i] = bias ? tensor_f64(bias, i) : 0;
}

typedef struct {
    int64_t in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w;
    int64_t stride[2], dilation[2], pad[2], group, group_in, group_out;
} Conv;

static Conv conv_new(const conv2d_view *view, const Type *in, const Type *weight, const Type *out) {
    Conv conv = {in->shape[1], in->shape[2], in->shape[3], out->shape[1], out->shape[2], out->shape[3],
                 weight->shape[1], weight->shape[2], {0}, {0}, {0}, view->group, 0, 0};
    conv.group_in = conv.in_c / conv.group;
    conv.group_out = conv.out_c / conv.group;
    for (int i = 0; i < 2; i++) {
        conv.stride[i] = int_at(view->strides, i);
        conv.dilation[i] = int_at(view->dilations, i);
        conv.pad[i] = int_at(view->pads, i);
    }
    return conv;
}

// O KH KW I to KH KW I O, so that the innermost loop runs over output channels.
static double *weights_by_tap(Arena *scratch, const Conv *conv, const double *weight) {
    int64_t taps = conv->kernel_h * conv->kernel_w * conv->group_in;
    double *by_tap = ARENA_ARRAY(scratch, double, taps * conv->out_c);
    for (int64_t o = 0; o < conv->out_c; o++)
        for (int64_t t = 0; t < taps; t++) by_tap[t * conv->out_c + o] = weight[o * taps + t];
    return by_tap;
}

// Adds one tap's products: sums[o] += sum over the group's channels of pixel[c] * weight[c][o].
static void add_tap(const Conv *conv, double *restrict sums, const double *pixel, const double *weight) {
    for (int64_t g = 0; g < conv->group; g++)
        for (int64_t c = 0; c < conv->group_in; c++) {
            double x = pixel[g * conv->group_in + c];
            const double *w = weight + c * conv->out_c + g * conv->group_out;
            for (int64_t o = 0; o < conv->group_out; o++) sums[g * conv->group_out + o] += x * w[o];
        }
}

static void add_window(const Conv *conv, double *sums, const double *image, const double *weight, int64_t out_y,
                       int64_t out_x) {
    for (int64_t ky = 0; ky < conv->kernel_h; ky++) {
        int64_t y = out_y * conv->stride[0] + ky * conv->dilation[0] - conv->pad[0];
        if (y < 0 || y >= conv->in_h) continue;
        for (int64_t kx = 0; kx < conv->kernel_w; kx++) {
            int64_t x = out_x * conv->stride[1] + kx * conv->dilation[1] - conv->pad[1];
            if (x < 0 || x >= conv->in_w) continue;
            add_tap(conv, sums, image + (y * conv->in_w + x) * conv->in_c,
                    weight + (ky * conv->kernel_w + kx) * conv->group_in * conv->out_c);
        }
    }
}

bool eval_conv2d(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    conv2d_view view = as_conv2d(op);
    const Tensor *input = operands[0], *weight = operands[1], *bias = view.bias ? operands[2] : NULL;
    Arena *scratch = arena_new();
    Conv conv = conv_new(&view, input->type, weight->type, results[0]->type);
    Finish finish = finish_new(op, results[0], view.activation);
    finish.multiplier = multipliers(scratch, input->type, weight->type, results[0]->type, conv.out_c, view.f32_scales);
    const double *x = tensor_centered(scratch, input), *w = weights_by_tap(scratch, &conv, tensor_centered(scratch, weight));
    double *start = ARENA_ARRAY(scratch, double, conv.out_c), *sums = ARENA_ARRAY(scratch, double, conv.out_c);
    start_sums(start, bias, conv.out_c);
    int64_t pixels = input->type->shape[0] * conv.out_h * conv.out_w;
    bool done = true;
    for (int64_t i = 0; done && i < pixels; i++) {
        int64_t out_x = i % conv.out_w, out_y = i / conv.out_w % conv.out_h, n = i / conv.out_w / conv.out_h;
        memcpy(sums, start, sizeof(double) * (size_t)conv.out_c);
        add_window(&conv, sums, x + n * conv.in_h * conv.in_w * conv.in_c, w, out_y, out_x);
        done = finish_row(diag, &finish, sums, i * conv.out_c, conv.out_c);
    }
    arena_free(scratch);
    return done;
}

static double dot(const double *a, const double *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += a[i] * b[i];
    return sum;
}

bool eval_linear(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    linear_view view = as_linear(op);
    const Tensor *input = operands[0], *weight = operands[1], *bias = view.bias ? operands[2] : NULL;
    int64_t n = weight->type->shape[0], k = weight->type->shape[1];
    int64_t rows = n ? type_elem_count(results[0]->type) / n : 0;
    Arena *scratch = arena_new();
    Finish finish = finish_new(op, results[0], view.activation);
    finish.multiplier = multipliers(scratch, input->type, weight->type, results[0]->type, n, view.f32_scales);
    const double *x = tensor_centered(scratch, input), *w = tensor_centered(scratch, weight);
    double *start = ARENA_ARRAY(scratch, double, n), *sums = ARENA_ARRAY(scratch, double, n);
    start_sums(start, bias, n);
    bool done = true;
    for (int64_t r = 0; done && r < rows; r++) {
        for (int64_t i = 0; i < n; i++) sums[i] = start[i] + dot(x + r * k, w + i * k, k);
        done = finish_row(diag, &finish, sums, r * n, n);
    }
    arena_free(scratch);
    return done;
}

// Strides of an operand's batch dimensions, in matrices: 0 where it broadcasts.
static void add_batch(Walk *walk, const Type *type) {
    Type batch = {.kind = TYPE_TENSOR, .rank = type->rank - 2, .shape = type->shape};
    walk_add_broadcast(walk, &batch);
}

static bool multiply(Diag *diag, const Finish *finish, double *sums, const double *a, const double *b, int64_t first,
                     const int64_t mkn[3]) {
    int64_t m = mkn[0], k = mkn[1], n = mkn[2];
    for (int64_t i = 0; i < m; i++) {
        memset(sums, 0, sizeof(double) * (size_t)n);
        for (int64_t l = 0; l < k; l++)
            for (int64_t j = 0; j < n; j++) sums[j] += a[i * k + l] * b[l * n + j];
        if (!finish_row(diag, finish, sums, first + i * n, n)) return false;
    }
    return true;
}

bool eval_matmul(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    const Type *a = operands[0]->type, *b = operands[1]->type, *out = results[0]->type;
    int64_t mkn[3] = {out->shape[out->rank - 2], a->shape[a->rank - 1], out->shape[out->rank - 1]};
    Arena *scratch = arena_new();
    Finish finish = finish_new(op, results[0], "none");
    finish.multiplier = multipliers(scratch, a, b, out, mkn[2], false);
    const double *x = tensor_centered(scratch, operands[0]), *y = tensor_centered(scratch, operands[1]);
    double *sums = ARENA_ARRAY(scratch, double, mkn[2]);
    Walk walk;
    walk_begin(&walk, out->rank - 2, out->shape);
    add_batch(&walk, a);
    add_batch(&walk, b);
    bool done = true;
    for (int64_t i = 0; done && i < walk.count; i++, walk_next(&walk))
        done = multiply(diag, &finish, sums, x + walk.offset[0] * mkn[0] * mkn[1], y + walk.offset[1] * mkn[1] * mkn[2],
                        i * mkn[0] * mkn[2], mkn);
    arena_free(scratch);
    return done;
}
