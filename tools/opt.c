// qanat opt: reads IR (or an ONNX model), runs passes, prints IR; for those who work on the compiler, and for its tests. The text may hold
// several modules, split at lines `// -----`, and may state the messages it expects: `// expected-error@+1 {{text}}`.
#include <stdio.h>
#include <string.h>

#include "frontend/frontend.h"
#include "ir/eval.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "tools/tables.h"
#include "tools/checks.h"
#include "tools/expect.h"
#include "tools/frame.h"
#include "tools/postprocess.h"
#include "tools/prepare.h"

static const OptionId ids[] = {OPT_output, OPT_passes, OPT_print_ir_after_all, OPT_verify_each, OPT_verify_diagnostics,
                               OPT_split_input_file, OPT_eval, OPT_via, OPT_cc, OPT_elide, OPT_no_locations, OPT_target, OPT_isa,
                               OPT_quantize, OPT_calibration, OPT_qtable, OPT_activations, OPT_weights, OPT_weight_scales, OPT_sums, OPT_winograd,
                               OPT_input_type, OPT_output_type, OPT_frame, OPT_postprocess, OPT_preprocess, OPT_explain, OPT_shape, OPT_constant, OPT_custom, OPT_library, OPT_COUNT};

typedef struct {
    const Options *cli;
    const char *file;
    ImportOptions import;
    PassContext context; // target and flags; tables are read for each module
    FILE *out;
} OptOptions;

// ---- one module

typedef struct { const Options *cli; Diag *diag; } AfterEach;

static bool after_each(void *user, const char *pass, Module *module) {
    const AfterEach *after = user;
    if (after->cli->print_ir_after_all) {
        fprintf(stderr, "// ---- after %s\n", pass);
        module_print(stderr, module, (PrintOptions){.elide_constants = true, .locations = true});
    }
    if (!after->cli->verify_each || module_verify(module, after->diag)) return true;
    return diag_error(after->diag, loc_file(module->file), "the module is not valid after pass '%s'", pass);
}

static bool run_all_passes(const OptOptions *options, Module *module, Arena *arena, Diag *diag) {
    const Options *cli = options->cli;
    PassContext context = options->context;
    CalibrationTable calibration;
    Qtable qtable;
    if (!cli->passes) return true;
    context.diag = diag;
    context.scratch = arena;
    if (cli->calibration) {
        if (!parse_calibration_table(arena, diag, cli->calibration, &calibration)) return false;
        context.calibration = &calibration;
    }
    if (cli->qtable) {
        if (!parse_qtable(arena, diag, cli->qtable, &qtable)) return false;
        context.qtable = &qtable;
    }
    if (cli->qtable) resolve_qtable(module, &qtable);
    if (cli->calibration && !resolve_calibration(arena, diag, module, NULL, &calibration, NULL)) return false;
    if (cli->frame && !(context.frame = frame_read(arena, diag, module, cli->frame, cli->preprocess))) return false;
    if (cli->postprocess && !(context.postprocess = postprocess_read(arena, diag, module->file, cli->postprocess))) return false;
    AfterEach after = {cli, diag};
    return run_passes(module, &context, cli->passes, after_each, &after) && module_verify(module, diag);
}

// Every function that takes nothing; checks inside say what is wrong.
static bool eval_module(const Module *module, Arena *arena, Diag *diag) {
    bool good = true;
    int count = 0;
    for (const Func *func = module->funcs; func; func = func->next) {
        if (func->arg_count) continue;
        count++;
        int results = func->last ? func->last->operand_count : 0;
        Tensor *outputs = ARENA_ARRAY(arena, Tensor, results);
        for (int i = 0; i < results; i++) outputs[i] = tensor_new(arena, func->last->operands[i].value->type);
        good = eval_func(diag, arena, func, NULL, outputs, NULL, NULL) && good;
    }
    if (!count) return diag_error(diag, loc_file(module->file), "no function without arguments to evaluate");
    return good;
}

// --via: the interpreter runs the functions, or compiled code computes what they check.
static bool eval_by_route(const OptOptions *options, const Module *module, Arena *arena, Diag *diag) {
    const char *via = options->cli->via;
    if (!via || !strcmp(via, "interp")) return eval_module(module, arena, diag);
    CheckRoute route = {.context = &options->context, .native = strcmp(via, "process") != 0};
    if (!strcmp(via, "c")) route.cc = options->cli->cc ? options->cli->cc : "cc";
    return checks_run(module, &route, arena, diag);
}

static bool run_module(const OptOptions *options, Diag *diag, const char *text, size_t bytes) {
    Arena *arena = arena_new();
    const Options *cli = options->cli;
    Module *module = import_bytes(arena, diag, options->file, text, bytes, &options->import);
    bool good = module && module_verify(module, diag) && run_all_passes(options, module, arena, diag);
    if (good && cli->eval) good = eval_by_route(options, module, arena, diag);
    else if (good && !cli->verify_diagnostics)
        module_print(options->out, module, (PrintOptions){.elide_constants = cli->elide, .locations = !cli->no_locations});
    arena_free(arena);
    return good;
}

// ---- the file

// Messages name lines of the whole file: a piece is parsed with empty lines before it.
static bool run_piece(const OptOptions *options, const char *start, const char *end, int lines_before) {
    Arena *arena = arena_new();
    size_t bytes = (size_t)(end - start) + (size_t)lines_before;
    char *text = arena_alloc(arena, bytes + 1);
    memset(text, '\n', (size_t)lines_before);
    memcpy(text + lines_before, start, (size_t)(end - start));
    Diag *diag = diag_new(arena, options->cli->verify_diagnostics ? NULL : stderr);
    bool good = run_module(options, diag, text, bytes);
    if (options->cli->verify_diagnostics) good = expect_messages(diag, options->file, text, bytes);
    arena_free(arena);
    return good;
}

static const char *find_split(const char *text, const char *end) {
    static const char mark[] = "// -----";
    for (const char *line = text; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        if ((size_t)(end - line) >= sizeof mark - 1 && !memcmp(line, mark, sizeof mark - 1)) return line;
        line = newline ? newline + 1 : end;
    }
    return end;
}

static bool run_file(const OptOptions *options, const char *text, size_t bytes) {
    const char *end = text + bytes;
    int lines = 0;
    bool good = true;
    if (!options->cli->split_input_file) return run_piece(options, text, end, 0);
    for (const char *start = text;;) {
        const char *stop = find_split(start, end);
        good = run_piece(options, start, stop, lines) && good;
        if (stop == end) return good;
        if (!options->cli->eval && !options->cli->verify_diagnostics) fputs("// -----\n", options->out);
        const char *next = memchr(stop, '\n', (size_t)(end - stop));
        next = next ? next + 1 : end;
        for (const char *c = start; c < next; c++) lines += *c == '\n';
        start = next;
    }
}

static bool run_opt(OptOptions *options, Model *model) {
    size_t bytes;
    OutputFile output;
    const char *text = read_file(model->arena, model->diag, options->file, &bytes);
    if (!text || !output_open(&output, options->cli->output ? options->cli->output : "-", model->diag)) return false;
    options->out = output.file;
    if (!strcmp(options->file, "-")) options->file = "<stdin>";
    bool good = run_file(options, text, bytes);
    return output_close(&output, good, model->diag) && good;
}

int cmd_opt(int argc, char **argv) {
    Options cli;
    Model model;
    Precisions precisions;
    int status;
    if (!cli_parse(argc, argv, ids, &cli, &status)) return status;
    if (cli.via && !cli.eval) return usage_error("opt: --via has no effect without --eval");
    if (cli.cc && strcmp(cli.via, "c")) return usage_error("--cc has no effect without --via c");
    if (!cli.positional_count) cli.positional[0] = "-";
    status = model_open(&model, &cli, 1);
    if (status == STATUS_DONE && cli.quantize) {
        status = parse_precisions(&cli, &precisions);
        model.context.precision = status == STATUS_DONE ? precisions.items[0] : ELEM_F32;
    }
    OptOptions options = {.cli = &cli, .file = cli.positional[0], .import = model.import, .context = model.context};
    if (status == STATUS_DONE) status = run_opt(&options, &model) ? STATUS_DONE : STATUS_INPUT;
    model_close(&model);
    return status;
}
