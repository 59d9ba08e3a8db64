// The C route: the program as one self-contained C file. In it are the public header, the kernels that are used, as they
// stand in runtime/kernels, the weights, one function a distinct layer that calls a kernel with constant arguments, and
// the runtime's entry. Any C99 compiler of the target's architecture gives the same integers as the LLVM route.
#include <stdlib.h>
#include <string.h>

#include "codegen/embedded.h"
#include "codegen/emit.h"

typedef struct {
    Arena *arena;
    FILE *out;
    const Interface *interface;
    const char *prefix; // of the program that is printed
    const Steps *steps;
    const char *seen[256]; // files already printed
    int seen_count;
    const char *system[64]; // #include <…> lines, moved to the top
    int system_count;
    Code *code;        // the pieces before what `out` collects
    char *text;        // that, after fclose
    size_t text_bytes;
} Printer;

static void begin_piece(Printer *p) {
    p->out = open_memstream(&p->text, &p->text_bytes);
    BUG_UNLESS(p->out, "out of memory");
}

// ---- the project's own files, their includes resolved

static bool remember(const char **list, int *count, int capacity, const char *text) {
    for (int i = 0; i < *count; i++)
        if (!strcmp(list[i], text)) return false;
    BUG_UNLESS(*count < capacity, "too many included files");
    list[(*count)++] = text;
    return true;
}

static bool ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && !strcmp(text + a - b, end);
}

// The file that `name`, included by the file `from`, stands for: from the project's root, or beside it.
static const Embedded *find_included(Printer *p, const char *from, const char *name) {
    const Embedded *file = embedded_find(name);
    const char *slash = strrchr(from, '/');
    if (!file && slash) file = embedded_find(arena_printf(p->arena, "%.*s/%s", (int)(slash - from), from, name));
    BUG_UNLESS(file, "%s includes %s, which is not in the compiler", from, name);
    return file;
}

static void print_file(Printer *p, const Embedded *file);

static void print_include(Printer *p, const Embedded *file, const char *line, const char *end) {
    const char *open = memchr(line, '<', (size_t)(end - line)), *quote = memchr(line, '"', (size_t)(end - line));
    if (quote) {
        const char *close = memchr(quote + 1, '"', (size_t)(end - quote - 1));
        BUG_UNLESS(close, "%s: #include", file->path);
        print_file(p, find_included(p, file->path, arena_printf(p->arena, "%.*s", (int)(close - quote - 1), quote + 1)));
    } else if (open) {
        remember(p->system, &p->system_count, 64, arena_printf(p->arena, "%.*s", (int)(end - line), line));
    }
}

static bool is_directive(const char *line, const char *end, const char *text) {
    size_t length = strlen(text);
    return (size_t)(end - line) >= length && !memcmp(line, text, length);
}

// Headers are printed once; .def files each time that they are asked for.
static void print_file(Printer *p, const Embedded *file) {
    if (!ends_with(file->path, ".def") && !remember(p->seen, &p->seen_count, 256, file->path)) return;
    for (const char *line = file->begin; line < file->end;) {
        const char *end = memchr(line, '\n', (size_t)(file->end - line));
        if (!end) end = file->end;
        if (is_directive(line, end, "#include")) print_include(p, file, line, end);
        else if (!is_directive(line, end, "#pragma once")) fprintf(p->out, "%.*s\n", (int)(end - line), line);
        line = end + 1;
    }
}

static void print_path(Printer *p, const char *path) {
    const Embedded *file = embedded_find(path);
    BUG_UNLESS(file, "%s is not in the compiler", path);
    print_file(p, file);
}

// The kernels of one instruction-set family that a program calls.
static void print_kernels(Printer *p, const Steps *steps, const char *isa) {
    for (int i = 0; i < steps->step_count; i++) {
        const KernelInfo *kernel = steps->steps[i].kernel;
        if (steps->steps[i].custom || (isa && strcmp(kernel->isa, isa) != 0)) continue;
        print_path(p, arena_printf(p->arena, "runtime/kernels/%s/%s.c", kernel->family, kernel->isa));
    }
}

// ---- data

// What was printed so far becomes a piece.
static void end_piece(Printer *p) {
    fclose(p->out);
    code_add(p->arena, p->code, arena_copy(p->arena, p->text, p->text_bytes), p->text_bytes);
    free(p->text);
    begin_piece(p);
}

static void print_word64(FILE *out, size_t at, uint64_t word) {
    fprintf(out, word < 10 ? "%s%llu," : "%s0x%llx,", at / 8 % 8 ? "" : "\n", (unsigned long long)word);
}

// Bytes from `at` on; those of one element stand for all of a splat.
static void copy_elems(void *target, const Dense *dense, size_t at, size_t bytes) {
    const char *data = dense->data;
    if (!dense->splat) memcpy(target, data + at, bytes);
    for (size_t i = 0; dense->splat && i < bytes; i++) ((char *)target)[i] = data[(at + i) % dense->bytes];
}

// The blob of the weights in words: printed when the file is written, as the text is some times as long.
static void print_words(FILE *out, const void *data) {
    const Steps *steps = data;
    size_t at = 0;
    for (int i = 0; i <= steps->weight_count; i++) {
        const Dense *dense = i < steps->weight_count ? steps->weights[i].data : NULL;
        size_t begin = (size_t)(dense ? steps->weights[i].offset : steps->weights_bytes);
        size_t bytes = dense ? type_bytes(dense->type) : 0;
        for (; at < begin; at += 8) print_word64(out, at, 0);
        for (size_t done = 0; done < bytes; done += 8, at += 8) {
            uint64_t word = 0;
            copy_elems(&word, dense, done, bytes - done < 8 ? bytes - done : 8);
            print_word64(out, at, word);
        }
    }
}

static void print_weights(Printer *p) {
    const Steps *steps = p->interface->programs[0].steps; // all programs have the same
    size_t bytes = (size_t)steps->weights_bytes;
    if (!bytes) return;
    fprintf(p->out, "#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__\n"
                    "#error \"the weights are in little-endian order\"\n#endif\n");
    fprintf(p->out, "static const uint64_t %s_weights[%zu] __attribute__((aligned(64))) = {", p->interface->name, bytes / 8);
    end_piece(p);
    code_add_piece(p->arena, p->code, (Piece){.data = steps, .print = print_words});
    fprintf(p->out, "\n};\n\n");
}

static void print_word(FILE *out, const FieldInfo *field, int32_t word) {
    float value;
    memcpy(&value, &word, sizeof value);
    if (field->kind != 'F') fprintf(out, word == INT32_MIN ? "-2147483647 - 1" : "%d", word);
    else if (value != value) fprintf(out, "__builtin_nanf(\"\")");
    else if (value - value != 0) fprintf(out, "%s__builtin_inff()", value < 0 ? "-" : "");
    else fprintf(out, "%af", (double)value);
}

// In terms of `sizes`, an array of int32_t; sums are taken in `type`.
static void print_size_expr(FILE *out, const SizeExpr *expr, const char *sizes, const char *type) {
    if (!expr->count) fputc('0', out);
    for (int i = 0; i < expr->count; i++) {
        fprintf(out, "%s(%s)%lld", i ? " + " : "", type, (long long)expr->terms[i].factor);
        for (int s = 0; s < MAX_SIZES; s++)
            for (int k = 0; k < expr->terms[i].power[s]; k++) fprintf(out, " * %s[%d]", sizes, s);
    }
}

static void print_argument(FILE *out, const Step *step, const FieldInfo *field, int word) {
    for (int i = 0; i < step->varying_count; i++)
        if (step->varying[i].word == word) {
            fprintf(out, "(int32_t)(");
            print_size_expr(out, &step->varying[i].value, "sizes", "int64_t");
            fputc(')', out);
            return;
        }
    print_word(out, field, step->args.words[word]);
}

static void print_args(Printer *p, const Step *step, const char *storage, const char *name) {
    const FamilyInfo *family = step->args.family;
    fprintf(p->out, "%sconst struct qn_%s_args %s = {", storage, family->name, name);
    for (int i = 0; i < family->field_count; i++) {
        const FieldInfo *field = &family->fields[i];
        fprintf(p->out, "%s.%s = %s", i ? ", " : "", field->name, field->count > 1 ? "{" : "");
        for (int k = 0; k < field->count; k++) {
            if (k) fprintf(p->out, ", ");
            print_argument(p->out, step, field, field->word + k);
        }
        if (field->count > 1) fputc('}', p->out);
    }
    fprintf(p->out, "};\n");
}

// ---- functions

// Arguments that vary are made in the function, from the sizes.
static void print_rows_function(Printer *p, const Step *step) {
    const char *name = arena_printf(p->arena, "%s_%s", p->prefix, step_rows_name(p->arena, p->steps, step));
    const char *restricted = step->overlap ? "" : "restrict ", *args = arena_printf(p->arena, "%s_args", name);
    if (step->varying_count) args = "args";
    else print_args(p, step, "static ", args);
    fprintf(p->out, "static __attribute__((noinline)) void %s(%s", name, step->varying_count ? "const int32_t *sizes, " : "");
    for (int i = 0; i < step->pointer_count; i++)
        if (step->pointers[i].place != AT_NOTHING)
            fprintf(p->out, "%svoid *%sp%d, ", i < step->pointer_count - 1 && step->pointers[i].place != AT_SCRATCH ? "const " : "",
                    restricted, i);
    fprintf(p->out, "int32_t begin, int32_t end) {\n");
    if (step->varying_count) print_args(p, step, "    ", args);
    fprintf(p->out, "    %s(&%s, ", step->kernel->symbol, args);
    for (int i = 0; i < step->pointer_count; i++)
        if (step->pointers[i].place == AT_NOTHING) fprintf(p->out, "NULL, ");
        else fprintf(p->out, "p%d, ", i);
    fprintf(p->out, "begin, end);\n}\n");
}

static void print_address(Printer *p, Address address) {
    long long offset = address.offset;
    switch (address.place) {
    case AT_NOTHING: return;
    case AT_ARENA: fprintf(p->out, "c->arena + %lld", offset); break;
    case AT_WEIGHTS: fprintf(p->out, "(const char *)%s_weights + %lld", p->interface->name, offset); break;
    case AT_INPUT: fprintf(p->out, "(const char *)c->inputs[%d] + %lld", address.index, offset); break;
    case AT_OUTPUT: fprintf(p->out, "(char *)c->outputs[%d] + %lld", address.index, offset); break;
    case AT_SCRATCH:
        fprintf(p->out, "c->arena + %lld + (size_t)worker * %lld", (long long)p->steps->plan_bytes,
                (long long)p->steps->worker_bytes);
        break;
    case AT_ROWS: fprintf(p->out, "c->rows[%d] + %lld", address.index, offset); break;
    }
    if (address.varying.count) {
        fprintf(p->out, " + (");
        print_size_expr(p->out, &address.varying, "c->sizes", "ptrdiff_t");
        fputc(')', p->out);
    }
    fprintf(p->out, ", ");
}

static void print_string(FILE *out, const char *text);
static void print_tensor_records(FILE *out, int count, const struct qn_tensor *tensors);

static void print_pointers(Printer *p, const char *type, const char *name, const Address *addresses, int count) {
    fprintf(p->out, "    %s const %s[] = {", type, name);
    for (int i = 0; i < count; i++) print_address(p, addresses[i]);
    fprintf(p->out, "%s};\n", count ? "" : "NULL");
}

// The declaration stands innermost: the symbol may have the name of anything around it.
static void print_custom_task(Printer *p, const Step *step) {
    const struct qn_custom *custom = step->custom;
    const char *name = arena_printf(p->arena, "%s_%s", p->prefix, step_task_name(step));
    fprintf(p->out, "static void %s(void *context, int worker, int32_t begin, int32_t end) {\n", name);
    fprintf(p->out, "    static const struct qn_tensor qn_tensors[] = {\n");
    print_tensor_records(p->out, custom->input_count, custom->inputs);
    print_tensor_records(p->out, custom->output_count, custom->outputs);
    fprintf(p->out, "    };\n    static const struct qn_custom qn_op = {");
    print_string(p->out, custom->name);
    fprintf(p->out, ", ");
    print_string(p->out, custom->attributes);
    fprintf(p->out, ", %d, %d, qn_tensors, qn_tensors + %d};\n", custom->input_count, custom->output_count, custom->input_count);
    fprintf(p->out, "    const struct qn_context *c = (const struct qn_context *)context;\n");
    print_pointers(p, "const void *", "qn_inputs", step->pointers, custom->input_count);
    print_pointers(p, "void *", "qn_outputs", step->pointers + custom->input_count, custom->output_count);
    fprintf(p->out, "    (void)c, (void)worker, (void)begin, (void)end;\n    {\n        extern qn_custom_fn %s;\n"
                    "        %s(&qn_op, qn_inputs, qn_outputs);\n    }\n}\n\n", step->kernel->symbol, step->kernel->symbol);
}

static void print_task(Printer *p, const Step *step) {
    const Step *like = &p->steps->steps[step->like];
    fprintf(p->out, "static void %s_%s(void *context, int worker, int32_t begin, int32_t end) {\n", p->prefix,
            step_task_name(step));
    fprintf(p->out, "    const struct qn_context *c = (const struct qn_context *)context;\n    (void)c, (void)worker;\n");
    fprintf(p->out, "    %s_%s(%s", p->prefix, step_rows_name(p->arena, p->steps, like),
            step->varying_count ? "c->sizes, " : "");
    for (int i = 0; i < step->pointer_count; i++) print_address(p, step->pointers[i]);
    fprintf(p->out, "begin, end);\n}\n\n");
}

static const struct { const char *name, *features; } isas[] = {
#define ISA(name, arch, flags, features) {#name, features},
#include "runtime/isas.def"
#undef ISA
};

// `text` and those of `features`, "+avx2,+fma", that it lacks, as compilers' target attributes name them: "avx2,fma".
static const char *without_signs(Arena *arena, const char *text, const char *features) {
    for (const char *at = features; *at; at += strcspn(at, ","), at += *at == ',') {
        const char *feature = arena_printf(arena, "%.*s", (int)strcspn(at, ",") - 1, at + 1);
        if (!strstr(arena_printf(arena, ",%s,", text), arena_printf(arena, ",%s,", feature)))
            text = arena_printf(arena, "%s%s%s", text, *text ? "," : "", feature);
    }
    return text;
}

// The features of the target's kernel families.
static const char *target_attribute(Arena *arena, const Target *target) {
    const char *text = "";
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
        if (target_has_isa(target, isas[i].name)) text = without_signs(arena, text, isas[i].features);
    return text;
}

// Everything between is compiled for the target's instruction sets, whatever the command line says.
static void print_target_begin(FILE *out, const char *features) {
    if (!*features) return;
    fprintf(out, "#if defined(__clang__)\n"
                 "#pragma clang attribute push(__attribute__((target(\"%s\"))), apply_to = function)\n"
                 "#elif defined(__GNUC__)\n#pragma GCC push_options\n#pragma GCC target(\"%s%s\")\n#endif\n\n",
            features, features, strstr(features, "avx512") ? ",prefer-vector-width=512" : "");
}

static void print_target_end(FILE *out, const char *features) {
    if (*features)
        fprintf(out, "#if defined(__clang__)\n#pragma clang attribute pop\n#elif defined(__GNUC__)\n"
                     "#pragma GCC pop_options\n#endif\n\n");
}

// ---- tables and entry points

static void print_string(FILE *out, const char *text) {
    fputc('"', out);
    for (; *text; text++)
        if (*text == '"' || *text == '\\' || *text == '?' || (unsigned char)*text < 32 || (unsigned char)*text > 126)
            fprintf(out, "\\%03o", (unsigned char)*text);
        else fputc(*text, out);
    fputc('"', out);
}

static void print_tensor_records(FILE *out, int count, const struct qn_tensor *tensors) {
    for (const struct qn_tensor *tensor = tensors; tensor < tensors + count; tensor++) {
        fprintf(out, "    {");
        print_string(out, tensor->name);
        fprintf(out, ", %d, %d, {", tensor->type, tensor->rank);
        for (int k = 0; k < 8; k++) fprintf(out, "%s%lld", k ? ", " : "", (long long)tensor->shape[k]);
        fprintf(out, "}, %zu, %af, %d},\n", tensor->bytes, (double)tensor->scale, tensor->zero_point);
    }
}

static void print_tensors(FILE *out, const char *name, const char *kind, int count, const InterfaceTensor *tensors) {
    if (!count) return;
    fprintf(out, "static const struct qn_tensor %s_%s_info[] = {\n", name, kind);
    for (int i = 0; i < count; i++) {
        struct qn_tensor tensor = {tensors[i].name, tensors[i].type, tensors[i].rank, {0}, (size_t)tensors[i].bytes,
                                   tensors[i].scale, tensors[i].zero_point};
        memcpy(tensor.shape, tensors[i].shape, sizeof(int64_t) * (size_t)tensors[i].rank);
        print_tensor_records(out, 1, &tensor);
    }
    fprintf(out, "};\n");
}

static void print_numbers(FILE *out, const int32_t *numbers) {
    for (int i = 0; i < MAX_SIZES; i++) fprintf(out, "%s%d", i ? ", " : "{", numbers[i]);
    fputc('}', out);
}

// What varies, as runtime/entry.h has it.
static void print_variants(FILE *out, const char *name, const BoundedTables *tables) {
    fprintf(out, "static const struct qn_size %s_sizes[] = {\n", name);
    for (int i = 0; i < tables->sizes->count; i++)
        fprintf(out, "    {\"%s\", %d, %d},\n", tables->sizes->items[i].name, tables->sizes->items[i].least,
                tables->sizes->items[i].most);
    fprintf(out, "};\nstatic const struct qn_variant %s_variants[] = {\n", name);
    for (int i = 0; i < tables->variant_count; i++) {
        const struct qn_variant *variant = &tables->variants[i];
        fprintf(out, "    {%d, %d, ", variant->first_step, variant->step_count);
        print_numbers(out, variant->least);
        fprintf(out, ", ");
        print_numbers(out, variant->most);
        fprintf(out, "},\n");
    }
    fprintf(out, "};\n");
    if (tables->term_count) fprintf(out, "static const struct qn_rows_term %s_terms[] = {\n", name);
    for (int i = 0; i < tables->term_count; i++) {
        fprintf(out, "    {%d, %d, ", tables->terms[i].step, tables->terms[i].factor);
        print_numbers(out, tables->terms[i].power);
        fprintf(out, "},\n");
    }
    if (tables->term_count) fprintf(out, "};\n");
}

// Of the first of steps that run together, as runtime/fused.h has it; each record is named by the step's number.
static void print_fused(FILE *out, const char *name, int step, const struct qn_fused *fused) {
    fprintf(out, "static const struct qn_row_buffer %s_rows_%d[] = {\n", name, step);
    for (int i = 0; i + 1 < fused->count; i++) {
        const struct qn_row_buffer *b = &fused->buffers[i];
        fprintf(out, "    {%d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %zu, %zu},\n", b->height, b->top, b->bottom, b->window, b->stride,
                b->shift, b->pad, b->calls, b->slots, b->row_bytes, b->left_bytes, b->right_bytes, b->fill, b->offset, b->own_offset);
    }
    fprintf(out, "};\nstatic const struct qn_fused %s_fused_%d = {%d, %d, %s_rows_%d};\n", name, step, fused->count, fused->band, name, step);
}

static void print_steps(FILE *out, const char *name, const Steps *steps) {
    for (int i = 0; i < steps->step_count; i++)
        if (steps->steps[i].fused) print_fused(out, name, i, steps->steps[i].fused);
    fprintf(out, "static const struct qn_step %s_steps[] = {\n", name);
    for (int i = 0; i < steps->step_count; i++) {
        const Step *step = &steps->steps[i];
        fprintf(out, "    {%s_%s, %d, %d, ", name, step_task_name(step), step->rows, step->grain);
        if (step->fused) fprintf(out, "&%s_fused_%d},\n", name, i);
        else fprintf(out, "NULL},\n");
    }
    fprintf(out, "};\n");
}

static void print_start(FILE *out, const char *name, int index, const struct qn_state *state) {
    const unsigned char *bytes = state->start;
    fprintf(out, "static const unsigned char %s_start_%d[] = {", name, index);
    for (size_t i = 0; i < state->bytes; i++) fprintf(out, "%s%d,", i % 24 ? "" : "\n    ", bytes[i]);
    fprintf(out, "\n};\n");
}

static void print_states(FILE *out, const char *name, const struct qn_states *states) {
    for (int i = 0; i < states->count; i++)
        if (states->items[i].start) print_start(out, name, i, &states->items[i]);
    fprintf(out, "static const struct qn_state %s_state[] = {\n", name);
    for (int i = 0; i < states->count; i++) {
        const struct qn_state *state = &states->items[i];
        fprintf(out, "    {%zu, {%zu, %zu}, ", state->bytes, state->offset[0], state->offset[1]);
        if (state->start) fprintf(out, "%s_start_%d},\n", name, i);
        else fprintf(out, "NULL},\n");
    }
    fprintf(out, "};\nstatic const struct qn_states %s_states = {%d, %d, %d, %zu, %s_state};\n", name, states->count, states->input_count,
            states->output_count, states->addresses, name);
}

// `next`: the program behind it; NULL: none.
static void print_program(Printer *p, const Target *target, const char *next) {
    const char *name = p->prefix;
    const Steps *steps = p->steps;
    const BoundedTables *tables = bounded_tables(p->arena, steps);
    if (steps->step_count) print_steps(p->out, name, steps);
    if (tables) print_variants(p->out, name, tables);
    if (steps->states) print_states(p->out, name, steps->states);
    fprintf(p->out, "static const struct qn_program %s_program = {\n    %s%s, %d, %d, %d, 0x%llxu, %lld, %lld, %lld,\n", name,
            steps->step_count ? name : "NULL", steps->step_count ? "_steps" : "", steps->step_count, p->interface->input_count,
            p->interface->output_count, (unsigned long long)target_cpu_features(target), (long long)steps->plan_bytes,
            (long long)steps->scratch_bytes, (long long)steps->worker_bytes);
    if (tables)
        fprintf(p->out, "    %d, %d, %d, %s_variants, %s%s, %s_sizes,\n", tables->sizes->count, tables->variant_count,
                tables->term_count, name, tables->term_count ? name : "NULL", tables->term_count ? "_terms" : "", name);
    else fprintf(p->out, "    0, 0, 0, NULL, NULL, NULL,\n");
    if (steps->states) fprintf(p->out, "    &%s_states, ", name);
    else fprintf(p->out, "    NULL, ");
    fprintf(p->out, "qn_fused_rows, \"%s\", ", target->name);
    if (next) fprintf(p->out, "&%s_program,\n};\n", next);
    else fprintf(p->out, "NULL,\n};\n");
}

// Each stands behind the one that it names.
static void print_programs(Printer *p) {
    for (int i = p->interface->program_count; i-- > 0;) {
        const TargetSteps *program = &p->interface->programs[i];
        p->prefix = program->prefix, p->steps = program->steps;
        print_program(p, program->target, i + 1 < p->interface->program_count ? program[1].prefix : NULL);
    }
    print_tensors(p->out, p->interface->name, "inputs", p->interface->input_count, p->interface->inputs);
    print_tensors(p->out, p->interface->name, "outputs", p->interface->output_count, p->interface->outputs);
}

static void print_functions(FILE *out, const Interface *interface) {
    const char *name = interface->name, *first = interface->programs[0].prefix;
    fprintf(out, "\nsize_t %s_arena_bytes(int threads) { return qn_entry_arena_bytes(&%s_program, threads); }\n\n", name, first);
    fprintf(out, "int %s_init(void *arena, const struct qn_options *options) {\n"
                 "    return qn_entry_init(&%s_program, arena, options);\n}\n\n", name, first);
    fprintf(out, "static int %s_run_pointers(void *arena, const void *const *inputs, void *const *outputs,\n"
                 "                          const struct qn_pool *pool) {\n"
                 "    return qn_entry_run(&%s_program, arena, inputs, outputs, pool);\n}\n\n", name, first);
    fprintf(out, "int %s_run(void *arena, const struct %s_inputs *inputs, const struct %s_outputs *outputs,\n"
                 "    const struct qn_pool *pool) {\n    return %s_run_pointers(arena, (const void *const *)(const void *)inputs,\n"
                 "        (void *const *)(const void *)outputs, pool);\n}\n\n", name, name, name, name);
    fprintf(out, "int %s_reset(void *arena) { return qn_entry_reset(&%s_program, arena); }\n\n", name, first);
    fprintf(out, "const char *%s_target(const void *arena) { return qn_entry_target(&%s_program, arena); }\n\n", name, first);
}

static void print_info(FILE *out, const Interface *interface) {
    const char *name = interface->name;
    const TargetSteps *first = &interface->programs[0];
    const int sizes = first->steps->sizes.count;
    fprintf(out, "const struct qn_model %s_info = {\n    QN_ABI_VERSION, \"%s\", \"%s\", %d, %d,\n", name, name,
            interface->targets, interface->input_count, interface->output_count);
    fprintf(out, "    %s%s, %s%s, %lld, %lld,\n", interface->input_count ? name : "NULL",
            interface->input_count ? "_inputs_info" : "", interface->output_count ? name : "NULL",
            interface->output_count ? "_outputs_info" : "", (long long)interface->weights_bytes, (long long)interface->live_bytes);
    fprintf(out, "    %s_arena_bytes, %s_init, %s_run_pointers, %s_reset, %d, %s%s, %s_target,\n};\n", name, name, name, name, sizes,
            sizes ? first->prefix : "NULL", sizes ? "_sizes" : "", name);
}

// ---- the file

static void print_layers(Printer *p, const TargetSteps *program) {
    p->prefix = program->prefix, p->steps = program->steps;
    fprintf(p->out, "\n// ---- the layers%s%s\n\n", p->interface->program_count > 1 ? " for " : "",
            p->interface->program_count > 1 ? program->target->name : "");
    for (int i = 0; i < p->steps->step_count; i++) {
        if (p->steps->steps[i].custom) {
            print_custom_task(p, &p->steps->steps[i]);
            continue;
        }
        if (p->steps->steps[i].like == i) print_rows_function(p, &p->steps->steps[i]);
        print_task(p, &p->steps->steps[i]);
    }
}

// One target: everything is for its instruction sets.
static void print_only(Printer *p, const TargetSteps *program) {
    const char *features = target_attribute(p->arena, program->target);
    print_target_begin(p->out, features);
    print_path(p, "runtime/kernel.h");
    print_kernels(p, program->steps, NULL);
    print_layers(p, program);
    print_path(p, "runtime/fused.c");
    print_target_end(p->out, features);
}

static bool calls_family(const Interface *interface, const char *isa) {
    for (int k = 0; k < interface->program_count; k++)
        for (int i = 0; i < interface->programs[k].steps->step_count; i++) {
            const Step *step = &interface->programs[k].steps->steps[i];
            if (!step->custom && !strcmp(step->kernel->isa, isa)) return true;
        }
    return false;
}

// Several: kernels are each for the instruction sets of their own family, the least first, as they share functions; layers, which
// kernels are inlined into, are for those of their target. AVX-VNNI and AVX-512 share what neither has more of: it stands before all.
// Where nothing stands, no instruction sets are named: clang warns.
static void print_several(Printer *p) {
    print_path(p, "runtime/kernel.h");
    print_path(p, "runtime/kernels/gemm.h");
    print_path(p, "runtime/fused.c");
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        const char *features = without_signs(p->arena, "", isas[i].features);
        if (!calls_family(p->interface, isas[i].name)) continue;
        print_target_begin(p->out, features);
        for (int k = 0; k < p->interface->program_count; k++) print_kernels(p, p->interface->programs[k].steps, isas[i].name);
        print_target_end(p->out, features);
    }
    for (int k = 0; k < p->interface->program_count; k++) {
        const char *features = target_attribute(p->arena, p->interface->programs[k].target);
        if (!p->interface->programs[k].steps->step_count) continue;
        print_target_begin(p->out, features);
        print_layers(p, &p->interface->programs[k]);
        print_target_end(p->out, features);
    }
}

static void print_body(Printer *p) {
    remember(p->seen, &p->seen_count, 256, "runtime/qanat.h"); // printed by interface_print
    fprintf(p->out, "#define QN_ENTRY static\n#define QN_INLINE_KERNELS 1\n");
    print_path(p, "runtime/entry.h");
    print_weights(p);
    if (p->interface->program_count == 1) print_only(p, &p->interface->programs[0]);
    else print_several(p);
    fprintf(p->out, "// ---- the model\n\n");
    print_path(p, "runtime/state.c");
    print_path(p, "runtime/entry.c");
    print_programs(p);
    print_functions(p->out, p->interface);
    print_info(p->out, p->interface);
}

// gcc allocates registers poorly for the kernels' tiles without the first, and vectorizes no selection by a float without the
// second; the others keep floats exact.
static const char *const prologue =
    "#if defined(__clang__)\n#pragma STDC FP_CONTRACT OFF\n#elif defined(__GNUC__)\n"
    "#pragma GCC optimize(\"no-tree-coalesce-vars\", \"no-trapping-math\", \"no-strict-aliasing\", \"fp-contract=off\")\n#endif\n";

bool emit_c(Arena *arena, const Interface *interface, Code *code) {
    Code body = {0};
    Printer p = {.arena = arena, .interface = interface, .code = &body};
    begin_piece(&p);
    print_body(&p);
    end_piece(&p);
    FILE *out = p.out; // the head, which needs to know what the body includes
    p.code = code;
    fprintf(out, "// Compiled by Qanat: one self-contained C99 file for %s. Compile with -O2 or -O3.\n%s",
            interface->targets, prologue);
    for (int i = 0; i < p.system_count; i++) fprintf(out, "%s\n", p.system[i]);
    fputc('\n', out);
    interface_print(out, interface);
    fputc('\n', out);
    end_piece(&p);
    fclose(p.out);
    free(p.text);
    for (int i = 0; i < body.count; i++) code_add_piece(arena, code, body.pieces[i]);
    return true;
}
