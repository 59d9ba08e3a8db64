#include "tools/methods.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_named(CalibrationMethod method) { return method != METHOD_LIBRARY; }

static int unknown_method(const char *flag, const char *text) {
    const char *names[METHOD_COUNT];
    int count = 0;
    for (CalibrationMethod method = 0; method < METHOD_COUNT; method++)
        if (is_named(method)) names[count++] = calibration_method_name(method);
    const char *nearest = suggest(text, count, names);
    if (nearest) return usage_error("%s: unknown method '%s'; did you mean '%s'?", flag, text, nearest);
    return usage_error("%s: unknown method '%s'; `qanat calibrate --help` lists them", flag, text);
}

static bool find_method(const char *name, CalibrationMethod *found) {
    for (CalibrationMethod method = 0; method < METHOD_COUNT; method++)
        if (is_named(method) && !strcmp(name, calibration_method_name(method))) return *found = method, true;
    return false;
}

int parse_methods(const char *text, int *count, CalibrationMethod methods[METHOD_COUNT]) {
    *count = 0;
    for (CalibrationMethod method = 0; !strcmp(text, "all") && method < METHOD_COUNT; method++)
        if (is_named(method) && method != METHOD_AUTO) methods[(*count)++] = method;
    if (*count) return STATUS_DONE;
    for (size_t length; (length = strcspn(text, ",")) || *text; text += length + (text[length] == ',')) {
        char name[64];
        CalibrationMethod method;
        snprintf(name, sizeof name, "%.*s", (int)length, text);
        if (!find_method(name, &method)) return unknown_method("--methods", name);
        for (int i = 0; i < *count; i++)
            if (methods[i] == method) return usage_error("--methods: '%s' stands twice", name);
        methods[(*count)++] = method;
    }
    return *count ? STATUS_DONE : usage_error("--methods: expected names with commas between");
}

static int read_percentile(const char *text, MethodOptions *thresholds) {
    char *end;
    if (!text) return STATUS_DONE;
    if ((thresholds->sliding = !strcmp(text, "sliding"))) return STATUS_DONE;
    thresholds->percentile = strtod(text, &end);
    if (end != text && !*end && thresholds->percentile > 0 && thresholds->percentile <= 100) return STATUS_DONE;
    return usage_error("--percentile: expected a number above 0 and up to 100, or `sliding`, found '%s'", text);
}

static Equalization equalization_of(const Options *options) {
    static const char *const names[] = {[EQUALIZE_AUTO] = "auto", [EQUALIZE_NONE] = "none", [EQUALIZE_RANGE] = "range"};
    for (Equalization kind = 0; kind < EQUALIZE_CROSS; kind++)
        if (!options->equalize || !strcmp(options->equalize, names[kind]))
            return kind;
    return EQUALIZE_CROSS;
}

static Correction correction_of(const Options *options) {
    const char *text = options->bias_correction;
    return !text || !strcmp(text, "auto") ? CORRECT_AUTO : !strcmp(text, "on") ? CORRECT_ON : CORRECT_OFF;
}

static bool is_library(const char *text) {
    size_t length = strlen(text);
    return strchr(text, '/') || (length > 3 && !strcmp(text + length - 3, ".so"));
}

int methods_open(Model *model) {
    const Options *options = model->options;
    model->calibrate = (CalibrateOptions){.method = METHOD_MSE, .equalization = equalization_of(options), .correction = correction_of(options)};
    if (read_percentile(options->percentile, &model->calibrate.thresholds)) return STATUS_USAGE;
    if (!options->method) {
        if (options->percentile && !options->methods) model->calibrate.method = METHOD_PERCENTILE;
        return STATUS_DONE;
    }
    if (is_library(options->method)) {
        model->calibrate.method = METHOD_LIBRARY;
        model->calibrate.thresholds.library = method_library_open(model->arena, model->diag, options->method);
        return model->calibrate.thresholds.library ? STATUS_DONE : STATUS_INPUT;
    }
    if (!find_method(options->method, &model->calibrate.method)) return unknown_method("--method", options->method);
    if (options->percentile && model->calibrate.method != METHOD_PERCENTILE)
        return usage_error("--percentile has no effect with --method %s", options->method);
    return STATUS_DONE;
}
