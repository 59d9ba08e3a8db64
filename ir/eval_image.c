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
