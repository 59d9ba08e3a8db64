// Colours of camera frames: luma and chroma to red, green and blue, in integers.
#include "runtime/kernel.h"

QN_INLINE uint8_t qn_yuv_generic_byte(int32_t sum) {
    const int32_t value = sum >> 20;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

QN_INLINE void qn_yuv_generic_pixel(const struct qn_yuv_args *a, int32_t luma, int32_t u, int32_t v, uint8_t *out) {
    const int32_t *m = a->matrix, light = (luma > m[5] ? luma - m[5] : 0) * m[0] + (1 << 19);
    out[0] = qn_yuv_generic_byte(light + v * m[1]);
    out[1] = qn_yuv_generic_byte(light + v * m[2] + u * m[3]);
    out[2] = qn_yuv_generic_byte(light + u * m[4]);
}

QN_KERNEL qn_yuv_u8_u8__any__generic(const struct qn_yuv_args *a, const void *frame, void *output, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const int32_t y = a->top + r % a->out_h;
        const uint8_t *image = (const uint8_t *)frame + (ptrdiff_t)(r / a->out_h) * a->frame_bytes;
        const uint8_t *luma = image + a->luma + (ptrdiff_t)y * a->luma_row;
        const uint8_t *chroma = image + (ptrdiff_t)(y >> a->chroma_shift) * a->chroma_row;
        uint8_t *out = (uint8_t *)output + (ptrdiff_t)r * a->out_w * 3;
        for (int32_t x = 0; x < a->out_w; x++) {
            const ptrdiff_t at = (ptrdiff_t)((a->left + x) >> 1) * a->chroma_step;
            qn_yuv_generic_pixel(a, luma[(ptrdiff_t)(a->left + x) * a->luma_step], chroma[a->u + at] - 128, chroma[a->v + at] - 128,
                                 out + (ptrdiff_t)x * 3);
        }
    }
}
