// Charts as SVG inside an HTML page: black on white or white on black by the page's style sheet, which names the classes that
// stand here (tools/report.css). What a mark says in full stands in its <title>, which browsers show beside the pointer.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// Where a method clips: lines of a histogram at `high` and, where that is negative, at `low`.
typedef struct {
    double low, high;
    const char *name;
    int color;   // 0..9
    bool chosen; // drawn strong
} SvgThreshold;

// Counts of equal bins over [low, high], drawn as logarithms.
void svg_histogram(FILE *out, int count, const double *counts, double low, double high, int threshold_count,
                   const SvgThreshold *thresholds);

// A column for each of a row of `things`; `line` (NAN: none) is a second value, joined by a line. Values of NAN are left out.
typedef struct {
    double value, line;
    const char *title;
    int color;
} SvgColumn;
void svg_columns(FILE *out, const char *label, const char *unit, const char *things, int count, const SvgColumn *columns);

// Boxes in time (steps, from first to last) and memory (bytes, from low to high).
typedef struct {
    int first, last;
    int64_t low, high;
    const char *title;
} SvgBox;
void svg_memory(FILE *out, int steps, int64_t bytes, int64_t alive, int count, const SvgBox *boxes);
