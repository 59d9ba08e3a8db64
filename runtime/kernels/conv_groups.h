// How the kernels for convolution in groups join groups to units: also the layout of their weights.
#ifndef QN_CONV_GROUPS_H
#define QN_CONV_GROUPS_H
#include <stdint.h>

// Groups of a unit: as many as 16 channels hold the outputs of, at least one. The last unit may be of fewer.
static inline __attribute__((unused)) int32_t conv_unit_groups(int32_t group, int32_t out_c) {
    const int32_t channels = out_c / group, fit = channels ? 16 / channels : 1;
    return fit < 1 ? 1 : fit < group ? fit : group;
}
#endif
