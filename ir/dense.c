// Reading single elements of dense attributes, in any element type.
#include <string.h>

#include "ir/ir.h"

static float f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 1023, bits;
    float result;
    if (exponent == 31) bits = sign | 0x7F800000u | fraction << 13;
    else if (exponent) bits = sign | (exponent + 112) << 23 | fraction << 13;
    else { // subnormal: fraction * 2^-24
        result = (float)fraction * 0x1p-24f;
        return sign ? -result : result;
    }
    memcpy(&result, &bits, sizeof result);
    return result;
}

static float bf16_to_f32(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

#define READ(ctype) \
    ctype element;  \
    memcpy(&element, (const char *)dense->data + (size_t)index * sizeof element, sizeof element)

int64_t dense_i64(const Dense *dense, int64_t index) {
    if (dense->splat) index = 0;
    switch (dense->type->elem) {
    case ELEM_I64: case ELEM_U64: { READ(int64_t); return element; }
    case ELEM_I32: { READ(int32_t); return element; }
    case ELEM_U32: { READ(uint32_t); return element; }
    case ELEM_I16: { READ(int16_t); return element; }
    case ELEM_U16: { READ(uint16_t); return element; }
    case ELEM_I8: { READ(int8_t); return element; }
    case ELEM_U8: case ELEM_I1: { READ(uint8_t); return element; }
    case ELEM_I4: case ELEM_U4: {
        int nibble = ((const uint8_t *)dense->data)[index / 2] >> (index % 2 * 4) & 15;
        return dense->type->elem == ELEM_I4 && nibble >= 8 ? nibble - 16 : nibble;
    }
    default: return (int64_t)dense_f64(dense, index);
    }
}

double dense_f64(const Dense *dense, int64_t index) {
    if (dense->splat) index = 0;
    switch (dense->type->elem) {
    case ELEM_F64: { READ(double); return element; }
    case ELEM_F32: { READ(float); return element; }
    case ELEM_F16: { READ(uint16_t); return f16_to_f32(element); }
    case ELEM_BF16: { READ(uint16_t); return bf16_to_f32(element); }
    default: return (double)dense_i64(dense, index);
    }
}
