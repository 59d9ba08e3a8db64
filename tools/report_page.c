// The page of `qanat report`: tables and charts of what tools/report.c gathered. Everything that a model names is escaped, and
// the page's policy forbids it to load anything.
#include <math.h>
#include <string.h>

#include "ir/targets.h"
#include "tools/html.h"
#include "tools/report.h"

enum { HISTOGRAM_BINS = 240, COLORS = 10, MOST_PERCENT = 120 };

// ---- text

static void cell_text(FILE *out, const char *text) {
    fputs("<td>", out);
    html_text(out, text);
    fputs("</td>", out);
}

// Sorted by `value`; an empty cell where that is NAN.
static void cell_number(FILE *out, double value, const char *format) {
    if (!isfinite(value)) {
        fprintf(out, "<td class=\"n\" data-v=\"%s\">%s</td>", isinf(value) ? "1e300" : "", isinf(value) ? "exact" : "");
        return;
    }
    fprintf(out, "<td class=\"n\" data-v=\"%.9g\">", value);
    fprintf(out, format, value);
    fputs("</td>", out);
}

// A number with a bar behind it, as long as its share of `most`.
static void cell_bar(FILE *out, double value, double most, const char *format) {
    if (!(value > 0)) {
        fputs("<td class=\"n\" data-v=\"0\"></td>", out);
        return;
    }
    fprintf(out, "<td class=\"n bar\" data-v=\"%.9g\" style=\"--w:%.1f%%\">", value, most > 0 ? 100 * value / most : 0);
    fprintf(out, format, value);
    fputs("</td>", out);
}

// The columns from `first` to `last` are text, the others numbers.
static void heads(FILE *out, int count, const char *const *names, int first, int last) {
    fputs("<thead><tr>", out);
    for (int i = 0; i < count; i++) fprintf(out, "<th%s><button type=\"button\">%s</button></th>", i < first || i > last ? " class=\"n\"" : "", names[i]);
    fputs("</tr></thead><tbody>\n", out);
}

static void fact(FILE *out, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void fact(FILE *out, const char *name, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(out, "<div class=\"fact\"><b>");
    html_text(out, text);
    fprintf(out, "</b><span>%s</span></div>\n", name);
}

static const char *kind_of(const ReportTensor *tensor) { return tensor->op ? op_info(tensor->op->kind)->name : "input"; }

static const char *shape_of(Arena *arena, const Type *type) {
    const char *text = "";
    for (int i = 0; i < type->rank; i++) text = arena_printf(arena, "%s%s%lld", text, i ? "×" : "", (long long)type->shape[i]);
    return text;
}

static bool is_quantized(const ReportTensor *tensor) { return tensor->compared && tensor->compared->quant; }

static bool is_sums(const ReportTensor *tensor) { return tensor->compared && tensor->compared->sums; }

static const Type *type_now(const ReportTensor *tensor) { return tensor->quantized ? tensor->quantized->type : tensor->value->type; }

static bool is_integer(const ReportTensor *tensor) { return is_sums(tensor) || type_now(tensor)->quant; }

static const char *type_of(const ReportTensor *tensor) {
    return is_sums(tensor) ? "sums" : is_integer(tensor) ? "int8" : elem_name(type_now(tensor)->elem);
}

static double own_decibels(const ReportTensor *tensor) {
    return tensor->compared && tensor->compared->own.count ? difference_decibels(&tensor->compared->own) : NAN;
}

static double decibels(const ReportTensor *tensor) {
    return tensor->compared ? difference_decibels(&tensor->compared->inherited) : NAN;
}

// ---- head of the page

static const Compared *last_output(const Report *report) {
    const Op *end = NULL;
    FOR_EACH_OP(module_main(report->network), op)
        if (op->kind == OP_return) end = op;
    for (int i = 0; end && i < report->compared_count; i++)
        if (end->operand_count && report->compared[i].op && report->compared[i].op == op_operand(end, 0)->def) return &report->compared[i];
    return report->compared_count ? &report->compared[report->compared_count - 1] : NULL;
}

static void page_facts(const Report *report, FILE *out) {
    int integer = 0, real = 0;
    double macs = 0;
    for (int i = 0; i < report->tensor_count; i++)
        if (report->tensors[i].op) is_integer(&report->tensors[i]) ? integer++ : real++;
    for (int i = 0; i < report->step_count; i++) macs += report->steps[i].macs;
    const Compared *end = report->precision == ELEM_F32 ? NULL : last_output(report);
    fputs("<section class=\"facts\">\n", out);
    if (end) {
        fact(out, "cosine of the output to the float network's", "%.6f", difference_cosine(&end->inherited));
        fact(out, "signal to noise of the output", "%.1f dB", difference_decibels(&end->inherited));
        fact(out, "tensors in int8, in float", "%d, %d", integer, real);
    }
    fact(out, "a run on one core, sum of medians", report->total_us < 1000 ? "%.1f µs" : "%.2f ms", report->total_us < 1000 ? report->total_us : report->total_us / 1000);
    fact(out, "multiply-adds", "%.2f million", macs * 1e-6);
    fact(out, "weights", "%.1f KiB", (double)report->facts.weights_bytes / 1024);
    fact(out, "code", "%.1f KiB", (double)report->facts.code_bytes / 1024);
    fact(out, "arena for one thread", "%.1f KiB", (double)report->arena_bytes / 1024);
    fputs("</section>\n", out);
}

static void page_head(const Report *report, FILE *out) {
    const char *path = report->model->path, *slash = strrchr(path, '/');
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\n<title>", out);
    html_text(out, slash ? slash + 1 : path);
    fprintf(out, " – Qanat</title>\n<style>%s</style></head><body>\n<header><h1>", report_style);
    html_text(out, slash ? slash + 1 : path);
    fputs("</h1><p>", out);
    html_text(out, report->precision == ELEM_F32 ? "float" : "int8");
    fputs(", ", out);
    html_text(out, report->model->context.target->name);
    if (report->precision != ELEM_F32 && report->model->calibration.method) {
        fputs(", thresholds by ", out);
        html_text(out, report->model->calibration.method);
    }
    fputs("; compared on ", out);
    html_text(out, report->data);
    fputs("; histograms of ", out);
    html_text(out, report->calibrated_on);
    fprintf(out, "</p><nav><a href=\"#error\">Error</a>%s", report->model->options->search ? "<a href=\"#search\">Search</a>" : "");
    fputs("<a href=\"#tensors\">Tensors</a><a href=\"#time\">Time</a><a href=\"#memory\">Memory</a>"
          "<a href=\"#histograms\">Histograms</a><a href=\"#decisions\">Decisions</a></nav></header>\n<main>\n", out);
    page_facts(report, out);
}

// ---- error

static double capped(double percent) { return percent > MOST_PERCENT ? MOST_PERCENT : percent; } // NAN stays

static void page_error(const Report *report, FILE *out) {
    Arena *arena = report->model->arena;
    SvgColumn *columns = ARENA_ARRAY(arena, SvgColumn, report->tensor_count + 1);
    int count = 0, own = 0;
    fputs("<section id=\"error\"><h2>Error along the network</h2>\n", out);
    for (int i = 0; i < report->tensor_count; i++) {
        const ReportTensor *tensor = &report->tensors[i];
        if (!tensor->compared || !tensor->op) continue;
        const double all = 100 * pow(10, -decibels(tensor) / 20), alone = 100 * pow(10, -own_decibels(tensor) / 20);
        own += isfinite(own_decibels(tensor));
        columns[count++] = (SvgColumn){capped(alone), capped(all), arena_printf(arena, "%s (%s): own %.3g %%, with what is inherited %.3g %%", tensor->value->name,
                                                               kind_of(tensor), isfinite(alone) ? alone : 0, all), 0};
    }
    if (!own) {
        fputs("<p>No float operator was quantized here: there is no error to show.</p></section>\n", out);
        return;
    }
    fputs("<p>Root mean square of the error, in percent of the tensor's own root mean square. Columns: what an operator adds by itself, on the "
          "float network's tensors; a high one is a candidate for the quantization table. Line: the error that is there, with all that was inherited. What is above 120 % is drawn there.</p>\n", out);
    svg_columns(out, "error along the network", "%", "tensor, in the order of the network", count, columns);
    fputs("</section>\n", out);
}

// ---- tensors

static void tensor_row(const Report *report, FILE *out, int index, double most_us) {
    const ReportTensor *tensor = &report->tensors[index];
    const bool integer = is_quantized(tensor);
    fprintf(out, "<tr><td class=\"n\" data-v=\"%d\">%d</td><td><a href=\"#t%d\"><code>", index, index, index);
    html_text(out, tensor->value->name);
    fputs("</code></a></td>", out);
    cell_text(out, kind_of(tensor));
    cell_text(out, shape_of(report->model->arena, tensor->value->type));
    fputs("<td", out);
    if (tensor->why_float && !is_integer(tensor)) {
        fputs(" class=\"float\" title=\"", out);
        html_text(out, tensor->why_float);
        fputc('"', out);
    }
    fprintf(out, ">%s</td>", type_of(tensor));
    cell_number(out, decibels(tensor), "%.1f");
    cell_number(out, own_decibels(tensor), "%.1f");
    cell_number(out, tensor->compared ? tensor->compared->inherited.largest_error : NAN, "%.3g");
    cell_number(out, integer ? 100 * difference_saturated(&tensor->compared->inherited) : NAN, "%.2f");
    cell_number(out, integer ? 100 * difference_used(&tensor->compared->inherited, tensor->compared->quant) : NAN, "%.0f");
    cell_number(out, tensor->bytes ? (double)tensor->bytes : NAN, "%.0f");
    cell_number(out, tensor->float_bytes ? (double)tensor->float_bytes : NAN, "%.0f");
    cell_bar(out, tensor->us, most_us, "%.2f");
    fputs("</tr>\n", out);
}

static void page_tensors(const Report *report, FILE *out) {
    static const char *const names[] = {"#", "tensor", "operator", "shape", "type", "SQNR dB", "own dB", "max error", "saturated %", "used %",
                                        "constants, bytes", "in float", "µs"};
    double most = 0;
    for (int i = 0; i < report->tensor_count; i++) most = fmax(most, report->tensors[i].us);
    fputs("<section id=\"tensors\"><h2>Tensors</h2>\n<p>Each tensor of the network beside the float one; <i>own dB</i>: of the operator alone, on the float "
          "network's tensors. A type with a dotted line says why it is no int8; <i>sums</i>: an int8 operator's, in 32 bits. Click a heading to sort, a name for its histogram.</p>\n"
          "<div class=\"scroll\"><table class=\"sortable\">", out);
    heads(out, sizeof names / sizeof *names, names, 1, 4);
    for (int i = 0; i < report->tensor_count; i++) tensor_row(report, out, i, most);
    fputs("</tbody></table></div></section>\n", out);
}

// ---- time

static void page_steps(const Report *report, FILE *out) {
    static const char *const names[] = {"#", "step", "kernel", "µs", "share %", "least µs", "estimate µs", "million multiply-adds", "GMAC/s", "bytes"};
    double most = 0;
    for (int i = 0; i < report->step_count; i++) most = fmax(most, report->us[i]);
    fprintf(out, "<details><summary>The %d steps</summary><div class=\"scroll\"><table class=\"sortable\">", report->step_count);
    heads(out, sizeof names / sizeof *names, names, 1, 2);
    for (int i = 0; i < report->step_count; i++) {
        const StepFacts *step = &report->steps[i];
        fprintf(out, "<tr><td class=\"n\" data-v=\"%d\">%d</td><td><code>", i, i);
        html_text(out, step->name);
        fputs("</code></td><td><code>", out);
        html_text(out, step->kernel->symbol);
        fputs("</code></td>", out);
        cell_bar(out, report->us[i], most, "%.2f");
        cell_number(out, report->total_us > 0 ? 100 * report->us[i] / report->total_us : NAN, "%.1f");
        cell_number(out, report->least[i], "%.2f");
        cell_number(out, step->estimated_ns > 0 ? step->estimated_ns * 1e-3 : NAN, "%.2f");
        cell_number(out, step->macs > 0 ? step->macs * 1e-6 : NAN, "%.3f");
        cell_number(out, step->macs > 0 && report->us[i] > 0 ? step->macs / report->us[i] * 1e-3 : NAN, "%.0f");
        cell_number(out, (double)step->bytes, "%.0f");
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div></details>\n", out);
}

// Steps of one family of kernels share a color.
static int color_of(const Report *report, int step) {
    const char *families[COLORS] = {0};
    for (int i = 0, known = 0; i <= step; i++) {
        const char *own = report->steps[i].kernel->family;
        int k = 0;
        while (k < known && strcmp(families[k], own)) k++;
        if (k == known && known < COLORS) families[known++] = own;
        if (i == step) return k < COLORS ? k : COLORS - 1;
    }
    return 0;
}

static void page_time(const Report *report, FILE *out) {
    Arena *arena = report->model->arena;
    SvgColumn *columns = ARENA_ARRAY(arena, SvgColumn, report->step_count + 1);
    fprintf(out, "<section id=\"time\"><h2>Time</h2>\n<p>The compiled program on one core here, medians of %d runs, step by step: µs; the line is what the cost "
            "model estimates. A color stands for a family of kernels.</p>\n", report->runs);
    for (int i = 0; i < report->step_count; i++) {
        const StepFacts *step = &report->steps[i];
        columns[i] = (SvgColumn){report->us[i], step->estimated_ns > 0 ? step->estimated_ns * 1e-3 : NAN,
                                 arena_printf(arena, "%d %s: %.2f µs, %s", i, step->name, report->us[i], step->kernel->symbol), color_of(report, i)};
    }
    svg_columns(out, "time of each step", "µs", "step", report->step_count, columns);
    page_steps(report, out);
    fputs("</section>\n", out);
}

// ---- memory

static void page_memory(const Report *report, FILE *out) {
    fprintf(out, "<section id=\"memory\"><h2>Memory</h2>\n<p>The arena's plan: each buffer from the step that writes it to the last that reads it. %lld bytes, of "
            "which at most %lld are alive at once (dashed); header and scratch come on top: %lld bytes for one thread.</p>\n",
            (long long)report->plan_bytes, (long long)report->facts.live_bytes, (long long)report->arena_bytes);
    int used = 0;
    SvgBox *boxes = ARENA_ARRAY(report->model->arena, SvgBox, report->box_count + 1);
    for (int i = 0; i < report->box_count; i++)
        if (report->boxes[i].first >= 0) boxes[used++] = report->boxes[i];
    svg_memory(out, report->step_count, report->plan_bytes, report->facts.live_bytes, used, boxes);
    fputs("</section>\n", out);
}

// ---- histograms

static double bin_edge(const Observer *seen, int bin) { return ldexp(bin - BINS_PER_SIGN, seen->exponent); }

// Into `count` equal bins over the range that was seen; what straddles two goes to that of its middle.
static void rebin(const Observer *seen, int count, double *counts) {
    memset(counts, 0, sizeof *counts * (size_t)count);
    const double range = (double)seen->max - seen->min;
    for (int i = 0; seen->bins && i < BIN_COUNT; i++) {
        if (!seen->bins[i]) continue;
        double at = range > 0 ? (bin_edge(seen, i) + ldexp(0.5, seen->exponent) - seen->min) / range * count : 0;
        counts[at < 0 ? 0 : at >= count ? count - 1 : (int)at] += (double)seen->bins[i];
    }
}

// Values beyond [low, high], in percent, of bins that lie beyond as a whole.
static double clipped(const Observer *seen, double low, double high) {
    uint64_t beyond = 0;
    for (int i = 0; seen->bins && i < BIN_COUNT; i++) {
        if (bin_edge(seen, i) > high || bin_edge(seen, i + 1) < low) beyond += seen->bins[i];
    }
    return seen->count ? 100 * (double)beyond / (double)seen->count : 0;
}

static SvgThreshold threshold_of(double threshold, double min, double max, const char *name, int color) {
    return (SvgThreshold){fmin(fmax(min, -threshold), 0), fmax(fmin(max, threshold), 0), name, color, color == 0};
}

// Where each method clips, and what the network uses. Returns how many.
static int thresholds_of(const Report *report, const ReportTensor *tensor, SvgThreshold *thresholds) {
    const Observations *all = &report->seen;
    int count = 0;
    for (int m = 0; m < METHOD_COUNT; m++) {
        Clip clip;
        char message[MESSAGE_BYTES];
        // `auto` takes one of the others'.
        if (m == METHOD_AUTO || (m == METHOD_LIBRARY && !report->model->calibrate.thresholds.library)) continue;
        if (!calibration_clip(tensor->seen, (CalibrationMethod)m, &report->model->calibrate.thresholds, tensor->value->name,
                              (int)(tensor->seen - all->owned), all->count, &clip, message))
            continue;
        const char *name = calibration_method_text(report->model->arena, (CalibrationMethod)m, &report->model->calibrate.thresholds);
        thresholds[count++] = threshold_of(clip.threshold, clip.min, clip.max, name, m % (COLORS - 1) + 1);
    }
    const CalibrationEntry *entry = tensor->entry;
    if (entry) thresholds[count++] = threshold_of(entry->threshold, entry->min, entry->max, "in use", 0);
    return count;
}

static void threshold_row(FILE *out, const Observer *seen, const SvgThreshold *threshold) {
    fprintf(out, "<tr><td><span class=\"key s%d\"></span>", threshold->color);
    html_text(out, threshold->name);
    fputs("</td>", out);
    cell_number(out, threshold->low, "%.6g");
    cell_number(out, threshold->high, "%.6g");
    cell_number(out, (threshold->high - threshold->low) / 255, "%.4g");
    cell_number(out, clipped(seen, threshold->low, threshold->high), "%.4f");
    fputs("</tr>", out);
}

static void page_histogram(const Report *report, FILE *out, int index) {
    const ReportTensor *tensor = &report->tensors[index];
    const Observer *seen = tensor->seen;
    fprintf(out, "<details id=\"t%d\"><summary><code>", index);
    html_text(out, tensor->value->name);
    fprintf(out, "</code> <small>%s %s", kind_of(tensor), shape_of(report->model->arena, tensor->value->type));
    if (isfinite(own_decibels(tensor))) fprintf(out, ", own %.1f dB", own_decibels(tensor));
    fputs("</small></summary>\n", out);
    if (tensor->why_float) {
        fputs("<p>In float: ", out);
        html_text(out, tensor->why_float);
        fputs("</p>\n", out);
    }
    for (int i = 0; i < tensor->value->alias_count; i++) {
        fputs(i ? ", <code>" : "<p>Its other names: <code>", out);
        html_text(out, tensor->value->aliases[i]);
        fputs(i + 1 == tensor->value->alias_count ? "</code></p>\n" : "</code>", out);
    }
    if (!seen || !seen->bins) {
        fputs(seen ? "<p>All its values are 0.</p></details>\n" : "<p>It was not observed: it is no float tensor, or shares another's memory.</p></details>\n", out);
        return;
    }
    static const char *const names[] = {"method", "from", "to", "step", "beyond %"};
    SvgThreshold thresholds[METHOD_COUNT + 1];
    double counts[HISTOGRAM_BINS];
    const int count = thresholds_of(report, tensor, thresholds);
    rebin(seen, HISTOGRAM_BINS, counts);
    fprintf(out, "<p>%llu values from %g to %g, %llu exact zeros</p>\n", (unsigned long long)seen->count, seen->min, seen->max, (unsigned long long)seen->zeros);
    svg_histogram(out, HISTOGRAM_BINS, counts, seen->min, seen->max, count, thresholds);
    fputs("<div class=\"scroll\"><table class=\"sortable\">", out);
    heads(out, sizeof names / sizeof *names, names, 0, 0);
    for (int i = 0; i < count; i++) threshold_row(out, seen, &thresholds[i]);
    fputs("</tbody></table></div></details>\n", out);
}

static void page_histograms(const Report *report, FILE *out) {
    fputs("<section id=\"histograms\"><h2>Histograms</h2>\n<p>Values of each tensor over the samples, counts as logarithms; lines: each method's threshold. "
          "<button type=\"button\" id=\"all\">open all</button></p>\n", out);
    for (int i = 0; i < report->tensor_count; i++) page_histogram(report, out, i);
    fputs("</section>\n", out);
}

void report_page(const Report *report, FILE *out) {
    page_head(report, out);
    page_error(report, out);
    report_search(report, out);
    page_tensors(report, out);
    page_time(report, out);
    page_memory(report, out);
    page_histograms(report, out);
    fputs("<section id=\"decisions\"><h2>Decisions</h2>\n<details><summary>What <code>--explain</code> says</summary><pre>", out);
    for (const char *line = report->explained; *line;) {
        const size_t length = strcspn(line, "\n");
        html_text(out, arena_printf(report->model->arena, "%.*s", (int)length, line));
        fputc('\n', out);
        line += length + (line[length] == '\n');
    }
    fprintf(out, "</pre></details></section>\n</main><script>%s</script></body></html>\n", report_script);
}
