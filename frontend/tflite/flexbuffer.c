// FlexBuffers: a value ends the data, with its type and width behind it. Offsets point backward. A map is a vector of values,
// with their types behind it and before it its length, the width and the place of the vector of its keys.
#include "frontend/tflite/flexbuffer.h"

#include <string.h>

enum { FLEX_INT = 1, FLEX_UINT, FLEX_FLOAT, FLEX_INDIRECT_INT = 6, FLEX_INDIRECT_UINT, FLEX_INDIRECT_FLOAT, FLEX_MAP, FLEX_BOOL = 26 };

typedef struct {
    const uint8_t *data;
    size_t bytes;
} Flex;

// An unsigned number of `width` bytes (1, 2, 4, 8) at `at`.
static bool read_at(const Flex *flex, size_t at, size_t width, uint64_t *value) {
    *value = 0;
    if (at > flex->bytes || width > flex->bytes - at) return false;
    memcpy(value, flex->data + at, width);
    return true;
}

static bool follow_back(const Flex *flex, size_t at, size_t width, size_t *target) {
    uint64_t offset;
    if (!read_at(flex, at, width, &offset) || offset > at) return false;
    *target = at - (size_t)offset;
    return true;
}

static double float_of_width(uint64_t bits, size_t width) {
    uint32_t narrow = (uint32_t)bits;
    float single;
    double wide;
    memcpy(&single, &narrow, sizeof single);
    memcpy(&wide, &bits, sizeof wide);
    return width == 8 ? wide : width == 4 ? (double)single : 0;
}

static bool number_at(const Flex *flex, size_t at, size_t width, uint8_t packed, double *value) {
    int type = packed >> 2;
    uint64_t bits;
    if (type >= FLEX_INDIRECT_INT && type <= FLEX_INDIRECT_FLOAT) {
        if (!follow_back(flex, at, width, &at)) return false;
        width = (size_t)1 << (packed & 3);
        type -= FLEX_INDIRECT_INT - FLEX_INT;
    }
    if (!read_at(flex, at, width, &bits)) return false;
    if (type == FLEX_FLOAT) *value = float_of_width(bits, width);
    else if (type == FLEX_INT) *value = (double)((int64_t)(bits << (64 - 8 * width)) >> (64 - 8 * width));
    else *value = (double)bits;
    return type == FLEX_INT || type == FLEX_UINT || type == FLEX_FLOAT || type == FLEX_BOOL;
}

static bool key_is(const Flex *flex, size_t at, const char *key) {
    size_t length = strlen(key) + 1;
    return at <= flex->bytes && length <= flex->bytes - at && !memcmp(flex->data + at, key, length);
}

bool flex_number(const uint8_t *data, size_t bytes, const char *key, double *value) {
    Flex flex = {data, bytes};
    if (bytes < 3) return false;
    size_t root_width = data[bytes - 1], width = (size_t)1 << (data[bytes - 2] & 3), map, keys, place;
    uint64_t count, key_width;
    if ((root_width != 1 && root_width != 2 && root_width != 4 && root_width != 8) || root_width + 2 > bytes || data[bytes - 2] >> 2 != FLEX_MAP) return false;
    if (!follow_back(&flex, bytes - 2 - root_width, root_width, &map) || map < 3 * width) return false;
    if (!read_at(&flex, map - width, width, &count) || !read_at(&flex, map - 2 * width, width, &key_width)) return false;
    if ((key_width != 1 && key_width != 2 && key_width != 4 && key_width != 8) || count > bytes) return false;
    if (!follow_back(&flex, map - 3 * width, width, &keys)) return false;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t packed;
        if (!follow_back(&flex, keys + (size_t)(i * key_width), (size_t)key_width, &place)) return false;
        if (!key_is(&flex, place, key)) continue;
        return read_at(&flex, map + (size_t)count * width + (size_t)i, 1, &packed) && number_at(&flex, map + (size_t)i * width, width, (uint8_t)packed, value);
    }
    return false;
}
