// emit_programs: chooses the route, and writes its output, and the header, all or nothing.
#include "codegen/emit.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codegen/unfinished.h"

ProgramFacts program_facts(const Module *kn) {
    Arena *arena = arena_new();
    const Steps *steps = steps_new(arena, kn);
    ProgramFacts facts = {.arena_bytes = steps_arena_bytes(steps, 1), .live_bytes = steps->live_bytes,
                          .weights_bytes = steps->weights_bytes, .scratch_bytes = steps->scratch_bytes,
                          .steps = steps->step_count};
    arena_free(arena);
    return facts;
}

const char *step_task_name(const Step *step) { return step->name; }

char *step_rows_name(Arena *arena, const Steps *steps, const Step *step) {
    step = &steps->steps[step->like];
    if (step->like_count < 2) return arena_printf(arena, "%s__rows", step->name);
    return arena_printf(arena, "%s__rows_x%d", step->name, step->like_count);
}

static struct qn_variant variant_record(const Variant *variant) {
    struct qn_variant record = {.first_step = variant->first, .step_count = variant->count};
    for (int i = 0; i < QN_MAX_SIZES; i++) {
        bool has = i < variant->box.count;
        record.least[i] = has ? variant->box.items[i].least : 1;
        record.most[i] = has ? variant->box.items[i].most : 1;
    }
    return record;
}

static int rows_term_count(const Steps *steps) {
    int count = 0;
    for (int i = 0; i < steps->step_count; i++) {
        const SizeExpr *rows = step_rows_expr(&steps->steps[i]);
        count += rows ? rows->count : 0;
    }
    return count;
}

const BoundedTables *bounded_tables(Arena *arena, const Steps *steps) {
    _Static_assert((int)QN_MAX_SIZES == (int)MAX_SIZES, "as many sizes at run time as at compile time");
    if (!steps->sizes.count) return NULL;
    struct qn_variant *variants = ARENA_ARRAY(arena, struct qn_variant, steps->variant_count);
    struct qn_rows_term *terms = ARENA_ARRAY(arena, struct qn_rows_term, rows_term_count(steps));
    BoundedTables *tables = ARENA_NEW(arena, BoundedTables);
    *tables = (BoundedTables){&steps->sizes, steps->variant_count, 0, variants, terms};
    for (int i = 0; i < steps->variant_count; i++) variants[i] = variant_record(&steps->variants[i]);
    for (int i = 0; i < steps->step_count; i++) {
        const SizeExpr *rows = step_rows_expr(&steps->steps[i]);
        for (int k = 0; rows && k < rows->count; k++) {
            struct qn_rows_term *term = &terms[tables->term_count++];
            *term = (struct qn_rows_term){.step = i, .factor = (int32_t)rows->terms[k].factor};
            for (int s = 0; s < MAX_SIZES; s++) term->power[s] = rows->terms[k].power[s];
        }
    }
    return tables;
}

// ---- pieces

void code_add_piece(Arena *arena, Code *code, Piece piece) {
    if (code->count == code->capacity) {
        Piece *old = code->pieces;
        code->capacity = code->capacity ? 2 * code->capacity : 16;
        code->pieces = ARENA_ARRAY(arena, Piece, code->capacity);
        if (code->count) memcpy(code->pieces, old, sizeof *old * (size_t)code->count);
    }
    code->pieces[code->count++] = piece;
    code->bytes += piece.bytes;
}

void code_add(Arena *arena, Code *code, const void *data, size_t bytes) {
    if (bytes) code_add_piece(arena, code, (Piece){.data = data, .bytes = bytes});
}

void code_add_weights(Arena *arena, Code *code, const Steps *steps) {
    static const char zeros[256];
    size_t at = 0;
    for (int i = 0; i <= steps->weight_count; i++) {
        const WeightBlob *blob = i < steps->weight_count ? &steps->weights[i] : NULL;
        size_t next = (size_t)(blob ? blob->offset : steps->weights_bytes);
        BUG_UNLESS(next >= at && next - at <= sizeof zeros, "weights are not in order");
        code_add(arena, code, zeros, next - at);
        if (!blob) break;
        size_t bytes = type_bytes(blob->data->type), piece = blob->data->splat ? blob->data->bytes : bytes;
        char *copies = piece < bytes ? arena_alloc(arena, bytes) : NULL;
        for (size_t k = 0; copies && k < bytes; k += piece) memcpy(copies + k, blob->data->data, piece);
        code_add(arena, code, copies ? copies : blob->data->data, bytes);
        at = next + bytes;
    }
}

// Replaces the object in `code` by a library of it.
static void make_archive(Arena *arena, const char *name, Code *code) {
    static const char *const suffixes[] = {"arena_bytes", "info", "init", "reset", "run", "target"};
    enum { COUNT = sizeof suffixes / sizeof *suffixes };
    const char *symbols[COUNT];
    for (int i = 0; i < COUNT; i++) symbols[i] = arena_printf(arena, "%s_%s", name, suffixes[i]);
    *code = archive_of(arena, "model.o", code, COUNT, symbols);
}

// Links the object in `code`, from a temporary beside the output.
static bool write_shared(Arena *arena, Output *output, const EmitOptions *options, const Code *code, Diag *diag) {
    Output object;
    char message[1024];
    if (!strcmp(options->path, "-")) return diag_error(diag, loc_file("<stdout>"), "a shared object needs a file: give -o");
    if (!output_write(output, arena, options->path, 0, NULL, diag)) return false;
    if (!output->temporary) return diag_error(diag, loc_file(options->path), "a shared object needs a plain file");
    if (!output_write(&object, arena, options->path, code->count, code->pieces, diag)) return false;
    bool ok = link_shared(object.temporary, output->temporary, message, sizeof message);
    output_abandon(&object);
    if (!ok) return diag_error(diag, loc_file(options->path), "cannot link: %s", message);
    return true;
}

static bool write_outputs(Arena *arena, const Interface *interface, const EmitOptions *options, const Code *code, Diag *diag) {
    Output output = {0}, header = {0};
    bool ok = options->kind == EMIT_SHARED ? write_shared(arena, &output, options, code, diag)
                                           : output_write(&output, arena, options->path, code->count, code->pieces, diag);
    if (ok && options->header_path) {
        char *text;
        size_t bytes;
        FILE *out = open_memstream(&text, &bytes);
        BUG_UNLESS(out, "out of memory");
        interface_print(out, interface);
        fclose(out);
        ok = output_write(&header, arena, options->header_path, 1, &(Piece){.data = text, .bytes = bytes}, diag);
        free(text);
    }
    unfinished_hold(); // both or none
    ok = ok && output_commit(&output, diag) && output_commit(&header, diag);
    unfinished_release();
    output_abandon(&output);
    output_abandon(&header);
    return ok;
}

// The functions of custom operators are not among the model's own.
static bool check_customs(const Steps *steps, const EmitOptions *options, Diag *diag) {
    size_t length = strlen(options->name);
    for (int i = 0; i < steps->step_count; i++) {
        const char *symbol = steps->steps[i].kernel->symbol;
        if (!steps->steps[i].custom || strncmp(symbol, options->name, length) || symbol[length] != '_') continue;
        return diag_error(diag, steps->steps[i].op->loc, "the custom operator's function '%s' is named like those of the model "
                          "'%s': rename it, or give the model another --name", symbol, options->name);
    }
    return true;
}

static bool emit_code(Arena *arena, const Interface *interface, const EmitOptions *options, Diag *diag, Code *code) {
    bool text = options->kind == EMIT_ASM || options->kind == EMIT_LLVM;
    if (text && interface->program_count > 1)
        return diag_error(diag, loc_file(options->path), "assembly and LLVM IR are for one target, here are %s", interface->targets);
    if (!check_customs(interface->programs[0].steps, options, diag)) return false;
    if (options->kind == EMIT_C) return emit_c(arena, interface, code);
    if (!emit_llvm(arena, interface, options, diag, code)) return false;
    if (options->kind == EMIT_LIB) make_archive(arena, options->name, code);
    return true;
}

static ProgramFacts interface_facts(const Interface *interface, const Code *code) {
    ProgramFacts facts = {.arena_bytes = interface->arena_bytes, .live_bytes = interface->live_bytes, .weights_bytes = interface->weights_bytes,
                          .code_bytes = code->code_bytes, .steps = interface->programs[0].steps->step_count};
    for (int i = 0; i < interface->program_count; i++)
        if (interface->programs[i].steps->scratch_bytes > facts.scratch_bytes) facts.scratch_bytes = interface->programs[i].steps->scratch_bytes;
    return facts;
}

bool emit_programs(int count, const TargetProgram *programs, const EmitOptions *options, Diag *diag, ProgramFacts *facts) {
    Arena *arena = arena_new();
    const Interface *interface = interface_new(arena, count, programs, options, diag);
    Code code = {0};
    bool ok = interface && emit_code(arena, interface, options, diag, &code) && write_outputs(arena, interface, options, &code, diag);
    if (ok && facts) *facts = interface_facts(interface, &code);
    arena_free(arena);
    return ok;
}

const struct qn_model *load_shared(const char *path, const char *name, Diag *diag) {
    // dlopen searches the system's folders for a name without a slash.
    char *full = realpath(path, NULL);
    void *library = dlopen(full ? full : path, RTLD_NOW | RTLD_LOCAL);
    free(full);
    if (!library) {
        diag_error(diag, loc_file(path), "cannot load: %s", dlerror());
        return NULL;
    }
    char symbol[512];
    snprintf(symbol, sizeof symbol, "%s_info", name);
    const struct qn_model *model = dlsym(library, symbol);
    if (!model) diag_error(diag, loc_file(path), "holds no model '%s' (no symbol '%s')", name, symbol);
    else if (model->abi_version != QN_ABI_VERSION)
        diag_error(diag, loc_file(path), "is of ABI version %d, expected %d", model->abi_version, QN_ABI_VERSION);
    else return model;
    dlclose(library);
    return NULL;
}
