// Reads calibration tables (name threshold min max, and lines `equalize: name factor …`, `bias: name shift …`) and quantization tables (name type), ours and
// others' (foreign.c). Every bad line is reported, with its column; a name that stands twice is an error.
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/tables/tables.h"
#include "ir/map.h"
#include "tables_parser.h"

Loc table_loc(const TableState *state, TablePlace place) {
    return (Loc){.file = state->path, .line = place.line, .column = place.column};
}

bool table_fault(TableState *state, TablePlace place, const char *text) {
    state->good = false;
    state->faults++;
    return diag_error(state->diag, table_loc(state, place), "%s", text);
}

static bool fault(TableState *state, const TableWord *word, const char *text) {
    return table_fault(state, word->place, text);
}

bool table_unknown(TableState *state, const TableWord *word, const char *complaint, const char *text, int count,
                   const char *const *names) {
    const char *near = nearest_name(text, count, names);
    if (near) return fault(state, word, arena_printf(state->scratch, "%s '%.60s'; did you mean '%s'", complaint, text, near));
    return fault(state, word, arena_printf(state->scratch, "%s '%.60s'", complaint, text));
}

// The words of a line: exactly `count`.
static bool take_words(TableState *state, const TableWord *words, int count, const TableWord **out, const char *form) {
    int found = 0;
    const TableWord *last = words;
    for (const TableWord *word = words; word; word = word->next) {
        if (found < count) out[found] = word;
        found++;
        if (found <= count + 1) last = word;
    }
    if (found == count) return true;
    return fault(state, last, arena_printf(state->scratch, "found %d words, expected `%s`", found, form));
}

bool table_number(TableState *state, const TableWord *word, double *value) {
    char *end;
    *value = strtof(word->text, &end); // as they are printed: what is written reads back as the same number
    if (end != word->text && !*end && isfinite(*value)) return true;
    return fault(state, word, arena_printf(state->scratch, "'%.60s' is not a finite number", word->text));
}

void *table_grown(TableState *state, void *entries, int count, size_t size) {
    if (count & (count - 1)) return entries;
    char *more = arena_alloc(state->arena, size * (size_t)(count ? 2 * count : 1));
    if (count) memcpy(more, entries, size * (size_t)count);
    return more;
}

typedef struct {
    void *table;
    Map *names;
    bool skipping; // a section that says nothing to us: it is kept as it is
    int lines;
} Reading;

static bool take_name(TableState *state, const TableWord *word) {
    void **slot = map_get(((Reading *)state->out)->names, word->text);
    if (*slot) {
        fault(state, word, arena_printf(state->scratch, "'%s' stands twice", word->text));
        return diag_note(state->diag, table_loc(state, ((const TableWord *)*slot)->place), "the first time");
    }
    *slot = (void *)word;
    return true;
}

// ---- calibration

static const double LEAST_FACTOR = 1.0 / (1LL << 40), MOST_FACTOR = 1LL << 40; // what keeps weights in the range of f32

static TablePart part_of_line(const TableWord *words) {
    if (words->quoted) return LINES_OF_RANGES;
    return !strcmp(words->text, "equalize:") ? LINES_OF_FACTORS : !strcmp(words->text, "bias:") ? LINES_OF_BIASES : LINES_OF_RANGES;
}

// The numbers of `equalize: name factor …` or `bias: name shift …`, one a channel; how many, 0 after a message.
static int take_channels(TableState *state, const TableWord *words, const char *form, bool are_factors, float **numbers) {
    const TableWord *name = words->next;
    int count = 0;
    for (const TableWord *word = name; word; word = word->next) count++;
    if (count < 2) return fault(state, words, form), 0;
    *numbers = ARENA_ARRAY(state->arena, float, count);
    count = 0;
    for (const TableWord *word = name->next; word; word = word->next) {
        double number;
        if (!table_number(state, word, &number)) return 0;
        if (are_factors && !(number >= LEAST_FACTOR && number <= MOST_FACTOR)) return fault(state, word, "a factor is a positive number from 2^-40 to 2^40"), 0;
        (*numbers)[count++] = (float)number;
    }
    return count;
}

static void equalize_line(TableState *state, const TableWord *words) {
    CalibrationTable *table = ((Reading *)state->out)->table;
    float *factors;
    const int count = take_channels(state, words, "expected `equalize: name factor …`, a factor for each channel", true, &factors);
    if (!count) return;
    const ChannelFactors entry = {words->next->text, count, factors, table_loc(state, words->next->place)};
    table->equalized = table_grown(state, table->equalized, table->equalized_count, sizeof entry);
    table->equalized[table->equalized_count++] = entry;
}

static void bias_line(TableState *state, const TableWord *words) {
    CalibrationTable *table = ((Reading *)state->out)->table;
    float *shifts;
    const int count = take_channels(state, words, "expected `bias: name shift …`, a shift for each channel", false, &shifts);
    if (!count) return;
    const BiasCorrection entry = {words->next->text, count, shifts, table_loc(state, words->next->place)};
    table->corrected = table_grown(state, table->corrected, table->corrected_count, sizeof entry);
    table->corrected[table->corrected_count++] = entry;
}

static void calibration_line(TableState *state, const TableWord *words) {
    Reading *reading = state->out;
    CalibrationTable *table = reading->table;
    if (reading->skipping) return;
    if (!reading->lines++ && table->format == TABLE_QANAT && is_ncnn_weight_line(words)) table->format = TABLE_NCNN;
    if (table->format == TABLE_NCNN) {
        if (take_name(state, words)) ncnn_line(state, words, table);
        return;
    }
    if (part_of_line(words) != LINES_OF_RANGES) {
        (part_of_line(words) == LINES_OF_FACTORS ? equalize_line : bias_line)(state, words);
        return;
    }
    const TableWord *word[4];
    CalibrationEntry entry = {0};
    if (!take_words(state, words, 4, word, "name threshold min max") || !take_name(state, word[0])) return;
    double *const numbers[] = {&entry.threshold, &entry.min, &entry.max};
    for (int i = 0; i < 3; i++)
        if (!table_number(state, word[i + 1], numbers[i])) return;
    if (entry.threshold < 0) {
        fault(state, word[1], "the threshold is negative");
        return;
    }
    if (entry.min > entry.max) {
        fault(state, word[2], "min exceeds max");
        return;
    }
    entry.name = word[0]->text;
    entry.loc = table_loc(state, word[0]->place);
    table->entries = table_grown(state, table->entries, table->count, sizeof entry);
    table->entries[table->count++] = entry;
}

static char *trimmed(TableState *state, const char *text) {
    char *value = arena_strdup(state->arena, text), *end = value + strlen(value);
    while (end > value && strchr(" \t\r", end[-1])) *--end = 0;
    return value;
}

// `# method: kl` and the like: what we write ourselves.
static bool header_comment(TableState *state, CalibrationTable *table, const char *text) {
    static const char *const keys[] = {"method:", "data:", "model:"};
    const char **const fields[] = {&table->method, &table->data, &table->model_hash};
    while (*text == ' ' || *text == '\t') text++;
    for (int i = 0; i < 3; i++) {
        size_t length = strlen(keys[i]);
        if (strncmp(text, keys[i], length)) continue;
        text += length;
        while (*text == ' ' || *text == '\t') text++;
        *fields[i] = trimmed(state, text);
        return true;
    }
    const char *rest = trimmed(state, text);
    return !strcmp(rest, "qanat calibration table") || !strcmp(rest, "name threshold min max");
}

static TableComment comment_of(TableState *state, const char *text, int index) {
    return (TableComment){.text = trimmed(state, text), .index = index, .trails = state->first != NULL};
}

// The line that is read, and all behind it.
static const char *text_from_here(const TableState *state) {
    const char *at = state->text, *end = at + state->bytes;
    for (int line = 1; line < state->line; line++) at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
    return arena_printf(state->arena, "%.*s", (int)(end - at), at);
}

static void calibration_comment(TableState *state, const char *text) {
    Reading *reading = state->out;
    CalibrationTable *table = reading->table;
    if (is_tpu_mlir_comment(text)) table->format = TABLE_TPU_MLIR;
    if (is_tpu_mlir_section(text) && !state->first && !reading->skipping) {
        reading->skipping = true;
        table->sections = text_from_here(state);
    }
    if (reading->skipping || header_comment(state, table, text)) return;
    TableComment comment = comment_of(state, text, table->count);
    comment.part = state->first ? part_of_line(state->first) : table->corrected_count ? LINES_OF_BIASES : table->equalized_count ? LINES_OF_FACTORS : LINES_OF_RANGES;
    if (comment.part == LINES_OF_FACTORS) comment.index = table->equalized_count;
    if (comment.part == LINES_OF_BIASES) comment.index = table->corrected_count;
    table->comments = table_grown(state, table->comments, table->comment_count, sizeof comment);
    table->comments[table->comment_count++] = comment;
}

// ---- quantization table

static void qtable_line(TableState *state, const TableWord *words) {
    Qtable *table = ((Reading *)state->out)->table;
    const TableWord *word[2];
    QtableEntry entry = {0};
    if (!take_words(state, words, 2, word, "name type") || !take_name(state, word[0])) return;
    if (tpu_mlir_precision(word[1]->text, &entry.type)) {
        table->format = TABLE_TPU_MLIR;
    } else if (!elem_find(word[1]->text, &entry.type)) {
        fault(state, word[1], arena_printf(state->scratch, "unknown type '%.60s', expected f32 or i8", word[1]->text));
        return;
    }
    entry.name = word[0]->text;
    entry.loc = table_loc(state, word[0]->place);
    table->entries = table_grown(state, table->entries, table->count, sizeof entry);
    table->entries[table->count++] = entry;
}

static void qtable_comment(TableState *state, const char *text) {
    Qtable *table = ((Reading *)state->out)->table;
    const TableComment comment = comment_of(state, text, table->count);
    if (!strcmp(comment.text, " qanat quantization table") || !strcmp(comment.text, " name type") || is_tpu_mlir_qtable_header(comment.text)) return;
    table->comments = table_grown(state, table->comments, table->comment_count, sizeof comment);
    table->comments[table->comment_count++] = comment;
}

// ----

bool table_read(TableState *state) {
    size_t bytes;
    const char *text = read_file(state->arena, state->diag, state->path, &bytes);
    if (!text) return false;
    if (bytes > INT_MAX - 16) return diag_error(state->diag, loc_file(state->path), "the table exceeds 2 GB");
    if (bytes >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) text += 3, bytes -= 3; // editors' mark of UTF-8
    state->path = arena_strdup(state->arena, state->path);
    diag_set_source(state->diag, state->path, text, bytes);
    const char *zero = memchr(text, 0, bytes); // where C's strings would end
    if (zero) {
        Loc loc = {.file = state->path, .line = 1, .column = 1};
        for (const char *at = text; at < zero; at++) loc.line += *at == '\n', loc.column = *at == '\n' ? 1 : loc.column + 1;
        return diag_error(state->diag, loc, "a byte 0: tables are text");
    }
    state->text = text, state->bytes = bytes;
    state->scratch = arena_new();
    state->line = state->column = 1;
    state->good = true;
    void *scanner = tables_scan_begin(text, bytes);
    BUG_UNLESS(scanner, "no memory for a scanner");
    if (tables_parse(state, scanner)) state->good = false;
    tables_scan_end(scanner);
    arena_free(state->scratch);
    return state->good;
}

static bool read_named(TableState *state, void *table) {
    Arena *arena = arena_new();
    Reading reading = {.table = table, .names = map_new_texts(arena)};
    state->out = &reading;
    bool read = table_read(state);
    arena_free(arena);
    return read;
}

bool parse_calibration_table(Arena *arena, Diag *diag, const char *path, CalibrationTable *table) {
    *table = (CalibrationTable){0};
    TableState state = {.arena = arena, .diag = diag, .path = path, .take_line = calibration_line,
                        .take_comment = calibration_comment};
    return read_named(&state, table);
}

bool parse_qtable(Arena *arena, Diag *diag, const char *path, Qtable *table) {
    *table = (Qtable){0};
    TableState state = {.arena = arena, .diag = diag, .path = path, .take_line = qtable_line, .take_comment = qtable_comment};
    return read_named(&state, table);
}
