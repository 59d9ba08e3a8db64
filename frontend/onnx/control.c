// If, Loop and Scan, where the way is known at import: the branch that is taken, and bodies as often
// as they run.
#include <string.h>

#include "frontend/onnx/importer.h"

enum { MAX_ITERATIONS = 1 << 16 };

static const Onnx__GraphProto *graph_attr(const Node *node, const char *name) {
    const Onnx__AttributeProto *attr = node_attr(node, name);
    if (!attr || !attr->g)
        node_error(node, "attribute %s is missing", name);
    return attr ? attr->g : NULL;
}

static int output_count(const Node *node) {
    return (int)node->proto->n_output;
}

static bool bind_all(const Node *node, const Binding *bindings) {
    for (int i = 0; i < output_count(node); i++)
        if (node->proto->output[i][0] && !node_bind_binding(node, i, bindings[i]))
            return false;
    return true;
}

bool convert_if(Node *node) {
    double condition;
    int count = output_count(node);
    if (!node_has_input(node, 0))
        return node_error(node, "input 0 is missing");
    if (!node_scalar(node, 0, 0, &condition))
        return false;
    const Onnx__GraphProto *branch = graph_attr(node, condition != 0 ? "then_branch" : "else_branch");
    Binding *outputs = ARENA_ARRAY(node->importer->scratch, Binding, count + 1);
    return branch && convert_graph(node, branch, 0, NULL, count, outputs) && bind_all(node, outputs);
}

// ---- what the iterations of a loop leave behind, joined along a new axis

typedef struct {
    int count, capacity;
    Value **values;
} Series;

static void series_add(Arena *arena, Series *series, Value *value) {
    if (series->count == series->capacity) {
        int capacity = series->capacity ? 2 * series->capacity : 16;
        Value **values = ARENA_ARRAY(arena, Value *, capacity);
        if (series->count)
            memcpy(values, series->values, sizeof *values * (size_t)series->count);
        series->values = values;
        series->capacity = capacity;
    }
    series->values[series->count++] = value;
}

// The value with a dimension of 1 at `axis`, which may be negative.
static bool add_step(const Node *node, Series *series, Binding binding, int64_t axis) {
    Value *value = binding_value(node, binding);
    int64_t dims[MAX_RANK + 1];
    int at;
    if (!value || !node_axis(node, axis, value->type->rank + 1, &at))
        return false;
    for (int i = 0; i <= value->type->rank; i++)
        dims[i] = i == at ? 1 : value->type->shape[i - (i > at)];
    value = emit_reshape(node, value, value->type->rank + 1, dims);
    series_add(node->importer->scratch, series, value);
    return value != NULL;
}

static Value *emit_series(const Node *node, const Series *series, int64_t axis, bool backward) {
    int count = series->count, at;
    if (!count)
        return node_error(node, "it has no iterations, and a result that joins them"), NULL;
    if (count == 1)
        return series->values[0];
    Value **values = ARENA_ARRAY(node->importer->scratch, Value *, count);
    for (int i = 0; i < count; i++)
        values[i] = series->values[backward ? count - 1 - i : i];
    if (!node_axis(node, axis, values[0]->type->rank, &at))
        return NULL;
    return emit(node, OP_concat, count, values, attr_int(node->importer->arena, NULL, "axis", at));
}

// ---- Loop

static const Dense *scalar(const Node *node, Elem elem, int64_t number) {
    Arena *scratch = node->importer->scratch;
    return dense_splat(scratch, type_tensor(scratch, elem, 0, NULL), (double)number);
}

// Whether the body's own condition lets another iteration follow.
static bool read_condition(const Node *node, Binding binding, bool *goes_on) {
    const Dense *dense = binding.dense ? binding.dense : value_constant(binding.value);
    if (!dense || dense_count(dense) != 1)
        return node_error(node, "the condition of its body depends on what is computed: only loops "
                                "with a constant number of iterations are supported");
    *goes_on = dense_i64(dense, 0) != 0;
    return true;
}

bool convert_loop(Node *node) {
    Arena *scratch = node->importer->scratch;
    const Onnx__GraphProto *body = graph_attr(node, "body");
    int states = node_input_count(node) > 2 ? node_input_count(node) - 2 : 0;
    int results = output_count(node), scans = results - states;
    double trips, condition;
    if (!body || !node_scalar(node, 0, MAX_ITERATIONS + 1, &trips) || !node_scalar(node, 1, 1, &condition))
        return false;
    if (scans < 0)
        return node_error(node, "it has %d outputs for %d states", results, states);
    Binding *in = ARENA_ARRAY(scratch, Binding, states + 2), *out = ARENA_ARRAY(scratch, Binding, results + 1);
    Series *series = ARENA_ARRAY(scratch, Series, scans + 1);
    for (int i = 0; i < states; i++)
        if (!binding_of_input(node, 2 + i, &in[2 + i]))
            return false;
    bool goes_on = condition != 0;
    for (int64_t step = 0; goes_on && (double)step < trips; step++) {
        if (step >= MAX_ITERATIONS)
            return node_error(node, "it has more than %d iterations", MAX_ITERATIONS);
        in[0] = (Binding){.dense = scalar(node, ELEM_I64, step)};
        in[1] = (Binding){.dense = scalar(node, ELEM_I1, 1)};
        if (!convert_graph(node, body, 2 + states, in, 1 + results, out) ||
            !read_condition(node, out[0], &goes_on))
            return false;
        memcpy(in + 2, out + 1, sizeof *in * (size_t)states);
        for (int i = 0; i < scans; i++)
            if (!add_step(node, &series[i], out[1 + states + i], 0))
                return false;
    }
    memcpy(out, in + 2, sizeof *in * (size_t)states);
    for (int i = 0; i < scans; i++)
        if (!(out[states + i] = (Binding){.value = emit_series(node, &series[i], 0, false)}).value)
            return false;
    return bind_all(node, out);
}

// ---- Scan

typedef struct {
    int states, inputs, outputs;
    Ints input_axes, input_directions, output_axes, output_directions;
    int64_t steps;
} Scan;

static int64_t listed(Ints list, int index) {
    return index < list.count ? list.data[index] : 0;
}

static bool read_scan(const Node *node, Scan *scan) {
    int64_t count = node_int(node, "num_scan_inputs", 0);
    if (node->importer->opset < 9)
        return node_error(node, "the form of opset 8 is not supported");
    if (count < 1 || count > node_input_count(node))
        return node_error(node, "num_scan_inputs is %lld, it has %d inputs", (long long)count, node_input_count(node));
    scan->inputs = (int)count;
    scan->states = node_input_count(node) - scan->inputs;
    scan->outputs = output_count(node) - scan->states;
    if (scan->outputs < 0)
        return node_error(node, "it has %d outputs for %d states", output_count(node), scan->states);
    return node_ints(node, "scan_input_axes", &scan->input_axes) &&
           node_ints(node, "scan_input_directions", &scan->input_directions) &&
           node_ints(node, "scan_output_axes", &scan->output_axes) &&
           node_ints(node, "scan_output_directions", &scan->output_directions);
}

// Element `step` of scan input `index`, without its axis.
static Value *emit_element(const Node *node, const Scan *scan, int index, int64_t step) {
    Value *input = node_input(node, scan->states + index);
    int64_t starts[MAX_RANK] = {0}, ends[MAX_RANK], dims[MAX_RANK];
    int axis, rank = 0;
    if (!input || !node_axis(node, listed(scan->input_axes, index), input->type->rank, &axis))
        return NULL;
    if (input->type->shape[axis] != scan->steps)
        return node_error(node, "its scanned inputs differ in length"), NULL;
    for (int i = 0; i < input->type->rank; i++) {
        ends[i] = input->type->shape[i];
        if (i != axis)
            dims[rank++] = ends[i];
    }
    starts[axis] = listed(scan->input_directions, index) ? scan->steps - 1 - step : step;
    ends[axis] = starts[axis] + 1;
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_ints(arena, NULL, "ends", input->type->rank, ends);
    Value *slice = emit_unary(node, OP_slice, input, attr_ints(arena, attrs, "starts", input->type->rank, starts));
    return emit_reshape(node, slice, rank, dims);
}

static bool scan_length(const Node *node, Scan *scan) {
    const Type *type = node_input_type(node, scan->states);
    int axis;
    if (!type || !node_axis(node, listed(scan->input_axes, 0), type->rank, &axis))
        return false;
    scan->steps = type->shape[axis];
    return scan->steps <= MAX_ITERATIONS || node_error(node, "it has more than %d iterations", MAX_ITERATIONS);
}

bool convert_scan(Node *node) {
    Arena *scratch = node->importer->scratch;
    const Onnx__GraphProto *body = graph_attr(node, "body");
    Scan scan = {0};
    if (!body || !read_scan(node, &scan) || !scan_length(node, &scan))
        return false;
    Binding *in = ARENA_ARRAY(scratch, Binding, scan.states + scan.inputs + 1);
    Binding *out = ARENA_ARRAY(scratch, Binding, scan.states + scan.outputs + 1);
    Series *series = ARENA_ARRAY(scratch, Series, scan.outputs + 1);
    for (int i = 0; i < scan.states; i++)
        if (!binding_of_input(node, i, &in[i]))
            return false;
    for (int64_t step = 0; step < scan.steps; step++) {
        for (int i = 0; i < scan.inputs; i++)
            if (!(in[scan.states + i] = (Binding){.value = emit_element(node, &scan, i, step)}).value)
                return false;
        if (!convert_graph(node, body, scan.states + scan.inputs, in, scan.states + scan.outputs, out))
            return false;
        memcpy(in, out, sizeof *in * (size_t)scan.states);
        for (int i = 0; i < scan.outputs; i++)
            if (!add_step(node, &series[i], out[scan.states + i], listed(scan.output_axes, i)))
                return false;
    }
    memcpy(out, in, sizeof *in * (size_t)scan.states);
    for (int i = 0; i < scan.outputs; i++) {
        bool backward = listed(scan.output_directions, i) != 0;
        out[scan.states + i] = (Binding){.value = emit_series(node, &series[i], listed(scan.output_axes, i), backward)};
        if (!out[scan.states + i].value)
            return false;
    }
    return bind_all(node, out);
}
