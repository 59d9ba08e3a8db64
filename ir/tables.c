// Looking up the tables that people edit (tables.h), and suggesting names.
#include "ir/tables.h"

#include <string.h>

// The i-th name that a value answers to, its own first, then those of the tensors fused into it, the last first: what a
// fused tensor's own line says is about what is computed.
static const char *name_at(const Value *value, int i) { return i ? value->aliases[value->alias_count - i] : value->name; }

const CalibrationEntry *calibration_find(const CalibrationTable *table, const Value *value) {
    for (int n = 0; table && value->name && n <= value->alias_count; n++)
        for (int i = 0; i < table->count; i++)
            if (!strcmp(table->entries[i].name, name_at(value, n))) return &table->entries[i];
    return NULL;
}

const QtableEntry *qtable_find(const Qtable *table, const Value *value) {
    for (int n = 0; table && value->name && n <= value->alias_count; n++)
        for (int i = 0; i < table->count; i++)
            if (!strcmp(table->entries[i].name, name_at(value, n))) return &table->entries[i];
    return NULL;
}

// ---- tuning

const TuningEntry *tuning_find(const TuningTable *table, const char *operands, const char *result, const KernelArgs *args) {
    if (!table || !table->count) return NULL;
    const KernelArgs shape = args_shape(args);
    for (int i = 0; i < table->count; i++) {
        const TuningEntry *own = &table->entries[i];
        if (own->args.family == shape.family && !strcmp(own->kernel->operands, operands) && !strcmp(own->kernel->result, result) &&
            !memcmp(own->args.words, shape.words, sizeof shape.words))
            return own;
    }
    return NULL;
}

void tuning_add(Arena *arena, TuningTable *table, const TuningEntry *entry) {
    if (table->count == table->capacity) {
        TuningEntry *more = ARENA_ARRAY(arena, TuningEntry, table->capacity = 2 * table->capacity + 64);
        if (table->count) memcpy(more, table->entries, sizeof *more * (size_t)table->count);
        table->entries = more;
    }
    table->entries[table->count++] = *entry;
}

char *tuning_layer_text(Arena *arena, const KernelArgs *shape) {
    const FamilyInfo *family = shape->family;
    char *text = arena_strdup(arena, family->name);
    for (int i = 0; i < family->field_count; i++) {
        const FieldInfo *field = &family->fields[i];
        bool zero = true;
        for (int k = 0; k < field->count; k++) zero = zero && !shape->words[field->word + k];
        for (int k = 0; k < field->count && !zero; k++)
            text = k ? arena_printf(arena, "%s,%d", text, shape->words[field->word + k])
                     : arena_printf(arena, "%s %s=%d", text, field->name, shape->words[field->word]);
    }
    return text;
}

// ---- names

enum { LONGEST_NAME = 255 };

static int smaller(int a, int b) { return a < b ? a : b; }

// Edit distance (insert, delete, replace, swap of neighbours), or `limit` + 1 when it exceeds `limit`.
static int distance(const char *a, const char *b, int limit) {
    int a_length = (int)strlen(a), b_length = (int)strlen(b);
    if (a_length > LONGEST_NAME || b_length > LONGEST_NAME) return limit + 1;
    if (a_length - b_length > limit || b_length - a_length > limit) return limit + 1;
    int rows[3][LONGEST_NAME + 1], *before = rows[0], *last = rows[1], *row = rows[2];
    for (int j = 0; j <= b_length; j++) last[j] = j;
    for (int i = 1; i <= a_length; i++) {
        int best = row[0] = i;
        for (int j = 1; j <= b_length; j++) {
            row[j] = smaller(smaller(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = smaller(row[j], before[j - 2] + 1);
            best = smaller(best, row[j]);
        }
        if (best > limit) return limit + 1;
        int *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[b_length];
}

const char *nearest_name(const char *text, int count, const char *const *names) {
    int limit = 1 + (int)strlen(text) / 4;
    const char *nearest = NULL;
    for (int i = 0; i < count; i++) {
        int found = distance(text, names[i], limit);
        if (found > limit) continue;
        nearest = names[i];
        if (!found) break;
        limit = found - 1;
    }
    return nearest;
}
