// The states of a module (state.h): two kinds of attributes of the module.
#include "ir/state.h"

#include <string.h>

#include "ir/eval_common.h"

static const char states_attr[] = "qanat.states";

int module_state_count(const Module *module) {
    const Attr *attr = attr_find(module->attrs, states_attr);
    return attr && attr->kind == ATTR_INT && attr->i > 0 && attr->i <= INT32_MAX ? (int)attr->i : 0;
}

int module_input_count(const Module *module) {
    return module_main(module)->arg_count - module_state_count(module);
}

int module_output_count(const Module *module) {
    return module_main(module)->last->operand_count - module_state_count(module);
}

Value *module_state(const Module *module, int index) {
    return &module_main(module)->args[module_input_count(module) + index];
}

Value *module_next_state(const Module *module, int index) {
    return op_operand(module_main(module)->last, module_output_count(module) + index);
}

static const char *start_name(Arena *arena, int index) { return arena_printf(arena, "qanat.start.%d", index); }

const Dense *module_state_start(const Module *module, int index) {
    const Attr *attr = module->attrs ? attr_find(module->attrs, start_name(module->arena, index)) : NULL;
    return attr && attr->kind == ATTR_DENSE ? attr->dense : NULL;
}

Tensor module_start_tensor(Arena *arena, const Module *module, int index, const Type *type) {
    const Dense *start = module_state_start(module, index);
    Tensor tensor = tensor_new(arena, type);
    Tensor from = start ? (Tensor){start->type, (void *)(uintptr_t)start->data} : tensor_new(arena, type);
    if (!start && type->quant) tensor_set_f64(&from, 0, type->quant->zero_point[0]);
    const int64_t count = type_elem_count(type);
    for (int64_t i = 0; i < count; i++) copy_elems(&tensor, i, &from, start && !start->splat ? i : 0, 1);
    return tensor;
}

// Lists of attributes are shared between copies of a module.
static void replace_attr(Module *module, Attr *attr) {
    Attr *list = NULL;
    for (const Attr *old = module->attrs; old; old = old->next) {
        if (!strcmp(old->name, attr->name)) continue;
        Attr *copy = arena_copy(module->arena, old, sizeof *old);
        copy->next = list;
        list = copy;
    }
    attr->next = list;
    module->attrs = attr;
}

void module_set_states(Module *module, int count) {
    replace_attr(module, attr_int(module->arena, NULL, states_attr, count));
}

void module_set_state_start(Module *module, int index, const Dense *start) {
    replace_attr(module, attr_dense(module->arena, NULL, start_name(module->arena, index), start));
}

// ---- tying

// Makes argument `index` the last one. Values are moved in memory.
static void move_arg_to_end(Func *func, int index) {
    Arena *arena = func->module->arena;
    Value *args = ARENA_ARRAY(arena, Value, func->arg_count);
    for (int i = 0, to; i < func->arg_count; i++) {
        to = i < index ? i : i == index ? func->arg_count - 1 : i - 1;
        args[to] = func->args[i];
        args[to].index = to;
        FOR_EACH_USE(&func->args[i], use) use->value = &args[to];
    }
    func->args = args;
    func->names = NULL;
}

static void move_result_to_end(Op *ret, int index) {
    Value *moved = op_operand(ret, index);
    for (int i = index; i + 1 < ret->operand_count; i++) op_set_operand(ret, i, op_operand(ret, i + 1));
    op_set_operand(ret, ret->operand_count - 1, moved);
}

void module_tie(Module *module, int input, int output) {
    Func *main = module_main(module);
    const int count = module_state_count(module);
    move_arg_to_end(main, input);
    move_result_to_end(main->last, output);
    module_set_states(module, count + 1);
}

// ---- verifying

typedef struct { int count; const Type **types; } Edge;

// What goes in, or comes out, by index: in a program of one target these are buffers.
static Edge find_edge(Arena *scratch, const Func *main, OpKind buffers) {
    const bool in = buffers == OP_kn_input;
    const int count = in ? main->arg_count : main->last->operand_count;
    int ops = count;
    FOR_EACH_OP(main, op) ops++;
    Edge edge = {count, ARENA_ARRAY(scratch, const Type *, ops + 1)};
    for (int i = 0; i < count; i++) edge.types[i] = in ? main->args[i].type : op_operand(main->last, i)->type;
    FOR_EACH_OP(main, op) {
        if (op->kind != buffers) continue;
        const int64_t index = op_int(op, "index");
        if (index < 0 || index >= ops) continue;
        edge.types[index] = op->results[0].type;
        if (index >= edge.count) edge.count = (int)index + 1;
    }
    return edge;
}

static bool same_type(const Type *a, const Type *b) {
    return a && b && (a->kind == TYPE_BUFFER ? a->elem == b->elem && type_same_shape(a, b) : type_equal(a, b));
}

// Of a program, the start is still what it was in nn.
static bool start_fits(const Dense *start, const Type *type) {
    if (!start) return true;
    return type->kind == TYPE_BUFFER ? type_elem_count(start->type) == type_elem_count(type) : type_equal(start->type, type);
}

bool module_verify_states(const Module *module, Diag *diag) {
    const Attr *attr = attr_find(module->attrs, states_attr);
    const Func *main = module_main(module);
    if (!attr) return true;
    Loc loc = loc_file(module->file);
    if (attr->kind != ATTR_INT || attr->i < 0) return diag_error(diag, loc, "%s must be a count", states_attr);
    if (!main || !main->last) return true;
    Arena *scratch = arena_new();
    Edge in = find_edge(scratch, main, OP_kn_input), out = find_edge(scratch, main, OP_kn_output);
    bool good = attr->i <= in.count && attr->i <= out.count;
    if (!good) diag_error(diag, loc, "%s is %lld, but @main has %d inputs and %d outputs", states_attr, (long long)attr->i, in.count, out.count);
    for (int i = 0; good && i < attr->i; i++) {
        const Type *before = in.types[in.count - attr->i + i], *after = out.types[out.count - attr->i + i];
        if (!same_type(before, after)) good = diag_error(diag, loc, "state %d begins a run with another type than it ends with", i);
        else if (!start_fits(module_state_start(module, i), before)) good = diag_error(diag, loc, "state %d has another type than its start", i);
    }
    arena_free(scratch);
    return good;
}
