// The table of methods, and the call of a user's own.
#include "quant/method.h"

#include <math.h>
#include <string.h>

#include "quant/library.h"
#include "quant/qanat_method.h"

static const double DEFAULT_PERCENTILE = 99.99;

typedef int LibraryMethod(const struct qn_seen *seen, struct qn_clip *clip);

struct MethodLibrary {
    const char *name; // the file's, without folders
    LibraryMethod *method;
};

static const struct {
    const char *name;
    ObserveKind needs;
    double (*threshold)(const Observer *); // NULL: more than a function of what was seen
} methods[METHOD_COUNT] = {
    [METHOD_MINMAX] = {"minmax", OBSERVE_RANGES, threshold_minmax},
    [METHOD_EMA] = {"ema", OBSERVE_EXTREMES, NULL},
    [METHOD_KL] = {"kl", OBSERVE_BINS, threshold_kl},
    [METHOD_KL_NCNN] = {"kl-ncnn", OBSERVE_BINS, threshold_kl_ncnn},
    [METHOD_MSE] = {"mse", OBSERVE_BINS, threshold_mse},
    [METHOD_PERCENTILE] = {"percentile", OBSERVE_BINS, NULL},
    [METHOD_OCTAV] = {"octav", OBSERVE_BINS, threshold_octav},
    [METHOD_ACIQ] = {"aciq", OBSERVE_BINS, threshold_aciq},
    [METHOD_AUTO] = {"auto", OBSERVE_BINS, NULL},
    [METHOD_LIBRARY] = {"library", OBSERVE_BINS, NULL},
};

const char *calibration_method_name(CalibrationMethod method) { return methods[method].name; }

ObserveKind calibration_method_needs(CalibrationMethod method) { return methods[method].needs; }

const char *calibration_method_text(Arena *arena, CalibrationMethod method, const MethodOptions *options) {
    if (method == METHOD_LIBRARY) return options->library->name;
    if (method != METHOD_PERCENTILE || (!options->sliding && !options->percentile)) return methods[method].name;
    if (options->sliding) return arena_printf(arena, "%s sliding", methods[method].name);
    return arena_printf(arena, "%s %.12g", methods[method].name, options->percentile);
}

// ---- a method of the user's

const MethodLibrary *method_library_open(Arena *arena, Diag *diag, const char *path) {
    static const LibraryKind kind = {"qanat_method.h", "qn_method_abi", "qn_method", QN_METHOD_ABI};
    void *symbol = library_symbol(diag, path, &kind);
    if (!symbol) return NULL;
    MethodLibrary *opened = ARENA_NEW(arena, MethodLibrary);
    const char *slash = strrchr(path, '/');
    opened->name = arena_strdup(arena, slash ? slash + 1 : path);
    memcpy(&opened->method, &symbol, sizeof symbol);
    return opened;
}

static bool library_clip(const Observer *seen, const MethodLibrary *library, const char *tensor, int index, int count, Clip *clip, char *message) {
    uint64_t negative[BINS_PER_SIGN]; // ours lie the other way round
    for (int i = 0; i < BINS_PER_SIGN && seen->bins; i++) negative[i] = seen->bins[BINS_PER_SIGN - 1 - i];
    const struct qn_seen given = {.tensor = tensor, .index = index, .count = count, .min = seen->min, .max = seen->max, .values = seen->count,
                                  .zeros = seen->zeros, .bins = seen->bins ? BINS_PER_SIGN : 0, .bin_width = ldexp(1, seen->exponent),
                                  .positive = seen->bins ? seen->bins + BINS_PER_SIGN : NULL, .negative = seen->bins ? negative : NULL};
    struct qn_clip own = {clip->threshold, clip->min, clip->max};
    int status = library->method(&given, &own);
    if (status) snprintf(message, MESSAGE_BYTES, "%s: qn_method gave %d for tensor '%s'", library->name, status, tensor);
    else if (!isfinite((float)own.threshold) || !(own.threshold >= 0) || !isfinite((float)own.min) || !isfinite((float)own.max) || own.min > own.max)
        snprintf(message, MESSAGE_BYTES, "%s: qn_method gave the threshold %g and the range [%g, %g] for tensor '%s'", library->name,
                 own.threshold, own.min, own.max, tensor);
    else
        return *clip = (Clip){own.threshold, own.min, own.max}, true;
    return false;
}

bool calibration_clip(const Observer *seen, CalibrationMethod method, const MethodOptions *options, const char *tensor, int index,
                      int count, Clip *clip, char *message) {
    *clip = (Clip){threshold_minmax(seen), seen->min, seen->max};
    if (methods[method].threshold) clip->threshold = methods[method].threshold(seen);
    else if (method == METHOD_EMA) *clip = clip_ema(seen);
    else if (method == METHOD_AUTO) return true; // chosen of others' clips
    else if (method == METHOD_LIBRARY) return library_clip(seen, options->library, tensor, index, count, clip, message);
    else if (options->sliding) *clip = clip_sliding(seen, index, count);
    else clip->threshold = threshold_percentile(seen, options->percentile ? options->percentile : DEFAULT_PERCENTILE);
    return true;
}
