// Which kernel is the fastest for each layer, measured in compiled programs of the whole network: one by the cost model, and others
// that take each layer's second and third choice. They run in turn, so that what else the machine does hits all alike.
#include <string.h>

#include "codegen/steps.h"
#include "tools/native.h"
#include "tools/tune.h"

enum { MOST_TRIALS = 3, MOST_ROUNDS = 3 };

// A shape of layer that the table lacks.
typedef struct {
    KernelArgs shape;
    const char *name; // the first layer of it
    const KernelInfo *kernels[MOST_TRIALS]; // the first is the cost model's
    int count;
    double us[MOST_TRIALS]; // the least that was measured; 0: not run
} Question;

typedef struct { int count; Question *items; } Questions;

typedef struct {
    Native native;
    const Steps *steps;
    double *us; // of each step, in one run
} Trial;

// ---- what to ask

static bool is_of(const Question *question, const KernelInfo *kernel, const KernelArgs *shape) {
    return question->shape.family == shape->family && !strcmp(question->kernels[0]->operands, kernel->operands) &&
           !strcmp(question->kernels[0]->result, kernel->result) && !memcmp(question->shape.words, shape->words, sizeof shape->words);
}

static Question *question_find(const Questions *questions, const Step *step) {
    const KernelArgs shape = args_shape(&step->args);
    for (int i = 0; i < questions->count; i++)
        if (is_of(&questions->items[i], step->kernel, &shape))
            return &questions->items[i];
    return NULL;
}

// Kernels that are estimated to be several times slower than the best are not worth a run.
static Question question_of(const PassContext *context, const Step *step) {
    const double hopeless = 4;
    Candidate candidates[MAX_CANDIDATES];
    Question question = {args_shape(&step->args), step->op->loc.name, {step->kernel}, 1, {0}};
    int count = kernel_candidates(context->target, context->only_isa, step->kernel->operands, step->kernel->result, &step->args, candidates);
    double least = 0;
    for (int i = 0; i < count; i++)
        if (!candidates[i].refused && (least <= 0 || candidates[i].ns < least))
            least = candidates[i].ns;
    for (int i = 0; i < count && question.count < MOST_TRIALS; i++)
        if (!candidates[i].refused && candidates[i].row != step->kernel && candidates[i].ns <= hopeless * least)
            question.kernels[question.count++] = candidates[i].row;
    return question;
}

static Questions questions_new(Arena *arena, const PassContext *context, const Steps *steps) {
    Questions questions = {0, ARENA_ARRAY(arena, Question, steps->step_count + 1)};
    for (int i = 0; i < steps->step_count; i++) {
        const Step *step = &steps->steps[i];
        if (step->custom || step->varying_count || tuning_find(context->tuning, step->kernel->operands, step->kernel->result, &step->args) ||
            question_find(&questions, step))
            continue;
        Question question = question_of(context, step);
        if (question.count > 1)
            questions.items[questions.count++] = question;
    }
    return questions;
}

// ---- running

// What is known, and each question's choice `trial`.
static TuningTable trial_table(Arena *arena, const TuningTable *known, const Questions *questions, int trial) {
    TuningTable table = {0};
    for (int i = 0; i < known->count; i++)
        tuning_add(arena, &table, &known->entries[i]);
    for (int i = 0; i < questions->count; i++) {
        const Question *own = &questions->items[i];
        TuningEntry entry = {own->shape, own->kernels[trial], 0, {.name = own->name}};
        if (trial < own->count)
            tuning_add(arena, &table, &entry);
    }
    return table;
}

static bool trial_open(Trial *trial, Model *model, const PassContext *context, const Module *kn, const char *dir, int number) {
    trial->steps = steps_new(model->arena, kn);
    trial->us = ARENA_ARRAY(model->arena, double, trial->steps->step_count + 1);
    return native_open(&trial->native, model->arena, model->diag, kn, context->target, dir, arena_printf(model->arena, "tune%d", number),
                       NULL, 1);
}

static void trial_run(const Trial *trial, Questions *questions, bool counts) {
    native_time_steps(&trial->native, trial->us, 1);
    for (int i = 0; counts && i < trial->steps->step_count; i++) {
        const Step *step = &trial->steps->steps[i];
        Question *question = step->custom ? NULL : question_find(questions, step);
        for (int k = 0; question && k < question->count; k++)
            if (question->kernels[k] == step->kernel && (question->us[k] <= 0 || trial->us[i] < question->us[k]))
                question->us[k] = trial->us[i];
    }
}

static void run_in_turn(const Trial *trials, int count, Questions *questions) {
    enum { LEAST_RUNS = 10, MOST_RUNS = 300 };
    const double enough_us = 1e6;
    double spent = 0;
    for (int run = 0; run <= LEAST_RUNS || (run < MOST_RUNS && spent < enough_us); run++)
        for (int k = 0; k < count; k++) {
            trial_run(&trials[k], questions, run > 0); // the first brings code and weights to the caches
            for (int i = 0; i < trials[k].steps->step_count; i++)
                spent += trials[k].us[i];
        }
}

static bool measure(Model *model, const PassContext *context, const Module *quantized, const Module *first, Questions *questions, const char *dir) {
    Trial trials[MOST_TRIALS] = {0};
    int most = 0, count = 0;
    for (int i = 0; i < questions->count; i++)
        if (questions->items[i].count > most)
            most = questions->items[i].count;
    bool fine = true;
    for (; fine && count < most; count++) {
        TuningTable table = trial_table(model->arena, context->tuning, questions, count);
        PassContext own = *context;
        own.tuning = &table;
        const Module *kn = count ? model_lower_by(&own, model->arena, quantized) : first;
        fine = kn && trial_open(&trials[count], model, context, kn, dir, count);
    }
    if (fine)
        run_in_turn(trials, count, questions);
    for (int k = 0; k < count; k++)
        native_close(&trials[k].native);
    return fine;
}

// ---- answers

// The one that would be taken without measuring, or one that is faster by more than what measuring is off.
static TuningEntry answer(const Question *question) {
    const double margin = 0.98;
    int best = 0;
    for (int k = 1; k < question->count; k++)
        if (question->us[k] > 0 && question->us[k] < margin * question->us[best])
            best = k;
    return (TuningEntry){question->shape, question->kernels[best], question->us[best] * 1e3, {.name = question->name}};
}

// Again where another kernel wants its input in another form: that is another shape.
bool tune_search(Model *model, const PassContext *context, const Module *quantized) {
    PassContext silent = *context;
    char *dir = temp_dir_new(model->arena, model->diag);
    bool fine = dir != NULL;
    silent.explain = NULL;
    for (int round = 0; fine && round < MOST_ROUNDS; round++) {
        const Module *kn = model_lower_by(&silent, model->arena, quantized);
        if (!(fine = kn != NULL))
            break;
        Questions questions = questions_new(model->arena, &silent, steps_new(model->arena, kn));
        if (!questions.count)
            break;
        fine = measure(model, &silent, quantized, kn, &questions, dir);
        for (int i = 0; fine && i < questions.count; i++) {
            TuningEntry entry = answer(&questions.items[i]);
            tuning_add(model->arena, &model->tuning, &entry);
        }
    }
    if (dir)
        temp_dir_remove(dir);
    return fine;
}
