// What becomes of a network's outputs: what the pass postprocess puts behind it.
#pragma once
#include "ir/ir.h"

// How boxes are said. CORNERS: left, top, right, bottom; CENTERS: middle and size; SSD: both by anchors, which are middle and size; YOLOX and
// YUNET: by the cells of grids.
typedef enum { BOXES_NONE, BOXES_CORNERS, BOXES_CENTERS, BOXES_SSD, BOXES_YOLOX, BOXES_YUNET } BoxCoding;
typedef enum { SCORES_AS_THEY_ARE, SCORES_SOFTMAX, SCORES_SIGMOID } ScoreFunction;

typedef struct {
    const char *output;    // the one that this is about; NULL: the only one
    ScoreFunction scores;  // of classes, first of all
    int top_k;             // 0: not wanted
    bool argmax;
    int axis;              // of classes; -1: found by the shape
    BoxCoding boxes;
    bool relative;         // boxes are parts of the image, not pixels
    int background;        // so many classes are none, from the first on
    float score, iou;      // boxes of at least that score are kept that overlap no better one by more
    bool per_class;        // only those of its own class count
    int most;
    const Type *anchors_type; // of SSD: N x 4 of f32
    const float *anchors;
    const char *anchors_output; // or an output of the network
    float variances[4];    // of SSD: what middle and size are multiplied by
} Postprocess;
