// What the files of the pass postprocess share.
#pragma once
#include "passes/pass.h"

enum { POST_MOST_GIVEN = 8 };
typedef struct {
    const PassContext *context;
    const Postprocess *spec;
    Arena *arena;
    Builder builder;
    Func *func;
    int count; // of the network's own outputs
    Value **outputs;
    int given_count;
    Value *given[POST_MOST_GIVEN];
} Post;

Value *post_make(Post *post, OpKind kind, int count, Value *const *operands, Attr *attrs);
Value *post_unary(Post *post, OpKind kind, Value *value);
Value *post_cast(Post *post, Value *value, Elem elem);
bool post_fail(Post *post, const char *expected); // false
// An output as floats, by name, or of a shape (-1: any) and not the anchors, the first after `skip` such; NULL where there is none.
Value *post_output(Post *post, const char *name);
Value *post_output_shaped(Post *post, int rank, const int64_t *shape, int skip);
Value *post_scores(Post *post, Value *value, int axis);
// An output of the result, in order.
void post_give(Post *post, Value *value, const char *name);

// Boxes decoded, the best kept that don't overlap, in pixels of the frame or else of the network's input.
bool found_boxes(Post *post);
