// One program for all sizes within the bounds of --shape. The network is imported and lowered at some sizes, as if each were
// the only one; what differs between these programs becomes expressions of the sizes (passes/bounded.h), which are then held
// against programs of further sizes. A size of 1 often gives a program of another form (what repeats along it vanishes), which
// then becomes a variant of its own.
#include <string.h>

#include "ir/verify.h"
#include "passes/bounded.h"
#include "tools/prepare.h"

enum { FEW_SIZES = 32, RANDOM_CHECKS = 6, MAX_CHECKS = 64, MOST_GUARD_CHECKS = 2000 };

typedef struct {
    Model *model;
    Elem precision;
    int32_t failed[MAX_SIZES]; // where `why` holds
    const char *why;           // NULL: the program can't be made there at all
} Forms;

static bool is_largest(const Model *model, const int32_t *sizes) {
    for (int i = 0; i < model->sizes.count; i++)
        if (sizes[i] != model->sizes.items[i].most) return false;
    return true;
}

// Lowered, and planned, in `arena`; NULL after a message of `diag`.
static Module *lower_at(const Forms *forms, Arena *arena, Diag *diag, const int32_t *sizes) {
    PassContext context = model_context(forms->model, forms->precision, false);
    context.bounded = true;
    if (is_largest(forms->model, sizes)) context.constants = NULL; // tables are checked there
    context.diag = diag;
    context.scratch = arena;
    context.explain = NULL;
    Module *module = model_import_at(forms->model, arena, diag, sizes);
    return module && run_pipeline(module, &context, "quantize") && run_pipeline(module, &context, "lower") ? module : NULL;
}

static bool fail_at(Forms *forms, const int32_t *sizes, const char *why) {
    memcpy(forms->failed, sizes, sizeof forms->failed);
    forms->why = why;
    return false;
}

// ---- one form of the program

static bool sample_point(Forms *forms, Bounded *bounded, int point) {
    Arena *arena = arena_new();
    const int32_t *sizes = bounded->fit.points[point];
    const Module *kn = lower_at(forms, arena, diag_new(arena, NULL), sizes);
    const char *why = kn ? bounded_sample(bounded, point, kn) : NULL;
    bool good = (kn && !why) || fail_at(forms, sizes, why);
    arena_free(arena);
    return good;
}

static bool check_point(Forms *forms, const Bounded *bounded, const int32_t *sizes) {
    Arena *arena = arena_new();
    const Module *kn = lower_at(forms, arena, diag_new(arena, NULL), sizes);
    const char *why = kn ? bounded_check(bounded, kn, sizes) : NULL;
    bool good = (kn && !why) || fail_at(forms, sizes, why);
    arena_free(arena);
    return good;
}

static int64_t count_sizes(const Sizes *box) {
    int64_t count = 1;
    for (int i = 0; i < box->count && count < INT32_MAX; i++) count *= box->items[i].most - box->items[i].least + 1;
    return count;
}

// Of all sizes in the box, in order, number `index`.
static void sizes_at(const Sizes *box, int64_t index, int32_t *sizes) {
    memset(sizes, 0, sizeof(int32_t) * MAX_SIZES);
    for (int i = 0; i < box->count; i++) {
        int64_t range = box->items[i].most - box->items[i].least + 1;
        sizes[i] = (int32_t)(box->items[i].least + index % range);
        index /= range;
    }
}

// One of `all`; the same ones each time.
static int64_t draw(uint64_t *state, int64_t all) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((*state >> 16) % (uint64_t)all);
}

// All sizes where they are few; else the corners, and some that are drawn.
static int choose_checks(const Sizes *box, int32_t checks[MAX_CHECKS][MAX_SIZES]) {
    int64_t all = count_sizes(box);
    uint64_t state = 1;
    int count = 0;
    for (; all <= FEW_SIZES && count < all; count++) sizes_at(box, count, checks[count]);
    if (all <= FEW_SIZES) return count;
    for (; count < 1 << box->count; count++)
        for (int i = 0; i < MAX_SIZES; i++)
            checks[count][i] = i >= box->count ? 0 : count >> i & 1 ? box->items[i].most : box->items[i].least;
    for (int k = 0; k < RANDOM_CHECKS; k++) sizes_at(box, draw(&state, all), checks[count++]);
    return count;
}

static bool check_guards(Forms *forms, const Bounded *bounded, const Sizes *box) {
    int64_t all = count_sizes(box);
    uint64_t state = 1;
    int32_t sizes[MAX_SIZES];
    for (int64_t i = 0; i < all && i < MOST_GUARD_CHECKS; i++) {
        sizes_at(box, all <= MOST_GUARD_CHECKS ? i : draw(&state, all), sizes);
        const char *why = bounded_guard(bounded, sizes);
        if (why) return fail_at(forms, sizes, why);
    }
    return true;
}

static bool check_box(Forms *forms, const Bounded *bounded, const Sizes *box) {
    int32_t checks[MAX_CHECKS][MAX_SIZES];
    int count = choose_checks(box, checks);
    for (int i = 0; i < count; i++)
        if (!check_point(forms, bounded, checks[i])) return false;
    const char *why = bounded_memory(bounded, box);
    if (why) return fail_at(forms, bounded->trace->sizes, why);
    return check_guards(forms, bounded, box);
}

// NULL: `failed` and `why` say where and why not.
static Bounded *new_form(Forms *forms, const Sizes *box) {
    Model *model = forms->model;
    int32_t most[MAX_SIZES] = {0};
    for (int i = 0; i < box->count; i++) most[i] = box->items[i].most;
    Module *kn = lower_at(forms, model->arena, diag_new(model->arena, NULL), most);
    if (!kn) return fail_at(forms, most, NULL), NULL;
    Bounded *bounded = bounded_new(model->arena, box, kn);
    for (int i = 0; i < bounded->fit.count; i++)
        if (!sample_point(forms, bounded, i)) return NULL;
    const char *why = bounded_fit(bounded);
    if (why) return fail_at(forms, most, why), NULL;
    return check_box(forms, bounded, box) ? bounded : NULL;
}

// ---- what stands in the way

static bool works_at(Forms *forms, const int32_t *sizes) {
    Arena *arena = arena_new();
    const Module *kn = lower_at(forms, arena, diag_new(arena, NULL), sizes);
    arena_free(arena);
    return kn != NULL;
}

// The dimension that alone, where it failed, makes the program fail: -1 if it takes several.
static int find_culprit(Forms *forms) {
    const Sizes *sizes = &forms->model->sizes;
    int32_t at[MAX_SIZES] = {0};
    if (sizes->count == 1) return 0;
    for (int i = 0; i < sizes->count && !forms->why; i++) {
        for (int k = 0; k < sizes->count; k++) at[k] = k == i ? forms->failed[k] : sizes->items[k].most;
        if (!works_at(forms, at)) return i;
    }
    return -1;
}

static bool report(Forms *forms) {
    Model *model = forms->model;
    const Sizes *sizes = &model->sizes;
    const char *where = "", *names = "";
    int culprit = find_culprit(forms);
    for (int i = 0; i < sizes->count; i++) {
        where = arena_printf(model->arena, "%s%s%s = %d", where, i ? ", " : "", sizes->items[i].name, forms->failed[i]);
        if (culprit < 0 || culprit == i)
            names = arena_printf(model->arena, "%s%s'%s'", names, *names ? " or " : "", sizes->items[i].name);
    }
    if (!forms->why) { // says itself what is wrong, and with which node
        Arena *arena = arena_new();
        lower_at(forms, arena, model->diag, forms->failed);
        arena_free(arena);
    }
    return diag_error(model->diag, loc_file(model->path), "dimension %s can't vary: at %s %s; give it one size by --shape", names, where,
                      forms->why ? forms->why : "the network is not valid");
}

// ---- the whole

// `ones`: a bit for each size that is 1; the others are larger, or anything where they can't be 1.
static Sizes box_of(const Sizes *sizes, unsigned ones) {
    Sizes box = *sizes;
    for (int i = 0; i < box.count; i++) {
        if (ones >> i & 1) box.items[i].most = 1;
        else if (box.items[i].least == 1 && box.items[i].most > 1) box.items[i].least = 2;
    }
    return box;
}

// Sizes of 1, in all combinations: as the general form has it, or a variant.
static bool add_ones(Forms *forms, const Bounded *general, Module *program) {
    const Sizes *sizes = &forms->model->sizes;
    for (unsigned ones = 1; ones < 1u << sizes->count; ones++) {
        Sizes box = box_of(sizes, ones);
        bool possible = true;
        for (int i = 0; i < sizes->count; i++) possible &= !(ones >> i & 1) || sizes->items[i].least == 1;
        if (!possible || check_box(forms, general, &box)) continue;
        const Bounded *form = new_form(forms, &box);
        if (!form) return false;
        bounded_write(form, &box);
        bounded_join(program, form->most);
    }
    return true;
}

Module *model_lower_bounded(Model *model, Elem precision) {
    Forms forms = {.model = model, .precision = precision};
    Sizes box = box_of(&model->sizes, 0);
    const Bounded *general = new_form(&forms, &box);
    if (!general && forms.why) { // its constants may be what differs: then they are computed at run time
        Forms retry = forms;
        model->unfolded = true;
        general = new_form(&retry, &box);
        model->unfolded = general != NULL;
    }
    if (!general || !add_ones(&forms, general, general->most)) return report(&forms), NULL;
    bounded_write(general, &model->sizes);
    BUG_UNLESS(module_verify(general->most, model->diag), "the bounded program of %s", model->path);
    return general->most;
}
