// A network's outputs -> what a program wants of them: probabilities, the best classes and their scores, the class of each pixel, or the boxes
// of what was found (passes/boxes.c), by ops behind the network. Scores are computed in float.
#include "ir/state.h"
#include "passes/boxes.h"
#include "passes/rewrite.h"

Value *post_make(Post *post, OpKind kind, int count, Value *const *operands, Attr *attrs) {
    return op_result(op_new(&post->builder, kind, count, operands, 1, NULL, attrs), 0);
}

Value *post_unary(Post *post, OpKind kind, Value *value) { return post_make(post, kind, 1, &value, NULL); }

Value *post_cast(Post *post, Value *value, Elem elem) {
    return post_make(post, OP_cast, 1, &value, attr_type(post->arena, NULL, "to", type_tensor(post->arena, elem, 0, NULL)));
}

// Says which outputs there are, since those are what the specification must fit.
bool post_fail(Post *post, const char *expected) {
    char *text = arena_strdup(post->arena, "");
    for (int i = 0; i < post->count; i++)
        text = arena_printf(post->arena, "%s%s%s %s", text, i ? ", " : "", post->outputs[i]->name ? post->outputs[i]->name : "an output",
                            type_text(post->arena, post->outputs[i]->type));
    return diag_error(post->context->diag, loc_file(post->func->module->file), "--postprocess: %s; the outputs are %s", expected, text);
}

static Value *real(Post *post, Value *output) {
    if (output->type->quant) return post_unary(post, OP_dequantize, output);
    return output->type->elem == ELEM_F32 ? output : post_cast(post, output, ELEM_F32);
}

static bool is_called(const Value *output, const char *name) { return name && output->name && !strcmp(output->name, name); }

Value *post_output(Post *post, const char *name) {
    for (int i = 0; i < post->count; i++)
        if (is_called(post->outputs[i], name)) return real(post, post->outputs[i]);
    return NULL;
}

Value *post_output_shaped(Post *post, int rank, const int64_t *shape, int skip) {
    for (int i = 0; i < post->count; i++) {
        const Type *type = post->outputs[i]->type;
        bool fits = type->rank == rank && !is_called(post->outputs[i], post->spec->anchors_output);
        for (int j = 0; fits && j < rank; j++) fits = shape[j] < 0 || type->shape[j] == shape[j];
        if (fits && !skip--) return real(post, post->outputs[i]);
    }
    return NULL;
}

// An output of the network that is called so gives its name away, since it is none any more.
void post_give(Post *post, Value *value, const char *name) {
    for (int i = 0; i < post->count; i++)
        if (post->outputs[i]->def && post->outputs[i]->name && !strcmp(post->outputs[i]->name, name)) post->outputs[i]->name = NULL;
    if (!value->name) value_put_name(value, name);
    post->given[post->given_count++] = value;
}

// Channels of an image are fewer than its rows and columns.
static int class_axis(const Post *post, const Type *type) {
    const int64_t *shape = type->shape;
    if (post->spec->axis >= 0) return post->spec->axis;
    return type->rank == 4 && shape[1] < shape[2] && shape[1] < shape[3] && shape[3] > 1 ? 1 : type->rank - 1;
}

Value *post_scores(Post *post, Value *value, int axis) {
    if (post->spec->scores == SCORES_SIGMOID) return post_unary(post, OP_sigmoid, value);
    if (post->spec->scores == SCORES_SOFTMAX) return post_make(post, OP_softmax, 1, &value, attr_int(post->arena, NULL, "axis", axis));
    return value;
}

static bool best_classes(Post *post, Value *scores, int axis) {
    const int64_t classes = scores->type->shape[axis];
    if (post->spec->top_k > classes) return post_fail(post, arena_printf(post->arena, "top-k=%d of %lld classes", post->spec->top_k, (long long)classes));
    Attr *attrs = attr_int(post->arena, attr_int(post->arena, NULL, "axis", axis), "k", post->spec->top_k);
    Value *indices = post_make(post, OP_top_k, 1, &scores, attrs);
    post_give(post, post_make(post, OP_gather_elements, 2, (Value *[]){scores, indices}, attr_int(post->arena, NULL, "axis", axis)), "scores");
    post_give(post, post_cast(post, indices, ELEM_I32), "classes");
    return true;
}

static void class_map(Post *post, Value *scores, int axis) {
    Attr *attrs = attr_int(post->arena, attr_bool(post->arena, NULL, "keep_dims", false), "axis", axis);
    Value *classes = post_make(post, OP_arg_max, 1, &scores, attrs);
    post_give(post, post_cast(post, classes, scores->type->shape[axis] <= 256 ? ELEM_U8 : ELEM_I32), "classes");
}

static bool classified(Post *post) {
    const Postprocess *spec = post->spec;
    Value *output = spec->output ? post_output(post, spec->output) : post->count == 1 ? real(post, post->outputs[0]) : NULL;
    if (!output) return post_fail(post, spec->output ? arena_printf(post->arena, "there is no output '%s'", spec->output) : "name one with output=NAME");
    const Value *own = output->def && output->def->kind == OP_cast ? op_operand(output->def, 0) : output;
    if (!own->type->quant && !elem_is_float(own->type->elem)) return post_fail(post, "whole numbers are no scores of classes");
    const int axis = class_axis(post, output->type);
    if (!output->type->rank || axis >= output->type->rank || output->type->shape[axis] < 1)
        return post_fail(post, arena_printf(post->arena, "no classes along dimension %d", axis));
    Value *scores = post_scores(post, output, axis);
    if (spec->argmax) class_map(post, scores, axis);
    else if (spec->top_k) return best_classes(post, scores, axis);
    else post_give(post, scores, "scores");
    return true;
}

// The network returns what was made, and its states.
static void give_back(Post *post) {
    const int states = module_state_count(post->func->module);
    Op *old = post->func->last;
    Value **values = ARENA_ARRAY(post->arena, Value *, post->given_count + states);
    memcpy(values, post->given, sizeof *values * (size_t)post->given_count);
    for (int i = 0; i < states; i++) values[post->given_count + i] = op_operand(old, post->count + i);
    Builder builder = builder_before(old);
    op_new(&builder, OP_return, post->given_count + states, values, 0, NULL, NULL);
    op_erase(old);
}

bool postprocess(Module *module, const PassContext *context) {
    const Postprocess *spec = context->postprocess;
    Func *func = module_main(module);
    if (!spec) return true;
    if (!func) return diag_error(context->diag, loc_file(module->file), "there is no @main to postprocess");
    Post post = {.context = context, .spec = spec, .arena = module->arena, .builder = builder_before(func->last), .func = func};
    post.builder.loc.name = "postprocess";
    post.count = module_output_count(module);
    post.outputs = ARENA_ARRAY(module->arena, Value *, post.count + 1);
    for (int i = 0; i < post.count; i++) post.outputs[i] = op_operand(func->last, i);
    if (!(spec->boxes ? found_boxes(&post) : classified(&post))) return false;
    give_back(&post);
    return true;
}
