// Shrinking by edits that each build a new module (shrink.h): the ops that remain are inferred again, so that an edit that does
// not fit is refused as any wrong program is.
#include "test/differential/shrink.h"

#include <math.h>
#include <string.h>

#include "ir/map.h"
#include "ir/print.h"
#include "ir/verify.h"

// One change. What is left NULL or 0 is not changed.
typedef struct {
    const Op *cut;         // becomes arguments that have its results' values
    const Value *returned; // the only result
    const Op *attr_of;     // loses its attribute `attr`
    const char *attr;
    const Value *zeroed;   // an argument or constant that becomes 0
    int64_t from, to;      // dimensions of `from` elements of arguments, constants and lists become `to`
    const Value *resized;  // only of this one,
    int dim;               // only this dimension
    bool closed;           // arguments become constants
} Edit;

typedef struct {
    Arena *arena;
    const Edit *edit;
    const Network *old;
    Map *tensors; // Tensor of each old value
    Map *live;    // old values that results need
    Map *values;  // new value of each old one
    Builder builder;
} Rebuild;

// ---- what the interpreter says of the old one

static void keep_tensor(void *context, const Value *value, const Tensor *tensor) {
    Rebuild *rebuild = context;
    Tensor *copy = ARENA_NEW(rebuild->arena, Tensor);
    *copy = (Tensor){tensor->type, arena_copy(rebuild->arena, tensor->data, type_bytes(tensor->type) + 1)};
    *map_get(rebuild->tensors, value) = copy;
}

static void keep_constant(Rebuild *rebuild, const Op *op) {
    const Dense *dense = as_constant(op).value;
    Tensor tensor = tensor_new(rebuild->arena, op->results[0].type);
    size_t bytes = type_bytes(tensor.type);
    for (size_t at = 0; dense->bytes && at + dense->bytes <= bytes; at += dense->bytes) memcpy((char *)tensor.data + at, dense->data, dense->bytes);
    keep_tensor(rebuild, &op->results[0], &tensor);
}

static void evaluate(Rebuild *rebuild, const Func *main) {
    Tensor *outputs = ARENA_ARRAY(rebuild->arena, Tensor, main->last->operand_count);
    eval_func(diag_new(rebuild->arena, NULL), rebuild->arena, main, rebuild->old->inputs, outputs, keep_tensor, rebuild);
    FOR_EACH_OP(main, op)
        if (op->kind == OP_constant) keep_constant(rebuild, op);
}

static void find_live(Rebuild *rebuild, const Func *main) {
    const Edit *edit = rebuild->edit;
    for (int i = 0; i < main->last->operand_count; i++)
        if (!edit->returned) *map_get(rebuild->live, op_operand(main->last, i)) = rebuild;
    if (edit->returned) *map_get(rebuild->live, edit->returned) = rebuild;
    for (const Op *op = main->last->prev; op; op = op->prev) {
        bool live = false;
        for (int i = 0; i < op->result_count; i++) live = live || map_find(rebuild->live, &op->results[i]);
        for (int i = 0; live && op != edit->cut && i < op->operand_count; i++)
            if (op_operand(op, i)) *map_get(rebuild->live, op_operand(op, i)) = rebuild;
    }
}

// ---- leaves: arguments and constants

static int64_t resized(const Rebuild *rebuild, const Value *value, int dim, int64_t size) {
    const Edit *edit = rebuild->edit;
    if (!edit->from || size != edit->from) return size;
    return !edit->resized || (edit->resized == value && edit->dim == dim) ? edit->to : size;
}

static const Type *leaf_type(const Rebuild *rebuild, const Value *value) {
    const Type *type = value->type;
    int64_t shape[MAX_RANK];
    for (int i = 0; i < type->rank; i++) shape[i] = resized(rebuild, value, i, type->shape[i]);
    if (!type->quant) return type_tensor(rebuild->arena, type->elem, type->rank, shape);
    const Quant *quant = type->quant;
    if (quant->axis >= 0 && shape[quant->axis] < quant->count)
        quant = quant_per_axis(rebuild->arena, quant->storage, quant->axis, (int)shape[quant->axis], quant->scale, quant->zero_point,
                               quant->storage_min, quant->storage_max);
    return type_quantized(rebuild->arena, quant, type->rank, shape);
}

// The elements that remain: the first ones of each dimension.
static Tensor leaf_tensor(const Rebuild *rebuild, const Value *value) {
    const Tensor *old = map_find(rebuild->tensors, value);
    Tensor tensor = tensor_new(rebuild->arena, leaf_type(rebuild, value));
    const Type *type = tensor.type;
    size_t bytes = (size_t)elem_bits(type->elem) / 8;
    int64_t count = type_elem_count(type);
    if (!old) return tensor;
    for (int64_t i = 0; i < count && value != rebuild->edit->zeroed; i++) {
        int64_t rest = i, from = 0, step = 1;
        for (int d = type->rank - 1; d >= 0; d--) {
            from += rest % type->shape[d] * step;
            rest /= type->shape[d];
            step *= old->type->shape[d];
        }
        memcpy((char *)tensor.data + (size_t)i * bytes, (char *)old->data + (size_t)from * bytes, bytes);
    }
    return tensor;
}

// ---- ops

static Attr *edited_attrs(const Rebuild *rebuild, const Op *op) {
    const Edit *edit = rebuild->edit;
    Attr *list = NULL;
    for (const Attr *attr = op->attrs; attr; attr = attr->next) {
        if (op == edit->attr_of && !strcmp(attr->name, edit->attr)) continue;
        Attr *copy = arena_copy(rebuild->arena, attr, sizeof *attr);
        if (attr->kind == ATTR_INT && edit->from && !edit->resized && attr->i == edit->from) copy->i = edit->to; // groups
        if (attr->kind == ATTR_INTS && edit->from && !edit->resized) {
            int64_t *data = arena_copy(rebuild->arena, attr->ints.data, sizeof(int64_t) * (size_t)attr->ints.count + 1);
            for (int i = 0; i < attr->ints.count; i++)
                if (data[i] == edit->from) data[i] = edit->to;
            copy->ints.data = data;
        }
        copy->next = list;
        list = copy;
    }
    return list;
}

static bool infer_again(const Rebuild *rebuild, Op *op, const Op *old) {
    const OpInfo *info = op_info(op->kind);
    const Type *types[MAX_RANK] = {0}, *like = op->operand_count && op_operand(op, 0) ? op_operand(op, 0)->type : NULL;
    if (info->infer && !info->infer(diag_new(rebuild->arena, NULL), op, rebuild->arena, types)) return false;
    for (int i = 0; i < op->result_count; i++) {
        const Type *was = old->results[i].type, *type = info->infer ? types[i] : like;
        if (!type) return false;
        op->results[i].type = !was->quant ? type : type->quant && info->infer ? type : type_quantized(rebuild->arena, was->quant, type->rank, type->shape);
    }
    return true;
}

static bool rebuild_op(Rebuild *rebuild, const Op *old) {
    Value **operands = ARENA_ARRAY(rebuild->arena, Value *, old->operand_count + 1);
    const Type **unknown = ARENA_ARRAY(rebuild->arena, const Type *, old->result_count + 1);
    for (int i = 0; i < old->operand_count; i++)
        if (op_operand(old, i)) operands[i] = map_find(rebuild->values, op_operand(old, i));
    Op *op = op_new(&rebuild->builder, old->kind, old->operand_count, operands, old->result_count, unknown, edited_attrs(rebuild, old));
    for (int i = 0; i < old->result_count; i++) {
        value_set_name(&op->results[i], old->results[i].name);
        *map_get(rebuild->values, &old->results[i]) = &op->results[i];
    }
    return infer_again(rebuild, op, old);
}

static bool is_live(const Rebuild *rebuild, const Op *op) {
    for (int i = 0; i < op->result_count; i++)
        if (map_find(rebuild->live, &op->results[i])) return true;
    return false;
}

static bool rebuild_body(Rebuild *rebuild, const Func *main) {
    FOR_EACH_OP(main, op) {
        if (op->kind == OP_return || op == rebuild->edit->cut || !is_live(rebuild, op)) continue;
        if (op->kind == OP_constant) {
            Tensor tensor = leaf_tensor(rebuild, &op->results[0]);
            *map_get(rebuild->values, &op->results[0]) = op_constant(&rebuild->builder, tensor.type, tensor.data, op->results[0].name);
        } else if (!rebuild_op(rebuild, op)) return false;
    }
    Value *returned[MAX_VALUES + 2];
    int count = rebuild->edit->returned ? 1 : main->last->operand_count;
    for (int i = 0; i < count; i++)
        returned[i] = map_find(rebuild->values, rebuild->edit->returned ? rebuild->edit->returned : op_operand(main->last, i));
    op_new(&rebuild->builder, OP_return, count, returned, 0, NULL, NULL);
    return true;
}

static void rebuild_args(Rebuild *rebuild, int count, const Value *const *leaves, Network *out) {
    const Type **types = ARENA_ARRAY(rebuild->arena, const Type *, count + 1);
    const char **names = ARENA_ARRAY(rebuild->arena, const char *, count + 1);
    bool closed = rebuild->edit->closed;
    out->inputs = ARENA_ARRAY(rebuild->arena, Tensor, count + 1);
    for (int i = 0; i < count; i++) {
        out->inputs[i] = leaf_tensor(rebuild, leaves[i]);
        types[i] = out->inputs[i].type;
        names[i] = leaves[i]->name;
    }
    Func *main = func_new(out->module, "main", closed ? 0 : count, types, names);
    rebuild->builder = builder_end(main);
    for (int i = 0; i < count; i++)
        *map_get(rebuild->values, leaves[i]) = closed ? op_constant(&rebuild->builder, types[i], out->inputs[i].data, names[i]) : &main->args[i];
}

// False: the edit gives no valid network.
static bool edited(Arena *arena, const Network *old, const Edit *edit, Network *out) {
    Rebuild rebuild = {.arena = arena, .edit = edit, .old = old, .tensors = map_new_pointers(arena),
                       .live = map_new_pointers(arena), .values = map_new_pointers(arena)};
    const Func *main = module_main(old->module);
    evaluate(&rebuild, main);
    find_live(&rebuild, main);
    const Value **leaves = ARENA_ARRAY(arena, const Value *, main->arg_count + MAX_RANK);
    int count = 0;
    for (int i = 0; i < main->arg_count; i++)
        if (map_find(rebuild.live, &main->args[i])) leaves[count++] = &main->args[i];
    for (int i = 0; edit->cut && i < edit->cut->result_count; i++) leaves[count++] = &edit->cut->results[i];
    out->module = module_new(arena, "random");
    out->imported = old->imported;
    rebuild_args(&rebuild, count, leaves, out);
    return rebuild_body(&rebuild, main) && module_verify(out->module, diag_new(arena, NULL));
}

// ---- the search

typedef struct {
    Arena *arena;
    Network best;
    StillFails *fails;
    void *context;
    int trials;
    bool better;
} Search;

static bool try_edit(Search *search, Edit edit) {
    Network network;
    if (search->trials <= 0 || !edited(search->arena, &search->best, &edit, &network)) return false;
    search->trials--;
    if (!search->fails(search->context, &network)) return false;
    search->best = network;
    return search->better = true;
}

// Each function looks for one edit that holds; after it the old module's values are gone, and the search begins anew.
static bool drop_ops(Search *search) {
    const Func *main = module_main(search->best.module);
    const Op *last = main->last;
    for (int i = 0; last->operand_count > 1 && i < last->operand_count; i++)
        if (try_edit(search, (Edit){.returned = op_operand(last, i)})) return true;
    FOR_EACH_OP(main, op)
        for (int i = 0; op->kind != OP_constant && i < op->result_count; i++)
            if (op_operand(last, 0) != &op->results[i] && try_edit(search, (Edit){.returned = &op->results[i]})) return true;
    for (const Op *op = last->prev; op; op = op->prev)
        if (op->kind != OP_constant && op != op_operand(last, 0)->def && try_edit(search, (Edit){.cut = op})) return true;
    return false;
}

static bool shrink_dim(Search *search, Edit edit, int64_t size) {
    const int64_t sizes[] = {1, size / 4, size / 2, size - 1};
    for (size_t i = 0; i < 4; i++) {
        edit.from = size;
        edit.to = sizes[i];
        if (edit.to > 0 && edit.to < size && try_edit(search, edit)) return true;
    }
    return false;
}

static bool shrink_leaf(Search *search, const Value *value) {
    const Type *type = value->type;
    for (int d = 0; d < type->rank; d++)
        if (type->shape[d] > 1 &&
            (shrink_dim(search, (Edit){0}, type->shape[d]) || shrink_dim(search, (Edit){.resized = value, .dim = d}, type->shape[d])))
            return true;
    return false;
}

static bool has_nonzero(const void *data, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (((const char *)data)[i]) return true;
    return false;
}

static bool shrink_leaves(Search *search) {
    const Func *main = module_main(search->best.module);
    for (int i = 0; i < main->arg_count; i++) {
        const Tensor *input = &search->best.inputs[i];
        if (shrink_leaf(search, &main->args[i])) return true;
        if (has_nonzero(input->data, type_bytes(input->type)) && try_edit(search, (Edit){.zeroed = &main->args[i]})) return true;
    }
    FOR_EACH_OP(main, op) {
        if (op->kind != OP_constant) continue;
        const Dense *dense = as_constant(op).value;
        if (shrink_leaf(search, &op->results[0])) return true;
        if (has_nonzero(dense->data, dense->bytes) && try_edit(search, (Edit){.zeroed = &op->results[0]})) return true;
    }
    return false;
}

static bool drop_attrs(Search *search) {
    FOR_EACH_OP(module_main(search->best.module), op)
        for (const Attr *attr = op->attrs; op->kind != OP_constant && attr; attr = attr->next)
            if (try_edit(search, (Edit){.attr_of = op, .attr = attr->name})) return true;
    return false;
}

Network shrink(Arena *arena, Network network, StillFails *fails, void *context, int trials) {
    Search search = {arena, network, fails, context, trials, false};
    while (drop_ops(&search) || shrink_leaves(&search) || drop_attrs(&search)) {}
    return search.best;
}

// ---- the text

static void add_check(Builder *builder, Value *value, const Tensor *expected, double bound) {
    Arena *arena = builder->func->module->arena;
    int64_t count = type_elem_count(expected->type);
    double largest = 1;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(tensor_f64(expected, i))) largest = fmax(largest, fabs(tensor_f64(expected, i)));
    Value *operands[] = {value, op_constant(builder, expected->type, expected->data, "expected")};
    bool close = bound > 0 && isfinite(bound);
    op_new(builder, close ? OP_check_close : OP_check_equal, 2, operands, 0, NULL,
           close ? attr_float(arena, NULL, "tolerance", bound / largest) : NULL);
}

void print_reproducer(FILE *out, const Network *network, const Route *route) {
    Arena *arena = arena_new();
    Network closed;
    Case test = {.arena = arena, .module = network->module, .inputs = network->inputs};
    const Edit edit = {.closed = true};
    bool via_c = route->via && strcmp(route->via, "llvm");
    fprintf(out, "// qanat opt%s --eval --via %s%s%s --target %s%s%s --output-type %s FILE\n", network->imported ? " --passes=import" : "", via_c ? "c --cc " : route->via ? route->via : "process",
            via_c ? "'" : "", via_c ? arena_printf(arena, "%s'", route->via) : "", route->target->name, route->only ? " --isa=" : "",
            route->only ? route->only : "", elem_name(route->output_type));
    if (!case_judge(&test) || !edited(arena, network, &edit, &closed)) module_print(out, network->module, (PrintOptions){0});
    else {
        Op *end = module_main(closed.module)->last;
        Builder builder = builder_before(end);
        for (int i = 0; i < test.output_count; i++) add_check(&builder, op_operand(end, i), &test.expected[i], test.bounds[i]);
        op_new(&builder, OP_return, 0, NULL, 0, NULL, NULL);
        op_erase(end);
        module_print(out, closed.module, (PrintOptions){0});
    }
    arena_free(arena);
}
