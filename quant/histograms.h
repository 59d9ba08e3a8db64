// What was seen of a network's tensors, apart from the network: what tables are made of, and a file that keeps it. Files of several
// runs are joined exactly: the joined state is that of one run over all samples.
#pragma once
#include "quant/method.h"

typedef struct {
    const char *name;
    const Observer *seen; // NULL: it has the elements of the entry `moved`, or none at all
    int moved;            // -1: of none
} HistogramEntry;

typedef struct {
    const char *model_hash, *data; // "" where unknown
    int equalized_count;
    const ChannelFactors *equalized; // of the network that was seen
    int count;
    HistogramEntry *entries; // in the order of the network
} Histograms;

void histograms_write(FILE *out, const Histograms *histograms);
// By its first bytes.
bool is_histograms_file(const char *path);
// NULL after a message. Bins are memory of the observers: histograms_close.
Histograms *histograms_read(Arena *arena, Diag *diag, const char *path, const void *data, size_t bytes);
void histograms_close(Histograms *histograms);
// Adds what `from` saw. Both were read, of the same network with the same factors; else false after a message about `path`.
bool histograms_join(Arena *arena, Diag *diag, const char *path, Histograms *into, const Histograms *from);

// tables[m] of methods[m]; `file` is named where a method fails. table->equalized stays.
bool histograms_tables(Arena *arena, Diag *diag, const char *file, const Histograms *histograms, const MethodOptions *options, int count,
                       const CalibrationMethod *methods, int threads, CalibrationTable *tables);
bool factors_agree(int count, const ChannelFactors *a, int other_count, const ChannelFactors *b);
