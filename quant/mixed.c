// An operator's loss is mostly that of rounding its result, which ends only where all that read the result are float, too, and
// conversions between float operators vanish. So what is put into float is a tensor: the operator that makes it and those that read it.
// Tensors are ranked by what they lose for each nanosecond that they would cost together with those that are float already. To reach
// a goal, the shortest beginning of that ranking is found by bisection, then what turns out not to be needed goes back to i8. Within
// a budget a tensor may also take fewer of its readers with it; the best of the next few are measured, and the best of them taken,
// until nothing fits or helps. All that counts is measured on the network as it will be compiled; only the ranking is an estimate.
#include "quant/mixed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/map.h"

enum { BATCH = 4, MOST_TRIALS = 80 };
static const double NS_PER_CONVERTED = 0.2; // element, between precisions

typedef struct { int count; int *items; } Ops;

typedef struct {
    Arena *arena;
    const SearchOptions *options;
    const MixedGoals *goals;
    const Sensitivity *found;
    Trials *trials;
    int count;
    Ops *readers, *makers; // by op: who reads its result, who makes its operands (-1: an input of the network)
    int *members;          // room for the operators of a move
    double *extra_ns;      // by op: in float, more than in i8
    const CalibrationTable *table; // without factors
    double expected;
    Trial *list[MOST_TRIALS + 2 * BATCH];
    const char *table_names[MOST_TRIALS + 2 * BATCH];
    const char *table_name;
    int trial_count;
    const Trial *start, *best; // everything in i8; the result so far
} MixedSearch;

// ---- the graph of operators

static void add_op(Ops *ops, int op) {
    for (int i = 0; i < ops->count; i++)
        if (ops->items[i] == op) return;
    ops->items[ops->count++] = op;
}

static int use_count(const Value *value) {
    int count = 0;
    FOR_EACH_USE((Value *)(uintptr_t)value, use) count += op_has(use->owner, MOVES_DATA) && use->owner->result_count ? 1 + use_count(&use->owner->results[0]) : 1;
    return count;
}

static void add_readers(const Map *index, const Value *value, Ops *readers) {
    FOR_EACH_USE((Value *)(uintptr_t)value, use) {
        const int *op = map_find(index, use->owner);
        if (op) add_op(readers, *op);
        else if (op_has(use->owner, MOVES_DATA) && use->owner->result_count && !use->index) add_readers(index, &use->owner->results[0], readers);
    }
}

static const Op *maker_of(const Value *value) {
    while (value && value->def && op_has(value->def, MOVES_DATA)) value = op_operand(value->def, 0);
    return value ? value->def : NULL;
}

static void find_graph(MixedSearch *work) {
    Map *index = map_new_pointers(work->arena);
    work->readers = ARENA_ARRAY(work->arena, Ops, work->count + 1);
    work->makers = ARENA_ARRAY(work->arena, Ops, work->count + 1);
    work->members = ARENA_ARRAY(work->arena, int, work->count + 1);
    for (int i = 0; i < work->count; i++) {
        int *own = ARENA_NEW(work->arena, int);
        *own = i;
        *map_get(index, work->found->ops[i].op) = own;
    }
    for (int i = 0; i < work->count; i++) {
        const Op *op = work->found->ops[i].op;
        work->readers[i].items = ARENA_ARRAY(work->arena, int, use_count(&op->results[0]) + 1);
        add_readers(index, &op->results[0], &work->readers[i]);
        work->makers[i].items = ARENA_ARRAY(work->arena, int, op->operand_count + 1);
        for (int k = 0; k < op->operand_count; k++) {
            const Op *maker = maker_of(op_operand(op, k));
            const int *made = maker ? map_find(index, maker) : NULL;
            if (made) add_op(&work->makers[i], *made);
        }
    }
}

// ---- what is expected of a tensor in float

static double own_loss(const MixedSearch *work, int op) { return fmax(work->found->ops[op].loss[work->found->ops[op].best], 0); }

static bool is_free(const MixedSearch *work, const bool *floats, int op) {
    bool all = floats[op];
    for (int i = 0; i < work->readers[op].count; i++) all = all && floats[work->readers[op].items[i]];
    return all;
}

// Of a tensor that some of its neighbours have in float and others in i8.
static double conversion_ns(const MixedSearch *work, const bool *floats, int op) {
    bool differ = false;
    for (int i = 0; i < work->readers[op].count; i++) differ = differ || floats[work->readers[op].items[i]] != floats[op];
    return differ ? NS_PER_CONVERTED * (double)type_elem_count(work->found->ops[op].op->results[0].type) : 0;
}

// What is put into float together with the operator that makes a tensor: all that read it, after which it is not rounded; the reader
// that costs least, so that a sum of sums is not rounded on its way; nothing.
typedef enum { WITH_ALL_READERS, WITH_CHEAPEST_READER, BY_ITSELF, MOVE_KINDS } MoveKind;
static const double gained_share[MOVE_KINDS] = {0, 0.5, 0.1}; // guessed, of what the tensor loses; of the first is_free tells

typedef struct { double gain, ns; int changed; } Move;

// Adds `sign` times what the tensors around the op lose and convert.
static void add_around(const MixedSearch *work, const bool *floats, int op, double sign, bool *seen, Move *move) {
    for (int i = -1; i < work->makers[op].count; i++) {
        const int tensor = i < 0 ? op : work->makers[op].items[i];
        if (seen[tensor]) continue;
        seen[tensor] = true;
        move->ns += sign * conversion_ns(work, floats, tensor);
        if (is_free(work, floats, tensor)) move->gain += sign * own_loss(work, tensor);
    }
}

static int cheapest_reader(const MixedSearch *work, int tensor) {
    const Ops *readers = &work->readers[tensor];
    int best = readers->count ? readers->items[0] : tensor;
    for (int i = 1; i < readers->count; i++)
        if (work->extra_ns[readers->items[i]] < work->extra_ns[best]) best = readers->items[i];
    return best;
}

// The operators of a move, in work->members.
static Ops members_of(const MixedSearch *work, int tensor, MoveKind kind) {
    Ops members = {1, work->members};
    members.items[0] = tensor;
    if (kind == WITH_CHEAPEST_READER) add_op(&members, cheapest_reader(work, tensor));
    for (int i = 0; kind == WITH_ALL_READERS && i < work->readers[tensor].count; i++) add_op(&members, work->readers[tensor].items[i]);
    return members;
}

static int put_into_float(const MixedSearch *work, bool *floats, int tensor, MoveKind kind) {
    const Ops members = members_of(work, tensor, kind);
    int changed = 0;
    for (int i = 0; i < members.count; i++) {
        changed += !floats[members.items[i]];
        floats[members.items[i]] = true;
    }
    return changed;
}

static Move expect(const MixedSearch *work, const bool *floats, int tensor, MoveKind kind, bool *after, bool *seen) {
    Move move = {0};
    memcpy(after, floats, (size_t)work->count);
    move.changed = put_into_float(work, after, tensor, kind);
    const Ops members = members_of(work, tensor, kind);
    for (int state = 0; state < 2 && move.changed; state++) {
        memset(seen, 0, (size_t)work->count);
        for (int i = 0; i < members.count; i++) {
            const int op = members.items[i];
            add_around(work, state ? after : floats, op, state ? 1 : -1, seen, &move);
            if (!state && !floats[op]) move.ns += work->extra_ns[op];
        }
    }
    move.gain += gained_share[kind] * own_loss(work, tensor);
    return move;
}

static double density(const Move *move) { return move->gain / fmax(move->ns, 1); }

typedef struct { double density, ns; int tensor; MoveKind kind; } Ranked;

static int by_density(const void *a, const void *b) {
    const Ranked *x = a, *y = b;
    return x->density != y->density ? (x->density < y->density ? 1 : -1) : x->tensor != y->tensor ? x->tensor - y->tensor : (int)x->kind - (int)y->kind;
}

static int move_index(int tensor, MoveKind kind) { return tensor * MOVE_KINDS + (int)kind; }

// The moves of the first `kinds` that would change something and are not `banned`, the best first; returns how many.
static int rank_moves(const MixedSearch *work, const bool *floats, const bool *banned, int kinds, Ranked *ranked) {
    bool *after = malloc(2 * (size_t)work->count + 1), *seen = after + work->count;
    BUG_UNLESS(after, "out of memory");
    int count = 0;
    for (int t = 0; t < work->count; t++)
        for (MoveKind kind = 0; (int)kind < kinds; kind++) {
            const Move move = banned && banned[move_index(t, kind)] ? (Move){0} : expect(work, floats, t, kind, after, seen);
            if (move.changed) ranked[count++] = (Ranked){density(&move), move.ns, t, kind};
        }
    free(after);
    qsort(ranked, (size_t)count, sizeof *ranked, by_density);
    return count;
}

// ---- trials

static bool *copy_floats(const MixedSearch *work, const bool *floats) {
    bool *copy = ARENA_ARRAY(work->arena, bool, work->count + 1);
    if (floats) memcpy(copy, floats, (size_t)work->count);
    return copy;
}

static int count_floats(const MixedSearch *work, const bool *floats) {
    int count = 0;
    for (int i = 0; i < work->count; i++) count += floats[i];
    return count;
}

// The trial of these operators with the table of the moment: one that was made before, or a new one.
static Trial *trial_of(MixedSearch *work, const bool *floats) {
    for (int i = 0; i < work->trial_count; i++)
        if (work->list[i]->table == work->table && !memcmp(work->list[i]->floats, floats, (size_t)work->count)) return work->list[i];
    Trial *trial = ARENA_NEW(work->arena, Trial);
    *trial = (Trial){.floats = copy_floats(work, floats), .table = work->table};
    work->table_names[work->trial_count] = work->table_name;
    return work->list[work->trial_count++] = trial;
}

static bool enough_tried(const MixedSearch *work) { return work->trial_count >= MOST_TRIALS || search_stopped(work->options); }

static bool run_trial(MixedSearch *work, const bool *floats, Trial **trial) {
    *trial = trial_of(work, floats);
    return trials_run(work->trials, 1, trial);
}

static void report_progress(const MixedSearch *work, double share) {
    if (work->options->progress) work->options->progress(work->options->progress_context, share);
}

// ---- goals

static bool fits(const MixedSearch *work, const Score *score) {
    const MixedGoals *goals = work->goals;
    return !(score->ns > work->start->score.ns * (1 + goals->slowdown / 100)) && (goals->bytes < 0 || score->bytes <= goals->bytes);
}

static bool has_goal(const MixedSearch *work) { return !isnan(work->expected) || !isnan(work->goals->loss) || !isnan(work->goals->top1_points); }
static bool has_budget(const MixedSearch *work) { return !isnan(work->goals->slowdown) || work->goals->bytes >= 0; }

static bool meets(const MixedSearch *work, const Trial *trial) {
    if (!trial->done || !has_goal(work)) return false;
    const double rounding = 1e-9; // of sums: the float network itself has a cosine of 1
    return !(trial->score.cosine + rounding < work->expected) && !(trial->score.loss > work->goals->loss + rounding) &&
           !(100 * (trials_float(work->trials)->right - trial->score.right) > work->goals->top1_points + rounding);
}

// ---- tables

// The one that the i8 network does best with.
static bool choose_table(MixedSearch *work, int count, const CalibrationTable *tables, const char *const *names) {
    Trial *trials[MAX_TABLES + 1];
    const bool *none = copy_floats(work, NULL);
    for (int t = 0; t < count; t++) {
        work->table = &tables[t], work->table_name = names[t];
        trials[t] = trial_of(work, none);
    }
    if (!trials_run(work->trials, count, trials)) return false;
    int best = 0;
    for (int t = 1; t < count; t++)
        if (trials[t]->done && trials[t]->score.loss < trials[best]->score.loss) best = t;
    work->table = &tables[best], work->table_name = names[best];
    work->best = work->start = trials[best];
    return true;
}

// ---- a goal: the shortest beginning of the ranking

// After each of the moves, the operators in float; returns how many moves there are.
static int rank_all(const MixedSearch *work, bool **beginnings, Ranked *ranked) {
    int count = 0;
    bool *floats = copy_floats(work, NULL);
    beginnings[count++] = copy_floats(work, floats);
    while (rank_moves(work, floats, NULL, 1, ranked)) {
        put_into_float(work, floats, ranked[0].tensor, WITH_ALL_READERS);
        beginnings[count++] = copy_floats(work, floats);
    }
    return count;
}

static bool find_beginning(MixedSearch *work) {
    bool **beginnings = ARENA_ARRAY(work->arena, bool *, work->count + 2);
    const int count = rank_all(work, beginnings, ARENA_ARRAY(work->arena, Ranked, work->count + 1));
    int low = 0, high = count - 1; // low does not meet the goal; high does, or is everything
    Trial *trial;
    if (!run_trial(work, beginnings[high], &trial)) return false;
    if (trial->done) work->best = trial;
    while (high - low > 1 && !enough_tried(work)) {
        const int middle = low + (high - low) / 2;
        if (!run_trial(work, beginnings[middle], &trial)) return false;
        if (meets(work, trial)) high = middle, work->best = trial;
        else low = middle;
        report_progress(work, 0.5);
    }
    return true;
}

// ---- what is not needed goes back to i8

typedef struct { double worth; int op; } Needed;

static int by_worth(const void *a, const void *b) {
    const Needed *x = a, *y = b;
    return x->worth != y->worth ? (x->worth < y->worth ? -1 : 1) : x->op - y->op;
}

// The operators in float, those first that lose least for what they cost.
static int list_needed(const MixedSearch *work, Needed *needed) {
    int count = 0;
    for (int i = 0; i < work->count; i++)
        if (work->best->floats[i]) needed[count++] = (Needed){own_loss(work, i) / fmax(work->extra_ns[i], 1), i};
    qsort(needed, (size_t)count, sizeof *needed, by_worth);
    return count;
}

static bool is_better(const MixedSearch *work, const Trial *trial, const Trial *than) {
    const double ns = than->score.ns - trial->score.ns;
    return meets(work, trial) && (ns > 0 || (ns == 0 && count_floats(work, trial->floats) < count_floats(work, than->floats)));
}

// The largest number of the first of them that can go together, by bisection; returns it, or -1.
static int drop_first(MixedSearch *work, const Needed *needed, int count) {
    const bool *all = work->best->floats;
    int low = 0, high = count; // low can go
    while (high - low > 1 && !enough_tried(work)) {
        const int middle = low + (high - low) / 2;
        bool *floats = copy_floats(work, all);
        for (int i = 0; i < middle; i++) floats[needed[i].op] = false;
        Trial *trial;
        if (!run_trial(work, floats, &trial)) return -1;
        if (is_better(work, trial, work->best)) low = middle, work->best = trial;
        else high = middle;
    }
    return low;
}

// One after the other, a few measured at a time: of those that can go, the one that saves most.
static bool drop_singles(MixedSearch *work, const Needed *needed, int count) {
    bool *tried = copy_floats(work, NULL);
    while (!enough_tried(work)) {
        Trial *trials[BATCH], *best = NULL;
        int ops[BATCH], made = 0;
        for (int i = 0; i < count && made < BATCH; i++) {
            if (tried[needed[i].op] || !work->best->floats[needed[i].op]) continue;
            bool *floats = copy_floats(work, work->best->floats);
            floats[needed[i].op] = false;
            ops[made] = needed[i].op;
            trials[made++] = trial_of(work, floats);
        }
        if (!made) break;
        if (!trials_run(work->trials, made, trials)) return false;
        for (int i = 0; i < made; i++) {
            if (!is_better(work, trials[i], work->best)) tried[ops[i]] = true;
            else if (!best || trials[i]->score.ns < best->score.ns) best = trials[i];
        }
        if (best) work->best = best;
        report_progress(work, 0.75);
    }
    return true;
}

static bool drop_needless(MixedSearch *work) {
    Needed *needed = ARENA_ARRAY(work->arena, Needed, work->count + 1);
    if (!meets(work, work->best)) return true;
    const int count = list_needed(work, needed), dropped = drop_first(work, needed, count);
    return dropped >= 0 && drop_singles(work, needed + dropped, count - dropped);
}

// ---- within a budget

static double measured_density(const MixedSearch *work, const Trial *trial) {
    return (work->best->score.loss - trial->score.loss) / fmax(trial->score.ns - work->best->score.ns, 1);
}

static bool is_among(Trial *const *trials, int count, const Trial *trial) {
    for (int i = 0; i < count; i++)
        if (trials[i] == trial) return true;
    return false;
}

// The best few that may fit, measured; the best of them is taken. *more: whether there were any.
static bool spend(MixedSearch *work, bool *banned, Ranked *ranked, bool *more) {
    const int count = rank_moves(work, work->best->floats, banned, MOVE_KINDS, ranked);
    const double room = work->start->score.ns * (1 + work->goals->slowdown / 100) - work->best->score.ns;
    Trial *trials[BATCH], *best = NULL;
    int moves[BATCH], made = 0;
    for (int i = 0; i < count && made < BATCH; i++) {
        if (ranked[i].ns > 2 * room) continue; // beyond what an estimate may be off
        bool *floats = copy_floats(work, work->best->floats);
        put_into_float(work, floats, ranked[i].tensor, ranked[i].kind);
        Trial *trial = trial_of(work, floats);
        if (is_among(trials, made, trial)) continue; // another move to the same operators
        moves[made] = move_index(ranked[i].tensor, ranked[i].kind);
        trials[made++] = trial;
    }
    *more = made > 0;
    if (!trials_run(work->trials, made, trials)) return false;
    for (int i = 0; i < made; i++) {
        const bool helps = trials[i]->done && fits(work, &trials[i]->score) && trials[i]->score.loss < work->best->score.loss;
        if (!helps) banned[moves[i]] = true;
        else if (!best || measured_density(work, trials[i]) > measured_density(work, best)) best = trials[i];
    }
    if (best) work->best = best;
    return true;
}

static bool spend_budget(MixedSearch *work) {
    bool *banned = ARENA_ARRAY(work->arena, bool, work->count * MOVE_KINDS + 1), more = true;
    Ranked *ranked = ARENA_ARRAY(work->arena, Ranked, work->count * MOVE_KINDS + 1);
    while (more && !meets(work, work->best) && !enough_tried(work)) {
        if (!spend(work, banned, ranked, &more)) return false;
        report_progress(work, (double)work->trial_count / MOST_TRIALS);
    }
    return true;
}

// ---- the whole

static bool expect_costs(MixedSearch *work) {
    double *real = trials_op_ns(work->trials, work->arena, NULL), *quant = real ? trials_op_ns(work->trials, work->arena, work->table) : NULL;
    if (!quant) return false;
    work->extra_ns = real;
    for (int i = 0; i < work->count; i++) real[i] = fmax(real[i] - quant[i], 0);
    return true;
}

static bool improve(MixedSearch *work) {
    if (meets(work, work->best) || search_stopped(work->options)) return true;
    find_graph(work);
    if (!expect_costs(work)) return false;
    return (has_budget(work) ? spend_budget(work) : find_beginning(work)) && drop_needless(work);
}

static void give_result(MixedSearch *work, const Trial *first, Mixed *result) {
    Arena *arena = work->arena;
    result->expected = work->expected;
    result->reached = (!has_goal(work) || meets(work, work->best)) && fits(work, &work->best->score);
    result->stopped = search_stopped(work->options);
    result->real = *trials_float(work->trials);
    result->start = first->score, result->tuned = work->start->score, result->final = work->best->score;
    result->ops = ARENA_ARRAY(arena, const SensitiveOp *, work->count + 1);
    for (int i = 0; i < work->count; i++)
        if (work->best->floats[i]) result->ops[result->count++] = &work->found->ops[i];
    result->trials = ARENA_ARRAY(arena, MixedTrial, work->trial_count + 1);
    for (int i = 0; i < work->trial_count; i++)
        if (work->list[i]->done)
            result->trials[result->trial_count++] = (MixedTrial){count_floats(work, work->list[i]->floats), work->table_names[i], work->list[i]->score};
}

static double default_goal(const MixedSearch *work, const MixedGoals *goals, double cosine) {
    if (!isnan(goals->cosine) || has_goal(work) || has_budget(work)) return goals->cosine;
    return cosine < DEFAULT_COSINE ? DEFAULT_COSINE : BEYOND_DEFAULT_COSINE;
}

bool search_mixed(Arena *arena, const Module *imported, const PassContext *context, const SearchOptions *options, const char *const *names,
                  const MixedGoals *goals, const Sensitivity *found, Mixed *result) {
    CalibrationTable *tables = ARENA_ARRAY(arena, CalibrationTable, options->table_count + 1), *whole = ARENA_ARRAY(arena, CalibrationTable, options->table_count + 1);
    const char *all_names[MAX_TABLES + 1];
    const int count = options->table_count + (found->count && options->table_count > 1);
    for (int t = 0; t < count; t++) {
        whole[t] = t < options->table_count ? options->tables[t] : search_tuned_table(arena, found, options->table_count, options->tables);
        all_names[t] = t < options->table_count ? names[t] : "search";
        tables[t] = whole[t];
        tables[t].equalized_count = 0; // the network has them
    }
    MixedSearch work = {.arena = arena, .options = options, .goals = goals, .found = found, .count = found->count};
    *result = (Mixed){0};
    if (!(work.trials = trials_new(arena, imported, context, options, found))) return false;
    bool done = choose_table(&work, count, tables, all_names);
    const Trial *first = work.list[0];
    work.expected = NAN;
    if (done) {
        work.expected = default_goal(&work, goals, first->score.cosine);
        done = improve(&work);
    }
    if (done) give_result(&work, first, result);
    if (done) result->table = &whole[work.table - tables], result->table_name = arena_strdup(arena, work.table_name);
    trials_free(work.trials);
    return done;
}
