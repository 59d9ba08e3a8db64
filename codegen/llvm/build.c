// The program as LLVM IR: weights, arguments and tables as constants; for each distinct layer one function that calls
// its kernel with constant arguments, and for each layer a task that gives it the addresses.
#include <string.h>

#include "codegen/llvm/bitcode.h"
#include "runtime/qanat.h"

#include <stdlib.h>

// ---- constants

static LLVMValueRef int32(Emitter *e, int64_t value) { return LLVMConstInt(e->i32, (unsigned long long)value, 1); }
static LLVMValueRef int64(Emitter *e, int64_t value) { return LLVMConstInt(e->i64, (unsigned long long)value, 1); }

static LLVMValueRef record(Emitter *e, int count, LLVMValueRef *fields) {
    return LLVMConstStructInContext(e->context, fields, (unsigned)count, 0);
}
#define RECORD(e, ...) \
    record(e, (int)(sizeof((LLVMValueRef[]){__VA_ARGS__}) / sizeof(LLVMValueRef)), (LLVMValueRef[]){__VA_ARGS__})

static LLVMValueRef global(Emitter *e, const char *name, LLVMValueRef value, LLVMLinkage linkage, unsigned align) {
    LLVMValueRef g = LLVMAddGlobal(e->module, LLVMTypeOf(value), name);
    LLVMSetInitializer(g, value);
    LLVMSetGlobalConstant(g, 1);
    LLVMSetLinkage(g, linkage);
    LLVMSetAlignment(g, align);
    if (linkage == LLVMPrivateLinkage) LLVMSetUnnamedAddress(g, LLVMGlobalUnnamedAddr);
    return g;
}

// A symbol that there is once in a model, and one of this program.
static char *shared_name(Emitter *e, const char *name) { return arena_printf(e->arena, "%s_%s", e->options->name, name); }
static char *prefixed(Emitter *e, const char *name) {
    return arena_printf(e->arena, "%s_%s", e->interface->programs[e->program].prefix, name);
}

// Of another part.
static LLVMValueRef foreign_global(Emitter *e, const char *name) {
    LLVMValueRef g = LLVMAddGlobal(e->module, e->i8, name);
    LLVMSetVisibility(g, LLVMHiddenVisibility);
    return g;
}

// What another part may mean.
static void set_meant_elsewhere(LLVMValueRef g) {
    LLVMSetLinkage(g, LLVMExternalLinkage);
    LLVMSetVisibility(g, LLVMHiddenVisibility);
}

static LLVMValueRef text(Emitter *e, const char *string) {
    LLVMValueRef value = LLVMConstStringInContext2(e->context, string, strlen(string), 0);
    return global(e, "text", value, LLVMPrivateLinkage, 1);
}

bool weights_are_apart(const Emitter *e) {
    return e->steps->weights_bytes && e->options->kind != EMIT_ASM && e->options->kind != EMIT_LLVM;
}

// Zeros that LLVM must not take for the contents.
static LLVMValueRef empty_weights(Emitter *e) {
    LLVMTypeRef type = LLVMArrayType2(e->i8, (uint64_t)e->steps->weights_bytes);
    LLVMValueRef g = global(e, shared_name(e, "weights"), LLVMConstNull(type), LLVMInternalLinkage, 64);
    if (e->interface->program_count > 1) set_meant_elsewhere(g);
    LLVMSetExternallyInitialized(g, 1);
    LLVMSetSection(g, EMPTY_SECTION);
    return g;
}

static LLVMValueRef weights(Emitter *e) {
    size_t bytes = (size_t)e->steps->weights_bytes;
    if (e->program) return foreign_global(e, shared_name(e, "weights"));
    if (weights_are_apart(e)) return empty_weights(e);
    unsigned char *blob = calloc(bytes ? bytes : 1, 1);
    BUG_UNLESS(blob, "out of memory");
    steps_write_weights(e->steps, blob);
    LLVMValueRef value = LLVMConstStringInContext2(e->context, (const char *)blob, bytes, 1);
    free(blob);
    return global(e, shared_name(e, "weights"), value, LLVMInternalLinkage, 64);
}

static LLVMValueRef arguments(Emitter *e, const Step *step, const char *name) {
    LLVMValueRef words[MAX_ARG_WORDS];
    for (int i = 0; i < step->args.family->words; i++) words[i] = int32(e, step->args.words[i]);
    LLVMValueRef value = LLVMConstArray2(e->i32, words, (uint64_t)step->args.family->words);
    return global(e, arena_printf(e->arena, "%s_args", name), value, LLVMPrivateLinkage, 4);
}

// ---- functions of the layers

static LLVMValueRef new_function(Emitter *e, const char *name, LLVMTypeRef type, const char *model, LLVMLinkage linkage) {
    LLVMValueRef from = LLVMGetNamedFunction(e->module, model);
    BUG_UNLESS(from && !LLVMIsDeclaration(from), "no function '%s' in the bitcode", model);
    LLVMValueRef f = LLVMAddFunction(e->module, name, type);
    LLVMSetLinkage(f, linkage);
    copy_attributes(e, f, from);
    return f;
}

static LLVMBuilderRef begin_body(Emitter *e, LLVMValueRef function) {
    LLVMBuilderRef b = LLVMCreateBuilderInContext(e->context);
    LLVMPositionBuilderAtEnd(b, LLVMAppendBasicBlockInContext(e->context, function, ""));
    return b;
}

static LLVMValueRef call(LLVMBuilderRef b, LLVMValueRef f, LLVMValueRef *arguments, int count) {
    return LLVMBuildCall2(b, LLVMGlobalGetValueType(f), f, arguments, (unsigned)count, "");
}

// The pointers of a step, then begin and end, and where arguments vary the sizes, as parameters.
static LLVMTypeRef rows_type(Emitter *e, const Step *step) {
    LLVMTypeRef parameters[MAX_POINTERS + 3];
    for (int i = 0; i < step->pointer_count; i++) parameters[i] = e->ptr;
    parameters[step->pointer_count] = parameters[step->pointer_count + 1] = e->i32;
    parameters[step->pointer_count + 2] = e->ptr;
    unsigned count = (unsigned)step->pointer_count + (step->varying_count ? 3 : 2);
    return LLVMFunctionType(LLVMVoidTypeInContext(e->context), parameters, count, 0);
}

static LLVMValueRef offset_by(Emitter *e, LLVMBuilderRef b, LLVMValueRef pointer, LLVMValueRef bytes) {
    return LLVMBuildInBoundsGEP2(b, e->i8, pointer, &bytes, 1, "");
}

// The value of an expression, in 64 bits; `sizes`: int32_t [].
static LLVMValueRef size_value(Emitter *e, LLVMBuilderRef b, LLVMValueRef sizes, const SizeExpr *expr) {
    LLVMValueRef sum = int64(e, 0);
    for (int i = 0; i < expr->count; i++) {
        LLVMValueRef product = int64(e, expr->terms[i].factor);
        for (int s = 0; s < MAX_SIZES; s++)
            for (int k = 0; k < expr->terms[i].power[s]; k++) {
                LLVMValueRef size = LLVMBuildLoad2(b, e->i32, offset_by(e, b, sizes, int64(e, 4 * s)), "");
                product = LLVMBuildMul(b, product, LLVMBuildSExt(b, size, e->i64, ""), "");
            }
        sum = LLVMBuildAdd(b, sum, product, "");
    }
    return sum;
}

// The arguments in the function's own memory, those that vary computed; the others stay constants once that is registers.
static LLVMValueRef varying_arguments(Emitter *e, LLVMBuilderRef b, LLVMValueRef sizes, const Step *step) {
    int words = step->args.family->words;
    LLVMValueRef memory = LLVMBuildAlloca(b, LLVMArrayType2(e->i32, (uint64_t)words), "args");
    LLVMSetAlignment(memory, 4);
    for (int i = 0, next = 0; i < words; i++) {
        LLVMValueRef word = int32(e, step->args.words[i]);
        for (next = 0; next < step->varying_count; next++)
            if (step->varying[next].word == i)
                word = LLVMBuildTrunc(b, size_value(e, b, sizes, &step->varying[next].value), e->i32, "");
        LLVMBuildStore(b, word, offset_by(e, b, memory, int64(e, 4 * i)));
    }
    return memory;
}

// Of another part.
static LLVMValueRef foreign_rows_function(Emitter *e, const Step *step) {
    LLVMValueRef f = LLVMAddFunction(e->module, prefixed(e, step_rows_name(e->arena, e->steps, step)), rows_type(e, step));
    LLVMSetVisibility(f, LLVMHiddenVisibility);
    add_attribute(e, f, (unsigned)LLVMAttributeFunctionIndex, "nounwind", 0);
    return f;
}

// The kernel with this layer's constants; the kernel is inlined here.
static LLVMValueRef rows_function(Emitter *e, const Step *step) {
    const char *name = prefixed(e, step_rows_name(e->arena, e->steps, step));
    LLVMValueRef f = new_function(e, name, rows_type(e, step), step->kernel->symbol, LLVMInternalLinkage);
    if (e->part) set_meant_elsewhere(f);
    add_attribute(e, f, (unsigned)LLVMAttributeFunctionIndex, "noinline", 0);
    // Vectors that don't fit in registers are kept on the stack: each within one cache line.
    if (strcmp(step->kernel->isa, "generic") != 0) add_attribute(e, f, (unsigned)LLVMAttributeFunctionIndex, "alignstack", 64);
    LLVMBuilderRef b = begin_body(e, f);
    LLVMValueRef values[MAX_POINTERS + 3];
    values[0] = step->varying_count ? varying_arguments(e, b, LLVMGetParam(f, (unsigned)step->pointer_count + 2), step)
                                    : arguments(e, step, name);
    for (int i = 0; i < step->pointer_count; i++) {
        bool nothing = step->pointers[i].place == AT_NOTHING;
        if (!step->overlap) add_attribute(e, f, (unsigned)i + 1, "noalias", 0);
        add_attribute(e, f, (unsigned)i + 1, "nocapture", 0);
        values[i + 1] = nothing ? LLVMConstNull(e->ptr) : LLVMGetParam(f, (unsigned)i);
    }
    for (int i = 0; i < 2; i++)
        values[step->pointer_count + 1 + i] = LLVMGetParam(f, (unsigned)(step->pointer_count + i));
    call(b, LLVMGetNamedFunction(e->module, step->kernel->symbol), values, step->pointer_count + 3);
    LLVMBuildRetVoid(b);
    LLVMDisposeBuilder(b);
    return f;
}

// Field `field` (arena, inputs, outputs, sizes, rows) of the struct qn_context.
static LLVMValueRef context_field(Emitter *e, LLVMBuilderRef b, LLVMValueRef context, int field) {
    int64_t pointer_bytes = (int64_t)LLVMPointerSize(LLVMGetModuleDataLayout(e->module));
    return LLVMBuildLoad2(b, e->ptr, offset_by(e, b, context, int64(e, field * pointer_bytes)), "");
}

static LLVMValueRef address_value(Emitter *e, LLVMBuilderRef b, LLVMValueRef task, Address address) {
    LLVMValueRef context = LLVMGetParam(task, 0), base;
    int64_t pointer_bytes = (int64_t)LLVMPointerSize(LLVMGetModuleDataLayout(e->module));
    switch (address.place) {
    case AT_NOTHING: return LLVMConstNull(e->ptr);
    case AT_ARENA: base = context_field(e, b, context, 0); break;
    case AT_WEIGHTS: base = LLVMGetNamedGlobal(e->module, shared_name(e, "weights")); break;
    case AT_INPUT: case AT_OUTPUT:
        base = context_field(e, b, context, address.place == AT_INPUT ? 1 : 2);
        base = LLVMBuildLoad2(b, e->ptr, offset_by(e, b, base, int64(e, address.index * pointer_bytes)), "");
        break;
    case AT_SCRATCH: {
        LLVMValueRef worker = LLVMBuildSExt(b, LLVMGetParam(task, 1), e->i64, "");
        LLVMValueRef bytes = LLVMBuildMul(b, worker, int64(e, e->steps->worker_bytes), "");
        base = offset_by(e, b, context_field(e, b, context, 0), bytes);
        address.offset += e->steps->plan_bytes;
        break;
    }
    case AT_ROWS: base = LLVMBuildLoad2(b, e->ptr, offset_by(e, b, context_field(e, b, context, 4), int64(e, address.index * pointer_bytes)), ""); break;
    default: BUG("place %d", address.place);
    }
    base = offset_by(e, b, base, int64(e, address.offset));
    if (!address.varying.count) return base;
    return offset_by(e, b, base, size_value(e, b, context_field(e, b, context, 3), &address.varying));
}

// A qn_task: the layer under its own name. The call is no tail call, so that a debugger shows this frame too.
static LLVMValueRef task_function(Emitter *e, const Step *step, LLVMValueRef rows) {
    LLVMTypeRef parameters[] = {e->ptr, e->i32, e->i32, e->i32};
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), parameters, 4, 0);
    LLVMValueRef f = new_function(e, prefixed(e, step_task_name(step)), type, "qn_entry_run", LLVMInternalLinkage);
    LLVMBuilderRef b = begin_body(e, f);
    LLVMValueRef values[MAX_POINTERS + 3];
    for (int i = 0; i < step->pointer_count; i++) values[i] = address_value(e, b, f, step->pointers[i]);
    for (int i = 0; i < 2; i++) values[step->pointer_count + i] = LLVMGetParam(f, (unsigned)(2 + i));
    if (step->varying_count) values[step->pointer_count + 2] = context_field(e, b, LLVMGetParam(f, 0), 3);
    LLVMSetTailCallKind(call(b, rows, values, step->pointer_count + (step->varying_count ? 3 : 2)), LLVMTailCallKindNoTail);
    LLVMBuildRetVoid(b);
    LLVMDisposeBuilder(b);
    return f;
}

// A constant array of records; NULL where there are none.
static LLVMValueRef table(Emitter *e, const char *name, int count, LLVMValueRef *records) {
    if (!count) return LLVMConstNull(e->ptr);
    LLVMValueRef value = LLVMConstArray2(LLVMTypeOf(records[0]), records, (uint64_t)count);
    return global(e, name, value, LLVMPrivateLinkage, 8);
}

// ---- custom operators

static LLVMValueRef tensor_record(Emitter *e, const struct qn_tensor *tensor) {
    LLVMValueRef shape[8];
    for (int k = 0; k < 8; k++) shape[k] = int64(e, tensor->shape[k]);
    return RECORD(e, text(e, tensor->name), int32(e, tensor->type), int32(e, tensor->rank), LLVMConstArray2(e->i64, shape, 8),
                  int64(e, (int64_t)tensor->bytes), LLVMConstReal(e->f32, (double)tensor->scale), int32(e, tensor->zero_point));
}

static LLVMValueRef tensors(Emitter *e, int count, const struct qn_tensor *list) {
    LLVMValueRef *records = ARENA_ARRAY(e->arena, LLVMValueRef, count + 1);
    for (int i = 0; i < count; i++) records[i] = tensor_record(e, &list[i]);
    return table(e, "tensors", count, records);
}

// struct qn_custom of runtime/qanat.h.
static LLVMValueRef custom_record(Emitter *e, const struct qn_custom *custom) {
    LLVMValueRef value = RECORD(e, text(e, custom->name), text(e, custom->attributes), int32(e, custom->input_count),
                                int32(e, custom->output_count), tensors(e, custom->input_count, custom->inputs),
                                tensors(e, custom->output_count, custom->outputs));
    return global(e, "custom", value, LLVMPrivateLinkage, 8);
}

static LLVMValueRef pointer_array(Emitter *e, LLVMBuilderRef b, LLVMValueRef task, const Address *addresses, int count) {
    int64_t pointer_bytes = (int64_t)LLVMPointerSize(LLVMGetModuleDataLayout(e->module));
    LLVMValueRef memory = LLVMBuildAlloca(b, LLVMArrayType2(e->ptr, (uint64_t)count + 1), "");
    for (int i = 0; i < count; i++)
        LLVMBuildStore(b, address_value(e, b, task, addresses[i]), offset_by(e, b, memory, int64(e, i * pointer_bytes)));
    return memory;
}

// A qn_task that calls the user's function.
static LLVMValueRef custom_function(Emitter *e, const Step *step) {
    LLVMTypeRef task[] = {e->ptr, e->i32, e->i32, e->i32}, none = LLVMVoidTypeInContext(e->context);
    LLVMTypeRef type = LLVMFunctionType(none, task, 4, 0), own = LLVMFunctionType(none, (LLVMTypeRef[]){e->ptr, e->ptr, e->ptr}, 3, 0);
    LLVMValueRef f = new_function(e, prefixed(e, step_task_name(step)), type, "qn_entry_run", LLVMInternalLinkage);
    LLVMValueRef function = LLVMGetNamedFunction(e->module, step->kernel->symbol);
    if (!function) function = LLVMAddFunction(e->module, step->kernel->symbol, own);
    LLVMBuilderRef b = begin_body(e, f);
    int inputs = step->custom->input_count;
    LLVMValueRef values[] = {custom_record(e, step->custom), pointer_array(e, b, f, step->pointers, inputs),
                             pointer_array(e, b, f, step->pointers + inputs, step->custom->output_count)};
    LLVMBuildCall2(b, own, function, values, 3, "");
    LLVMBuildRetVoid(b);
    LLVMDisposeBuilder(b);
    return f;
}

// ---- tables

// struct qn_fused of runtime/fused.h; NULL where there is none.
static LLVMValueRef fused_record(Emitter *e, const struct qn_fused *fused) {
    LLVMValueRef rows[QN_MOST_FUSED];
    if (!fused) return LLVMConstNull(e->ptr);
    for (int i = 0; i + 1 < fused->count; i++) {
        const struct qn_row_buffer *b = &fused->buffers[i];
        rows[i] = RECORD(e, int32(e, b->height), int32(e, b->top), int32(e, b->bottom), int32(e, b->window), int32(e, b->stride),
                         int32(e, b->shift), int32(e, b->pad), int32(e, b->calls), int32(e, b->slots), int32(e, b->row_bytes), int32(e, b->left_bytes),
                         int32(e, b->right_bytes), int32(e, b->fill), int64(e, (int64_t)b->offset), int64(e, (int64_t)b->own_offset));
    }
    LLVMValueRef value = RECORD(e, int32(e, fused->count), int32(e, fused->band), table(e, "rows", fused->count - 1, rows));
    return global(e, "fused", value, LLVMPrivateLinkage, 8);
}

static LLVMValueRef steps_table(Emitter *e) {
    int count = e->steps->step_count;
    LLVMValueRef *rows = ARENA_ARRAY(e->arena, LLVMValueRef, count + 1);
    LLVMValueRef *table = ARENA_ARRAY(e->arena, LLVMValueRef, count + 1);
    for (int i = 0; i < count; i++) {
        const Step *step = &e->steps->steps[i];
        LLVMValueRef task;
        if (step->custom) task = custom_function(e, step);
        else {
            rows[i] = step->like < i ? rows[step->like] : e->part_of[i] ? foreign_rows_function(e, step) : rows_function(e, step);
            task = task_function(e, step, rows[i]);
        }
        table[i] = RECORD(e, task, int32(e, step->rows), int32(e, step->grain), fused_record(e, step->fused));
    }
    if (!count) return LLVMConstNull(e->ptr);
    LLVMValueRef value = LLVMConstArray2(LLVMTypeOf(table[0]), table, (uint64_t)count);
    return global(e, prefixed(e, "steps"), value, LLVMInternalLinkage, 8);
}

static LLVMValueRef numbers(Emitter *e, const int32_t *values) {
    LLVMValueRef list[QN_MAX_SIZES];
    for (int i = 0; i < QN_MAX_SIZES; i++) list[i] = int32(e, values[i]);
    return LLVMConstArray2(e->i32, list, QN_MAX_SIZES);
}

// struct qn_size [] of runtime/qanat.h.
static LLVMValueRef sizes_table(Emitter *e) {
    const Sizes *sizes = &e->steps->sizes;
    LLVMValueRef records[MAX_SIZES];
    for (int i = 0; i < sizes->count; i++)
        records[i] = RECORD(e, text(e, sizes->items[i].name), int32(e, sizes->items[i].least), int32(e, sizes->items[i].most));
    return table(e, "sizes", sizes->count, records);
}

static LLVMValueRef variants_table(Emitter *e, const BoundedTables *tables) {
    LLVMValueRef *records = ARENA_ARRAY(e->arena, LLVMValueRef, tables->variant_count);
    for (int i = 0; i < tables->variant_count; i++) {
        const struct qn_variant *variant = &tables->variants[i];
        records[i] = RECORD(e, int32(e, variant->first_step), int32(e, variant->step_count), numbers(e, variant->least),
                            numbers(e, variant->most));
    }
    return table(e, "variants", tables->variant_count, records);
}

static LLVMValueRef terms_table(Emitter *e, const BoundedTables *tables) {
    LLVMValueRef *records = ARENA_ARRAY(e->arena, LLVMValueRef, tables->term_count);
    for (int i = 0; i < tables->term_count; i++)
        records[i] = RECORD(e, int32(e, tables->terms[i].step), int32(e, tables->terms[i].factor), numbers(e, tables->terms[i].power));
    return table(e, "terms", tables->term_count, records);
}

// struct qn_states of runtime/state.h.
static LLVMValueRef states_record(Emitter *e, const struct qn_states *states) {
    if (!states) return LLVMConstNull(e->ptr);
    LLVMValueRef *records = ARENA_ARRAY(e->arena, LLVMValueRef, states->count);
    for (int i = 0; i < states->count; i++) {
        const struct qn_state *state = &states->items[i];
        LLVMValueRef offsets[] = {int64(e, (int64_t)state->offset[0]), int64(e, (int64_t)state->offset[1])}, start = LLVMConstNull(e->ptr);
        if (state->start) {
            LLVMValueRef bytes = LLVMConstStringInContext2(e->context, state->start, state->bytes, 1);
            start = global(e, arena_printf(e->arena, "%s_%d", prefixed(e, "start"), i), bytes, LLVMPrivateLinkage, 64);
        }
        records[i] = RECORD(e, int64(e, (int64_t)state->bytes), LLVMConstArray2(e->i64, offsets, 2), start);
    }
    LLVMValueRef value = RECORD(e, int32(e, states->count), int32(e, states->input_count), int32(e, states->output_count),
                                int64(e, (int64_t)states->addresses), table(e, "state", states->count, records));
    return global(e, prefixed(e, "states"), value, LLVMPrivateLinkage, 8);
}

static LLVMValueRef fused_rows_task(Emitter *e) {
    for (int i = 0; i < e->steps->step_count; i++)
        if (e->steps->steps[i].fused) return LLVMGetNamedFunction(e->module, "qn_fused_rows");
    return LLVMConstNull(e->ptr);
}

// The record of the program behind this one.
static LLVMValueRef next_program(Emitter *e) {
    const int next = e->program + 1;
    if (next == e->interface->program_count) return LLVMConstNull(e->ptr);
    return foreign_global(e, arena_printf(e->arena, "%s_program", e->interface->programs[next].prefix));
}

// struct qn_program of runtime/entry.h.
static LLVMValueRef program_record(Emitter *e, LLVMValueRef sizes) {
    const Steps *steps = e->steps;
    static const BoundedTables none;
    const BoundedTables *tables = bounded_tables(e->arena, steps);
    if (!tables) tables = &none;
    LLVMValueRef value = RECORD(e, steps_table(e), int32(e, steps->step_count), int32(e, e->interface->input_count),
                                int32(e, e->interface->output_count), int64(e, (int64_t)target_cpu_features(e->target)),
                                int64(e, steps->plan_bytes), int64(e, steps->scratch_bytes), int64(e, steps->worker_bytes),
                                int32(e, steps->sizes.count), int32(e, tables->variant_count), int32(e, tables->term_count),
                                variants_table(e, tables), terms_table(e, tables), sizes, states_record(e, steps->states), fused_rows_task(e),
                                text(e, e->target->name), next_program(e));
    LLVMValueRef g = global(e, prefixed(e, "program"), value, LLVMInternalLinkage, 8);
    if (e->program) set_meant_elsewhere(g);
    return g;
}

// struct qn_tensor [count] of runtime/qanat.h.
static LLVMValueRef interface_tensors(Emitter *e, int count, const InterfaceTensor *list) {
    struct qn_tensor *records = ARENA_ARRAY(e->arena, struct qn_tensor, count + 1);
    for (int i = 0; i < count; i++) {
        records[i] = (struct qn_tensor){list[i].name, list[i].type, list[i].rank, {0}, (size_t)list[i].bytes, list[i].scale,
                                        list[i].zero_point};
        memcpy(records[i].shape, list[i].shape, sizeof(int64_t) * (size_t)list[i].rank);
    }
    return tensors(e, count, records);
}

// A public function that calls one of the entry's with the program before its own arguments.
static LLVMValueRef entry_function(Emitter *e, const char *verb, LLVMValueRef program) {
    LLVMValueRef entry = LLVMGetNamedFunction(e->module, arena_printf(e->arena, "qn_entry_%s", verb));
    LLVMTypeRef type = LLVMGlobalGetValueType(entry), parameters[8];
    unsigned count = LLVMCountParamTypes(type);
    LLVMGetParamTypes(type, parameters);
    LLVMTypeRef own = LLVMFunctionType(LLVMGetReturnType(type), parameters + 1, count - 1, 0);
    LLVMValueRef f = new_function(e, shared_name(e, verb), own, "qn_entry_run", LLVMExternalLinkage);
    LLVMBuilderRef b = begin_body(e, f);
    LLVMValueRef values[8] = {program};
    for (unsigned i = 1; i < count; i++) values[i] = LLVMGetParam(f, i - 1);
    LLVMBuildRet(b, call(b, entry, values, (int)count));
    LLVMDisposeBuilder(b);
    return f;
}

// struct qn_model of runtime/qanat.h, and the public functions.
static void build_public(Emitter *e, LLVMValueRef sizes, LLVMValueRef program) {
    const Interface *interface = e->interface;
    LLVMValueRef arena_bytes = entry_function(e, "arena_bytes", program), init = entry_function(e, "init", program);
    LLVMValueRef run = entry_function(e, "run", program), reset = entry_function(e, "reset", program);
    LLVMValueRef info = RECORD(e, int32(e, QN_ABI_VERSION), text(e, interface->name), text(e, interface->targets),
                               int32(e, interface->input_count), int32(e, interface->output_count),
                               interface_tensors(e, interface->input_count, interface->inputs),
                               interface_tensors(e, interface->output_count, interface->outputs),
                               int64(e, interface->weights_bytes), int64(e, interface->live_bytes), arena_bytes, init, run,
                               reset, int32(e, e->steps->sizes.count), sizes, entry_function(e, "target", program));
    global(e, shared_name(e, "info"), info, LLVMExternalLinkage, 8);
}

static void build_program(Emitter *e) {
    weights(e);
    LLVMValueRef sizes = sizes_table(e), program = program_record(e, sizes);
    if (!e->program) build_public(e, sizes, program);
}

void build_part(Emitter *e) {
    if (!e->part) build_program(e);
    for (int i = 0; e->part && i < e->steps->step_count; i++)
        if (e->steps->steps[i].like == i && e->part_of[i] == e->part) rows_function(e, &e->steps->steps[i]);
}
