// import_tflite: a TFLite file to a module of nn ops with one function @main, named as in the file. The main subgraph is
// the first. Constants that nothing takes any more are removed at the end.
#include <string.h>

#include "frontend/tflite/importer.h"

enum { SCHEMA_VERSION = 3, CODE_CUSTOM = 32, CODE_DELEGATE = 51, MAX_NODES = 1 << 20 };
// What constants may come to: those that several operators take are copied for each of them.
#define CONSTANT_BYTES(file_bytes) (((int64_t)1 << 28) + 32 * (int64_t)(file_bytes))
// Lists and operators may lie in one place of the file many times over; a file that says each thing once has 4 bytes a link.
#define MAX_LINKS(file_bytes) (((int64_t)1 << 16) + (int64_t)(file_bytes))
enum { MAX_OPS = 1 << 21 };

static const LiteRow rows[] = {
#define TFLITE(code, name, function) {code, #name, function},
#define TFLITE_CUSTOM(name, function) {CODE_CUSTOM, #name, function},
#define TFLITE_MISSING(code, name) {code, #name, NULL},
#include "frontend/tflite/tflite_ops.def"
#undef TFLITE
#undef TFLITE_CUSTOM
#undef TFLITE_MISSING
};
enum { ROW_COUNT = (int)(sizeof rows / sizeof *rows) };

// Those that are not imported stand at the end.
const char *tflite_operator(int index) { return index >= 0 && index < ROW_COUNT && rows[index].convert ? rows[index].name : NULL; }

bool lite_import_error(const Lite *lite, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(lite->scratch, format, args);
    va_end(args);
    return diag_error(lite->diag, loc_file(lite->path), "%s", printable(lite->scratch, text));
}

bool lite_stop(Lite *lite, const char *text) {
    if (!lite->stopped) lite_import_error(lite, "%s", text);
    lite->stopped = true;
    return false;
}

bool is_tflite(const char *data, size_t bytes) { return bytes >= 8 && !memcmp(data + 4, "TFL3", 4); }

// ---- operators

// Of old models the code stands in a field of 8 bits.
static int code_of(FlatTable row) {
    int64_t old = flat_int(row, FLAT_OperatorCode_deprecated_builtin_code), new = flat_int(row, FLAT_OperatorCode_builtin_code);
    return (int)(new > old ? new : old);
}

static bool find_code(const Lite *lite, FlatTable table, FlatTable *row) {
    int64_t index = flat_int(table, FLAT_Operator_opcode_index);
    if (index < 0 || index >= lite->codes.count) return false;
    *row = flat_vector_table(lite->codes, (uint32_t)index);
    return true;
}

int lite_code(const Lite *lite, FlatTable table) {
    FlatTable row;
    return find_code(lite, table, &row) ? code_of(row) : -1;
}

static const LiteRow *find_row(const Lite *lite, FlatTable table, int *code, const char **name) {
    FlatTable row;
    *code = -1, *name = "unknown";
    if (!find_code(lite, table, &row)) return NULL;
    *code = code_of(row);
    bool custom = *code == CODE_CUSTOM;
    *name = custom ? printable(lite->scratch, flat_text(row, FLAT_OperatorCode_custom_code)) : arena_printf(lite->scratch, "builtin operator %d", *code);
    for (int i = 0; i < ROW_COUNT; i++)
        if (rows[i].code == *code && (!custom || !strcmp(rows[i].name, *name))) return *name = rows[i].name, rows[i].convert ? &rows[i] : NULL;
    return NULL;
}

static const char *name_of_op(Lite *lite, FlatTable table, uint32_t index) {
    FlatVector outputs = flat_vector(table, FLAT_Operator_outputs);
    for (uint32_t i = 0; i < outputs.count; i++) {
        int64_t tensor = flat_vector_int(outputs, i);
        if (tensor >= 0 && tensor < lite->tensor_count) return lite->tensors[tensor].name;
    }
    return arena_printf(lite->scratch, "operator %u", index);
}

// One operator that is not imported, with how many more there are of it.
typedef struct {
    const char *op, *first;
    int code, count;
} Missing;

static void report_missing(Lite *lite, const Missing *missing) {
    const char *more = missing->count > 1 ? arena_printf(lite->scratch, " and %d more like it", missing->count - 1) : "";
    const char *advice = missing->code == CODE_DELEGATE ? "it stands for another machine's code: take the model as it was before"
                                                        : "`qanat ops` lists what is";
    lite_import_error(lite, "node '%s' (%s)%s: the operator is not supported; %s", printable(lite->scratch, missing->first), missing->op, more, advice);
    UnsupportedList *list = lite->options ? lite->options->unsupported : NULL;
    if (!list || list->count == MAX_UNSUPPORTED) return;
    list->items[list->count++] = (Unsupported){
        .op = arena_strdup(lite->arena, missing->op), .domain = missing->code == CODE_CUSTOM ? "tflite.custom" : "tflite",
        .first = arena_strdup(lite->arena, missing->first), .advice = advice, .count = missing->count};
}

static void report_unsupported_ops(Lite *lite, FlatVector operators) {
    Missing missing[MAX_UNSUPPORTED];
    int count = 0;
    for (uint32_t i = 0; i < operators.count; i++) {
        FlatTable table = flat_vector_table(operators, i);
        const char *name;
        int code, at = 0;
        if (find_row(lite, table, &code, &name)) continue;
        while (at < count && strcmp(missing[at].op, name) != 0) at++;
        if (at == MAX_UNSUPPORTED) continue;
        if (at == count) missing[count++] = (Missing){name, name_of_op(lite, table, i), code, 0};
        missing[at].count++;
    }
    for (int i = 0; i < count; i++) report_missing(lite, &missing[i]);
}

static bool inputs_ready(const LiteOp *op) {
    for (int i = 0; i < lite_input_count(op); i++) {
        LiteTensor *tensor = lite_tensor(op, i);
        if (tensor && !tensor_describe(op->lite, tensor)) return false;
        if (tensor && tensor->broken) return false;
    }
    return true;
}

static void convert_op(Lite *lite, FlatTable table, uint32_t index) {
    int code;
    const char *kind, *name = printable(lite->scratch, name_of_op(lite, table, index));
    const LiteRow *row = find_row(lite, table, &code, &kind);
    LiteOp op = {.lite = lite, .table = table, .code = code, .options = flat_table(table, FLAT_Operator_builtin_options)};
    op.inputs = flat_vector(table, FLAT_Operator_inputs);
    op.outputs = flat_vector(table, FLAT_Operator_outputs);
    lite->links_left -= (int64_t)op.inputs.count + op.outputs.count;
    if (lite->links_left < 0) return (void)lite_stop(lite, "its operators list far more tensors than the file holds: it may be damaged");
    op.label = arena_printf(lite->scratch, "node '%s' (%s)", name, kind);
    lite->builder.loc = (Loc){.file = lite->module->file, .name = arena_strdup(lite->arena, name)};
    if (row && inputs_ready(&op) && row->convert(&op)) return;
    for (int i = 0; i < (int)op.outputs.count; i++) {
        LiteTensor *output = lite_output(&op, i);
        if (output) output->defined = output->broken = true;
    }
}

// ---- tensors, inputs and outputs

static bool read_tensors(Lite *lite, FlatTable graph) {
    FlatVector tensors = flat_vector(graph, FLAT_SubGraph_tensors);
    lite->tensor_count = (int)(tensors.count < MAX_NODES ? tensors.count : 0);
    if (tensors.count >= MAX_NODES) return lite_import_error(lite, "it has more than 2^20 tensors");
    lite->tensors = ARENA_ARRAY(lite->scratch, LiteTensor, lite->tensor_count + 1);
    for (int i = 0; i < lite->tensor_count; i++) {
        LiteTensor *tensor = &lite->tensors[i];
        tensor->table = flat_vector_table(tensors, (uint32_t)i);
        const char *name = flat_text(tensor->table, FLAT_Tensor_name);
        tensor->name = *name ? name : arena_printf(lite->scratch, "tensor_%d", i);
    }
    return true;
}

LiteTensor *lite_tensor_at(const Lite *lite, FlatVector list, uint32_t index) {
    int64_t number = index < list.count ? flat_vector_int(list, index) : -1;
    return number >= 0 && number < lite->tensor_count ? &lite->tensors[number] : NULL;
}

static bool apply_shape(Lite *lite, LiteTensor *tensor, const ShapeOption *option) {
    if (option->rank != tensor->rank)
        return lite_import_error(lite, "--shape gives input '%s' %d dimensions, the model has %d", tensor->name, option->rank, tensor->rank);
    lite->reshaped |= memcmp(tensor->shape, option->dims, sizeof(int64_t) * (size_t)tensor->rank) != 0;
    memcpy(tensor->shape, option->dims, sizeof(int64_t) * (size_t)tensor->rank);
    return dims_count(tensor->rank, tensor->shape) >= 0 || lite_import_error(lite, "input '%s' would have more than 2^31 elements", tensor->name);
}

static bool apply_shapes(Lite *lite, FlatVector inputs) {
    const ImportOptions *options = lite->options;
    for (int i = 0; options && i < options->shape_count; i++) {
        const ShapeOption *option = &options->shapes[i];
        LiteTensor *found = NULL;
        if (!option->input && inputs.count != 1) return lite_import_error(lite, "--shape must name an input: the model has %u", inputs.count);
        for (uint32_t j = 0; j < inputs.count; j++)
            if (!option->input || !strcmp(option->input, lite_tensor_at(lite, inputs, j)->name)) found = lite_tensor_at(lite, inputs, j);
        if (!found) return lite_import_error(lite, "--shape names the input '%s', which the model does not have", option->input);
        if (!apply_shape(lite, found, option)) return false;
    }
    return true;
}

static bool check_input(Lite *lite, LiteTensor *tensor) {
    if (!tensor) return lite_import_error(lite, "an input of the graph is no tensor of it: the model may be damaged");
    if (tensor->defined) return lite_import_error(lite, "the graph names its input '%s' twice", tensor->name);
    if (!tensor_describe(lite, tensor)) return false;
    tensor->defined = true;
    if (tensor->elem == ELEM_COUNT)
        return lite_import_error(lite, "input '%s' has elements of type %s, which is not supported", tensor->name, tensor_type_name(tensor->code));
    return !tensor->quant || tensor->quant->axis < 0 || lite_import_error(lite, "input '%s' is quantized along an axis", tensor->name);
}

// To the type that the graph computes with, or the caller's: u8 is i8 within.
static Value *with_storage(Lite *lite, Value *value, const Type *type, const char *name) {
    Op *made = op_new(&lite->builder, OP_requantize, 1, &value, 1, &type, NULL);
    value_name_once(lite->arena, lite->scratch, lite->names, op_result(made, 0), name);
    return op_result(made, 0);
}

static void take_input(Lite *lite, LiteTensor *tensor, Value *arg) {
    tensor->value = arg;
    if (arg->type->quant && arg->type->elem == ELEM_U8)
        tensor->value = with_storage(lite, arg, tensor_type(lite, tensor), arena_printf(lite->scratch, "%s_i8", tensor->name));
}

static bool declare_inputs(Lite *lite, FlatVector inputs, int states) {
    if (inputs.count >= MAX_NODES) return lite_import_error(lite, "it has more than 2^20 inputs");
    for (uint32_t i = 0; i < inputs.count; i++)
        if (!check_input(lite, lite_tensor_at(lite, inputs, i))) return false;
    if (!apply_shapes(lite, inputs)) return false;
    const int count = (int)inputs.count;
    const Type **types = ARENA_ARRAY(lite->scratch, const Type *, count + states + 1);
    const char **names = ARENA_ARRAY(lite->scratch, const char *, count + states + 1);
    for (uint32_t i = 0; i < inputs.count; i++) {
        LiteTensor *tensor = lite_tensor_at(lite, inputs, i);
        types[i] = tensor_edge_type(lite, tensor);
        names[i] = tensor->name;
        for (int k = 1; map_find(lite->names, names[i]); k++) names[i] = arena_printf(lite->scratch, "%s_%d", tensor->name, k);
        *map_get(lite->names, names[i]) = tensor;
    }
    lite->func = func_new(lite->module, "main", count + states, types, names);
    lite->func->arg_count = count; // states follow as they are found
    lite->state_room = states;
    lite->builder = builder_end(lite->func);
    for (uint32_t i = 0; i < inputs.count; i++) take_input(lite, lite_tensor_at(lite, inputs, i), &lite->func->args[i]);
    return true;
}

// Gives the name of a value to another, which the user sees.
static void pass_name(Lite *lite, Value *value) {
    if (!value->name || !value->def) return;
    *map_get(lite->names, value->name) = NULL;
    const char *inner = arena_printf(lite->scratch, "%s_i8", value->name);
    value->name = NULL;
    value_name_once(lite->arena, lite->scratch, lite->names, value, inner);
}

// A copy where the value has another name to keep, or is an input.
static Value *output_value(Lite *lite, LiteTensor *tensor) {
    const Dense *dense = tensor->value ? NULL : tensor_dense(lite, tensor);
    Value *value = dense ? lite_constant(lite, dense, false, tensor->name) : tensor->value;
    if (value && tensor->is_unsigned && tensor->quant) {
        if (value->name && !strcmp(value->name, tensor->name)) pass_name(lite, value);
        const Quant *quant = quant_per_tensor(lite->arena, ELEM_U8, tensor->quant->scale[0], tensor->quant->zero_point[0] + 128);
        return with_storage(lite, value, type_quantized(lite->arena, quant, value->type->rank, value->type->shape), tensor->name);
    }
    if (!value || (value->name && !strcmp(value->name, tensor->name))) return value;
    Attr *attrs = attr_ints(lite->arena, NULL, "shape", value->type->rank, value->type->shape);
    Value *copy = op_infer(&lite->builder, lite->quiet, OP_reshape, 1, &value, attrs);
    if (copy) value_name_once(lite->arena, lite->scratch, lite->names, copy, tensor->name);
    return copy;
}

static bool emit_return(Lite *lite, FlatVector outputs) {
    const int states = lite_state_count(lite);
    Value **values = ARENA_ARRAY(lite->scratch, Value *, (int64_t)outputs.count + states + 1);
    lite->builder.loc = loc_file(lite->module->file);
    if (!outputs.count) return lite_import_error(lite, "the graph has no outputs");
    for (uint32_t i = 0; i < outputs.count; i++) {
        LiteTensor *tensor = lite_tensor_at(lite, outputs, i);
        values[i] = tensor ? output_value(lite, tensor) : NULL;
        if (!values[i]) return lite_import_error(lite, "the graph's output '%s' is computed by no node", tensor ? tensor->name : "?");
    }
    lite_next_states(lite, values + outputs.count);
    op_new(&lite->builder, OP_return, (int)outputs.count + states, values, 0, NULL, NULL);
    lite_declare_states(lite);
    return true;
}

// ---- the file

static void convert_graph(Lite *lite, FlatVector operators) {
    report_unsupported_ops(lite, operators);
    for (uint32_t i = 0; i < operators.count && !lite->stopped; i++) convert_op(lite, flat_vector_table(operators, i), i);
}

void lite_run_graph(Lite *lite, uint32_t index) {
    FlatTable graph = flat_vector_table(lite->subgraphs, index);
    FlatVector operators = flat_vector(graph, FLAT_SubGraph_operators);
    LiteTensor *tensors = lite->tensors;
    const int count = lite->tensor_count;
    lite->links_left -= (int64_t)operators.count + flat_vector(graph, FLAT_SubGraph_tensors).count;
    if (operators.count >= MAX_NODES || lite->links_left < 0) {
        lite_stop(lite, "its graphs have far more operators than the file holds: it may be damaged");
        return;
    }
    lite->starting = true;
    if (read_tensors(lite, graph)) convert_graph(lite, operators);
    lite->starting = false;
    lite->tensors = tensors, lite->tensor_count = count;
}

static bool take_inputs(const LiteOp *op, FlatVector list, int count, Value *const *inputs) {
    if ((int)list.count != count) return lite_error(op, "a branch takes %u inputs, it has %d", list.count, count);
    for (int i = 0; i < count; i++) {
        LiteTensor *tensor = lite_tensor_at(op->lite, list, (uint32_t)i);
        if (!tensor || !tensor_describe(op->lite, tensor) || tensor->elem == ELEM_COUNT || !type_equal(tensor_type(op->lite, tensor), inputs[i]->type))
            return lite_error(op, "input %d of a branch has another type than what it is given", i);
        tensor->value = inputs[i], tensor->defined = true;
    }
    return true;
}

static bool take_outputs(const LiteOp *op, FlatVector list, int count, Value **outputs) {
    if ((int)list.count != count) return lite_error(op, "a branch gives %u results, it has %d", list.count, count);
    for (int i = 0; i < count; i++) {
        LiteTensor *tensor = lite_tensor_at(op->lite, list, (uint32_t)i);
        const Dense *dense = tensor && !tensor->value ? tensor_dense(op->lite, tensor) : NULL;
        outputs[i] = dense ? lite_constant(op->lite, dense, false, tensor->name) : tensor ? tensor->value : NULL;
        if (!outputs[i]) return lite_error(op, "result %d of a branch is computed by nothing", i);
    }
    return true;
}

bool lite_inline(const LiteOp *op, int64_t index, int input_count, Value *const *inputs, int output_count, Value **outputs) {
    enum { MAX_BRANCHES = 8 };
    Lite *lite = op->lite;
    if (index < 1 || index >= lite->subgraphs.count) return lite_error(op, "the model has no graph %lld", (long long)index);
    if (lite->branches == MAX_BRANCHES) return lite_error(op, "its branches lie in more than %d others", MAX_BRANCHES);
    FlatTable graph = flat_vector_table(lite->subgraphs, (uint32_t)index);
    FlatVector operators = flat_vector(graph, FLAT_SubGraph_operators);
    LiteTensor *tensors = lite->tensors;
    const int count = lite->tensor_count, errors = diag_error_count(lite->diag);
    lite->links_left -= (int64_t)operators.count + flat_vector(graph, FLAT_SubGraph_tensors).count + 1;
    if (operators.count >= MAX_NODES || lite->links_left < 0) return lite_stop(lite, "its graphs have far more operators than the file holds: it may be damaged");
    lite->branches++;
    bool good = read_tensors(lite, graph) && take_inputs(op, flat_vector(graph, FLAT_SubGraph_inputs), input_count, inputs);
    if (good) convert_graph(lite, operators);
    good = good && diag_error_count(lite->diag) == errors && take_outputs(op, flat_vector(graph, FLAT_SubGraph_outputs), output_count, outputs);
    lite->branches--;
    lite->tensors = tensors, lite->tensor_count = count;
    return good;
}

static bool import_graph(Lite *lite) {
    FlatTable graph = flat_vector_table(lite->subgraphs, 0);
    FlatVector operators = flat_vector(graph, FLAT_SubGraph_operators);
    if (operators.count >= MAX_NODES) return lite_import_error(lite, "it has more than 2^20 operators");
    if (!read_tensors(lite, graph) || !declare_inputs(lite, flat_vector(graph, FLAT_SubGraph_inputs), lite_state_room(lite, operators))) return false;
    int errors = diag_error_count(lite->diag);
    lite_run_once(lite, operators);
    convert_graph(lite, operators);
    if (lite->file.damaged) return lite_import_error(lite, "parts of the file point out of it: it is cut short or damaged");
    if (diag_error_count(lite->diag) > errors) return false;
    if (!emit_return(lite, flat_vector(graph, FLAT_SubGraph_outputs))) return false;
    name_resources(lite->module, lite->func, lite->names, lite->scratch);
    return true;
}

static bool import_file(Lite *lite) {
    FlatTable model = flat_root(&lite->file);
    int64_t version = flat_int(model, FLAT_Model_version);
    lite->codes = flat_vector(model, FLAT_Model_operator_codes);
    lite->buffers = flat_vector(model, FLAT_Model_buffers);
    lite->subgraphs = flat_vector(model, FLAT_Model_subgraphs);
    if (lite->file.damaged) return lite_import_error(lite, "it begins like a TFLite model, but is cut short or damaged");
    if (version != SCHEMA_VERSION) return lite_import_error(lite, "its schema has version %lld, expected %d", (long long)version, SCHEMA_VERSION);
    if (!lite->subgraphs.count) return lite_import_error(lite, "it holds no graph");
    if (lite->options && lite->options->constant_count)
        return lite_import_error(lite, "--constant gives values to the inputs of an ONNX model; this is TFLite");
    return import_graph(lite);
}

Module *import_tflite(Arena *arena, Diag *diag, const char *path, const void *data, size_t bytes, const ImportOptions *options) {
    Arena *scratch = arena_new();
    Lite lite = {.arena = arena, .scratch = scratch, .diag = diag, .path = path, .options = options,
                 .file = {.data = data, .bytes = bytes}, .constant_bytes_left = CONSTANT_BYTES(bytes),
                 .links_left = MAX_LINKS(bytes), .ops_left = MAX_OPS};
    lite.quiet = diag_new(scratch, NULL);
    lite.names = map_new_texts(scratch);
    lite.module = module_new(arena, module_name_of(scratch, path));
    lite.module->file = arena_strdup(arena, path);
    bool done = import_file(&lite);
    arena_free(scratch);
    return done ? lite.module : NULL;
}
