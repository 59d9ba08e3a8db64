// See svg.h. A plot maps what it shows to pixels of a viewBox; the page scales it.
#include "tools/svg.h"

#include <math.h>

#include "tools/html.h"

typedef struct {
    FILE *out;
    double left, top, width, height; // pixels
    double x0, x1, y0, y1;           // what is shown there
} Plot;

enum { WIDE = 960, LEFT = 64, RIGHT = 12, TOP = 20, BOTTOM = 34 };

static double x_of(const Plot *plot, double x) { return plot->left + (x - plot->x0) / (plot->x1 - plot->x0) * plot->width; }
static double y_of(const Plot *plot, double y) { return plot->top + plot->height - (y - plot->y0) / (plot->y1 - plot->y0) * plot->height; }

static Plot plot_open(FILE *out, double width, double height, const char *label, double x0, double x1, double y0, double y1) {
    const Plot plot = {out, LEFT, TOP, width - LEFT - RIGHT, height - TOP - BOTTOM, x0, x1 > x0 ? x1 : x0 + 1, y0, y1 > y0 ? y1 : y0 + 1};
    fprintf(out, "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"", width, height);
    html_text(out, label);
    fputs("\">", out);
    return plot;
}

static void plot_close(const Plot *plot) { fputs("</svg>\n", plot->out); }

// ---- axes

// The largest of 1, 2 or 5 times a power of ten with which `range` has at most `most` parts.
static double nice_step(double range, int most) {
    double step = pow(10, floor(log10(range / most)));
    for (int i = 0; i < 4 && range / step > most; i++) step *= i == 1 ? 2.5 : 2;
    return step;
}

static void tick_label(FILE *out, double value, double step) {
    if (fabs(value) < step * 1e-6) value = 0;
    fprintf(out, "%.6g", value);
}

// Whole bytes in the unit that fits the largest.
static void byte_label(FILE *out, double bytes, double step) {
    (void)step;
    if (bytes >= 1 << 20) fprintf(out, "%.4g MiB", bytes / (1 << 20));
    else if (bytes >= 1 << 10) fprintf(out, "%.4g KiB", bytes / (1 << 10));
    else fprintf(out, "%.4g", bytes);
}

typedef void Label(FILE *, double, double);

static void y_axis(const Plot *plot, double step, Label *label, const char *unit) {
    fprintf(plot->out, "<text class=\"tick\" text-anchor=\"end\" x=\"%g\" y=\"11\">%s</text>", plot->left - 6, unit);
    for (double at = ceil(plot->y0 / step - 1e-9) * step; at <= plot->y1 + step * 1e-9; at += step) {
        double y = y_of(plot, at);
        fprintf(plot->out, "<line class=\"grid\" x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"tick\" text-anchor=\"end\" x=\"%g\" y=\"%.1f\">",
                plot->left, plot->left + plot->width, y, y, plot->left - 6, y + 4);
        label(plot->out, at + 0.0, step); // no -0
        fputs("</text>", plot->out);
    }
}

static void x_axis(const Plot *plot, double step, const char *name) {
    const double bottom = plot->top + plot->height;
    fprintf(plot->out, "<line class=\"axis\" x1=\"%g\" x2=\"%g\" y1=\"%g\" y2=\"%g\"/>", plot->left, plot->left + plot->width, bottom, bottom);
    for (double at = ceil(plot->x0 / step - 1e-9) * step; at <= plot->x1 + step * 1e-9; at += step) {
        fprintf(plot->out, "<text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"%g\">", x_of(plot, at), bottom + 15);
        tick_label(plot->out, at + 0.0, step); // no -0
        fputs("</text>", plot->out);
    }
    fprintf(plot->out, "<text class=\"tick\" text-anchor=\"end\" x=\"%g\" y=\"%g\">", plot->left + plot->width, bottom + 29);
    html_text(plot->out, name);
    fputs("</text>", plot->out);
}

static void title(const Plot *plot, const char *text) {
    fputs("<title>", plot->out);
    html_text(plot->out, text);
    fputs("</title>", plot->out);
}

// ---- histogram

static void power_label(FILE *out, double exponent, double step) {
    (void)step;
    fprintf(out, exponent < 3.5 ? "%.0f" : "1e%.0f", exponent < 3.5 ? pow(10, exponent) : exponent);
}

static void mark(const Plot *plot, const SvgThreshold *threshold, double x) {
    if (x < plot->x0 || x > plot->x1) return;
    fprintf(plot->out, "<line class=\"mark s%d%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%g\" y2=\"%g\">", threshold->color,
            threshold->chosen ? " chosen" : "", x_of(plot, x), x_of(plot, x), plot->top, plot->top + plot->height);
    char text[160];
    snprintf(text, sizeof text, "%s: %g", threshold->name, x);
    title(plot, text);
    fputs("</line>", plot->out);
}

void svg_histogram(FILE *out, int count, const double *counts, double low, double high, int threshold_count,
                   const SvgThreshold *thresholds) {
    double most = 1;
    for (int i = 0; i < count; i++) most = fmax(most, counts[i]);
    const Plot plot = plot_open(out, WIDE, 220, "histogram", low, high, 0, log10(1 + most));
    y_axis(&plot, fmax(1, ceil(plot.y1 / 5)), power_label, "count");
    fprintf(out, "<path class=\"area\" d=\"M%g %.1f", plot.left, y_of(&plot, 0));
    for (int i = 0; i < count; i++) {
        double y = y_of(&plot, log10(1 + counts[i]));
        fprintf(out, "L%.1f %.1fL%.1f %.1f", plot.left + plot.width * i / count, y, plot.left + plot.width * (i + 1) / count, y);
    }
    fprintf(out, "L%.1f %.1fZ\"/>", plot.left + plot.width, y_of(&plot, 0));
    for (int pass = 0; pass < 2; pass++) // the chosen one on top
        for (int i = 0; i < threshold_count; i++) {
            if (thresholds[i].chosen != (pass == 1)) continue;
            mark(&plot, &thresholds[i], thresholds[i].high);
            if (thresholds[i].low < 0) mark(&plot, &thresholds[i], thresholds[i].low);
        }
    x_axis(&plot, nice_step(plot.x1 - plot.x0, 10), "value");
    plot_close(&plot);
}

// ---- columns

static void columns_line(const Plot *plot, int count, const SvgColumn *columns) {
    bool drawn = false;
    for (int i = 0; i < count; i++) {
        if (!isfinite(columns[i].line)) continue;
        fprintf(plot->out, drawn ? "L%.1f %.1f" : "<path class=\"line\" d=\"M%.1f %.1f", x_of(plot, i + 0.5), y_of(plot, columns[i].line));
        drawn = true;
    }
    if (drawn) fputs("\"/>", plot->out);
}

void svg_columns(FILE *out, const char *label, const char *unit, const char *things, int count, const SvgColumn *columns) {
    double most = 0;
    for (int i = 0; i < count; i++) {
        if (isfinite(columns[i].value)) most = fmax(most, columns[i].value);
        if (isfinite(columns[i].line)) most = fmax(most, columns[i].line);
    }
    const Plot plot = plot_open(out, WIDE, 240, label, 0, count, 0, most > 0 ? most * 1.05 : 1);
    y_axis(&plot, nice_step(plot.y1, 6), tick_label, unit);
    const double width = plot.width / (count ? count : 1);
    for (int i = 0; i < count; i++) {
        double value = isfinite(columns[i].value) ? columns[i].value : 0, y = y_of(&plot, value);
        // The whole height answers to the pointer, however low the column.
        fprintf(out, "<g class=\"column\"><rect class=\"hit\" x=\"%.2f\" y=\"%g\" width=\"%.2f\" height=\"%g\"/>", x_of(&plot, i), plot.top, width, plot.height);
        fprintf(out, "<rect class=\"s%d\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\"/>", columns[i].color,
                x_of(&plot, i) + width * 0.1, y, width * 0.8, y_of(&plot, 0) - y);
        title(&plot, columns[i].title);
        fputs("</g>", out);
    }
    columns_line(&plot, count, columns);
    x_axis(&plot, fmax(1, nice_step(count ? count : 1, 12)), things);
    plot_close(&plot);
}

// ---- memory

// Powers of two of bytes, a few of them.
static double byte_step(double range) {
    double step = 64;
    while (range / step > 6) step *= 2;
    return step;
}

void svg_memory(FILE *out, int steps, int64_t bytes, int64_t alive, int count, const SvgBox *boxes) {
    const Plot plot = plot_open(out, WIDE, 320, "the arena over time", 0, steps, 0, (double)bytes);
    y_axis(&plot, byte_step((double)bytes), byte_label, "");
    for (int i = 0; i < count; i++) {
        const SvgBox *box = &boxes[i];
        double x = x_of(&plot, box->first), y = y_of(&plot, (double)box->high);
        fprintf(out, "<rect class=\"box s%d\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\">", i % 10, x, y,
                x_of(&plot, box->last + 1) - x, y_of(&plot, (double)box->low) - y);
        title(&plot, box->title);
        fputs("</rect>", out);
    }
    fprintf(out, "<line class=\"bound\" x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\">", plot.left, plot.left + plot.width,
            y_of(&plot, (double)alive), y_of(&plot, (double)alive));
    title(&plot, "the most that is alive at once");
    fputs("</line>", out);
    x_axis(&plot, fmax(1, nice_step(steps ? steps : 1, 12)), "step");
    plot_close(&plot);
}
