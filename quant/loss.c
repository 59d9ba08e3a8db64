// Losses of outputs; each in double, in the order of the elements.
#include "quant/loss.h"

#include <math.h>
#include <string.h>

#include "quant/library.h"

static const double WORST_LOSS = 1e9; // of power ratios and nats: where outputs are no numbers, or as good as none

const char *loss_name(LossKind kind) {
    static const char *const names[LOSS_COUNT] = {"cosine", "sqnr", "kl", "top1", "metric"};
    return names[kind];
}

int64_t largest_of(const float *elems, int64_t count) {
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        if (elems[i] > elems[best]) best = i;
    return best;
}

static bool are_finite(const float *elems, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(elems[i])) return false;
    return true;
}

// ---- one output: `rows` of `width` elements

typedef struct { const float *real, *other; int64_t rows, width; } Pair;

static double cosine_loss(const Pair *pair) {
    double product = 0, real = 0, other = 0;
    for (int64_t i = 0; i < pair->rows * pair->width; i++) {
        product += (double)pair->real[i] * pair->other[i];
        real += (double)pair->real[i] * pair->real[i];
        other += (double)pair->other[i] * pair->other[i];
    }
    const double norm = sqrt(real) * sqrt(other);
    if (!isfinite(norm)) return 1; // as far as can be
    return 1 - (norm > 0 ? product / norm : real == other ? 1 : 0);
}

static double noise_loss(const Pair *pair) {
    double signal = 0, noise = 0;
    for (int64_t i = 0; i < pair->rows * pair->width; i++) {
        const double error = (double)pair->other[i] - pair->real[i];
        signal += (double)pair->real[i] * pair->real[i];
        noise += error * error;
    }
    return noise > 0 ? (signal > 0 ? fmin(noise / signal, WORST_LOSS) : 1) : 0;
}

static bool is_distribution(const float *row, int64_t width) {
    double sum = 0;
    for (int64_t i = 0; i < width; i++) {
        if (!(row[i] >= 0)) return false;
        sum += row[i];
    }
    return fabs(sum - 1) < 1e-3;
}

// log of the sum of exp(row - its largest)
static double log_sum(const float *row, int64_t width, double largest) {
    double sum = 0;
    for (int64_t i = 0; i < width; i++) sum += exp(row[i] - largest);
    return log(sum);
}

static double softmax_divergence(const float *real, const float *other, int64_t width) {
    const double p_most = real[largest_of(real, width)], q_most = other[largest_of(other, width)];
    const double p_log = log_sum(real, width, p_most), q_log = log_sum(other, width, q_most);
    double sum = 0;
    for (int64_t i = 0; i < width; i++) {
        const double p = real[i] - p_most - p_log, q = other[i] - q_most - q_log;
        sum += exp(p) * (p - q);
    }
    return fmax(sum, 0);
}

static double divergence(const float *real, const float *other, int64_t width) {
    static const double LEAST = 1e-9; // of a probability that was rounded to 0
    double sum = 0;
    for (int64_t i = 0; i < width; i++)
        if (real[i] > 0) sum += real[i] * log(real[i] / fmax(other[i], LEAST));
    return fmax(sum, 0);
}

static double kl_loss(const Pair *pair) {
    double sum = 0;
    for (int64_t r = 0; r < pair->rows; r++) {
        const float *real = pair->real + r * pair->width, *other = pair->other + r * pair->width;
        sum += pair->width > 1 && is_distribution(real, pair->width) ? divergence(real, other, pair->width)
                                                                     : softmax_divergence(real, other, pair->width);
    }
    return fmin(sum / (double)pair->rows, WORST_LOSS);
}

static double top1_loss(const Pair *pair) {
    int64_t others = 0;
    for (int64_t r = 0; r < pair->rows; r++)
        others += !are_finite(pair->other + r * pair->width, pair->width) ||
                  largest_of(pair->real + r * pair->width, pair->width) != largest_of(pair->other + r * pair->width, pair->width);
    return (double)others / (double)pair->rows;
}

// ---- the user's

static struct qn_metric_tensor metric_tensor(const Value *output, const float *elems) {
    struct qn_metric_tensor tensor = {.name = output->name, .rank = output->type->rank, .count = type_elem_count(output->type), .elems = elems};
    for (int d = 0; d < tensor.rank && d < 8; d++) tensor.shape[d] = output->type->shape[d];
    return tensor;
}

static double metric_loss(const Loss *loss, int count, const Value *const *outputs, void *const *real, void *const *other,
                          const LossSample *sample) {
    Arena *arena = arena_new();
    struct qn_metric_tensor *tensors = ARENA_ARRAY(arena, struct qn_metric_tensor, 2 * count + 1);
    struct qn_metric_sample told = {.path = sample->path, .index = sample->index, .label = sample->label, .real = tensors, .quantized = tensors + count};
    for (int o = 0; o < count; o++) {
        if (outputs[o]->type->elem != ELEM_F32) continue;
        tensors[told.count] = metric_tensor(outputs[o], real[o]);
        tensors[count + told.count++] = metric_tensor(outputs[o], other[o]);
    }
    const double result = loss->metric(&told);
    arena_free(arena);
    return result >= 0 ? result : NAN;
}

bool loss_open_metric(Diag *diag, const char *path, Loss *loss) {
    static const LibraryKind kind = {"qanat_metric.h", "qn_metric_abi", "qn_metric_loss", QN_METRIC_ABI};
    MetricFn *metric = (MetricFn *)(uintptr_t)library_symbol(diag, path, &kind);
    if (!metric) return false;
    *loss = (Loss){LOSS_METRIC, metric, path};
    return true;
}

// ---- the whole

double loss_of_outputs(const Loss *loss, int count, const Value *const *outputs, void *const *real, void *const *other,
                       const LossSample *sample) {
    static double (*const losses[])(const Pair *) = {cosine_loss, noise_loss, kl_loss, top1_loss};
    const bool is_unbounded = loss->kind == LOSS_SQNR || loss->kind == LOSS_KL;
    if (loss->kind == LOSS_METRIC) return metric_loss(loss, count, outputs, real, other, sample);
    double sum = 0;
    int counted = 0;
    for (int o = 0; o < count; o++) {
        const Type *type = outputs[o]->type;
        const int64_t elems = type_elem_count(type), width = type->rank ? type->shape[type->rank - 1] : 1;
        if (type->elem != ELEM_F32 || !elems) continue;
        const bool is_lost = is_unbounded && !are_finite(other[o], elems);
        sum += is_lost ? WORST_LOSS : losses[loss->kind](&(Pair){real[o], other[o], elems / width, width});
        counted++;
    }
    return counted ? sum / counted : 0;
}
