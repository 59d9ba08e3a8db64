// qanat opt: reads IR, runs passes, prints IR; for those who work on the compiler, and for its tests. The text may hold
// several modules, split at lines `// -----`, and may state the messages it expects: `// expected-error@+1 {{text}}`.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "ir/eval.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "passes/pass.h"
#include "tools/expect.h"

typedef struct {
    const char *file, *passes, *output, *target, *isa, *calibration, *qtable;
    bool print_each, verify_each, verify_diagnostics, split, eval, elide, no_locations;
    Elem precision;
    FILE *out;
} OptOptions;

static const char usage[] =
    "usage: qanat opt [FILE] [options]\n\n"
    "Reads IR (`-`: standard input) or an ONNX model, runs passes, prints IR.\n\n"
    "  -o FILE                 write to FILE\n"
    "  --passes=a,b{k=v}       run these passes, in order\n"
    "  --print-ir-after-all    print the module after each pass, on standard error\n"
    "  --verify-each           verify after each pass\n"
    "  --verify-diagnostics    check messages against `// expected-error@+1 {{text}}` comments\n"
    "  --split-input-file      take the text between lines `// -----` as separate modules\n"
    "  --eval                  run functions without arguments in the reference interpreter, print nothing\n"
    "  --elide                 leave out the elements of large constants\n"
    "  --no-locations          leave out loc(…)\n"
    "  --target TARGET         compile for TARGET (default: this machine)\n"
    "  --isa ISA               use kernels of this instruction-set family and generic ones only\n"
    "  --quantize none|i8      default precision of assign_precision\n"
    "  --calibration TABLE     ranges for assign_precision\n"
    "  --qtable FILE           precision of single operators\n";

// ---- command line

static int usage_fault(const char *what, const char *option) {
    fprintf(stderr, "qanat: error: %s '%s'; `qanat opt --help` lists the options\n", what, option);
    return 2;
}

// The value of --name=value or --name value; NULL when argv[*i] is another option.
static const char *option_value(int argc, char **argv, int *i, const char *name, int *status) {
    const char *arg = argv[*i];
    size_t length = strlen(name);
    if (strncmp(arg, name, length)) return NULL;
    if (arg[length] == '=') return arg + length + 1;
    if (arg[length]) return NULL;
    if (*i + 1 < argc) return argv[++*i];
    *status = usage_fault("a value is missing after", name);
    return "";
}

static bool parse_flag(OptOptions *options, const char *arg) {
    struct { const char *name; bool *flag; } flags[] = {
        {"--print-ir-after-all", &options->print_each}, {"--verify-each", &options->verify_each},
        {"--verify-diagnostics", &options->verify_diagnostics}, {"--split-input-file", &options->split},
        {"--eval", &options->eval}, {"--elide", &options->elide}, {"--no-locations", &options->no_locations}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (!strcmp(arg, flags[i].name)) {
            *flags[i].flag = true;
            return true;
        }
    return false;
}

static int parse_arg(OptOptions *options, int argc, char **argv, int *i) {
    const char *precision = NULL;
    struct { const char *name; const char **value; } values[] = {
        {"--passes", &options->passes}, {"-o", &options->output}, {"--output", &options->output},
        {"--target", &options->target}, {"--isa", &options->isa}, {"--calibration", &options->calibration},
        {"--qtable", &options->qtable}, {"--quantize", &precision}};
    int status = 0;
    if (parse_flag(options, argv[*i])) return 0;
    for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
        const char *value = option_value(argc, argv, i, values[k].name, &status);
        if (!value) continue;
        *values[k].value = value;
        if (!precision) return status;
        if (!strcmp(precision, "i8")) options->precision = ELEM_I8;
        else if (strcmp(precision, "none")) return usage_fault("--quantize takes none or i8, found", precision);
        return status;
    }
    if (argv[*i][0] == '-' && argv[*i][1]) return usage_fault("unknown option", argv[*i]);
    if (options->file) return usage_fault("more than one file:", argv[*i]);
    options->file = argv[*i];
    return 0;
}

// ---- one module

typedef struct { const OptOptions *options; Diag *diag; } AfterEach;

static bool after_each(void *user, const char *pass, Module *module) {
    const AfterEach *after = user;
    if (after->options->print_each) {
        fprintf(stderr, "// ---- after %s\n", pass);
        module_print(stderr, module, (PrintOptions){.elide_constants = true, .locations = true});
    }
    if (!after->options->verify_each || module_verify(module, after->diag)) return true;
    return diag_error(after->diag, loc_file(module->file), "the module is not valid after pass '%s'", pass);
}

static bool make_context(const OptOptions *options, Arena *arena, Diag *diag, PassContext *context,
                         CalibrationTable *calibration, Qtable *qtable) {
    *context = (PassContext){.target = options->target ? target_find(options->target) : target_host(),
                             .only_isa = options->isa, .precision = options->precision, .input_type = ELEM_F32,
                             .output_type = ELEM_F32, .diag = diag, .scratch = arena};
    if (!context->target) return diag_error(diag, loc_file(NULL), "unknown target '%s'", options->target);
    if (options->calibration) {
        if (!parse_calibration_table(arena, diag, options->calibration, calibration)) return false;
        context->calibration = calibration;
    }
    if (options->qtable) {
        if (!parse_qtable(arena, diag, options->qtable, qtable)) return false;
        context->qtable = qtable;
    }
    return true;
}

static bool run_all_passes(const OptOptions *options, Module *module, Arena *arena, Diag *diag) {
    PassContext context;
    CalibrationTable calibration;
    Qtable qtable;
    if (!options->passes) return true;
    if (!make_context(options, arena, diag, &context, &calibration, &qtable)) return false;
    AfterEach after = {options, diag};
    return run_passes(module, &context, options->passes, after_each, &after) && module_verify(module, diag);
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

// Text, or an ONNX model by its file's ending.
static Module *read_module(Arena *arena, Diag *diag, const char *file, const char *text, size_t bytes) {
    const char *dot = strrchr(file, '.');
    if (dot && !strcmp(dot, ".onnx")) return import_onnx(arena, diag, file, text, bytes, NULL);
    return parse_qir(arena, diag, file, text, bytes);
}

static bool run_module(const OptOptions *options, Diag *diag, const char *text, size_t bytes) {
    Arena *arena = arena_new();
    Module *module = read_module(arena, diag, options->file, text, bytes);
    bool good = module && module_verify(module, diag) && run_all_passes(options, module, arena, diag);
    if (good && options->eval) good = eval_module(module, arena, diag);
    if (good && !options->eval && !options->verify_diagnostics)
        module_print(options->out, module, (PrintOptions){options->elide, !options->no_locations});
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
    Diag *diag = diag_new(arena, options->verify_diagnostics ? NULL : stderr);
    bool good = run_module(options, diag, text, bytes);
    if (options->verify_diagnostics) good = expect_messages(diag, options->file, text, bytes);
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
    if (!options->split) return run_piece(options, text, end, 0);
    for (const char *start = text;;) {
        const char *stop = find_split(start, end);
        good = run_piece(options, start, stop, lines) && good;
        if (stop == end) return good;
        if (!options->eval && !options->verify_diagnostics) fputs("// -----\n", options->out);
        const char *next = memchr(stop, '\n', (size_t)(end - stop));
        next = next ? next + 1 : end;
        for (const char *c = start; c < next; c++) lines += *c == '\n';
        start = next;
    }
}

int cmd_opt(int argc, char **argv) {
    OptOptions options = {.precision = ELEM_F32};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help")) {
            fputs(usage, stdout);
            return 0;
        }
        int status = parse_arg(&options, argc, argv, &i);
        if (status) return status;
    }
    if (!options.file) options.file = "-";
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena, stderr);
    size_t bytes;
    const char *text = read_file(arena, diag, options.file, &bytes);
    bool to_file = options.output && strcmp(options.output, "-");
    options.out = text && to_file ? fopen(options.output, "w") : stdout;
    if (!options.out) diag_error(diag, loc_file(options.output), "cannot be written");
    bool good = text && options.out && run_file(&options, text, bytes);
    if (options.out && options.out != stdout && fclose(options.out)) good = diag_error(diag, loc_file(options.output), "cannot be written");
    arena_free(arena);
    return good ? 0 : 1;
}
