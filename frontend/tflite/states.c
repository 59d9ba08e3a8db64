// What the model keeps from run to run, as states of the module (ir/state.h): tensors that are marked as variable, which
// operators change in place; and variables, which have handles, are read and assigned, and begin with what a graph of their own
// (CALL_ONCE) assigns. In the order of the operators each read takes the value last assigned. A variable that nothing but that
// graph assigns is a constant.
#include <string.h>

#include "frontend/tflite/importer.h"
#include "ir/state.h"

enum { CODE_CALL_ONCE = 129, CODE_VAR_HANDLE = 142, CODE_ASSIGN_VARIABLE = 144 };

struct LiteState {
    const char *name;
    const Type *type; // NULL: not known yet
    const Dense *start;
    Value *arg, *value; // arg: NULL for what is constant, or not read yet
    bool changes;       // the main graph assigns it
    LiteState *next;
};

static LiteState *new_state(Lite *lite, const char *name) {
    LiteState *state = ARENA_NEW(lite->scratch, LiteState);
    state->name = name;
    return state;
}

// ---- arguments of the function

int lite_state_room(Lite *lite, FlatVector operators) {
    int room = 0;
    for (int i = 0; i < lite->tensor_count; i++) room += flat_int(lite->tensors[i].table, FLAT_Tensor_is_variable) != 0;
    for (uint32_t i = 0; i < operators.count; i++) room += lite_code(lite, flat_vector_table(operators, i)) == CODE_VAR_HANDLE;
    return room;
}

static void add_arg(Lite *lite, LiteState *state) {
    Func *func = lite->func;
    const char *name = state->name;
    BUG_UNLESS(lite->state_room > 0, "more states than tensors");
    lite->state_room--;
    state->arg = state->value = &func->args[func->arg_count++];
    state->arg->type = state->type;
    for (int k = 1; map_find(lite->names, name); k++) name = arena_printf(lite->scratch, "%s_%d", state->name, k);
    *map_get(lite->names, name) = state;
    state->arg->name = arena_strdup(lite->arena, name);
    *(lite->last_state ? &lite->last_state->next : &lite->first_state) = state;
    lite->last_state = state;
}

int lite_state_count(const Lite *lite) {
    int count = 0;
    for (const LiteState *state = lite->first_state; state; state = state->next) count++;
    return count;
}

void lite_next_states(const Lite *lite, Value **values) {
    for (const LiteState *state = lite->first_state; state; state = state->next) *values++ = state->value;
}

void lite_declare_states(Lite *lite) {
    int count = 0;
    for (const LiteState *state = lite->first_state; state; state = state->next, count++) {
        if (!state->start) continue;
        Dense *start = arena_copy(lite->arena, state->start, sizeof *start);
        start->type = state->arg->type;
        start->data = arena_copy(lite->arena, start->data, start->bytes);
        module_set_state_start(lite->module, count, start);
    }
    if (count) module_set_states(lite->module, count);
}

// ---- tensors that operators change in place

bool lite_is_variable(const LiteTensor *tensor) { return flat_int(tensor->table, FLAT_Tensor_is_variable) != 0; }

static LiteState *state_of(const LiteOp *op, LiteTensor *tensor) {
    Lite *lite = op->lite;
    if (tensor->state) return tensor->state;
    if (lite->branches || lite->starting) return lite_error(op, "its state '%s' is that of a branch, which is not supported", tensor->name), NULL;
    if (!tensor_describe(lite, tensor)) return NULL;
    if (tensor->elem == ELEM_COUNT || (tensor->quant && tensor->quant->axis >= 0))
        return lite_error(op, "its state '%s' has a type that is not supported", tensor->name), NULL;
    tensor->state = new_state(lite, tensor->name);
    tensor->state->type = tensor_type(lite, tensor);
    add_arg(lite, tensor->state);
    return tensor->state;
}

Value *lite_state_real(const LiteOp *op, int index) {
    LiteTensor *tensor = lite_tensor(op, index);
    if (!tensor || !lite_is_variable(tensor)) return lite_real(op, index);
    const LiteState *state = state_of(op, tensor);
    if (!state) return NULL;
    tensor->value = state->value, tensor->real = NULL;
    return lite_real(op, index);
}

bool lite_state_set(const LiteOp *op, int index, Value *value) {
    LiteTensor *tensor = lite_tensor(op, index);
    if (!value || !tensor || !lite_is_variable(tensor)) return value != NULL;
    LiteState *state = state_of(op, tensor);
    if (!state) return false;
    if (!type_equal(value->type, state->type))
        return lite_error(op, "its state '%s' is of type %s, but becomes %s", tensor->name, type_text(op->lite->scratch, state->type),
                          type_text(op->lite->scratch, value->type));
    state->value = value;
    return true;
}

// ---- variables

static LiteState *variable_of(Lite *lite, FlatTable options) {
    const char *container = flat_text(options, FLAT_VarHandleOptions_container), *shared = flat_text(options, FLAT_VarHandleOptions_shared_name);
    if (!lite->variables) lite->variables = map_new_texts(lite->scratch);
    void **slot = map_get(lite->variables, arena_printf(lite->scratch, "%s\n%s", container, shared));
    if (!*slot) *slot = new_state(lite, *shared ? shared : "variable");
    return *slot;
}

static LiteState *handle_of(const LiteOp *op) {
    const LiteTensor *tensor = lite_tensor(op, 0);
    if (tensor && tensor->state && !lite_is_variable(tensor)) return tensor->state;
    return lite_error(op, "its first input is the handle of no variable"), NULL;
}

bool tflite_var_handle(const LiteOp *op) {
    LiteTensor *tensor = lite_output(op, 0);
    if (!tensor || lite_is_variable(tensor)) return lite_error(op, "its result is no handle");
    tensor->state = variable_of(op->lite, op->options);
    tensor->defined = true;
    return true;
}

static Value *start_constant(const LiteOp *op, const LiteState *state) {
    const Dense *start = state->start ? state->start : dense_splat(op->lite->scratch, state->type, 0);
    return lite_constant(op->lite, start, false, NULL);
}

bool tflite_read_variable(const LiteOp *op) {
    LiteState *state = handle_of(op);
    LiteTensor *output = lite_output(op, 0);
    if (!state || !output || !tensor_describe(op->lite, output)) return false;
    if (op->lite->starting) return lite_error(op, "a graph that runs once reads a variable, which is not supported");
    if (!state->type && output->elem == ELEM_COUNT) return lite_error(op, "its variable has elements of a type that is not supported");
    if (!state->type) state->type = tensor_type(op->lite, output);
    if (!state->value && state->changes && !op->lite->state_room) return lite_error(op, "its variable has no handle in the main graph");
    if (!state->value && state->changes) add_arg(op->lite, state);
    if (!state->value) state->value = start_constant(op, state);
    return state->value && lite_bind(op, 0, state->value);
}

bool tflite_assign_variable(const LiteOp *op) {
    LiteState *state = handle_of(op);
    Value *value = state ? lite_input(op, 1) : NULL;
    if (!value) return false;
    if (op->lite->branches) return lite_error(op, "variable '%s' is assigned in a branch, which is not supported", state->name);
    if (!state->type) state->type = value->type;
    if (!type_equal(state->type, value->type))
        return lite_error(op, "variable '%s' is of type %s, but is assigned one of %s", state->name, type_text(op->lite->scratch, state->type),
                          type_text(op->lite->scratch, value->type));
    if (op->lite->starting) {
        state->start = value_constant(value);
        return state->start || lite_error(op, "what variable '%s' begins with must be constant", state->name);
    }
    if (!state->arg) add_arg(op->lite, state);
    state->value = value;
    return true;
}

// Its graph was run before all others.
bool tflite_call_once(const LiteOp *op) { return !op->lite->starting || lite_error(op, "a graph that runs once calls another, which is not supported"); }

// ---- what runs once

static void find_variables(Lite *lite, FlatVector operators) {
    for (uint32_t i = 0; i < operators.count; i++) {
        FlatTable table = flat_vector_table(operators, i);
        const int code = lite_code(lite, table);
        if (code != CODE_VAR_HANDLE && code != CODE_ASSIGN_VARIABLE) continue;
        LiteTensor *tensor = lite_tensor_at(lite, flat_vector(table, code == CODE_VAR_HANDLE ? FLAT_Operator_outputs : FLAT_Operator_inputs), 0);
        if (!tensor || lite_is_variable(tensor)) continue;
        if (code == CODE_VAR_HANDLE) tensor->state = variable_of(lite, flat_table(table, FLAT_Operator_builtin_options));
        if (code == CODE_ASSIGN_VARIABLE && tensor->state) tensor->state->changes = true;
    }
}

void lite_run_once(Lite *lite, FlatVector operators) {
    bool *done = ARENA_ARRAY(lite->scratch, bool, lite->subgraphs.count + 1);
    find_variables(lite, operators);
    for (uint32_t i = 0; i < operators.count && !lite->stopped; i++) {
        FlatTable table = flat_vector_table(operators, i);
        if (lite_code(lite, table) != CODE_CALL_ONCE) continue;
        const int64_t index = flat_int(flat_table(table, FLAT_Operator_builtin_options), FLAT_CallOnceOptions_init_subgraph_index);
        if (index < 1 || index >= lite->subgraphs.count) {
            lite_import_error(lite, "CALL_ONCE: the model has no graph %lld", (long long)index);
            return;
        }
        if (!done[index]) lite_run_graph(lite, (uint32_t)index);
        done[index] = true;
    }
}
