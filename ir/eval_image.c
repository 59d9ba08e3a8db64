// The meaning of ops on images of bytes.
#include "ir/eval_common.h"
#include "ir/yuv.h"

static int64_t to_byte(int64_t value) { return value < 0 ? 0 : value > 255 ? 255 : value; }

static void yuv_pixel(const int32_t matrix[YUV_MATRIX], int64_t y, int64_t u, int64_t v, Tensor *rgb, int64_t at) {
    const int64_t half = 1 << (YUV_FRACTION_BITS - 1), light = (y > matrix[YUV_BLACK] ? y - matrix[YUV_BLACK] : 0) * matrix[YUV_LUMA];
    const int64_t red = matrix[YUV_RED_V] * v, green = matrix[YUV_GREEN_V] * v + matrix[YUV_GREEN_U] * u, blue = matrix[YUV_BLUE_U] * u;
    tensor_set_i64(rgb, at, to_byte((light + half + red) >> YUV_FRACTION_BITS));
    tensor_set_i64(rgb, at + 1, to_byte((light + half + green) >> YUV_FRACTION_BITS));
    tensor_set_i64(rgb, at + 2, to_byte((light + half + blue) >> YUV_FRACTION_BITS));
}

bool eval_yuv_to_rgb(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    yuv_to_rgb_view view = as_yuv_to_rgb(op);
    const Tensor *frame = operands[0];
    const Type *out = results[0]->type;
    YuvPlanes planes;
    int32_t matrix[YUV_MATRIX];
    yuv_planes(view.layout, frame->type, &planes); // shape inference has made sure that it is one
    yuv_matrix(op, matrix);
    for (int64_t i = 0; i < type_elem_count(out) / 3; i++) {
        const int64_t x = view.left + i % out->shape[2], y = view.top + i / out->shape[2] % out->shape[1];
        const int64_t first = i / out->shape[2] / out->shape[1] * planes.frame_bytes;
        const int64_t chroma = first + (y >> planes.chroma_shift) * planes.chroma_row + (x >> 1) * planes.chroma_step;
        yuv_pixel(matrix, tensor_i64(frame, first + planes.luma + y * planes.luma_row + x * planes.luma_step),
                  tensor_i64(frame, chroma + planes.u) - 128, tensor_i64(frame, chroma + planes.v) - 128, results[0], 3 * i);
    }
    return true;
}

static int64_t taken_index(const Tensor *indices, int64_t at, int64_t size) {
    const int64_t index = tensor_i64(indices, at);
    return index < 0 ? 0 : index >= size ? size - 1 : index;
}

// Channel c of row y and the two columns of output column x, of image n.
static uint32_t bilinear_row(const Tensor *const *operands, int64_t n, int64_t y, int64_t x, int64_t c) {
    const int64_t *shape = operands[0]->type->shape;
    uint32_t sum = 0;
    for (int64_t k = 2 * x; k < 2 * x + 2; k++) {
        const int64_t column = taken_index(operands[3], k, shape[2]);
        sum += (uint32_t)tensor_i64(operands[4], k) * (uint32_t)tensor_i64(operands[0], ((n * shape[1] + y) * shape[2] + column) * shape[3] + c);
    }
    return sum;
}

bool eval_bilinear_u8(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    const int64_t *shape = results[0]->type->shape, bits = as_bilinear_u8(op).bits;
    for (int64_t i = 0; i < type_elem_count(results[0]->type); i++) {
        const int64_t c = i % shape[3], x = i / shape[3] % shape[2], y = i / shape[3] / shape[2] % shape[1], n = i / shape[3] / shape[2] / shape[1];
        uint32_t sum = bits == 11 ? 2 : 1 << 15;
        for (int64_t k = 2 * y; k < 2 * y + 2; k++) {
            const uint32_t weight = (uint32_t)tensor_i64(operands[2], k);
            const uint32_t row = bilinear_row(operands, n, taken_index(operands[1], k, operands[0]->type->shape[1]), x, c);
            sum += bits == 11 ? (uint32_t)((int32_t)(weight * (uint32_t)((int32_t)row >> 4)) >> 16) : weight * row;
        }
        tensor_set_i64(results[0], i, (int32_t)sum >> (bits == 11 ? 2 : 16) & 255);
    }
    return true;
}
