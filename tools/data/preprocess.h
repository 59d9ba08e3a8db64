// From an image file to a network's input: the specification that --preprocess gives, and carrying it out.
#pragma once
#include "ir/type.h"
#include "ir/yuv.h"
#include "tools/data/image.h"

typedef enum { LAYOUT_AUTO, LAYOUT_NCHW, LAYOUT_NHWC, LAYOUT_YUV } Layout;
typedef enum { COLOR_RGB, COLOR_BGR, COLOR_GRAY } Color;

typedef struct {
    int turns;               // quarter turns clockwise, first of all
    bool mirrored, upended;  // then left and right, top and bottom change places
    ResizeKind filter;
    int resize_width, resize_height; // both 0: no resize; height 0: the shorter side becomes resize_width
    int crop_width, crop_height;     // 0: no crop
    bool crop_placed;                // it begins at column crop_left and row crop_top; else in the middle
    int crop_left, crop_top;
    Color color;
    bool color_given;
    bool normalised;          // something is said of the next three
    double scale;             // value = (pixel * scale - mean) / std
    double mean[3], std[3];   // in the order of the input's channels
    Layout layout;
    const char *yuv;          // of LAYOUT_YUV: as nn.yuv_to_rgb calls it
    int columns;              // how many of the input's columns the image fills; 0: all
} Preprocess;

// "rotate=90,flip=horizontal,resize=256,filter=antialias,crop=224,color=rgb,mean=123.675:116.28:103.53,std=58.395:57.12:57.375,scale=1,
// layout=nchw"; sizes N or WxH, that of the crop also WxH+LEFT+TOP.
bool preprocess_parse(const char *spec, Preprocess *preprocess, Fault *fault);

// Where an image goes in an input of this type: rank 4, batch 1, 1 or 3 channels first or last. LAYOUT_AUTO decides by
// the dimension that can be a channel count. LAYOUT_YUV: a frame of luma and chroma.
typedef struct {
    int height, width, channels;
    Layout layout;
    int pitch;        // columns from row to row
    YuvPlanes planes; // of LAYOUT_YUV
} ImageInput;
bool image_input(const Type *type, const Preprocess *preprocess, ImageInput *input, Fault *fault);

// An image's size after resizing, and what the crop keeps of it.
typedef struct { int width, height, left, top, crop_width, crop_height; } Fitted;
// For an image of this size (not turned yet). A fault where what is kept exceeds it or is not what the input takes.
bool preprocess_fit(const Preprocess *preprocess, const ImageInput *input, int width, int height, Fitted *fitted, Fault *fault);
// What each value of a pixel becomes in a channel of the input, as elements of it.
void preprocess_table(const Preprocess *preprocess, int channel, const Type *type, uint64_t table[256]);

// Reads, resizes, crops and normalises one image into floats, or into an input of bytes by its own scale; where the
// specification says nothing of scale, mean or deviation, and where it has no scale, bytes are those of the image.
bool preprocess_load(const char *path, const Preprocess *preprocess, const ImageInput *input, const Type *type, void *target,
                     Fault *fault);
