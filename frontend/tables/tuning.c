// Reads tuning tables: `family field=value … kernel nanoseconds`, a line for each shape of layer. Fields that a line leaves
// out are 0. Every bad line is reported, with its column.
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/tables/tables.h"
#include "ir/map.h"

typedef struct { TuningTable *table; Map *layers; } Reading;

static bool take_family(TableState *state, const TableWord *word, KernelArgs *args) {
    int count;
    const char *const *names = family_names(&count);
    if (!family_find(word->text)) return table_unknown(state, word, "unknown kernel family", word->text, count, names);
    args_begin(args, word->text);
    return true;
}

// Whole numbers with commas between; exactly `count`.
static bool parse_values(const char *text, int count, int32_t *values) {
    for (int i = 0; i < count; i++) {
        char *end;
        errno = 0;
        long value = strtol(text, &end, 10);
        if (end == text || errno || value != (int32_t)value || *end != (i + 1 < count ? ',' : 0)) return false;
        values[i] = (int32_t)value;
        text = end + 1;
    }
    return true;
}

static bool take_field(TableState *state, const TableWord *word, KernelArgs *args) {
    const FamilyInfo *family = args->family;
    const char *names[MAX_ARG_WORDS], *equals = strchr(word->text, '=');
    if (!equals) return table_fault(state, word->place, arena_printf(state->scratch, "'%.60s' is not of the form `field=value`", word->text));
    char *name = arena_printf(state->scratch, "%.*s", (int)(equals - word->text), word->text);
    for (int i = 0; i < family->field_count; i++) {
        const FieldInfo *field = &family->fields[i];
        names[i] = field->name;
        if (strcmp(field->name, name) || field->kind != 'I') continue;
        if (parse_values(equals + 1, field->count, &args->words[field->word])) return true;
        return table_fault(state, word->place,
                           field->count > 1 ? arena_printf(state->scratch, "%s: expected %d whole numbers with commas between", name, field->count)
                                            : arena_printf(state->scratch, "%s: expected a whole number", name));
    }
    return table_unknown(state, word, arena_printf(state->scratch, "%s has no field", family->name), name, family->field_count, names);
}

static bool take_kernel(TableState *state, const TableWord *word, TuningEntry *entry) {
    const char **names = ARENA_ARRAY(state->scratch, const char *, kernel_count());
    int count = 0;
    entry->kernel = kernel_find(word->text);
    for (int i = 0; i < kernel_count(); i++)
        if (!strcmp(kernel_at(i)->family, entry->args.family->name)) names[count++] = kernel_at(i)->symbol;
    if (!entry->kernel) return table_unknown(state, word, "unknown kernel", word->text, count, names);
    if (!strcmp(entry->kernel->family, entry->args.family->name)) return true;
    return table_fault(state, word->place, arena_printf(state->scratch, "this kernel is of the family %s, not %s", entry->kernel->family,
                                                        entry->args.family->name));
}

static bool take_ns(TableState *state, const TableWord *word, double *ns) {
    char *end;
    *ns = strtod(word->text, &end);
    if (end != word->text && !*end && isfinite(*ns) && *ns >= 0) return true;
    return table_fault(state, word->place, arena_printf(state->scratch, "'%.60s' is not a number of nanoseconds", word->text));
}

static bool take_once(TableState *state, const TableWord *word, const TuningEntry *entry) {
    Map *layers = ((Reading *)state->out)->layers;
    char *layer = arena_printf(state->arena, "%s %s %s", tuning_layer_text(state->scratch, &entry->args), entry->kernel->operands, entry->kernel->result);
    void **slot = map_get(layers, layer);
    if (!*slot) {
        *slot = (void *)word;
        return true;
    }
    return table_fault(state, word->place, "this layer stands twice");
}

static void tuning_line(TableState *state, const TableWord *words) {
    const TableWord *last = words, *kernel = words;
    TuningEntry entry = {0};
    int count = 1;
    for (; last->next; last = last->next, count++) kernel = last;
    if (count < 3) {
        table_fault(state, last->place, arena_printf(state->scratch, "found %d words, expected `family field=value … kernel nanoseconds`", count));
        return;
    }
    if (!take_family(state, words, &entry.args)) return;
    for (const TableWord *word = words->next; word != kernel; word = word->next)
        if (!take_field(state, word, &entry.args)) return;
    entry.args = args_shape(&entry.args);
    if (!take_kernel(state, kernel, &entry) || !take_ns(state, last, &entry.ns) || !take_once(state, words, &entry)) return;
    entry.loc = (Loc){.file = state->path, .line = kernel->place.line, .column = kernel->place.column};
    tuning_add(state->arena, ((Reading *)state->out)->table, &entry);
}

static void no_comment(TableState *state, const char *text) { (void)state, (void)text; }

bool parse_tuning_table(Arena *arena, Diag *diag, const char *path, TuningTable *table) {
    *table = (TuningTable){0};
    Reading reading = {table, map_new_texts(arena)};
    TableState state = {.arena = arena, .diag = diag, .path = path, .take_line = tuning_line, .take_comment = no_comment, .out = &reading};
    return table_read(&state);
}
