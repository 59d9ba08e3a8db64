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
