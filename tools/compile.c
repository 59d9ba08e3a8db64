// qanat compile: model to object, assembly, LLVM IR, C text, library or shared object, and a header beside it.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "codegen/codegen.h"
#include "tools/frame.h"
#include "tools/postprocess.h"
#include "tools/prepare.h"

static const OptionId ids[] = {OPT_output,     OPT_emit,       OPT_target,      OPT_isa,         OPT_name,
                               QUANTIZE_OPTIONS, TUNE_OPTIONS, OPT_preprocess, OPT_frame, OPT_postprocess, OPT_limit,     OPT_input_type,  OPT_output_type,
                               OPT_explain,    OPT_seed,       OPT_threads,     MODEL_OPTIONS,   OPT_COUNT};

static const struct {
    const char *emit, *ending;
    EmitKind kind;
    bool text; // may go to standard output
} kinds[] = {
    {"obj", ".o", EMIT_OBJ, false}, {"asm", ".s", EMIT_ASM, true},  {"llvm", ".ll", EMIT_LLVM, true},
    {"c", ".c", EMIT_C, true},      {"lib", ".a", EMIT_LIB, false}, {"shared", ".so", EMIT_SHARED, false},
};
enum { KIND_COUNT = sizeof kinds / sizeof *kinds };

// The row of --emit, or of the output's ending, or obj.
static int find_kind(const Options *options) {
    const char *dot = options->output ? strrchr(options->output, '.') : NULL;
    for (int i = 0; i < KIND_COUNT; i++)
        if (options->emit ? strcmp(options->emit, kinds[i].emit) == 0 : dot && strcmp(dot, kinds[i].ending) == 0)
            return i;
    return 0;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

// `path` with another ending.
static char *with_ending(Arena *arena, const char *path, const char *ending) {
    const char *base = base_name(path), *dot = strrchr(base, '.');
    int length = (int)(dot && dot != base ? dot - path : (long)strlen(path));
    return arena_printf(arena, "%.*s%s", length, path, ending);
}

static bool is_identifier(const char *text) {
    if (!isalpha((unsigned char)*text) && *text != '_')
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && *text != '_')
            return false;
    return true;
}

// What the public interface calls its own: qn_pool, QN_ARENA_ALIGN.
static bool is_reserved(const char *name) {
    return strcasecmp(name, "qn") == 0 || strncasecmp(name, "qn_", 3) == 0;
}

// The targets of --target, the best first.
typedef struct {
    int count;
    const Target *items[16];
} Targets;

static int add_target(Targets *targets, const char *name) {
    const Target *target = target_find(name);
    if (!target)
        return unknown_target(name);
    int at = targets->count;
    for (int i = 0; i < targets->count; i++) {
        const Target *other = targets->items[i];
        if (other == target)
            return usage_error("--target: '%s' is named twice", name);
        if (strcmp(other->triple, target->triple) != 0)
            return usage_error("--target: '%s' (%s) and '%s' (%s) can't be in one object; compile twice", other->name, other->triple,
                               target->name, target->triple);
    }
    if (at == (int)(sizeof targets->items / sizeof *targets->items))
        return usage_error("--target: more than %d targets", at);
    for (; at > 0 && targets->items[at - 1] > target; at--) // in the order of the table
        targets->items[at] = targets->items[at - 1];
    targets->items[at] = target;
    targets->count++;
    return STATUS_DONE;
}

// Of one target nothing is asked here: model_open does.
static int parse_targets(Options *options, Targets *targets) {
    *targets = (Targets){0};
    if (!options->target || !strchr(options->target, ','))
        return STATUS_DONE;
    for (const char *at = options->target; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, ","), at);
        int status = add_target(targets, name);
        if (status)
            return status;
    }
    if (options->tune)
        return usage_error("--tune measures for one target; measure for each in a file of its own, and give one of them as --tuned");
    options->target = targets->items[0]->name;
    return STATUS_DONE;
}

static int check_isas(const Model *model, const Targets *targets) {
    const char *isa = model->options->isa;
    for (int i = 0; isa && *isa != '-' && i < targets->count; i++)
        if (!target_has_isa(targets->items[i], isa))
            return usage_error("target '%s' has no kernels of '%s'; it has: %s", targets->items[i]->name, isa, targets->items[i]->isas);
    return STATUS_DONE;
}

// A C identifier of a file's name without its ending.
static const char *symbol_prefix(Arena *arena, const char *path) {
    char *name = with_ending(arena, base_name(path), "");
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c))
            *c = '_';
    bool prefixed = isdigit((unsigned char)*name) || !*name || is_reserved(name);
    return prefixed ? arena_printf(arena, "model_%s", name) : name;
}

static int plan_emit(Model *model, const Targets *targets, EmitOptions *emit) {
    const Options *options = model->options;
    int kind = find_kind(options);
    const char *path = options->output;
    if (targets->count > 1 && (kinds[kind].kind == EMIT_ASM || kinds[kind].kind == EMIT_LLVM))
        return usage_error("--emit %s is for one target; name one with --target", kinds[kind].emit);
    if (options->name && !is_identifier(options->name))
        return usage_error("--name: expected a C identifier, found '%s'", options->name);
    if (options->name && is_reserved(options->name))
        return usage_error("--name: names of qn and qn_... are Qanat's own, found '%s'", options->name);
    if (!path)
        path = with_ending(model->arena, base_name(model->path), kinds[kind].ending);
    if (strcmp(path, "-") == 0 && !kinds[kind].text)
        return usage_error("--emit %s can't be written to standard output; name a file with -o", kinds[kind].emit);
    const char *prefix = symbol_prefix(model->arena, strcmp(path, "-") == 0 ? model->path : path);
    *emit = (EmitOptions){.name = options->name ? options->name : prefix,
                          .kind = kinds[kind].kind,
                          .path = path,
                          .threads = model->threads};
    if (strcmp(path, "-") != 0)
        emit->header_path = with_ending(model->arena, path, ".h");
    if (emit->header_path && strcmp(emit->header_path, path) == 0)
        return usage_error("-o %s: that is the name of the header that goes with it; give another ending", path);
    return check_not_input(options, path) || check_not_input(options, emit->header_path) ? STATUS_USAGE : STATUS_DONE;
}

static int check_types(const Model *model, Elem precision) {
    const Options *options = model->options;
    bool integer = (options->input_type && strcmp(options->input_type, "f32") != 0) ||
                   (options->output_type && strcmp(options->output_type, "f32") != 0);
    if (integer && precision == ELEM_F32)
        return usage_error("--%s i8 and u8 need --quantize i8",
                           options->given[OPT_input_type] ? "input-type" : "output-type");
    return STATUS_DONE;
}

static void note_target(const Model *model) {
    if (!model->options->target)
        fprintf(stderr, "qanat: note: compiling for %s, this machine's target; --target names another\n",
                model->context.target->name);
}

static void print_facts(const EmitOptions *emit, const ProgramFacts *facts) {
    fprintf(stderr, "%s: %d steps, arena %lld bytes (%lld live), weights %lld bytes, code %lld bytes\n", emit->path,
            facts->steps, (long long)facts->arena_bytes, (long long)facts->live_bytes, (long long)facts->weights_bytes,
            (long long)facts->code_bytes);
}

// A program for each target, of one and the same network: what is decided before does not hang on them.
static bool lower(Model *model, Elem precision, const Targets *targets, TargetProgram *programs) {
    const bool once = targets->count > 1 && !model->sizes.count;
    const Module *quantized = once ? model_quantized(model, precision) : NULL;
    if (once && !quantized)
        return false;
    for (int i = 0; i < targets->count; i++) {
        model->context.target = targets->items[i];
        if (model->options->explain && targets->count > 1)
            fprintf(stderr, "target %s:\n", targets->items[i]->name);
        programs[i].target = targets->items[i];
        programs[i].kn = once ? model_lower(model, quantized, precision, false) : model_lowered(model, precision, false);
        if (!programs[i].kn)
            return false;
    }
    return true;
}

static bool compile(Model *model, Elem precision, Targets *targets, const EmitOptions *emit) {
    ProgramFacts facts = {0};
    TargetProgram programs[sizeof targets->items / sizeof *targets->items];
    note_target(model);
    if (!model_import(model) || !model_take_frame(model) || !model_take_postprocess(model) || (precision == ELEM_I8 && !model_calibrate(model)))
        return false;
    if (!targets->count)
        targets->items[targets->count++] = model->context.target;
    if (!lower(model, precision, targets, programs) || !emit_programs(targets->count, programs, emit, model->diag, &facts))
        return false;
    if (model->options->verbose)
        print_facts(emit, &facts);
    return true;
}

int cmd_compile(int argc, char **argv) {
    Options options;
    Model model;
    Precisions precisions;
    EmitOptions emit;
    Targets targets;
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status) || (status = parse_targets(&options, &targets)) != STATUS_DONE)
        return status;
    if ((status = model_open(&model, &options, 0)) == STATUS_DONE)
        status = parse_precisions(&options, &precisions);
    if (status == STATUS_DONE && precisions.count != 1)
        status = usage_error("compile: --quantize takes one precision, found '%s'", options.quantize);
    if (status == STATUS_DONE)
        status = check_types(&model, precisions.items[0]);
    if (status == STATUS_DONE)
        status = check_isas(&model, &targets);
    if (status == STATUS_DONE)
        status = plan_emit(&model, &targets, &emit);
    if (status == STATUS_DONE)
        status = compile(&model, precisions.items[0], &targets, &emit) ? STATUS_DONE : STATUS_INPUT;
    model_close(&model);
    return status;
}
