// qanat eval: top-1 and top-5 over labelled data, several precisions on the same samples, so that their differences are
// paired: agreement on the class with the first precision, and a 95 % interval of the top-1 difference.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/runner.h"
#include "tools/json.h"
#include "tools/frame.h"
#include "tools/states.h"

static const OptionId ids[] = {OPT_data,    OPT_labels, OPT_preprocess, OPT_frame, OPT_limit,     OPT_target, OPT_isa,
                               QUANTIZE_OPTIONS, TUNE_OPTIONS, OPT_seed, OPT_threads, MODEL_OPTIONS, OPT_json,   OPT_COUNT};

// What one precision said of one sample.
typedef struct {
    int64_t class;
    bool top1, top5;
} Verdict;

typedef struct {
    Model *model;
    Precisions precisions;
    Dataset *dataset;
    Progress *progress;
    Runner *runners[MAX_PRECISIONS];
    Verdict *verdicts[MAX_PRECISIONS]; // one a sample
} Eval;

typedef struct {
    double top1, top5, agreement; // percent
    double difference, low, high; // top-1 against the first precision, in points
} Score;

// ---- judging

static bool has_scores(const Type *type) {
    return type->elem == ELEM_F32 || type->elem == ELEM_I8 || type->elem == ELEM_U8 || type->elem == ELEM_I32;
}

// Quantized scores have the order of their integers; i8 that is stored as u8 keeps it.
static const float *scores_of(Arena *arena, const Type *type, const void *data) {
    if (type->elem == ELEM_F32)
        return data;
    int64_t count = type_elem_count(type);
    float *scores = ARENA_ARRAY(arena, float, count + 1);
    for (int64_t i = 0; i < count; i++)
        scores[i] = type->elem == ELEM_I8   ? (float)((const int8_t *)data)[i]
                    : type->elem == ELEM_U8 ? (float)((const uint8_t *)data)[i]
                                            : (float)((const int32_t *)data)[i];
    return scores;
}

// The class of rank 0 and whether the label is among the first five; of equal values the smaller class is first.
static Verdict judge(const float *scores, int64_t count, int64_t label) {
    int64_t best = 0, above = 0;
    for (int64_t i = 1; i < count; i++)
        if (scores[i] > scores[best])
            best = i;
    for (int64_t i = 0; i < count && label < count; i++)
        above += scores[i] > scores[label] || (scores[i] == scores[label] && i < label);
    return (Verdict){best, best == label, label < count && above < 5};
}

static bool eval_sample(void *context, int worker, int sample, char *message) {
    Eval *eval = context;
    Fault fault;
    RunnerState *first = runner_state(eval->runners[0], worker);
    if (!dataset_load(eval->dataset, sample, first->inputs, &fault)) {
        snprintf(message, MESSAGE_BYTES, "%s", fault.text);
        return false;
    }
    for (int p = 0; p < eval->precisions.count; p++) {
        const Runner *runner = eval->runners[p];
        RunnerState *state = runner_state(runner, worker);
        for (int i = 0; p > 0 && i < runner_input_count(runner); i++)
            memcpy(state->inputs[i], first->inputs[i], type_bytes(runner_input_type(runner, i)));
        if (!sample || !keeps_states(eval->model)) runner_reset(runner, worker);
        runner_continue(runner, worker, NULL, NULL);
        const Type *type = runner_output(runner, 0)->type;
        Arena *arena = arena_new();
        eval->verdicts[p][sample] = judge(scores_of(arena, type, state->outputs[0]), type_elem_count(type),
                                          dataset_label(eval->dataset, sample));
        arena_free(arena);
    }
    progress_step(eval->progress);
    return true;
}

static Score score_of(const Eval *eval, int precision) {
    const Verdict *verdicts = eval->verdicts[precision], *first = eval->verdicts[0];
    int count = dataset_count(eval->dataset);
    double top1 = 0, top5 = 0, agree = 0, sum = 0, squares = 0;
    for (int i = 0; i < count; i++) {
        double difference = verdicts[i].top1 - first[i].top1;
        top1 += verdicts[i].top1;
        top5 += verdicts[i].top5;
        agree += verdicts[i].class == first[i].class;
        sum += difference;
        squares += difference * difference;
    }
    double mean = sum / count, variance = count > 1 ? (squares - sum * mean) / (count - 1) : 0;
    double half = 1.96 * sqrt((variance > 0 ? variance : 0) / count);
    return (Score){100 * top1 / count,      100 * top5 / count,     100 * agree / count,
                   100 * mean, 100 * (mean - half), 100 * (mean + half)};
}

// ---- output

static const char *precision_name(Elem elem) {
    return elem_name(elem);
}

static void print_json(const Eval *eval) {
    printf("{\"model\": ");
    json_string(stdout, eval->model->path);
    printf(", \"results\": [");
    for (int p = 0; p < eval->precisions.count; p++) {
        Score score = score_of(eval, p);
        printf("%s{\"precision\": \"%s\", \"images\": %d, \"top1\": %.4f, \"top5\": %.4f", p ? ", " : "",
               precision_name(eval->precisions.items[p]), dataset_count(eval->dataset), score.top1, score.top5);
        if (p > 0)
            printf(", \"agreement\": %.4f, \"top1_difference\": %.4f, \"top1_difference_95\": [%.4f, %.4f]",
                   score.agreement, score.difference, score.low, score.high);
        printf("}");
    }
    printf("]}\n");
}

static void print_text(const Eval *eval) {
    const char *first = precision_name(eval->precisions.items[0]);
    printf("%s, %s\n", eval->model->path, dataset_describe(eval->dataset));
    printf("%-9s %8s %8s   %s\n", "precision", "top-1", "top-5", eval->precisions.count > 1 ? "against the first" : "");
    for (int p = 0; p < eval->precisions.count; p++) {
        Score score = score_of(eval, p);
        printf("%-9s %6.2f %% %6.2f %%", precision_name(eval->precisions.items[p]), score.top1, score.top5);
        if (p > 0)
            printf("   %+.2f points (95 %%: %+.2f to %+.2f), the class of %s on %.2f %%", score.difference, score.low,
                   score.high, first, score.agreement);
        printf("\n");
    }
}

// ---- the whole

static bool check_labels(Eval *eval) {
    const Options *options = eval->model->options;
    if (options->labels)
        return dataset_read_labels(eval->dataset, eval->model->diag, options->labels);
    for (int i = 0; i < dataset_count(eval->dataset); i++)
        if (dataset_label(eval->dataset, i) < 0)
            return diag_error(eval->model->diag, loc_file(dataset_path(eval->dataset, i)),
                              "has no label; give --labels FILE with lines `filename index`");
    return true;
}

static bool make_runners(Eval *eval, int workers) {
    Model *model = eval->model;
    for (int p = 0; p < eval->precisions.count; p++) {
        Module *kn = model_lowered(model, eval->precisions.items[p], false);
        if (!kn || !(eval->runners[p] = runner_new(model->arena, kn, workers, model->diag)))
            return false;
        if (!has_scores(runner_output(eval->runners[p], 0)->type))
            return diag_error(model->diag, loc_file(model->path), "the first output is neither f32 nor quantized nor i32: no class scores");
        eval->verdicts[p] = ARENA_ARRAY(model->arena, Verdict, dataset_count(eval->dataset));
    }
    return true;
}

static bool eval_samples(Eval *eval, int workers) {
    int failed;
    char message[MESSAGE_BYTES];
    eval->progress = progress_new(eval->model->arena, "evaluating", dataset_count(eval->dataset));
    bool done = parallel_samples(workers, dataset_count(eval->dataset), eval_sample, eval, &failed, message);
    progress_end(eval->progress);
    return done || diag_error(eval->model->diag, loc_file(dataset_path(eval->dataset, failed)), "%s", message);
}

static bool evaluate(Eval *eval) {
    Model *model = eval->model;
    const Options *options = model->options;
    bool integer = false;
    for (int p = 0; p < eval->precisions.count; p++)
        integer |= eval->precisions.items[p] != ELEM_F32;
    if (!model_import(model) || !model_take_frame(model) || !model_fix_sizes(model, options->data, true))
        return false;
    eval->dataset = dataset_open(model->arena, model->diag, options->data, model->data_preprocess, model_inputs(model),
                                 options->limit, options->seed);
    if (!eval->dataset || !check_labels(eval) || (integer && !model_calibrate(model)))
        return false;
    int count = dataset_count(eval->dataset), threads = sample_threads(model), workers = threads < count ? threads : count;
    bool done = make_runners(eval, workers) && eval_samples(eval, workers);
    if (done)
        (options->json ? print_json : print_text)(eval);
    for (int p = 0; p < eval->precisions.count; p++)
        if (eval->runners[p])
            runner_free(eval->runners[p]);
    return done;
}

int cmd_eval(int argc, char **argv) {
    Options options;
    Model model;
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status))
        return status;
    if (!options.data)
        return usage_error("eval: --data DATA is missing: a folder or list of images or arrays");
    Eval eval = {.model = &model};
    if ((status = model_open(&model, &options, 0)) == STATUS_DONE)
        status = parse_precisions(&options, &eval.precisions);
    if (status == STATUS_DONE)
        status = evaluate(&eval) ? STATUS_DONE : STATUS_INPUT;
    dataset_close(eval.dataset);
    model_close(&model);
    return status;
}
