// qanat run: one input, or a stream of them, through the network, by any of the routes: kernels in process, the reference interpreter, the
// compiled object, or the emitted C by a C compiler. All of them give the same integers.
#include <stdlib.h>
#include <string.h>

#include "ir/state.h"
#include "quant/runner.h"
#include "tools/native.h"
#include "tools/frame.h"
#include "tools/postprocess.h"
#include "tools/results.h"
#include "tools/states.h"

static const OptionId ids[] = {OPT_input,  OPT_output, OPT_preprocess, OPT_frame, OPT_postprocess, OPT_labels,    OPT_top,  OPT_dump_all,
                               OPT_via,    OPT_cc,     OPT_target,      OPT_isa,       QUANTIZE_OPTIONS, TUNE_OPTIONS,
                               OPT_limit,  OPT_seed,   OPT_threads,     MODEL_OPTIONS, OPT_COUNT};

typedef struct {
    Model *model;
    Elem precision;
    bool dump_all;
    int samples;    // 1, or all of a stream
    void ***inputs; // of each, as the model takes them
    Results *results;
} Run;

// ---- inputs

// "NAME=file" where the model has an input NAME; else all inputs from the file.
static const char *split_name(const Func *main, const char *text, int *index) {
    *index = -1;
    for (int i = 0; i < main->arg_count; i++) {
        size_t length = main->args[i].name ? strlen(main->args[i].name) : 0;
        if (length && strncmp(text, main->args[i].name, length) == 0 && text[length] == '=') {
            *index = i;
            return text + length + 1;
        }
    }
    return text;
}

static void open_samples(Run *run, int count) {
    Arena *arena = run->model->arena;
    const DatasetShape shape = model_inputs(run->model);
    run->samples = count;
    run->results = ARENA_ARRAY(arena, Results, count);
    run->inputs = ARENA_ARRAY(arena, void **, count);
    for (int s = 0; s < count; s++) {
        run->results[s].arena = arena;
        run->inputs[s] = ARENA_ARRAY(arena, void *, shape.input_count + 1);
        for (int i = 0; i < shape.input_count; i++)
            run->inputs[s][i] = arena_alloc(arena, type_bytes(shape.inputs[i].type) + 1);
    }
}

// Each input has as many samples.
static bool take_samples(Run *run, const Dataset *dataset) {
    const int count = dataset_count(dataset);
    if (!run->samples)
        open_samples(run, count);
    return run->samples == count ||
           diag_error(run->model->diag, loc_file(dataset_path(dataset, 0)), "holds %d samples, another input %d", count, run->samples);
}

static bool load_input(Run *run, const char *text, bool *filled) {
    Model *model = run->model;
    const Options *options = model->options;
    int index, limit = !keeps_states(model) ? 1 : options->limit > 0 ? options->limit : -1;
    const char *path = split_name(module_main(model->imported), text, &index);
    DatasetShape shape = model_inputs(model);
    if (index >= 0)
        shape = (DatasetShape){1, &shape.inputs[index]};
    Dataset *dataset = dataset_open(model->arena, model->diag, path, model->data_preprocess, shape, limit, options->seed);
    if (!dataset)
        return false;
    Fault fault;
    bool done = take_samples(run, dataset);
    for (int s = 0; done && s < run->samples; s++)
        done = dataset_load(dataset, s, run->inputs[s] + (index >= 0 ? index : 0), &fault) ||
               diag_error(model->diag, loc_file(dataset_path(dataset, s)), "%s", fault.text);
    dataset_close(dataset);
    for (int i = 0; done && i < shape.input_count; i++)
        filled[index >= 0 ? index : i] = true;
    return done;
}

// Where sizes vary, they are those of the inputs.
static bool take_sizes(Model *model) {
    const TextList *list = &model->options->input;
    for (int i = 0; i < list->count; i++) {
        int index;
        const char *path = split_name(module_main(model->imported), list->items[i], &index);
        if (!model_resize(model, path, index, false))
            return false;
    }
    return true;
}

static bool load_inputs(Run *run) {
    Model *model = run->model;
    const DatasetShape shape = model_inputs(model);
    const TextList *list = &model->options->input;
    bool *filled = ARENA_ARRAY(model->arena, bool, shape.input_count + 1);
    for (int i = 0; i < list->count; i++)
        if (!load_input(run, list->items[i], filled))
            return false;
    if (!run->samples && !shape.input_count)
        open_samples(run, 1);
    for (int i = 0; i < shape.input_count; i++)
        if (!filled[i])
            return diag_error(model->diag, loc_file(model->path), "input '%s' is missing: give --input %s=FILE",
                              shape.inputs[i].name, shape.inputs[i].name);
    return true;
}

// ---- routes

static void tap_tensor(void *context, const Value *value, const Tensor *tensor) {
    Run *run = context;
    if (value->name && !value_constant(value))
        results_add(run->results, value->name, tensor->type->elem, tensor->type->rank, tensor->type->shape,
                    tensor->data);
}

static bool run_interpreter(Run *run, const Module *quantized) {
    const Func *main = module_main(quantized);
    Arena *arena = run->model->arena;
    const int input_count = module_input_count(quantized), output_count = module_output_count(quantized);
    Tensor *inputs = ARENA_ARRAY(arena, Tensor, main->arg_count + 1);
    Tensor *outputs = ARENA_ARRAY(arena, Tensor, main->last->operand_count + 1);
    for (int i = input_count; i < main->arg_count; i++)
        inputs[i] = module_start_tensor(arena, quantized, i - input_count, main->args[i].type);
    for (int s = 0; s < run->samples; s++) {
        for (int i = 0; i < input_count; i++)
            inputs[i] = (Tensor){main->args[i].type, run->inputs[s][i]};
        if (!eval_func(run->model->diag, arena, main, inputs, outputs, run->dump_all ? tap_tensor : NULL, run))
            return false;
        for (int i = 0; i < output_count; i++) {
            const Value *value = op_operand(main->last, i);
            const Type *type = outputs[i].type;
            results_add(&run->results[s], value->name ? value->name : arena_printf(arena, "output%d", i), type->elem, type->rank,
                        type->shape, outputs[i].data);
        }
        memcpy(inputs + input_count, outputs + output_count, sizeof *inputs * (size_t)(main->arg_count - input_count));
    }
    return true;
}

static void tap_buffer(void *context, const Value *buffer, const void *data) {
    Run *run = context;
    if (buffer->name)
        results_add_buffer(run->results, buffer->name, buffer->type, data);
}

static const Type *output_type(const Run *run, const Module *kn, int index) {
    return program_type_at(run->model->arena, kn, false, index, run->model->at);
}

static bool run_in_process(Run *run, const Module *kn) {
    const DatasetShape shape = model_inputs(run->model);
    Runner *runner = runner_new(run->model->arena, kn, 1, run->model->diag);
    if (!runner)
        return false;
    const int outputs = runner_output_count(runner);
    const Value **edges = ARENA_ARRAY(run->model->arena, const Value *, outputs + 1);
    for (int i = 0; i < outputs; i++)
        edges[i] = runner_output(runner, i);
    RunnerState *state = runner_state(runner, 0);
    memcpy(state->sizes, run->model->at, sizeof state->sizes);
    runner_reset(runner, 0);
    for (int s = 0; s < run->samples; s++) {
        for (int i = 0; i < runner_input_count(runner); i++)
            memcpy(state->inputs[i], run->inputs[s][i], type_bytes(shape.inputs[i].type));
        // Outputs first: they come under their own names, in the order of the model.
        runner_continue(runner, 0, NULL, NULL);
        for (int i = 0; i < outputs; i++)
            results_add_buffer(&run->results[s], edge_name(edges, i), output_type(run, kn, i), state->outputs[i]);
    }
    if (run->dump_all)
        runner_run(runner, 0, tap_buffer, run);
    runner_free(runner);
    return true;
}

static bool run_compiled(Run *run, const Module *kn, const char *cc) {
    Model *model = run->model;
    Native native = {0};
    char *dir = temp_dir_new(model->arena, model->diag);
    if (!dir)
        return false;
    bool done = native_open(&native, model->arena, model->diag, kn, model->context.target, dir, "model", cc,
                            model->threads);
    if (done)
        native_set_sizes(&native, model->at);
    for (int s = 0; done && s < run->samples; s++) {
        for (int i = 0; i < native.model->input_count; i++)
            memcpy(native.inputs[i], run->inputs[s][i], type_bytes(model_inputs(model).inputs[i].type));
        done = native_run(&native, model->diag);
        for (int i = 0; done && i < native.model->output_count; i++) {
            const struct qn_tensor *output = &native.model->outputs[i];
            results_add(&run->results[s], output->name, elem_of_code(output->type), output->rank, output_type(run, kn, i)->shape,
                        native.outputs[i]);
        }
    }
    native_close(&native);
    temp_dir_remove(dir);
    return done;
}

static bool run_route(Run *run) {
    Model *model = run->model;
    const char *via = model->options->via ? model->options->via : "process";
    Module *quantized = model_quantized(model, run->precision);
    if (!quantized)
        return false;
    if (strcmp(via, "interp") == 0)
        return run_interpreter(run, quantized);
    bool compiled = strcmp(via, "process") != 0;
    model->context.watched = !compiled && run->dump_all;
    // To look at every tensor, a program for these sizes alone.
    Module *kn = model->sizes.count && !run->dump_all
                     ? model_lower_bounded(model, run->precision)
                     : model_lower(model, quantized, run->precision, compiled && run->dump_all);
    if (!kn)
        return false;
    if (!compiled)
        return run_in_process(run, kn);
    const char *cc = model->options->cc ? model->options->cc : "cc";
    return run_compiled(run, kn, strcmp(via, "c") == 0 ? cc : NULL);
}

// ---- what is shown

static bool print_top(const Run *run) {
    const Options *options = run->model->options;
    const Result *output = &run->results->items[0];
    int count = 0, top = options->top >= 0 ? options->top : 5;
    const char **names = NULL;
    if (options->labels && !(names = read_class_names(run->model->arena, run->model->diag, options->labels, &count)))
        return false;
    if (top > output->count)
        top = (int)output->count;
    int64_t *indices = ARENA_ARRAY(run->model->arena, int64_t, top + 1);
    top = result_top(output, top, indices);
    printf("%s:\n", printable(run->model->arena, output->name));
    for (int i = 0; i < top; i++) {
        const char *name = indices[i] < count && names[indices[i]] ? names[indices[i]] : "";
        printf("  %12.6g  class %lld%s%s\n", result_f64(output, indices[i]), (long long)indices[i], *name ? "  " : "",
               name);
    }
    return true;
}

// Outputs that are counted (docs/embedding.md) are shown as far as they count.
static void trim_outputs(Run *run) {
    const Module *module = run->model->imported;
    const Attr *axes = attr_find(module->attrs, "qanat.counted");
    const Op *ret = module_main(module)->last;
    for (int i = 0; axes && axes->kind == ATTR_INTS && i < axes->ints.count && i < ret->operand_count; i++)
        if (axes->ints.data[i] >= 0 && op_operand(ret, i)->name)
            results_trim(run->results, op_operand(ret, i)->name, (int)axes->ints.data[i]);
}

static bool run_model(Run *run) {
    Model *model = run->model;
    const Options *options = model->options;
    if (!model_import(model) || !model_take_frame(model) || !model_take_postprocess(model) || !take_sizes(model) || !load_inputs(run))
        return false;
    if (run->precision == ELEM_I8 && !model_calibrate(model))
        return false;
    if (!run_route(run))
        return false;
    if (keeps_states(model))
        results_join(run->results, run->samples);
    else
        trim_outputs(run);
    if ((!options->output || options->labels || options->top >= 0) && !print_top(run))
        return false;
    return !options->output || results_write(run->results, options->output, model->diag);
}

int cmd_run(int argc, char **argv) {
    Options options;
    Model model;
    Precisions precisions;
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status))
        return status;
    if (options.cc && strcmp(options.via, "c") != 0)
        return usage_error("--cc has no effect without --via c");
    if (options.dump_all && !options.output)
        return usage_error("--dump-all needs -o FILE.npz");
    if (options.dump_all && options.keep_state)
        return usage_error("--dump-all shows one run: it does not go with --keep-state");
    if ((status = model_open(&model, &options, 1)) == STATUS_DONE)
        status = parse_precisions(&options, &precisions);
    if (status == STATUS_DONE && precisions.count != 1)
        status = usage_error("run: --quantize takes one precision, found '%s'", options.quantize);
    if (status == STATUS_DONE) {
        Run run = {.model = &model,
                   .precision = precisions.items[0],
                   .dump_all = options.dump_all};
        status = run_model(&run) ? STATUS_DONE : STATUS_INPUT;
    }
    model_close(&model);
    return status;
}
