// The header of a compiled model, and the facts about its inputs and outputs that its code carries (interface.h).
#include "codegen/interface.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/embedded.h"

// Words that can't name a field: keywords of C23 and C++26, and what compilers define as macros unasked.
static const char *const reserved[] = {
    "alignas", "alignof", "and", "and_eq", "asm", "atomic_cancel", "atomic_commit", "atomic_noexcept", "auto",
    "bitand", "bitor", "bool", "break", "case", "catch", "char", "char16_t", "char32_t", "char8_t", "class",
    "co_await", "co_return", "co_yield", "compl", "concept", "const", "const_cast", "consteval", "constexpr",
    "constinit", "continue", "decltype", "default", "delete", "do", "double", "dynamic_cast", "else", "enum",
    "explicit", "export", "extern", "false", "float", "for", "friend", "goto", "if", "inline", "int", "linux", "long",
    "mutable", "namespace", "new", "noexcept", "not", "not_eq", "nullptr", "operator", "or", "or_eq", "private",
    "protected", "public", "reflexpr", "register", "reinterpret_cast", "requires", "restrict", "return", "short",
    "signed", "sizeof", "static", "static_assert", "static_cast", "struct", "switch", "synchronized", "template",
    "this", "thread_local", "throw", "true", "try", "typedef", "typeid", "typename", "typeof", "typeof_unqual",
    "union", "unix", "unsigned", "using", "virtual", "void", "volatile", "wchar_t", "while", "xor", "xor_eq", "NULL",
};

static const char *field_name(Arena *arena, const InterfaceTensor *earlier, int count, const char *tensor) {
    char *base = identifier(arena, tensor), *name = base;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (!strcmp(base, reserved[i])) name = base = arena_printf(arena, "%s_", base);
    for (int i = 0, n = 2; i < count; i++)
        if (!strcmp(earlier[i].field, name)) name = arena_printf(arena, "%s_%d", base, n++), i = -1;
    return name;
}

static void describe_dims(Arena *arena, const Value *buffer, const Sizes *sizes, InterfaceTensor *tensor) {
    VaryingList list = op_varying(arena, buffer->def, sizes);
    for (int i = 0; i < list.count; i++) tensor->dims[list.items[i].index] = &list.items[i].value;
}

static bool describe(Arena *arena, const Value *const *edges, InterfaceTensor *list, int index, const char *kind, Diag *diag) {
    InterfaceTensor *tensor = &list[index];
    const Value *buffer = edges[index];
    if (!buffer) BUG("%s %d of the program is missing", kind, index);
    const Type *type = buffer->type;
    tensor->name = edge_name(edges, index);
    if (!tensor->name) tensor->name = arena_printf(arena, "%s%d", kind, index);
    tensor->field = field_name(arena, list, index, tensor->name);
    tensor->rank = type->rank, tensor->shape = type->shape;
    tensor->bytes = type_elem_count(type) * ((elem_bits(type->elem) + 7) / 8);
    tensor->type = elem_code(type->elem), tensor->ctype = elem_ctype(type->elem);
    if (!tensor->type)
        return diag_error(diag, (Loc){.file = NULL, .name = tensor->name},
                          "an %s of type %s has no form in C; floats of 16 to 64 bits, i1 and integers of 8 to 64 bits have", kind, elem_name(type->elem));
    if (type->quant && type->quant->axis < 0) {
        tensor->scale = type->quant->scale[0];
        tensor->zero_point = type->quant->zero_point[0];
        if (type->elem == ELEM_U8 && type->quant->storage == ELEM_I8) tensor->zero_point += 128;
    }
    return true;
}

// No two targets' names with a layer's behind them are the same: "__" is in no target's.
static const char *prefix_of(Arena *arena, const char *name, const Target *target, int count) {
    return count > 1 ? arena_printf(arena, "%s__%s_", name, identifier(arena, target->name)) : name;
}

static void add_programs(Arena *arena, Interface *interface, int count, const TargetProgram *programs) {
    Steps **steps = ARENA_ARRAY(arena, Steps *, count);
    interface->targets = "";
    interface->program_count = count;
    interface->programs = ARENA_ARRAY(arena, TargetSteps, count);
    for (int i = 0; i < count; i++) {
        const Target *target = programs[i].target;
        steps[i] = steps_new(arena, programs[i].kn);
        interface->programs[i] = (TargetSteps){target, prefix_of(arena, interface->name, target, count), steps[i]};
        interface->targets = arena_printf(arena, "%s%s%s", interface->targets, i ? "," : "", target->name);
        int64_t bytes = steps_arena_bytes(steps[i], 1);
        if (bytes > interface->arena_bytes) interface->arena_bytes = bytes;
        if (steps[i]->live_bytes > interface->live_bytes) interface->live_bytes = steps[i]->live_bytes;
    }
    if (count > 1) steps_share_weights(arena, count, steps);
    interface->weights_bytes = steps[0]->weights_bytes;
}

const Interface *interface_new(Arena *arena, int count, const TargetProgram *programs, const EmitOptions *options, Diag *diag) {
    Interface *interface = ARENA_NEW(arena, Interface);
    *interface = (Interface){.name = options->name};
    add_programs(arena, interface, count, programs);
    const Steps *steps = interface->programs[0].steps;
    interface->input_count = steps->input_count, interface->output_count = steps->output_count;
    interface->inputs = ARENA_ARRAY(arena, InterfaceTensor, steps->input_count + 1);
    interface->outputs = ARENA_ARRAY(arena, InterfaceTensor, steps->output_count + 1);
    bool ok = true;
    for (int i = 0; i < steps->input_count; i++)
        ok &= describe(arena, steps->inputs, interface->inputs, i, "input", diag),
            describe_dims(arena, steps->inputs[i], &steps->sizes, &interface->inputs[i]);
    for (int i = 0; i < steps->output_count; i++)
        ok &= describe(arena, steps->outputs, interface->outputs, i, "output", diag),
            describe_dims(arena, steps->outputs[i], &steps->sizes, &interface->outputs[i]);
    for (int i = 0; i < steps->sizes.count; i++)
        interface->sizes[i] = field_name(arena, interface->inputs, steps->input_count, steps->sizes.items[i].name);
    return ok ? interface : NULL;
}

// ---- text

// A tensor's name in a comment: nothing that ends it.
static void print_comment_text(FILE *out, const char *text) {
    for (; *text; text++) fputc(isprint((unsigned char)*text) && *text != '\\' ? *text : '?', out);
}

static void print_scale(FILE *out, const InterfaceTensor *tensor) {
    int zero = tensor->zero_point;
    fprintf(out, "; real = %.9g * ", (double)tensor->scale);
    fprintf(out, zero == 0 ? "q" : zero < 0 ? "(q + %d)" : "(q - %d)", abs(zero));
}

static void print_shape(FILE *out, const InterfaceTensor *tensor, const Sizes *sizes) {
    Arena *arena = arena_new();
    bool varies = false;
    fprintf(out, ": [");
    for (int k = 0; k < tensor->rank; k++) {
        varies |= tensor->dims[k] != NULL;
        if (k) fprintf(out, ", ");
        if (tensor->dims[k]) fprintf(out, "%s", size_expr_text(arena, tensor->dims[k], sizes));
        else fprintf(out, "%lld", (long long)tensor->shape[k]);
    }
    fprintf(out, "], %s%lld bytes", varies ? "at most " : "", (long long)tensor->bytes);
    arena_free(arena);
}

// The pointers, and for the inputs the sizes behind them.
static void print_struct(FILE *out, const Interface *interface, const char *kind, const Sizes *sizes) {
    bool is_inputs = *kind == 'i';
    int count = is_inputs ? interface->input_count : interface->output_count;
    fprintf(out, "struct %s_%s {\n", interface->name, kind);
    for (int i = 0; i < count; i++) {
        const InterfaceTensor *tensor = is_inputs ? &interface->inputs[i] : &interface->outputs[i];
        fprintf(out, "    %s%s *%s; // ", is_inputs ? "const " : "", tensor->ctype, tensor->field);
        print_comment_text(out, tensor->name);
        print_shape(out, tensor, sizes);
        if (tensor->scale != 0) print_scale(out, tensor);
        fputc('\n', out);
    }
    for (int i = 0; is_inputs && i < sizes->count; i++)
        fprintf(out, "    int32_t %s; // %d to %d\n", interface->sizes[i], sizes->items[i].least, sizes->items[i].most);
    if (!count) fprintf(out, "    const void *none;\n");
    fprintf(out, "};\n\n");
}

static void print_states(FILE *out, const Steps *steps) {
    fprintf(out, "// Puts what is kept from run to run back to its start, as after %s.", "init");
    if (!steps->states) fprintf(out, " This network keeps nothing.");
    for (int i = 0; steps->states && i < steps->states->count; i++) {
        fprintf(out, "%s", i ? ", " : " It is: ");
        const char *name = steps->inputs[steps->input_count + i]->name;
        print_comment_text(out, name ? name : "a state");
    }
    fputc('\n', out);
}

void interface_print(FILE *out, const Interface *interface) {
    const char *name = interface->name;
    const Steps *steps = interface->programs[0].steps;
    char upper[256] = {0};
    for (int i = 0; name[i] && i < 255; i++) upper[i] = (char)toupper((unsigned char)name[i]);
    const Embedded *qanat = embedded_find("runtime/qanat.h");
    fprintf(out, "// The network '%s', compiled by Qanat for %s.\n", name, interface->targets);
    fprintf(out, "// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception\n");
    fprintf(out, "#ifndef %s_MODEL_H\n#define %s_MODEL_H\n\n", upper, upper);
    fwrite(qanat->begin, 1, embedded_bytes(qanat), out);
    fprintf(out, "\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    fprintf(out, "#define %s_ARENA_BYTES %lld // for one thread; for more: %s_arena_bytes\n", upper,
            (long long)interface->arena_bytes, name);
    fprintf(out, "#define %s_ARENA_ALIGN 64\n\n", upper);
    print_struct(out, interface, "inputs", &steps->sizes);
    print_struct(out, interface, "outputs", &steps->sizes);
    fprintf(out, "// The bytes that an arena must have for pools of up to `threads` threads.\n");
    fprintf(out, "size_t %s_arena_bytes(int threads);\n", name);
    fprintf(out, "// Prepares an arena, once; options may be NULL (one thread). All functions return QN_OK or QN_ERR_...\n");
    fprintf(out, "int %s_init(void *arena, const struct qn_options *options);\n", name);
    fprintf(out, "// Runs the network once. pool may be NULL. Arenas are independent: one for each concurrent run.\n");
    fprintf(out, "int %s_run(void *arena, const struct %s_inputs *inputs, const struct %s_outputs *outputs,\n", name,
            name, name);
    fprintf(out, "    const struct qn_pool *pool);\n");
    print_states(out, steps);
    fprintf(out, "int %s_reset(void *arena);\n", name);
    fprintf(out, "// The target that init chose for this arena; NULL: it was not prepared.\n");
    fprintf(out, "const char *%s_target(const void *arena);\n", name);
    fprintf(out, "extern const struct qn_model %s_info;\n\n", name);
    fprintf(out, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
}
