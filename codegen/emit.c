// emit_program: chooses the route, and writes its output, and the header, all or nothing.
#include "codegen/emit.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codegen/output.h"
#include "codegen/unfinished.h"
#include "runtime/entry.h"

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

// Replaces the object in `code` by a library of it.
static void make_archive(Arena *arena, const char *name, Code *code) {
    static const char *const suffixes[] = {"arena_bytes", "info", "init", "reset", "run"};
    const char *symbols[5];
    for (int i = 0; i < 5; i++) symbols[i] = arena_printf(arena, "%s_%s", name, suffixes[i]);
    Code archive = {.code_bytes = code->code_bytes};
    FILE *out = open_memstream(&archive.data, &archive.bytes);
    BUG_UNLESS(out, "out of memory");
    archive_write(out, "model.o", code->data, code->bytes, 5, symbols);
    fclose(out);
    free(code->data);
    *code = archive;
}

// Links the object in `code`, from a temporary beside the output.
static bool write_shared(Arena *arena, Output *output, const EmitOptions *options, const Code *code, Diag *diag) {
    Output object;
    char message[1024];
    if (!strcmp(options->path, "-")) return diag_error(diag, loc_file("<stdout>"), "a shared object needs a file: give -o");
    if (!output_write(output, arena, options->path, "", 0, diag)) return false;
    if (!output->temporary) return diag_error(diag, loc_file(options->path), "a shared object needs a plain file");
    if (!output_write(&object, arena, options->path, code->data, code->bytes, diag)) return false;
    bool ok = link_shared(object.temporary, output->temporary, message, sizeof message);
    output_abandon(&object);
    if (!ok) return diag_error(diag, loc_file(options->path), "cannot link: %s", message);
    return true;
}

static bool write_outputs(Arena *arena, const Steps *steps, const Interface *interface, const EmitOptions *options,
                          const Code *code, Diag *diag) {
    Output output = {0}, header = {0};
    bool ok = options->kind == EMIT_SHARED ? write_shared(arena, &output, options, code, diag)
                                           : output_write(&output, arena, options->path, code->data, code->bytes, diag);
    if (ok && options->header_path) {
        char *text;
        size_t bytes;
        FILE *out = open_memstream(&text, &bytes);
        BUG_UNLESS(out, "out of memory");
        interface_print(out, interface, steps);
        fclose(out);
        ok = output_write(&header, arena, options->header_path, text, bytes, diag);
        free(text);
    }
    unfinished_hold(); // both or none
    ok = ok && output_commit(&output, diag) && output_commit(&header, diag);
    unfinished_release();
    output_abandon(&output);
    output_abandon(&header);
    return ok;
}

bool emit_program(const Module *kn, const EmitOptions *options, Diag *diag, ProgramFacts *facts) {
    Arena *arena = arena_new();
    const Steps *steps = steps_new(arena, kn);
    const Interface *interface = interface_new(arena, steps, options, diag);
    Code code = {0};
    bool ok = interface && (options->kind == EMIT_C ? emit_c(arena, steps, interface, options, &code)
                                                    : emit_llvm(arena, steps, interface, options, diag, &code));
    if (ok && options->kind == EMIT_LIB) make_archive(arena, options->name, &code);
    ok = ok && write_outputs(arena, steps, interface, options, &code, diag);
    if (ok && facts) {
        *facts = program_facts(kn);
        facts->code_bytes = code.code_bytes;
    }
    free(code.data);
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
