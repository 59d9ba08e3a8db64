// Fitting, checking and writing of the expressions of a bounded program (bounded.h).
#include "passes/bounded.h"

#include <string.h>

#include "passes/lower.h"

Bounded *bounded_new(Arena *arena, const Sizes *box, Module *most) {
    Bounded *bounded = ARENA_NEW(arena, Bounded);
    int32_t sizes[MAX_SIZES] = {0};
    *bounded = (Bounded){.arena = arena, .box = *box, .most = most};
    for (int i = 0; i < box->count; i++) sizes[i] = box->items[i].most;
    bounded->trace = trace_new(arena, most, sizes);
    fit_points(&bounded->fit, box);
    bounded->samples = ARENA_ARRAY(arena, int64_t *, bounded->fit.count);
    return bounded;
}

const char *bounded_sample(Bounded *bounded, int point, const Module *kn) {
    Arena *scratch = arena_new();
    const Trace *trace = trace_new(scratch, kn, bounded->fit.points[point]);
    const char *text = trace_difference(bounded->arena, bounded->trace, trace);
    if (!text) bounded->samples[point] = arena_copy(bounded->arena, trace->values, sizeof(int64_t) * (size_t)trace->field_count);
    arena_free(scratch);
    return text;
}

// ---- fitting

static const char *field_text(const Bounded *bounded, const TraceField *field) {
    const TraceCall *call = &bounded->trace->calls[field->item];
    Arena *arena = bounded->arena;
    switch (field->kind) {
    case FIELD_WORD: return arena_printf(arena, "'%s' of layer '%s'", field->field->name, call->name);
    case FIELD_BUFFER: return arena_printf(arena, "the place of an operand of layer '%s'", call->name);
    case FIELD_BYTES: return "the size of a buffer";
    case FIELD_INPUT: return "the shape of an input";
    default: return "the shape of an output";
    }
}

// Their functions are told of one size, which is a constant.
static const Op *find_custom(const Module *kn) {
    FOR_EACH_OP(module_main(kn), op)
        if (op->kind == OP_kn_custom) return op;
    return NULL;
}

const char *bounded_fit(Bounded *bounded) {
    const Trace *trace = bounded->trace;
    const Op *custom = find_custom(bounded->most);
    if (custom) return arena_printf(bounded->arena, "the custom operator '%s' takes one size", custom->loc.name);
    int64_t values[MAX_FIT_POINTS];
    bounded->exprs = ARENA_ARRAY(bounded->arena, SizeExpr, trace->field_count);
    for (int f = 0; f < trace->field_count; f++) {
        const TraceField *field = &trace->fields[f];
        for (int i = 0; i < bounded->fit.count; i++) values[i] = bounded->samples[i][f];
        if (!fit_values(bounded->arena, &bounded->fit, values, &bounded->exprs[f]))
            return arena_printf(bounded->arena, "%s is no polynomial of the sizes", field_text(bounded, field));
        if (field->kind == FIELD_WORD && size_expr_reach(&bounded->exprs[f], &bounded->box) > INT32_MAX)
            return arena_printf(bounded->arena, "%s exceeds 32 bits", field_text(bounded, field));
    }
    return NULL;
}

// ---- memory

// A polynomial of what sizes are beyond the least: of each power of each, MAX_SIZE_POWER + 1 to a size, the factor.
enum { SHIFTED = 1 << 2 * MAX_SIZES };
_Static_assert(MAX_SIZE_POWER == 3, "a power is two bits of a place in it");

static void shifted_multiply(double *shifted, int size, double least) {
    for (int i = SHIFTED - 1; i >= 0; i--)
        shifted[i] = least * shifted[i] + (i >> 2 * size & 3 ? shifted[i - (1 << 2 * size)] : 0);
}

static void shifted_add_term(double *sum, const SizeTerm *term, const Sizes *box) {
    double shifted[SHIFTED] = {(double)term->factor};
    for (int s = 0; s < box->count; s++)
        for (int k = 0; k < term->power[s]; k++) shifted_multiply(shifted, s, box->items[s].least);
    for (int i = 0; i < SHIFTED; i++) sum[i] += shifted[i];
}

// Proven by signs: (h - 2) * (w - 2), from 4 on, is (h' + 2) * (w' + 2).
static bool never_falls(const SizeExpr *expr, const Sizes *box) {
    double sum[SHIFTED] = {0};
    for (int i = 0; i < expr->count; i++) shifted_add_term(sum, &expr->terms[i], box);
    for (int i = 1; i < SHIFTED; i++) {
        bool exists = true; // a size that is fixed is nothing beyond its least
        for (int s = 0; s < box->count; s++) exists &= !(i >> 2 * s & 3) || box->items[s].most > box->items[s].least;
        if (exists && sum[i] < 0) return false;
    }
    return true;
}

const char *bounded_memory(const Bounded *bounded, const Sizes *box) {
    const Trace *trace = bounded->trace;
    int32_t most[MAX_SIZES] = {0};
    for (int i = 0; i < box->count; i++) most[i] = box->items[i].most;
    for (int f = 0; f < trace->field_count; f++) {
        const SizeExpr *expr = &bounded->exprs[f];
        bool scratch = trace->fields[f].kind == FIELD_WORD && !strcmp(trace->fields[f].field->name, "scratch_bytes");
        if (trace->fields[f].kind != FIELD_BYTES && !scratch) continue;
        if (!never_falls(expr, box) || size_expr_at(expr, most) > size_expr_at(expr, trace->sizes))
            return "a buffer would be larger than at the largest sizes";
    }
    return NULL;
}

// ---- checking

// Arguments as they are at given sizes.
static KernelArgs args_at(const Bounded *bounded, int call, const int32_t *sizes, int first_field) {
    KernelArgs args = bounded->trace->calls[call].args;
    const Trace *trace = bounded->trace;
    for (int f = first_field; f < trace->field_count && trace->fields[f].item == call && trace->fields[f].kind == FIELD_WORD; f++)
        args.words[trace->fields[f].field->word + trace->fields[f].index] = (int32_t)size_expr_at(&bounded->exprs[f], sizes);
    return args;
}

// The batch dimensions of matmul as few as they can be.
static void merge_batches(KernelArgs *args) {
    static const char *const names[] = {"a_batch", "b_batch"};
    Walk walk = {.rank = 4, .count = 2};
    int64_t shape[4] = {1, 1, 1, 1}, strides[2][4] = {{0}};
    for (int i = 0; i < args->family->field_count; i++) {
        const FieldInfo *field = &args->family->fields[i];
        int64_t *to = !strcmp(field->name, "batch") ? walk.shape : !strcmp(field->name, names[0]) ? walk.strides[0]
                    : !strcmp(field->name, names[1]) ? walk.strides[1] : NULL;
        for (int k = 0; to && k < 4; k++) to[k] = args->words[field->word + k];
    }
    walk_merge(&walk);
    for (int i = 0, to = 4 - walk.rank; i < walk.rank; i++, to++) {
        shape[to] = walk.shape[i];
        for (int k = 0; k < 2; k++) strides[k][to] = walk.strides[k][i];
    }
    args_ints(args, "batch", 4, shape);
    for (int k = 0; k < 2; k++) args_ints(args, names[k], 4, strides[k]);
}

// Two ways to say the same: strides of dimensions of 1 matter to nobody, and neighbours may be one.
static bool same_meaning(KernelArgs a, KernelArgs b) {
    bool batched = !strcmp(a.family->name, "matmul");
    if (batched) merge_batches(&a), merge_batches(&b);
    if (!batched && (!args_merge_walk(&a) || !args_merge_walk(&b))) return false;
    return !memcmp(a.words, b.words, sizeof(int32_t) * (size_t)a.family->words);
}

static const char *check_call(const Bounded *bounded, const Trace *trace, int field, const int32_t *sizes) {
    int call = trace->fields[field].item;
    int first = field;
    while (trace->fields[first].field->word || trace->fields[first].index) first--; // to `rows`
    if (same_meaning(args_at(bounded, call, sizes, first), trace->calls[call].args)) return NULL;
    return arena_printf(bounded->arena, "%s is %lld, which does not follow from other sizes", field_text(bounded, &trace->fields[field]),
                        (long long)trace->values[field]);
}

const char *bounded_guard(const Bounded *bounded, const int32_t *sizes) {
    const Trace *trace = bounded->trace;
    for (int f = 0; f < trace->field_count; f++) {
        const TraceField *field = &trace->fields[f];
        int call = field->item;
        if (field->kind != FIELD_WORD || field->field->word || field->index) continue; // the first of a call: `rows`
        KernelArgs args = args_at(bounded, call, sizes, f);
        const TraceCall *own = &trace->calls[call];
        if (!own->kernel->guard(args.words))
            return arena_printf(bounded->arena, "layer '%s' can't be computed by its kernel %s", own->name, own->kernel->symbol);
    }
    return NULL;
}

const char *bounded_check(const Bounded *bounded, const Module *kn, const int32_t *sizes) {
    Arena *scratch = arena_new();
    const Trace *trace = trace_new(scratch, kn, sizes);
    const char *text = trace_difference(bounded->arena, bounded->trace, trace);
    for (int f = 0; !text && f < trace->field_count; f++) {
        if (size_expr_at(&bounded->exprs[f], sizes) == trace->values[f]) continue;
        const TraceField *field = &trace->fields[f];
        if (field->kind == FIELD_WORD) text = check_call(bounded, trace, f, sizes);
        else text = arena_printf(bounded->arena, "%s does not follow from other sizes", field_text(bounded, field));
    }
    arena_free(scratch);
    return text ? text : bounded_guard(bounded, sizes);
}

// ---- writing

typedef struct { const Bounded *bounded; VaryingList list; Varying items[256]; } Writer;

static void writer_add(Writer *writer, const char *field, int index, int f) {
    BUG_UNLESS(writer->list.count < 256, "too many arguments that vary");
    writer->items[writer->list.count++] = (Varying){field, index, writer->bounded->exprs[f]};
}

static void writer_put(Writer *writer, Op *op, const Sizes *region) {
    Arena *arena = writer->bounded->most->arena;
    writer->list.items = writer->items;
    if (writer->list.count) op_set_attr(op, attr_string(arena, NULL, "kn.varying", varying_text(arena, &writer->list, region)));
    writer->list.count = 0;
}

// Fields of one call stand together: from `f` on. Returns the field behind them.
static int write_call(Writer *writer, int f, const Sizes *region) {
    const Bounded *bounded = writer->bounded;
    const Trace *trace = bounded->trace;
    int item = trace->fields[f].item;
    Op *op = (Op *)trace->calls[item].op;
    KernelArgs args = args_at(bounded, item, trace->sizes, f);
    for (int i = 0; i < args.family->field_count; i++) op_remove_attr(op, args.family->fields[i].name);
    for (const Attr *attr = args_to_attrs(bounded->most->arena, NULL, &args), *next; attr; attr = next) {
        next = attr->next;
        op_set_attr(op, (Attr *)attr);
    }
    for (; f < trace->field_count && trace->fields[f].kind <= FIELD_BUFFER && trace->fields[f].item == item; f++) {
        const TraceField *field = &trace->fields[f];
        if (size_expr_is_fixed(&bounded->exprs[f])) continue;
        writer_add(writer, field->kind == FIELD_WORD ? field->field->name : "buffer", field->index, f);
    }
    writer_put(writer, op, region);
    return f;
}

static void write_edges(Writer *writer, const Sizes *region) {
    const Trace *trace = writer->bounded->trace;
    FOR_EACH_OP(module_main(writer->bounded->most), op) {
        bool is_input = op->kind == OP_kn_input;
        if (!is_input && op->kind != OP_kn_output) continue;
        int64_t index = is_input ? as_kn_input(op).index : as_kn_output(op).index;
        for (int f = 0; f < trace->field_count; f++) {
            const TraceField *field = &trace->fields[f];
            if (field->kind == (is_input ? FIELD_INPUT : FIELD_OUTPUT) && field->item == index &&
                !size_expr_is_fixed(&writer->bounded->exprs[f]))
                writer_add(writer, "shape", field->index, f);
        }
        writer_put(writer, op, region);
    }
}

void bounded_write(const Bounded *bounded, const Sizes *region) {
    Writer writer = {.bounded = bounded};
    const Trace *trace = bounded->trace;
    Arena *arena = bounded->most->arena;
    for (int f = 0; f < trace->field_count;)
        f = trace->fields[f].kind <= FIELD_BUFFER ? write_call(&writer, f, region) : f + 1;
    write_edges(&writer, region);
    op_set_attr(module_main(bounded->most)->last, attr_string(arena, NULL, "kn.sizes", sizes_text(arena, region)));
}

// ---- variants

static bool same_bytes(const Dense *a, const Dense *b) {
    return type_equal(a->type, b->type) && a->splat == b->splat && a->bytes == b->bytes && !memcmp(a->data, b->data, a->bytes);
}

// Weights of equal bytes become the first's.
static void share_weights(Func *known, Func *func) {
    FOR_EACH_OP(func, op) {
        if (op->kind != OP_kn_weights) continue;
        const Dense *own = as_kn_weights(op).value;
        for (const Op *other = known->first; other; other = other->next) {
            if (other->kind != OP_kn_weights || !same_bytes(as_kn_weights(other).value, own)) continue;
            op_set_attr(op, attr_dense(func->module->arena, NULL, "value", as_kn_weights(other).value));
            break;
        }
    }
}

void bounded_join(Module *into, Module *variant) {
    Func *func = module_main(variant), **end = &into->funcs;
    int count = 0;
    for (; *end; end = &(*end)->next) count++;
    share_weights(into->funcs, func);
    func->name = arena_printf(into->arena, "main_%d", count);
    func->module = into;
    func->next = NULL;
    *end = func;
}
