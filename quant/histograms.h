// What was seen of a network's tensors, apart from the network: what tables are made of, and a file that keeps it. Files of several
// runs are joined exactly: the joined state is that of one run over all samples.
#pragma once
#include "quant/method.h"

enum { MOST_JOINED = 8, MOST_TENSORS = 1 << 16 };

// Of a tensor in a file, as it stands there: unpacked it may be thousands of times as large.
typedef struct { const unsigned char *at, *end; } PackedObserver;

typedef struct {
    const char *name;
    const Observer *seen; // while the network is observed; NULL: see the rest
    int packed_count;     // of so many files, to be joined; 0: it has the elements of the entry `moved`, or none at all
    PackedObserver packed[MOST_JOINED];
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
// NULL after a message. `data` stays in use.
Histograms *histograms_read(Arena *arena, Diag *diag, const char *path, const void *data, size_t bytes);
// Adds what `from` saw. Both were read, of the same network with the same factors; else false after a message about `path`. At most
// MOST_JOINED files in all.
bool histograms_join(Arena *arena, Diag *diag, const char *path, Histograms *into, const Histograms *from);

// tables[m] of methods[m]; `file` is named where a method fails. table->equalized stays.
bool histograms_tables(Arena *arena, Diag *diag, const char *file, const Histograms *histograms, const MethodOptions *options, int count,
                       const CalibrationMethod *methods, int threads, CalibrationTable *tables);
bool factors_agree(int count, const ChannelFactors *a, int other_count, const ChannelFactors *b);
