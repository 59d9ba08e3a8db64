// The shapes that kernels are measured on: layers of MobileNetV2 and ResNet-50, and the tensors between them.
#include <stddef.h>
#include <string.h>

#include "passes/fixed_sum.h"
#include "runtime/kernels/winograd.h"
#include "test/kernels/bench.h"

typedef struct { int size, kernel, stride, in_c, out_c, group; } LayerShape; // square images, haloed

static const LayerShape conv_shapes[] = {
    {224, 3, 2, 3, 32, 1},   {112, 1, 1, 32, 16, 1},  {112, 1, 1, 16, 96, 1},  {56, 1, 1, 144, 24, 1},
    {28, 1, 1, 32, 192, 1},  {14, 1, 1, 64, 384, 1},  {14, 1, 1, 576, 96, 1},  {7, 1, 1, 960, 160, 1},
    {7, 1, 1, 320, 1280, 1}, {56, 1, 1, 64, 256, 1},  {56, 3, 1, 64, 64, 1},   {28, 3, 1, 128, 128, 1},
    {14, 3, 1, 256, 256, 1}, {7, 3, 1, 512, 512, 1},  {28, 1, 1, 136, 544, 4}, {14, 1, 1, 1088, 272, 4},
    {56, 3, 1, 128, 128, 32}, {14, 3, 1, 512, 512, 32}, {28, 3, 1, 96, 192, 96},
    {224, 7, 2, 3, 64, 1},   {56, 1, 1, 24, 144, 1},  {28, 1, 1, 240, 40, 1},  {14, 1, 1, 80, 480, 1}, // EfficientNet
    {14, 1, 1, 672, 112, 1}, {7, 1, 1, 1152, 192, 1}, {1, 1, 1, 96, 4, 1},     {1, 1, 1, 1152, 48, 1},
    {208, 3, 1, 12, 16, 1},  {52, 3, 1, 32, 32, 1},   {26, 1, 1, 64, 64, 1},   {13, 1, 1, 256, 128, 1}, // YOLOX
    {52, 1, 1, 64, 80, 1},   {32, 3, 1, 3, 16, 1},    {16, 3, 2, 16, 32, 1},   {8, 3, 1, 64, 64, 1}, // tiny
    {4, 1, 1, 16, 16, 1},    {2, 3, 1, 32, 64, 1}};
static const LayerShape depthwise_shapes[] = {
    {112, 3, 1, 32, 32, 32},  {112, 3, 2, 96, 96, 96},  {56, 3, 1, 144, 144, 144}, {28, 3, 1, 192, 192, 192},
    {14, 3, 1, 384, 384, 384}, {7, 3, 1, 960, 960, 960}, {28, 5, 1, 144, 144, 144}, {56, 5, 2, 144, 144, 144},
    {14, 5, 1, 480, 480, 480}, {14, 7, 1, 384, 384, 384}, {56, 1, 1, 128, 128, 128}, {14, 1, 1, 608, 608, 608}};
static const LayerShape linear_shapes[] = {{1, 1, 1, 1280, 1000, 1}, {1, 1, 1, 2048, 1000, 1}, {64, 1, 1, 512, 512, 1},
                                           {1, 1, 1, 64, 10, 1},     {16, 1, 1, 768, 768, 1},  {384, 1, 1, 768, 3072, 1}};

static const struct qn_conv2d_args *conv_args(Arena *arena, const LayerShape *s) {
    struct qn_conv2d_args *a = ARENA_NEW(arena, struct qn_conv2d_args);
    const int in = s->size + s->kernel - 1, out = (in - s->kernel) / s->stride + 1;
    a->rows = a->out_h = a->out_w = out;
    a->out_c = a->out_pixel = s->out_c, a->out_row = out * s->out_c, a->out_image = out * a->out_row;
    a->in_h = a->in_w = in, a->in_c = a->in_pixel = s->in_c, a->in_row = in * s->in_c, a->in_image = in * a->in_row;
    a->kernel_h = a->kernel_w = s->kernel, a->stride_h = a->stride_w = s->stride, a->dilation_h = a->dilation_w = 1;
    a->group = s->group;
    a->in_zp = -128, a->out_zp = -128, a->lo = -128, a->hi = 127, a->flip = 0x80, a->bounded = 2, a->max = 6;
    return a;
}
// The convolution's part of it is the same.
static const struct qn_conv2d_add_args *conv_add_args(Arena *arena, const struct qn_conv2d_args *conv) {
    struct qn_conv2d_add_args *a = ARENA_NEW(arena, struct qn_conv2d_add_args);
    struct qn_binary_args sum = {.a_zp = -128, .b_zp = 5, .out_zp = -3, .lo = -128, .hi = 127, .a_multiplier = 0.51372417f,
                                 .b_multiplier = 0.72913839f};
    _Static_assert(offsetof(struct qn_conv2d_add_args, unrounded) == sizeof *conv, "the rest follows");
    fixed_sum_find(&sum);
    memcpy(a, conv, sizeof *conv);
    a->residual_zp = sum.b_zp, a->sum_zp = sum.out_zp, a->sum_lo = sum.lo, a->sum_hi = sum.hi;
    a->own_multiplier = sum.a_multiplier, a->residual_multiplier = sum.b_multiplier;
    a->fixed_own = sum.fixed_a, a->fixed_residual = sum.fixed_b, a->fixed_start = sum.fixed_start, a->fixed_shift = sum.fixed_shift;
    return a;
}
// Tiles of 2 in int8, of 4 in f32.
static const struct qn_winograd_args *winograd_args(Arena *arena, const struct qn_conv2d_args *conv, bool is_f32) {
    struct qn_winograd_args *a = ARENA_NEW(arena, struct qn_winograd_args);
    memcpy(a, conv, sizeof *conv);
    a->tile = is_f32 ? 4 : 2, a->block = 56;
    a->rows = winograd_tiles(a->out_h, a->tile);
    a->scratch_bytes = (int32_t)winograd_scratch_bytes(a->tile, a->block, a->in_c, is_f32 ? 4 : 2);
    return a;
}
static const struct qn_winograd_add_args *winograd_add_args(Arena *arena, const struct qn_conv2d_add_args *add, const struct qn_winograd_args *tiles) {
    struct qn_winograd_add_args *a = ARENA_NEW(arena, struct qn_winograd_add_args);
    memcpy(a, add, sizeof *add);
    a->tile = tiles->tile, a->block = tiles->block, a->rows = tiles->rows, a->scratch_bytes = tiles->scratch_bytes, a->unrounded = 1;
    return a;
}
static const struct qn_linear_args *linear_args(Arena *arena, const LayerShape *s) {
    struct qn_linear_args *a = ARENA_NEW(arena, struct qn_linear_args);
    *a = (struct qn_linear_args){.rows = s->size, .k = s->in_c, .n = s->out_c, .a_row = s->in_c, .out_row = s->out_c,
                                 .in_zp = 3, .lo = -128, .hi = 127, .flip = 0x80, .bounded = 1, .max = 6};
    return a;
}

int bench_layers(const KernelInfo *row, Arena *arena, BenchCall *calls, int max) {
    const bool linear = !strcmp(row->family, "linear"), depthwise = !strcmp(row->family, "depthwise");
    const bool add = strstr(row->family, "_add") != NULL, winograd = !strncmp(row->family, "winograd", 8);
    const LayerShape *shapes = linear ? linear_shapes : depthwise ? depthwise_shapes : conv_shapes;
    int count = (int)(linear ? sizeof linear_shapes : depthwise ? sizeof depthwise_shapes : sizeof conv_shapes) /
                (int)sizeof(LayerShape);
    if (count > max) count = max;
    for (int i = 0; i < count; i++) {
        const LayerShape *s = &shapes[i];
        BenchCall *call = &calls[i];
        *call = (BenchCall){0};
        if (linear) {
            call->args = linear_args(arena, s);
            call->shape = arena_printf(arena, "%d x %d -> %d", s->size, s->in_c, s->out_c);
            call->macs = (double)s->size * s->in_c * s->out_c;
            call->elems[0] = (size_t)s->size * s->in_c, call->elems[4] = (size_t)s->size * s->out_c;
        } else {
            const struct qn_conv2d_args *a = conv_args(arena, s);
            call->args = a;
            const char *groups = s->group > 1 && !depthwise ? arena_printf(arena, ", %d groups", s->group) : "";
            call->shape = arena_printf(arena, "%dx%d s%d %dx%d %d -> %d%s", s->kernel, s->kernel, s->stride, s->size, s->size,
                                       s->in_c, s->out_c, groups);
            call->macs = (double)a->out_h * a->out_w * a->out_c * s->kernel * s->kernel * (s->in_c / a->group);
            call->elems[0] = (size_t)a->in_image, call->elems[4] = (size_t)a->out_image;
            if (add) call->args = conv_add_args(arena, a), call->elems[5] = call->elems[4]; // the residual, the output
            const struct qn_winograd_args *tiles = winograd ? winograd_args(arena, a, !strcmp(row->operands, "f32f32")) : NULL;
            if (winograd) call->args = add ? (const void *)winograd_add_args(arena, call->args, tiles) : tiles;
        }
    }
    return count;
}

// ---- families without weights

enum { MAX_BENCH_ELEMS = 56 * 56 * 64 };
static const int32_t image_shape[5] = {1, 56, 1, 56, 64}, image_strides[5] = {56 * 56 * 64, 56 * 64, 0, 64, 1};

// An NCHW picture to NHWC: dimensions N H 1 W C.
static const int32_t picture_shape[5] = {1, 224, 1, 224, 3};
static const int32_t picture_in[5] = {3 * 224 * 224, 224, 0, 1, 224 * 224}, picture_out[5] = {3 * 224 * 224, 224 * 3, 0, 3, 1};
static const int32_t swap_in[5] = {56 * 56 * 64, 56, 0, 1, 56 * 56}; // 64 channels

static double elem_bytes(const char *type) { return !strcmp(type, "f32") ? 4 : !strncmp(type, "s16", 3) ? 2 : 1; }

static BenchCall *call_add(BenchCall *calls, int *count, const char *shape, const void *args, double bytes, size_t in,
                           size_t out, int pointers) {
    BenchCall *call = &calls[(*count)++];
    *call = (BenchCall){.shape = shape, .args = args, .bytes = bytes};
    for (int i = 0; i < pointers; i++) call->elems[i] = i == pointers - 1 ? out : in;
    return call;
}

static int bench_binary(const KernelInfo *row, Arena *arena, BenchCall *calls) {
    static const int32_t channels[5] = {0, 0, 0, 0, 1};
    static const struct { const char *name; int op; const int32_t *b; } binaries[] = {
        {"add 56x56x64", QN_ADD, image_strides}, {"mul 56x56x64", QN_MUL, image_strides},
        {"max 56x56x64", QN_MAX, image_strides}, {"prelu 56x56x64", QN_PRELU, image_strides},
        {"mul 56x56x64, by channel", QN_MUL, channels}};
    int count = 0;
    for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++) {
        struct qn_binary_args *a = ARENA_NEW(arena, struct qn_binary_args);
        *a = (struct qn_binary_args){.rows = 56, .op = binaries[i].op, .lo = -128, .hi = 127, .flip = 0x80, .a_multiplier = 0.51372417f,
                                     .b_multiplier = 0.72913839f, .max = 6};
        memcpy(a->shape, image_shape, sizeof a->shape);
        memcpy(a->a, image_strides, sizeof a->a);
        memcpy(a->b, binaries[i].b, sizeof a->b);
        memcpy(a->out, image_strides, sizeof a->out);
        fixed_sum_find(a);
        call_add(calls, &count, binaries[i].name, a, 3 * MAX_BENCH_ELEMS * elem_bytes(row->result), MAX_BENCH_ELEMS, MAX_BENCH_ELEMS, 3);
    }
    return count;
}

static int bench_unary(Arena *arena, BenchCall *calls) {
    static const char *const names[] = {
#define UNARY(code, op, value) #op,
#include "runtime/unary.def"
#undef UNARY
    };
    int count = 0;
    for (int op = 0; op < QN_UNARY_COUNT; op++) {
        struct qn_unary_args *a = ARENA_NEW(arena, struct qn_unary_args);
        *a = (struct qn_unary_args){.rows = 56, .op = op};
        memcpy(a->shape, image_shape, sizeof a->shape);
        memcpy(a->in, image_strides, sizeof a->in);
        memcpy(a->out, image_strides, sizeof a->out);
        call_add(calls, &count, names[op], a, 8 * MAX_BENCH_ELEMS, MAX_BENCH_ELEMS, MAX_BENCH_ELEMS, 2);
    }
    return count;
}

static int bench_table(Arena *arena, BenchCall *calls) {
    int count = 0;
    struct qn_table_args *a = ARENA_NEW(arena, struct qn_table_args);
    a->rows = 56;
    memcpy(a->shape, image_shape, sizeof a->shape);
    memcpy(a->in, image_strides, sizeof a->in);
    memcpy(a->out, image_strides, sizeof a->out);
    call_add(calls, &count, "56x56x64", a, 2 * MAX_BENCH_ELEMS, MAX_BENCH_ELEMS, MAX_BENCH_ELEMS, 3);
    return count;
}

static int bench_quantize(const KernelInfo *row, Arena *arena, BenchCall *calls) {
    int count = 0;
    const double bytes = elem_bytes(row->operands) + elem_bytes(row->result);
    static const char *const names[] = {"56x56x64", "3x224x224 to channels last", "56x56x64 to planes"};
    static const int32_t planes[5] = {1, 64, 1, 1, 56 * 56}, planes_in[5] = {0, 1, 0, 0, 64}, planes_out[5] = {0, 56 * 56, 0, 0, 1};
    const int32_t *const shapes[] = {image_shape, picture_shape, planes}, *const ins[] = {image_strides, picture_in, planes_in};
    const int32_t *const outs[] = {image_strides, picture_out, planes_out}, rows[] = {56, 224, 64};
    for (int picture = 0; picture < 3; picture++) {
        struct qn_quantize_args *a = ARENA_NEW(arena, struct qn_quantize_args);
        *a = (struct qn_quantize_args){.rows = rows[picture], .scale = 0.02f, .lo = -128, .hi = 127, .flip = 0x80};
        memcpy(a->shape, shapes[picture], sizeof a->shape);
        memcpy(a->in, ins[picture], sizeof a->in);
        memcpy(a->out, outs[picture], sizeof a->out);
        call_add(calls, &count, names[picture], a, bytes * (picture == 1 ? 3 * 224 * 224 : MAX_BENCH_ELEMS), MAX_BENCH_ELEMS, MAX_BENCH_ELEMS, 2);
    }
    return count;
}

static int bench_copy(Arena *arena, BenchCall *calls) {
    static const int32_t shuffled[5] = {1, 196, 1, 68, 4}, shuffled_in[5] = {0, 272, 0, 1, 68}, shuffled_out[5] = {0, 272, 0, 4, 1};
    static const struct { const char *name; const int32_t *shape, *in, *out; int elem_bytes, flip, rows; } copies[] = {
        {"56x56x64 bytes", image_shape, image_strides, image_strides, 1, 0, 56},
        {"56x56x64 bytes, flipped", image_shape, image_strides, image_strides, 1, 0x80, 56},
        {"14x14x272 bytes, 4 groups shuffled", shuffled, shuffled_in, shuffled_out, 1, 0, 196},
        {"3x224x224 bytes to channels last", picture_shape, picture_in, picture_out, 1, 0, 224},
        {"3x224x224 f32 to channels last", picture_shape, picture_in, picture_out, 4, 0, 224},
        {"3x224x224 f32 to planes", picture_shape, picture_out, picture_in, 4, 0, 224},
        {"64x56x56 f32 to channels last", image_shape, swap_in, image_strides, 4, 0, 56},
        {"64x56x56 f32 to planes", image_shape, image_strides, swap_in, 4, 0, 56}};
    int count = 0;
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
        struct qn_copy_args *a = ARENA_NEW(arena, struct qn_copy_args);
        *a = (struct qn_copy_args){.rows = copies[i].rows, .elem_bytes = copies[i].elem_bytes, .flip = copies[i].flip};
        memcpy(a->shape, copies[i].shape, sizeof a->shape);
        memcpy(a->in, copies[i].in, sizeof a->in);
        memcpy(a->out, copies[i].out, sizeof a->out);
        call_add(calls, &count, copies[i].name, a, 2.0 * copies[i].elem_bytes * (double)shape_elems(copies[i].shape),
                 MAX_BENCH_ELEMS, MAX_BENCH_ELEMS, 2);
    }
    return count;
}

static int bench_pool(const KernelInfo *row, Arena *arena, BenchCall *calls) {
    int count = 0;
    for (int mode = QN_POOL_MAX; mode <= QN_POOL_AVERAGE; mode++) {
        struct qn_pool2d_args *a = ARENA_NEW(arena, struct qn_pool2d_args);
        *a = (struct qn_pool2d_args){.rows = 28, .out_h = 28, .out_w = 28, .out_c = 64, .out_pixel = 64, .out_row = 28 * 64, .out_image = 28 * 28 * 64,
                                     .in_h = 56, .in_w = 56, .in_c = 64, .in_pixel = 64, .in_row = 56 * 64, .in_image = 56 * 56 * 64, .kernel_h = 3,
                                     .kernel_w = 3, .stride_h = 2, .stride_w = 2, .dilation_h = 1, .dilation_w = 1, .pad_top = 1,
                                     .pad_left = 1, .mode = mode, .padded_h = 58, .padded_w = 58, .lo = -128, .hi = 127, .flip = 0x80};
        call_add(calls, &count, mode == QN_POOL_MAX ? "max 3x3 s2 56x56x64" : "average 3x3 s2 56x56x64", a,
                 1.25 * MAX_BENCH_ELEMS * elem_bytes(row->result), MAX_BENCH_ELEMS, MAX_BENCH_ELEMS, 3);
    }
    return count;
}

static int bench_reduce(const KernelInfo *row, Arena *arena, BenchCall *calls) {
    int count = 0;
    struct qn_reduce_mean_args *a = ARENA_NEW(arena, struct qn_reduce_mean_args);
    *a = (struct qn_reduce_mean_args){.rows = 1, .size_r = 7, .size_s = 7, .inner = 1280, .in_r = 7 * 1280, .in_s = 1280,
                                      .count = 49, .in_scale = 0.5f, .out_scale = 1, .lo = -128, .hi = 127, .flip = 0x80};
    call_add(calls, &count, "7x7x1280", a, 50 * 1280 * elem_bytes(row->result), 49 * 1280, 1280, 2);
    return count;
}

static int bench_softmax(Arena *arena, BenchCall *calls) {
    int count = 0;
    static const struct { const char *name; int rows, size, inner; } shapes[] = {
        {"64 x 1000", 64, 1000, 1}, {"1000 x 64, along columns", 64, 1000, 64}, {"4420 x 2", 4420, 2, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct qn_softmax_args *a = ARENA_NEW(arena, struct qn_softmax_args);
        *a = (struct qn_softmax_args){.rows = shapes[i].rows, .size = shapes[i].size, .inner = shapes[i].inner};
        const size_t elems = (size_t)a->rows * (size_t)a->size;
        call_add(calls, &count, shapes[i].name, a, 8.0 * (double)elems, elems, elems, 2);
    }
    return count;
}

static int bench_softmax_table(Arena *arena, BenchCall *calls) {
    int count = 0;
    static const struct { const char *name; int rows, size, inner; } shapes[] = {
        {"64 x 1000", 64, 1000, 1}, {"1000 x 64, along columns", 64, 1000, 64}, {"768 x 64", 768, 64, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct qn_softmax_table_args *a = ARENA_NEW(arena, struct qn_softmax_table_args);
        *a = (struct qn_softmax_table_args){.rows = shapes[i].rows, .size = shapes[i].size, .inner = shapes[i].inner, .multiplier = 256,
                                            .out_zp = -128, .lo = -128, .hi = 127, .flip = 0x80};
        const size_t elems = (size_t)a->rows * (size_t)a->size;
        call_add(calls, &count, shapes[i].name, a, 2.0 * (double)elems, elems, elems, 3);
    }
    return count;
}

static int bench_resample(const KernelInfo *row, Arena *arena, BenchCall *calls) {
    static const struct { const char *name; int rows, size, inner; } shapes[] = {{"rows 17 to 257, 257x21 each", 257, 17, 5397},
                                                                                 {"columns 17 to 257, 21 channels, 64 rows", 16448, 17, 21}};
    int count = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct qn_resample_args *a = ARENA_NEW(arena, struct qn_resample_args);
        *a = (struct qn_resample_args){.rows = shapes[i].rows, .size = shapes[i].size, .count = 257, .taps = 2, .inner = shapes[i].inner,
                                       .multiplier = 1.02f, .in_zp = -19, .out_zp = -16, .lo = -128, .hi = 127, .flip = 0x80};
        const size_t elems = (size_t)a->rows * (size_t)a->inner;
        call_add(calls, &count, shapes[i].name, a, (double)elems * elem_bytes(row->result), elems, elems, 4);
    }
    return count;
}

// A frame of 640 x 480 in NV12.
static int bench_yuv(Arena *arena, BenchCall *calls) {
    int count = 0;
    struct qn_yuv_args *a = ARENA_NEW(arena, struct qn_yuv_args);
    *a = (struct qn_yuv_args){.rows = 480, .out_h = 480, .out_w = 640, .frame_bytes = 640 * 720, .luma_row = 640, .luma_step = 1, .u = 640 * 480,
                              .v = 640 * 480 + 1, .chroma_row = 640, .chroma_step = 2, .chroma_shift = 1,
                              .matrix = {1220542, 1673527, -852492, -409993, 2116026, 16}};
    call_add(calls, &count, "640 x 480, NV12", a, 640.0 * 480 * 4.5, 640 * 720, 640 * 480 * 3, 2);
    return count;
}

static int bench_matmul(Arena *arena, BenchCall *calls) {
    int count = 0;
    for (int transposed = 0; transposed < 2; transposed++) {
        struct qn_matmul_args *a = ARENA_NEW(arena, struct qn_matmul_args);
        *a = (struct qn_matmul_args){.rows = 128, .m = 128, .n = 128, .k = 128, .a_m = 128, .a_k = 1, .b_k = transposed ? 1 : 128,
                                     .b_n = transposed ? 128 : 1, .batch = {1, 1, 1, 1}, .b_zp = 3, .lo = -128, .hi = 127,
                                     .flip = 0x80, .multiplier = 0.001f, .min = -1, .max = 1};
        call_add(calls, &count, transposed ? "128x128x128, b transposed" : "128x128x128", a, 0, 16384, 16384, 3)->macs = 128.0 * 128 * 128;
    }
    return count;
}

int bench_elements(const KernelInfo *row, Arena *arena, BenchCall *calls, int max) {
    (void)max; // no family has more
    if (!strcmp(row->family, "binary")) return bench_binary(row, arena, calls);
    if (!strcmp(row->family, "unary")) return bench_unary(arena, calls);
    if (!strcmp(row->family, "table")) return bench_table(arena, calls);
    if (!strcmp(row->family, "quantize")) return bench_quantize(row, arena, calls);
    if (!strcmp(row->family, "copy")) return bench_copy(arena, calls);
    if (!strcmp(row->family, "pool2d")) return bench_pool(row, arena, calls);
    if (!strcmp(row->family, "reduce_mean")) return bench_reduce(row, arena, calls);
    if (!strcmp(row->family, "softmax")) return bench_softmax(arena, calls);
    if (!strcmp(row->family, "softmax_table")) return bench_softmax_table(arena, calls);
    if (!strcmp(row->family, "resample")) return bench_resample(row, arena, calls);
    if (!strcmp(row->family, "yuv")) return bench_yuv(arena, calls);
    if (!strcmp(row->family, "matmul")) return bench_matmul(arena, calls);
    return 0;
}
