// Which rows of an image a row of the next one is made of. Filters that resize rows say it in their constants: what the rows of a result
// need lies within a band, a whole number of rows around a straight line.
#include "ir/image_rows.h"

#include <string.h>

static bool is_family(const KernelArgs *args, const char *family) { return !strcmp(args->family->name, family); }

bool is_image_step(const KernelArgs *args) {
    return is_family(args, "yuv") || is_family(args, "resample") || is_family(args, "bilinear") || is_family(args, "lookup");
}

// ---- what it makes

// Of bytes, of one image, row by row; `calls`: rows of the kernel for each of them.
static bool makes_rows(const Op *call, const KernelArgs *args, const Type *type, int64_t *calls) {
    const KernelInfo *kernel = kernel_find(as_kn_call(call).kernel);
    const int64_t rows = args_get(args, "rows"), height = type->shape[1], row = type->shape[2] * type->shape[3];
    if (!kernel || strcmp(kernel->result, "u8") || height < 1 || rows % height) return false;
    *calls = rows / height;
    if (is_family(args, "yuv")) return *calls == 1 && args_get(args, "out_h") == height && (int64_t)args_get(args, "out_w") * 3 == row;
    if (is_family(args, "bilinear")) return *calls == 1 && args_get(args, "out_h") == height && (int64_t)args_get(args, "out_w") * args_get(args, "channels") == row;
    if (!is_family(args, "resample") || *calls * args_get(args, "inner") != row) return false;
    return rows == args_get(args, "count") ? *calls == 1 : *calls % args_get(args, "count") == 0;
}

// ---- what it reads

// Row y of the result from rows [least, most] of the image, for each of `count`.
typedef struct { int64_t count, taps, size; const int32_t *indices; } RowTaps;

static void row_range(const RowTaps *rows, int64_t y, int64_t *least, int64_t *most) {
    *least = rows->size - 1, *most = 0;
    for (int64_t k = 0; k < rows->taps; k++) {
        int64_t index = rows->indices[y * rows->taps + k];
        index = index < 0 ? 0 : index >= rows->size ? rows->size - 1 : index;
        if (index < *least) *least = index;
        if (index > *most) *most = index;
    }
}

enum { BAND_SHIFT = 16 };

// The band of that slope in which the rows of all results lie.
static void band_of_slope(const RowTaps *rows, int64_t stride, int64_t *pad, int64_t *window) {
    int64_t least, most;
    *pad = INT64_MIN, *window = 0;
    for (int64_t y = 0; y < rows->count; y++) {
        row_range(rows, y, &least, &most);
        if (y * stride - (least << BAND_SHIFT) > *pad) *pad = y * stride - (least << BAND_SHIFT);
    }
    for (int64_t y = 0; y < rows->count; y++) {
        row_range(rows, y, &least, &most);
        const int64_t end = most + 1 - ((y * stride - *pad) >> BAND_SHIFT);
        if (end > *window) *window = end;
    }
}

// The narrowest of some slopes, since the first and the last row are whole numbers. False where later rows need earlier ones, as in an image
// that is turned over.
static bool band_of(const RowTaps *rows, struct qn_row_buffer *buffer) {
    enum { TRIES = 32 };
    int64_t first, last, most, pad, window;
    if (rows->count < 1 || rows->taps < 1) return false;
    row_range(rows, 0, &first, &most);
    row_range(rows, rows->count - 1, &last, &most);
    if (last < first) return false;
    const int64_t steps = rows->count > 1 ? rows->count - 1 : 1;
    buffer->window = INT32_MAX;
    for (int64_t part = -TRIES; part <= TRIES; part++) {
        const int64_t stride = ((last - first) * TRIES + part) * (1 << BAND_SHIFT) / (TRIES * steps);
        if (stride < 0 || stride > INT32_MAX) continue;
        band_of_slope(rows, stride, &pad, &window);
        if (window >= buffer->window || pad < INT32_MIN || pad > INT32_MAX) continue;
        buffer->stride = (int32_t)stride, buffer->shift = BAND_SHIFT, buffer->pad = (int32_t)pad, buffer->window = (int32_t)window;
    }
    return buffer->window < INT32_MAX;
}

// At least `count` whole numbers.
static const int32_t *constant_at(const Op *call, int index, int64_t count) {
    const Value *buffer = op_operand(call, index);
    const Op *memory = buffer ? buffer_memory(buffer) : NULL;
    while (memory && buffer->def != memory) { // views of it from its first element on
        if (as_kn_view(buffer->def).offset) return NULL;
        buffer = op_operand(buffer->def, 0);
    }
    if (!memory || memory->kind != OP_kn_weights) return NULL;
    const Dense *value = as_kn_weights(memory).value;
    return value->type->elem == ELEM_I32 && (int64_t)value->bytes / 4 >= count ? value->data : NULL;
}

static bool reads_taps(const Op *call, const char *size, const char *count, int64_t taps, const KernelArgs *args, struct qn_row_buffer *buffer) {
    const RowTaps rows = {args_get(args, count), taps, args_get(args, size), constant_at(call, 1, args_get(args, count) * taps)};
    return rows.indices && rows.size == buffer->height && band_of(&rows, buffer);
}

static bool reads_rows(const Op *call, const KernelArgs *args, struct qn_row_buffer *buffer) {
    const KernelInfo *kernel = kernel_find(as_kn_call(call).kernel);
    const int64_t rows = args_get(args, "rows"), row = buffer->row_bytes;
    buffer->stride = buffer->window = 1, buffer->shift = buffer->pad = 0;
    if (is_family(args, "lookup")) return rows == buffer->height && args_get(args, "out_h") == rows && (int64_t)args_get(args, "out_w") * args_get(args, "in_c") == row;
    if (is_family(args, "bilinear"))
        return rows == args_get(args, "out_h") && (int64_t)args_get(args, "in_w") * args_get(args, "channels") == row &&
               reads_taps(call, "in_h", "out_h", 2, args, buffer);
    if (!is_family(args, "resample") || strcmp(kernel->result, "u8")) return false;
    const int64_t count = args_get(args, "count"), inner = args_get(args, "inner"), size = args_get(args, "size");
    if (rows == count && inner == row) return !args_get(args, "packed") && reads_taps(call, "size", "count", args_get(args, "taps"), args, buffer);
    return rows % buffer->height == 0 && rows / buffer->height % count == 0 && rows / buffer->height / count * size * inner == row;
}

bool image_rows_between(const Op *maker, const KernelArgs *made, const Type *type, const Op *user, const KernelArgs *used, struct qn_row_buffer *buffer) {
    int64_t calls;
    if (!is_image_step(made) || !is_image_step(used) || elem_bits(type->elem) != 8 || !makes_rows(maker, made, type, &calls)) return false;
    if (type->halo[0] | type->halo[1] | type->halo[2] | type->halo[3]) return false;
    *buffer = (struct qn_row_buffer){.height = (int32_t)type->shape[1], .row_bytes = (int32_t)(type->shape[2] * type->shape[3]), .calls = (int32_t)calls};
    return type->shape[2] * type->shape[3] <= INT32_MAX && reads_rows(user, used, buffer);
}

bool image_rows_end(const KernelArgs *args, int32_t row_bytes) {
    return !is_family(args, "resample") || (args_get(args, "inner") == row_bytes && args_get(args, "rows") == args_get(args, "count"));
}
