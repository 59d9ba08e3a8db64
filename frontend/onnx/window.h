// Windows over spatial dimensions, for the conversions that have them.
#pragma once
#include "frontend/onnx/importer.h"

// Spatial dimensions D, H and W; fewer are the last ones. The absent have a kernel of 1.
typedef struct {
    int64_t kernel[3], strides[3], pads[6], dilations[3]; // pads: before D, H, W, then behind
    bool ceil_mode;
} Window;

bool check_spatial(const Node *node, const Type *input); // 1 to 3 spatial dimensions
// Attributes strides, dilations, pads, auto_pad and, unless the kernel is preset, kernel_shape.
bool read_window(const Node *node, const Type *input, Window *window);
bool read_strides(const Node *node, int spatial, Window *window); // strides and dilations alone
bool read_pads(const Node *node, int spatial, int64_t pads[6]);
// Presets the kernel from a weight with channels first; checks kernel_shape against it.
bool window_from_weight(const Node *node, const Type *weight, Window *window);

// On channels-last tensors: input N [D] H W C, weight O [KD] KH KW C/group.
Value *emit_conv(const Node *node, Value *input, Value *weight, Value *bias, const Window *window,
                 int64_t group);
Value *emit_pool2d(const Node *node, OpKind kind, Value *input, const Window *window);
Value *emit_conv3d(const Node *node, Value *input, Value *weight, Value *bias,
                   const Window *window, int64_t group);
// The second output of a max pool: where its maxima lie (sample.c).
bool bind_pool_places(const Node *node, const Window *window);
Value *emit_pool3d(const Node *node, OpKind kind, Value *input, const Window *window);

// For global pools: N C and at most two spatial dimensions; and back, each of size 1.
Value *emit_plane(const Node *node, Value *input);
Value *emit_global_result(const Node *node, Value *value, int rank);
