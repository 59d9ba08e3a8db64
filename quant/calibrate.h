// Calibration: runs the float network over samples and says in which range each tensor lies.
#pragma once
#include "ir/tables.h"
#include "quant/histograms.h"

// How factors of channels are found (quant/equalize.h); AUTO: as the calibration data says, NONE among the choices.
typedef enum { EQUALIZE_AUTO, EQUALIZE_NONE, EQUALIZE_RANGE, EQUALIZE_CROSS } Equalization;

// Whether biases are corrected (quant/bias.h); AUTO: where samples that no correction was found on say that it helps.
typedef enum { CORRECT_AUTO, CORRECT_OFF, CORRECT_ON } Correction;

typedef struct {
    CalibrationMethod method;
    Equalization equalization;
    Correction correction;
    MethodOptions thresholds;
    void (*keep)(void *keeper, Histograms *histograms); // called with what the tables are made of, when they are; NULL
    void *keeper;
} CalibrateOptions;

// `imported`: the module after pipeline "import"; it is left as it is. The table, allocated in `arena`, has an entry for
// each input and each float tensor that is computed.
bool calibrate(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
               const CalibrateOptions *options, int threads, CalibrationTable *table);
// A table for each of several methods, from one pass over the samples; factors of channels and corrections of biases, the same in all,
// are chosen by the first one. options->method says nothing.
bool calibrate_methods(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
                       const CalibrateOptions *options, int count, const CalibrationMethod *methods, int threads, CalibrationTable *tables);
// The entries alone, of a network as it is: factors and corrections of biases stay.
bool calibrate_ranges(Arena *arena, const Module *network, const PassContext *context, const SampleSource *source,
                      const CalibrateOptions *options, int threads, CalibrationTable *table);

// The entries of a table, as one method makes them of what was seen of the network.
bool calibrate_seen(Arena *arena, Diag *diag, const Module *network, const Observations *seen, CalibrationMethod method, const MethodOptions *options,
                    int threads, CalibrationTable *table);

// Comments of a table: those before a line, a line each; or the one at its end, and the end of the line.
void table_write_comments(FILE *out, const TableComment *comments, int count, TablePart part, int index, bool trailing);
// The entries that `given` lacks, measured on the network with its factors; its own stay, and so do its comments.
bool calibrate_missing(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
                       const CalibrateOptions *options, int threads, const CalibrationTable *given, CalibrationTable *table);

// Whether it could be written, closing the file tells.
void calibration_write(FILE *out, Arena *arena, const CalibrationTable *table);
// A name as one word of a table: in quotes where the scanner of tables would see something else in it.
const char *table_word(Arena *arena, const char *name);
