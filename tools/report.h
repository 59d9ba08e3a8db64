// What `qanat report` knows of a network (tools/report.c) and how the page shows it (tools/report_page.c).
#pragma once
#include "codegen/codegen.h"
#include "quant/compare.h"
#include "quant/search.h"
#include "tools/prepare.h"
#include "tools/svg.h"

// A tensor of the float network, in its order.
typedef struct {
    const Value *value;
    const Op *op;                  // NULL: an input
    const Value *quantized;        // of the network as it is run; NULL: it has none of that name
    const Compared *compared;      // NULL: the quantized network has no such tensor, or there is none
    const Observer *seen;          // NULL: not observed
    const CalibrationEntry *entry; // NULL: none
    const char *why_float;         // NULL: it is in i8, or was not asked to be
    int64_t float_bytes, bytes;    // of its op's constants, before and after
    double us;                     // of the steps that bear its name
} ReportTensor;

// An operator of a search's log.
typedef struct {
    const Value *value;        // of the imported network
    const ReportTensor *tensor; // once these are listed
    double loss[MAX_TABLES], samples; // by table, NAN: it was not measured; of the best one
    int best;
} ReportLoss;

typedef struct {
    Model *model;
    Elem precision;
    const char *data, *calibrated_on; // samples, in words
    const Module *network;            // float, with the factors of channels
    int tensor_count;
    ReportTensor *tensors;
    int compared_count;
    Compared *compared;
    Observations seen;
    const char *explained;            // the text of --explain
    const StepFacts *steps;
    int step_count, runs, threads;
    double *us, *least, total_us;     // of each step
    ProgramFacts facts;
    int64_t arena_bytes, plan_bytes;
    int box_count;
    SvgBox *boxes;                    // of the memory plan
    int search_count, search_table_count;
    ReportLoss *search;               // of --search, in the order of its log
    const char *search_tables[MAX_TABLES];
} Report;

// The arena over time, from a planned program.
void report_memory(Report *report, const Module *kn);
// False after a message; before all that takes long. report_find_search: when the tensors are listed.
bool report_read_search(Report *report, const char *path);
void report_find_search(Report *report);
void report_search(const Report *report, FILE *out);
void report_page(const Report *report, FILE *out);
extern const char report_style[], report_script[];
