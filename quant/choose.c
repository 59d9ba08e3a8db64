// One program, lowered once: behind every operator a second one for each of its operands, which reads a copy of the tensor. When that
// copy is made, it is quantized where it lies, as the table says whose turn it is; so thresholds are data.
#include "quant/choose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/map.h"
#include "ir/state.h"
#include "passes/quantize.h"
#include "ir/fast.h"
#include "quant/part.h"
#include "quant/runner.h"

enum { TRIED_ON = 16, POWER_LANES = 32 };

typedef struct { double signal, noise; } Power;

typedef enum { ROLE_RESULT, ROLE_COPY, ROLE_READER } RoleKind;
typedef struct {
    RoleKind kind;
    int reader; // its number; of a result, that of the first one behind it
} Role;

// An operator that reads a copy of a tensor, or (result NULL) the copy alone.
typedef struct {
    int entry; // of the tables
    const char *result, *copy, *name;
} Reader;

typedef struct {
    const SampleSource *source;
    const Runner *runner;
    int count, tables, threads;
    Reader *readers;
    const Quant *(*quants)[MAX_CHOICES]; // [entry]
    Map *roles;     // by buffer
    float **kept;   // [worker]: what the operator gives
    const char **kept_name; // [worker]: its result
    Power *powers;  // [sample][reader][table]
} Choosing;

// ---- the network with its readers

typedef struct {
    Arena *arena;
    Func *func;
    const CalibrationTable *table;
    Map *entries; // index + 1 by name
    int *moved;   // of an entry that a mover makes of another: that one's; -1
    Reader *readers;
    int count;
} Building;

static int entry_of(const Building *work, const Value *value) {
    if (!value || !value->name || value_constant(value) || value->type->elem != ELEM_F32 || !type_elem_count(value->type)) return -1;
    return (int)(intptr_t)map_find(work->entries, value->name) - 1;
}

static Value *add_copy(Building *work, Op *before, Value *value, Reader *reader) {
    Builder builder = {work->func, before, {.name = value->name}};
    Op *copy = op_new(&builder, OP_clip, 1, &value, 1, NULL, NULL); // to [-inf, inf]
    value_set_name(&copy->results[0], arena_printf(work->arena, "%s (copy)", value->name));
    reader->copy = copy->results[0].name;
    return &copy->results[0];
}

static Reader *add_reader(Building *work, int entry) {
    Reader *reader = &work->readers[work->count++];
    *reader = (Reader){.entry = entry};
    return reader;
}

static void add_output(Building *work, Value *value) { op_set_operand(work->func->last, work->func->last->operand_count, value); }

static void read_operand(Building *work, Op *op, Value *value, int entry) {
    enum { MOST = 64 };
    Value *operands[MOST];
    if (op->operand_count > MOST) return;
    Reader *reader = add_reader(work, entry);
    Value *copy = add_copy(work, op->next, value, reader);
    for (int i = 0; i < op->operand_count; i++) operands[i] = op_operand(op, i) == value ? copy : op_operand(op, i);
    Builder builder = {work->func, copy->def->next, op->loc};
    const Type *type = op->results[0].type;
    Op *again = op_new(&builder, op->kind, op->operand_count, operands, 1, &type, op->attrs);
    value_set_name(&again->results[0], arena_printf(work->arena, "%s (read)", op->results[0].name));
    reader->name = again->results[0].name;
    reader->result = op->results[0].name;
    add_output(work, &again->results[0]);
}

static bool is_read_before(const Op *op, int index) {
    for (int i = 0; i < index; i++)
        if (op_operand(op, i) == op_operand(op, index)) return true;
    return false;
}

static bool can_be_repeated(const Op *op) {
    return op_has(op, PURE) && op->result_count == 1 && op->results[0].name && op->results[0].type->elem == ELEM_F32 && type_elem_count(op->results[0].type);
}

static void read_operands(Building *work, Op *op, const Op *ret) {
    for (int i = 0; i < op->operand_count; i++) {
        Value *value = op_operand(op, i);
        int entry = entry_of(work, value);
        if (entry < 0 || is_read_before(op, i)) continue;
        int result = op_has(op, MOVES_DATA) && op->result_count == 1 ? entry_of(work, &op->results[0]) : -1;
        if (result >= 0) work->moved[result] = entry;
        else if (op != ret && can_be_repeated(op)) read_operand(work, op, value, entry);
        else add_output(work, add_copy(work, (Op *)(uintptr_t)ret, value, add_reader(work, entry)));
    }
}

// States are the last operands: those from `first` to `last`, which readers were put behind, become them again.
static void put_last(Arena *arena, Op *ret, int first, int last) {
    const int count = ret->operand_count;
    Value **operands = ARENA_ARRAY(arena, Value *, count + 1);
    for (int i = 0; i < count; i++) operands[i] = op_operand(ret, i < first ? i : i < count - last + first ? i + last - first : i - count + last);
    for (int i = first; i < count; i++) op_set_operand(ret, i, operands[i]);
}

static void build(Building *work) {
    Op *ret = work->func->last;
    const int last = ret->operand_count, outputs = last - module_state_count(work->func->module);
    int room = 0, count = 0;
    FOR_EACH_OP(work->func, op) room += op->operand_count, count++;
    work->readers = ARENA_ARRAY(work->arena, Reader, room + 1);
    Op **ops = ARENA_ARRAY(work->arena, Op *, count); // without those that are added
    count = 0;
    FOR_EACH_OP(work->func, op) ops[count++] = op;
    for (int i = 0; i + 1 < count; i++) read_operands(work, ops[i], ret);
    for (int i = 0; i < outputs; i++) { // the copy is given out: what is given out may be seen late, when it is copied there
        Value *value = op_operand(ret, i);
        int entry = entry_of(work, value);
        Value *copy = entry >= 0 ? add_copy(work, ret, value, add_reader(work, entry)) : NULL;
        for (int k = i; copy && k < outputs; k++)
            if (op_operand(ret, k) == value) op_set_operand(ret, k, copy);
    }
    for (int i = outputs; i < last; i++) { // what goes on to the next run stays as it is
        Value *value = op_operand(ret, i);
        const int entry = entry_of(work, value);
        if (entry >= 0) add_output(work, add_copy(work, ret, value, add_reader(work, entry)));
    }
    put_last(work->arena, ret, outputs, last);
}

// ---- quantizing and comparing

FAST_LOOP void quantize_row_loop(float *values, int64_t count, float scale, float low, float high) {
    for (int64_t i = 0; i < count; i++) {
        float q = values[i] / scale;
        q = q < low ? low : q > high ? high : q;
        values[i] = ((q + 12582912.0f) - 12582912.0f) * scale; // to nearest, ties to even
    }
}

FAST_VARIANTS(void, quantize_row, (float *values, int64_t count, float scale, float low, float high), (values, count, scale, low, high))

FAST_LOOP Power power_of_loop(const float *real, const float *other, int64_t count) {
    double signal[POWER_LANES] = {0}, noise[POWER_LANES] = {0};
    Power power = {0, 0};
    int64_t i = 0;
    for (; i + POWER_LANES <= count; i += POWER_LANES)
        for (int lane = 0; lane < POWER_LANES; lane++) {
            double x = real[i + lane], error = other[i + lane] - x;
            signal[lane] += x * x;
            noise[lane] += error * error;
        }
    for (; i < count; i++) {
        double x = real[i], error = other[i] - x;
        signal[0] += x * x;
        noise[0] += error * error;
    }
    for (int lane = 0; lane < POWER_LANES; lane++) power.signal += signal[lane], power.noise += noise[lane];
    return power;
}

FAST_VARIANTS(Power, power_of, (const float *real, const float *other, int64_t count), (real, other, count))

typedef struct {
    Choosing *work;
    int worker, sample, table;
} TapContext;

typedef struct {
    const Quant *quant;
    float *kept; // of the worker
    int64_t at;
    Power power;
} Walk;

static void keep_row(void *context, const void *row, int64_t elems) {
    Walk *walk = context;
    memcpy(walk->kept + walk->at, row, sizeof(float) * (size_t)elems);
    walk->at += elems;
}

static void quantize_kept_row(void *context, const void *row, int64_t elems) {
    const Walk *walk = context;
    const float zero = (float)walk->quant->zero_point[0];
    quantize_row((float *)(uintptr_t)row, elems, walk->quant->scale[0], -128 - zero, 127 - zero); // a copy that we had made
}

static void compare_row(void *context, const void *row, int64_t elems) {
    Walk *walk = context;
    Power own = power_of(walk->kept + walk->at, row, elems);
    walk->power.signal += own.signal;
    walk->power.noise += own.noise;
    walk->at += elems;
}

static void take_copy(const TapContext *tapped, const Reader *reader, const Value *buffer, const void *data, Walk *walk) {
    walk->quant = tapped->work->quants[reader->entry][tapped->table];
    if (!reader->result) buffer_rows(buffer->type, data, keep_row, walk);
    buffer_rows(buffer->type, data, quantize_kept_row, walk);
    if (reader->result) return;
    walk->at = 0;
    buffer_rows(buffer->type, data, compare_row, walk);
}

static void tap(void *context, const Value *buffer, const void *data) {
    const TapContext *tapped = context;
    Choosing *work = tapped->work;
    const Role *role = map_find(work->roles, buffer);
    if (!role) return;
    const Reader *reader = &work->readers[role->reader];
    const bool copies = role->kind == ROLE_COPY && reader->result; // while the result is still kept
    Walk walk = {.kept = copies ? NULL : work->kept[tapped->worker]};
    const char **kept_name = &work->kept_name[tapped->worker];
    if (role->kind == ROLE_READER && *kept_name != reader->result) return; // in another order than they were made: nothing is known
    if (role->kind != ROLE_READER && !copies) *kept_name = role->kind == ROLE_RESULT ? reader->result : NULL;
    if (role->kind == ROLE_RESULT) buffer_rows(buffer->type, data, keep_row, &walk);
    else if (role->kind == ROLE_READER) buffer_rows(buffer->type, data, compare_row, &walk);
    else take_copy(tapped, reader, buffer, data, &walk);
    if (role->kind == ROLE_READER || (role->kind == ROLE_COPY && !reader->result))
        work->powers[((int64_t)tapped->sample * work->count + role->reader) * work->tables + tapped->table] = walk.power;
}

static bool try_table(Choosing *work, int worker, int sample, int table, char *message) {
    if (!work->source->load(work->source->context, sample, runner_state(work->runner, worker)->inputs, message)) return false;
    if (!sample || !work->source->keep_states) runner_reset(work->runner, worker);
    runner_continue(work->runner, worker, tap, &(TapContext){work, worker, sample, table});
    return true;
}

static bool try_sample(void *context, int worker, int sample, char *message) {
    Choosing *work = context;
    for (int table = 0; table < work->tables; table++)
        if (!try_table(work, worker, sample, table, message)) return false;
    return true;
}

// The whole stream for each table: what is float goes on as it did.
static bool try_stream(Choosing *work, int *failed, char *message) {
    for (int table = 0; table < work->tables; table++)
        for (*failed = 0; *failed < work->source->count; ++*failed)
            if (!try_table(work, 0, *failed, table, message)) return false;
    return true;
}

static bool try_samples(Choosing *work, int *failed, char *message) {
    if (work->source->keep_states) return try_stream(work, failed, message);
    return parallel_samples(work->threads, work->source->count, try_sample, work, failed, message);
}

// ---- the program

static void note_role(Arena *arena, Map *names, const char *name, RoleKind kind, int reader) {
    void **slot = map_get(names, name);
    if (*slot) return; // of the first reader behind a result
    Role *role = ARENA_NEW(arena, Role);
    *role = (Role){kind, reader};
    *slot = role;
}

static void find_roles(Arena *arena, Choosing *work, const Module *kn) {
    Map *names = map_new_texts(arena);
    work->roles = map_new_pointers(arena);
    for (int r = 0; r < work->count; r++) {
        const Reader *reader = &work->readers[r];
        if (reader->result) note_role(arena, names, reader->result, ROLE_RESULT, r);
        if (reader->name) note_role(arena, names, reader->name, ROLE_READER, r);
        note_role(arena, names, reader->copy, ROLE_COPY, r);
    }
    FOR_EACH_OP(module_main(kn), op) {
        const bool is_buffer = op->kind == OP_kn_alloc || op->kind == OP_kn_output;
        const Value *buffer = is_buffer ? &op->results[0] : NULL;
        void *role = buffer && buffer->name && buffer->type->elem == ELEM_F32 ? map_find(names, buffer->name) : NULL;
        if (role) *map_get(work->roles, buffer) = role;
    }
}

static bool open_program(Arena *arena, Choosing *work, const Module *module, const PassContext *context) {
    PassContext real = float_context(context);
    real.watched = true;
    Module *kn = module_clone(arena, module);
    int64_t largest = 0;
    FOR_EACH_OP(module_main(module), op)
    for (int i = 0; i < op->result_count; i++)
        if (type_elem_count(op->results[i].type) > largest) largest = type_elem_count(op->results[i].type);
    if (!run_pipeline(kn, &real, "lower") || !(work->runner = runner_new(arena, kn, work->threads, context->diag))) return false;
    find_roles(arena, work, kn);
    work->kept = ARENA_ARRAY(arena, float *, work->threads);
    work->kept_name = ARENA_ARRAY(arena, const char *, work->threads);
    for (int w = 0; w < work->threads; w++) work->kept[w] = ARENA_ARRAY(arena, float, largest + 1);
    return true;
}

// ---- the choice

static double disturbance(const Choosing *work, int reader, int table) {
    Power sum = {0, 0};
    for (int s = 0; s < work->source->count; s++) {
        const Power *own = &work->powers[((int64_t)s * work->count + reader) * work->tables + table];
        sum.signal += own->signal;
        sum.noise += own->noise;
    }
    return sum.signal > 0 ? sum.noise / sum.signal : sum.noise > 0;
}

static void take_best(const Choosing *work, const int *moved, int count, const CalibrationTable *tables, double (*sums)[MAX_CHOICES], CalibrationTable *chosen) {
    for (int r = 0; r < work->count; r++)
        for (int t = 0; t < work->tables; t++) sums[work->readers[r].entry][t] += disturbance(work, r, t);
    for (int i = count - 1; i >= 0; i--) // what a mover makes is read in the place of its operand
        for (int t = 0; moved[i] >= 0 && t < work->tables; t++) sums[moved[i]][t] += sums[i][t];
    for (int i = 0; i < count; i++) {
        int best = 0;
        if (moved[i] >= 0) memcpy(sums[i], sums[moved[i]], sizeof sums[i]);
        for (int t = 1; t < work->tables; t++)
            if (sums[i][t] < sums[i][best]) best = t;
        chosen->entries[i] = tables[best].entries[i];
    }
}

// Whatever the options of this compilation are: a table is of the network.
static void find_quants(Arena *arena, Choosing *work, int count, const CalibrationTable *tables) {
    work->quants = arena_alloc(arena, sizeof *work->quants * (size_t)(count + 1));
    for (int i = 0; i < count; i++)
        for (int t = 0; t < work->tables; t++) work->quants[i][t] = activation_quant(arena, &tables[t].entries[i], false);
}

static Building build_readers(Arena *arena, const Module *module, const CalibrationTable *table) {
    Building building = {.arena = arena, .func = module_main(module), .table = table, .entries = map_new_texts(arena)};
    building.moved = ARENA_ARRAY(arena, int, table->count + 1);
    for (int i = 0; i < table->count; i++) {
        building.moved[i] = -1;
        *map_get(building.entries, table->entries[i].name) = (void *)(intptr_t)(i + 1);
    }
    build(&building);
    return building;
}

bool choose_thresholds(Arena *arena, const Module *network, const PassContext *context, const SampleSource *source, int count,
                       const CalibrationTable *tables, int threads, CalibrationTable *chosen) {
    Arena *scratch = arena_new();
    Part part;
    const SampleSource some = part_of(scratch, source, TRIED_ON, &part);
    PassContext own = *context;
    own.scratch = scratch;
    const int entries = tables[0].count;
    Module *module = module_clone(scratch, network);
    const Building building = build_readers(scratch, module, &tables[0]);
    Choosing work = {.source = &some, .count = building.count, .readers = building.readers, .tables = count,
                     .threads = threads < some.count ? threads : some.count};
    work.powers = ARENA_ARRAY(scratch, Power, (int64_t)some.count * work.count * count + 1);
    find_quants(scratch, &work, entries, tables);
    int failed;
    char message[MESSAGE_BYTES];
    bool done = open_program(scratch, &work, module, &own);
    if (done && !try_samples(&work, &failed, message))
        done = diag_error(context->diag, loc_file(some.path(some.context, failed)), "%s", message);
    *chosen = tables[0];
    chosen->entries = ARENA_ARRAY(arena, CalibrationEntry, entries + 1);
    if (done)
        take_best(&work, building.moved, entries, tables, arena_alloc(scratch, sizeof(double[MAX_CHOICES]) * (size_t)(entries + 1)), chosen);
    if (work.runner) runner_free(work.runner);
    arena_free(scratch);
    return done;
}
