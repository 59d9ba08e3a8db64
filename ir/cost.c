// Estimates of kernel calls. How often a kernel's inner loops run follows from its arguments, with the waste of tiles that are
// not full; what each run takes stands in cost.def.
#include "ir/cost.h"

#include <math.h>
#include <string.h>

#include "runtime/kernels/amx_depth.h"

typedef struct { double step, lanes, pixels, product, tile, group, store, call; } Figures;

// ---- what a call computes

static double arg_at(const KernelArgs *args, const char *name, int index) {
    for (int i = 0; i < args->family->field_count; i++)
        if (!strcmp(args->family->fields[i].name, name)) return args->words[args->family->fields[i].word + index];
    return 0;
}

static double arg(const KernelArgs *args, const char *name) { return arg_at(args, name, 0); }
static bool is_family(const KernelArgs *args, const char *family) { return !strcmp(args->family->name, family); }
static bool is_winograd(const KernelArgs *args) { return is_family(args, "winograd") || is_family(args, "winograd_add"); }
static bool is_window(const KernelArgs *args) {
    return is_family(args, "conv2d") || is_family(args, "conv2d_add") || is_family(args, "depthwise") || is_winograd(args);
}

// A product over windows as gemm.h sees it: images of rows x width pixels, each the sum over `runs` runs of `run` elements.
typedef struct {
    double images, rows, width, channels, runs, run;
    double pitch; // pixels from a row to the next, in the input; 0: no whole number
    bool sum;     // with a residual
} Product;

static Product product_of(const KernelArgs *args) {
    double channels = arg(args, is_window(args) ? "out_c" : "n"), panel = arg(args, "panel");
    double pixels = arg(args, "rows") / (panel > 0 ? ceil(channels / panel) : 1); // rows may be of panels of channels
    if (!is_window(args)) return (Product){1, 1, pixels, channels, 1, arg(args, "k"), pixels, false};
    double height = arg(args, "out_h"), width = arg(args, "out_w");
    double kernel_w = arg(args, "kernel_w"), pixel = arg(args, "in_pixel");
    double taps = arg(args, "dilation_w") == 1 && pixel == arg(args, "in_c") ? kernel_w : 1;
    double row = arg(args, "stride_h") * arg(args, "in_row"), column = arg(args, "stride_w") * pixel;
    double rows = is_winograd(args) ? ceil(height / fmax(arg(args, "tile"), 1)) : height; // of the call
    return (Product){.images = rows > 0 ? pixels / rows : 0, .rows = height, .width = width, .channels = channels,
                     .runs = arg(args, "kernel_h") * kernel_w / fmax(taps, 1),
                     .run = taps * arg(args, "in_c") / fmax(arg(args, "group"), 1),
                     .pitch = column > 0 && fmod(row, column) == 0 && row >= width * column ? row / column : 0,
                     .sum = is_family(args, "conv2d_add")};
}

double kernel_macs(const KernelArgs *args) {
    if (is_family(args, "matmul")) return arg(args, "rows") * arg(args, "k") * arg(args, "n");
    if (!is_window(args) && !is_family(args, "linear")) return 0;
    Product p = product_of(args);
    return p.images * p.rows * p.width * p.channels * p.runs * p.run;
}

// ---- matrix: pixels x 2 vectors of channels, see gemm_walk.def

static double vectors_cycles(const Product *p, const Figures *f, double pixels, double vectors) {
    enum { LATENCY = 4 }; // of a multiply-add
    double steps = p->runs * ceil(p->run / f->step);
    double pairs = fmax(pixels * vectors, pixels + vectors) / 2;
    return steps * fmax(pairs, LATENCY) * f->product + f->group + ceil(pixels * vectors / 4) * f->store;
}

// Pixels are split evenly; rows of few are taken several at a time.
static double matrix_panel(const Product *p, const Figures *f, double vectors) {
    double joined = p->width <= floor(f->pixels / 2) && p->width > 0 ? floor(f->pixels / p->width) : 1;
    double tiles = ceil(p->width / f->pixels), size = floor(p->width / tiles), larger = p->width - size * tiles;
    double sets = floor(p->rows / joined), rest = p->rows - sets * joined;
    double set = larger * vectors_cycles(p, f, joined * (size + 1), vectors) +
                 (tiles - larger) * vectors_cycles(p, f, joined * size, vectors);
    return sets * set + rest * tiles * vectors_cycles(p, f, size, vectors);
}

static double matrix(const Product *p, const Figures *f) {
    double panels = floor(p->channels / (2 * f->lanes)), rest = p->channels - panels * 2 * f->lanes;
    double cycles = panels > 0 ? panels * matrix_panel(p, f, 2) : 0;
    return rest > 0 ? cycles + matrix_panel(p, f, rest > f->lanes ? 2 : 1) : cycles;
}

// ---- squares: pairs of tile registers, see amx.h

// Of no depth as of some: other kernels compute that.
static struct amx_depth depth_of(const Product *p, const Figures *f) { return amx_depth_of((int32_t)fmax(ceil(p->run / f->step), 1)); }

static double weight_channel_bytes(const Product *p, const Figures *f) {
    struct amx_depth depth = depth_of(p, f);
    return p->runs * depth.blocks * depth.words * 4;
}

// Loads of rows of tiles are what takes time, 2 x 2 tiles at a time; more where a panel's weights are not in the first cache.
// Bytes are stored between the next tiles' instructions where there are 2 x 2 (amx_panels); else that takes twice as long.
static double squares_cycles(const Product *p, const Figures *f, double pixels, double high, double wide, bool between, bool far) {
    const double from_far = 0.8, alone = between ? 1 : 2;
    struct amx_depth depth = depth_of(p, f);
    double loads = (high * pixels + wide * depth.words) * f->product + (far ? wide * depth.words * from_far : 0);
    return p->runs * depth.blocks * loads + f->group + high * wide * f->tile + alone * high * ceil(pixels * wide / 4) * f->store;
}

// Tiles lie in rows, or, where that takes less time, in the image, over what stands between its rows (amx_walk_of).
static double squares_panel(const Product *p, const Figures *f, double wide, const Target *target) {
    double count = ceil(p->width / f->pixels), pixels = ceil(p->width / count), tiles = p->rows * count;
    double length = (p->rows - 1) * p->pitch + p->width, all = ceil(length / f->pixels), even = ceil(length / all);
    if (p->pitch > 0 && amx_cycles((int32_t)all, (int32_t)even) < amx_cycles((int32_t)tiles, (int32_t)pixels)) tiles = all, pixels = even;
    bool far = weight_channel_bytes(p, f) * wide * f->lanes > (double)target->l1_bytes;
    bool between = wide > 1 && !p->sum && p->rows * p->width > f->pixels;
    double pairs = between ? ceil(tiles / 2) : floor(tiles / 2), rest = between ? 0 : tiles - 2 * pairs;
    return pairs * squares_cycles(p, f, pixels, 2, wide, between, far) + rest * squares_cycles(p, f, pixels, 1, wide, between, far);
}

static double squares(const Product *p, const Figures *f, const Target *target) {
    double panels = floor(p->channels / (2 * f->lanes)), rest = p->channels - panels * 2 * f->lanes;
    double cycles = panels > 0 ? panels * squares_panel(p, f, 2, target) : 0;
    return rest > 0 ? cycles + squares_panel(p, f, 2, target) : cycles;
}

// ---- winograd: transforms, and for each point a product of matrices, see winograd.h

// A product of so many of a block's tiles with all channels, at one point: in whole panels.
static double point_cycles(const Product *p, const Figures *f, double tiles) {
    double panel = 2 * f->lanes, channels = ceil(p->channels / panel) * panel;
    Product point = {1, 1, tiles, channels, 1, p->run / 3, tiles, false};
    Figures figures = *f;
    figures.store = 0;
    return matrix(&point, &figures);
}

static double winograd_blocks(const KernelArgs *args, double *tiles) {
    *tiles = arg(args, "rows") * ceil(arg(args, "out_w") / arg(args, "tile"));
    return ceil(*tiles / arg(args, "block"));
}

static double winograd_cycles(const Product *p, const KernelArgs *args, const Figures *f) {
    double points = (arg(args, "tile") + 2) * (arg(args, "tile") + 2), tiles, blocks = winograd_blocks(args, &tiles);
    double products = points * blocks * point_cycles(p, f, ceil(tiles / blocks));
    double transforms = ceil(p->run / 3 / (f->lanes * f->step)) * f->tile + ceil(p->channels / f->lanes) * f->store;
    return products + tiles * points * transforms;
}

// ---- window: depthwise, by columns of at most four rows

// Blocks of `lanes` channels; pixels of few channels share a vector.
static double window_blocks(double channels, double lanes) {
    const double half = 0.62, quarter = 0.35;
    double blocks = floor(channels / lanes), rest = channels - blocks * lanes;
    return blocks + (rest > lanes / 2 ? 1 : rest > lanes / 4 ? half : rest > 0 ? quarter : 0);
}

static double window(const Product *p, const KernelArgs *args, const Figures *f) {
    double blocks = window_blocks(p->channels, f->lanes), columns = arg(args, "kernel_w") * ceil(arg(args, "kernel_h") / 4);
    return p->rows * (ceil(blocks) * f->group + p->width * blocks * (columns * arg(args, "stride_w") * f->product + f->store));
}

// ---- stream: elementwise over five dimensions

static double stream_cycles(const KernelArgs *args, const Figures *f) {
    double runs = arg(args, "rows") * arg_at(args, "shape", 2) * arg_at(args, "shape", 3), inner = arg_at(args, "shape", 4);
    if (inner < f->lanes) runs *= inner / f->lanes, inner = f->lanes; // planes: pixels of few channels lie side by side
    return runs * (f->group + ceil(inner / f->lanes) * f->store);
}

// ---- rows of cost.def

typedef enum { MODEL_matrix, MODEL_squares, MODEL_window, MODEL_winograd, MODEL_stream } CostModel;
typedef struct { const char *symbol; CostModel model; Figures figures; } CostRow;

static const CostRow rows[] = {
#define COST(family, operands, result, tile, isa, model, step, lanes, pixels, product, tile_cycles, group, store, call) \
    {"qn_" #family "_" #operands "_" #result "__" #tile "__" #isa, MODEL_##model,                                       \
     {step, lanes, pixels, product, tile_cycles, group, store, call}},
#include "ir/cost.def"
};

static const CostRow *cost_find(const KernelInfo *row) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].symbol, row->symbol)) return &rows[i];
    return NULL;
}

static double model_cycles(const Target *target, const CostRow *row, const KernelArgs *args) {
    if (row->model == MODEL_stream) return stream_cycles(args, &row->figures) + row->figures.call;
    if (!(kernel_macs(args) > 0)) return row->figures.call;
    Product p = product_of(args);
    if (row->model == MODEL_winograd) return winograd_cycles(&p, args, &row->figures) + row->figures.call;
    double cycles = row->model == MODEL_matrix    ? matrix(&p, &row->figures)
                    : row->model == MODEL_squares ? squares(&p, &row->figures, target)
                                                  : window(&p, args, &row->figures);
    return p.images * cycles + row->figures.call;
}

double kernel_weight_bytes(const KernelInfo *kernel, const KernelArgs *args) {
    const CostRow *row = cost_find(kernel);
    if (!row || row->model == MODEL_stream) return 0;
    Product p = product_of(args);
    const Figures *f = &row->figures;
    if (row->model == MODEL_window) return p.channels * ceil(p.runs * p.run / f->step) * f->step;
    double channels = ceil(p.channels / f->lanes) * f->lanes, elem = f->step > 1 ? 1 : 4;
    if (row->model == MODEL_winograd) return channels * (arg(args, "tile") + 2) * (arg(args, "tile") + 2) * arg(args, "in_c") * (f->step > 1 ? 2 : 4);
    if (row->model == MODEL_squares) return channels * weight_channel_bytes(&p, f);
    return channels * p.runs * ceil(p.run / f->step) * f->step * elem;
}

// ---- any other row: rough, in nanoseconds

static double row_macs(const KernelArgs *args) {
    double all = arg(args, "rows");
    return all > 0 ? kernel_macs(args) / all : 0;
}

static double rough_row_ns(const KernelInfo *row, const KernelArgs *args) {
    bool generic = !strcmp(row->isa, "generic"), is_float = strstr(row->operands, "f32") != NULL;
    if (is_family(args, "depthwise")) return row_macs(args) / (generic ? 2 : 10);
    if (row_macs(args) > 0) return row_macs(args) / (generic ? 2 : is_float ? 30 : 100);
    if (is_family(args, "pool2d"))
        return arg(args, "out_w") * arg(args, "out_c") * arg(args, "kernel_h") * arg(args, "kernel_w") / (generic ? 8 : 70);
    if (is_family(args, "arg") && !generic) return 8 + arg(args, "size") / 16;
    if (is_family(args, "arg") || is_family(args, "cum_sum")) return arg(args, "size");
    if (is_family(args, "top_k")) return arg(args, "size") * 3 + arg(args, "k") * 20;
    if (is_family(args, "reduce_mean")) return arg(args, "size_r") * arg(args, "size_s") * arg(args, "inner") / (generic ? 16 : 32);
    if (is_family(args, "reduce")) return arg(args, "size_r") * arg(args, "size_s") * arg(args, "inner") / 4;
    if (is_family(args, "softmax")) return arg(args, "size") * 5;
    if (is_family(args, "softmax_table")) return generic ? arg(args, "size") * 4 : 30 + arg(args, "size") / 6;
    if (is_family(args, "gather")) return arg(args, "inner_bytes") / 8;
    double elems = arg_at(args, "shape", 2) * arg_at(args, "shape", 3) * arg_at(args, "shape", 4);
    if (is_family(args, "gather_nd")) return elems * (2 + arg(args, "inner") * arg(args, "elem_bytes") / 8);
    if (is_family(args, "halo")) return arg(args, "h") * arg(args, "c") / 4;
    if (is_family(args, "cast")) return 1;
    return elems / (generic ? 2 : 16);
}

// ---- the whole

static const Target usual = {.l1_bytes = 32768, .l2_bytes = 1 << 20, .clock_mhz = 3000, .memory_bytes = 6};

// Weights that no near cache holds are read while others are used: mostly, the slower of the two is what takes time.
static double with_memory(const Target *target, double cycles, double weights, bool cold) {
    const double hidden = 0.6, kept = 0.75 * (double)target->l2_bytes;
    double bytes = cold ? weights : fmax(weights - kept, 0), reading = bytes / target->memory_bytes;
    return fmax(cycles, reading) + (1 - hidden) * fmin(cycles, reading);
}

Estimate kernel_estimate(const Target *target, const KernelInfo *kernel, const KernelArgs *args, bool cold) {
    const CostRow *row = cost_find(kernel);
    if (!target) target = &usual;
    if (!row) return (Estimate){rough_row_ns(kernel, args) * arg(args, "rows"), false};
    double cycles = with_memory(target, model_cycles(target, row, args), kernel_weight_bytes(kernel, args), cold);
    return (Estimate){cycles * 1000 / target->clock_mhz, true};
}

// ---- sharing among threads

bool cost_prefers_channels(const Op *op, int64_t rows) {
    static const struct { double weight_bytes, input_bytes, macs, float_macs; } share =
#define SHARE(weight_bytes, input_bytes, macs, float_macs) {weight_bytes, input_bytes, macs, float_macs};
#include "ir/cost.def"
    const Type *input = op_operand(op, 0)->type, *weight = op_operand(op, 1)->type, *out = op->results[0].type;
    const double bytes = elem_bits(input->elem) / 8, weights = (double)type_elem_count(weight);
    const double depth = weights / (double)weight->shape[0], outputs = (double)type_elem_count(out);
    const double windows = outputs / (double)weight->shape[0] * depth, elems = (double)type_elem_count(input);
    const double ns = outputs * depth / (out->quant ? share.macs : share.float_macs);
    const double idle = rows % 2 ? 0.5 / (double)rows : 0;
    return weights * bytes / share.weight_bytes + ns * idle > fmin(windows, elems) * bytes / share.input_bytes;
}
