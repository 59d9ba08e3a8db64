// The tables targets.def, families.def, isas.def and kernels.def as data, and the choice of a kernel row.
#include "ir/targets.h"

#include <stddef.h>
#include <string.h>

#include "ir/cost.h"
#include "runtime/cpu.h"
#include "runtime/kernel.h"

// ---- targets

static const Target targets[] = {
#define TARGET(name, triple, cpu, features, isas, activations, l1, l2, clock, memory) \
    {name, triple, cpu, features, isas, ELEM_##activations, l1, l2, clock, memory},
#include "ir/targets.def"
#undef TARGET
};

int target_count(void) { return (int)(sizeof targets / sizeof *targets); }
const Target *target_at(int index) { return &targets[index]; }

const Target *target_find(const char *name) {
    for (int i = 0; i < target_count(); i++)
        if (!strcmp(targets[i].name, name)) return &targets[i];
    return NULL;
}

bool target_has_isa(const Target *target, const char *isa) {
    size_t length = strlen(isa);
    for (const char *at = target->isas; (at = strstr(at, isa)); at += length)
        if ((at == target->isas || at[-1] == ' ') && (at[length] == ' ' || !at[length])) return true;
    return false;
}

static bool arch_is_host(const Target *target) {
#if defined(__x86_64__)
    return !strncmp(target->triple, "x86_64", 6);
#else
    (void)target;
    return false;
#endif
}

// The x86-64 levels: 2 (SSE4.2), 3 (AVX2), 4 (AVX-512); 9: in none of them.
static int feature_level(int index, int state) {
    if (index == QN_CPU_INDEX_AVX512VNNI || index == QN_CPU_INDEX_AVX512VBMI || index == QN_CPU_INDEX_AVXVNNI || state == 3) return 9;
    if (index == QN_CPU_INDEX_BMI || index == QN_CPU_INDEX_BMI2 || index == QN_CPU_INDEX_LZCNT ||
        index == QN_CPU_INDEX_MOVBE)
        return 3;
    return 2 + state;
}

static bool asks_for(const char *features, const char *feature) {
    size_t length = strlen(feature);
    for (const char *at = features; (at = strstr(at, feature)); at += length)
        if (at > features && at[-1] == '+' && (!at[length] || at[length] == ',')) return true;
    return false;
}

uint64_t target_cpu_features(const Target *target) {
    static const struct { const char *text; int index, state; } rows[] = {
#define CPU_FEATURE(name, text, leaf, subleaf, reg, bit, state) {text, QN_CPU_INDEX_##name, state},
#include "runtime/cpu.def"
#undef CPU_FEATURE
    };
    static const char version[] = "x86-64-v";
    int level = !strncmp(target->cpu, version, sizeof version - 1) ? target->cpu[sizeof version - 1] - '0' : 0;
    uint64_t features = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (feature_level(rows[i].index, rows[i].state) <= level || asks_for(target->features, rows[i].text))
            features |= (uint64_t)1 << rows[i].index;
    return features;
}

// What a compiled model's init asks, so that the two never disagree.
bool target_host_supports(const Target *target) {
    return arch_is_host(target) && !qn_cpu_lacks(target_cpu_features(target));
}

const Target *target_for_isa(const char *isa) {
    for (int i = 0; i < target_count(); i++)
        if (target_has_isa(&targets[i], isa) && target_host_supports(&targets[i])) return &targets[i];
    return NULL;
}

const Target *target_host(void) {
    for (int i = 0; i < target_count(); i++)
        if (target_host_supports(&targets[i])) return &targets[i];
    return &targets[target_count() - 1];
}

// ---- families

#define I(name) {#name, 'I', 1, (int)(offsetof(FAMILY_ARGS, name) / 4)},
#define F(name) {#name, 'F', 1, (int)(offsetof(FAMILY_ARGS, name) / 4)},
#define IV(name, count) {#name, 'I', count, (int)(offsetof(FAMILY_ARGS, name) / 4)},
// offsetof needs the struct's name where the fields stand, so each family gets its table inside a function.
#define FAMILY(family, pointers, fields)                                                     \
    static const FamilyInfo *family_##family(void) {                                         \
        typedef struct qn_##family##_args FAMILY_ARGS;                                       \
        static const FieldInfo infos[] = {I(rows) I(scratch_bytes) fields};                  \
        static const FamilyInfo info = {#family, pointers, (int)(sizeof infos / sizeof *infos), \
                                        (int)(sizeof(FAMILY_ARGS) / 4), infos};              \
        _Static_assert(sizeof(FAMILY_ARGS) / 4 <= MAX_ARG_WORDS, "MAX_ARG_WORDS");           \
        return &info;                                                                        \
    }
#include "runtime/families.def"
#undef FAMILY
#undef I
#undef F
#undef IV

const FamilyInfo *family_find(const char *name) {
#define FAMILY(family, pointers, fields) \
    if (!strcmp(name, #family)) return family_##family();
#include "runtime/families.def"
#undef FAMILY
    return NULL;
}

const char *const *family_names(int *count) {
    static const char *const names[] = {
#define FAMILY(family, pointers, fields) #family,
#include "runtime/families.def"
#undef FAMILY
    };
    *count = (int)(sizeof names / sizeof *names);
    return names;
}

// ---- arguments

void args_begin(KernelArgs *args, const char *family) {
    memset(args, 0, sizeof *args);
    args->family = family_find(family);
    BUG_UNLESS(args->family, "no kernel family '%s'", family);
}

static const FieldInfo *field_find(const FamilyInfo *family, const char *field) {
    for (int i = 0; i < family->field_count; i++)
        if (!strcmp(family->fields[i].name, field)) return &family->fields[i];
    return NULL;
}

static const FieldInfo *field_get(const KernelArgs *args, const char *field, char kind) {
    const FieldInfo *info = field_find(args->family, field);
    BUG_UNLESS(info && info->kind == kind, "family %s: field '%s'", args->family->name, field);
    return info;
}

void args_ints(KernelArgs *args, const char *field, int count, const int64_t *values) {
    const FieldInfo *info = field_get(args, field, 'I');
    BUG_UNLESS(count == info->count, "family %s: %d values for '%s'", args->family->name, count, field);
    for (int i = 0; i < count; i++) {
        BUG_UNLESS(values[i] == (int32_t)values[i], "family %s: '%s' = %lld exceeds 32 bits", args->family->name, field,
                   (long long)values[i]);
        args->words[info->word + i] = (int32_t)values[i];
    }
}

void args_int(KernelArgs *args, const char *field, int64_t value) { args_ints(args, field, 1, &value); }

void args_float(KernelArgs *args, const char *field, float value) {
    memcpy(&args->words[field_get(args, field, 'F')->word], &value, sizeof value);
}

int32_t args_get(const KernelArgs *args, const char *field) {
    return args->words[field_get(args, field, 'I')->word];
}

float args_get_float(const KernelArgs *args, const char *field) {
    float value;
    memcpy(&value, &args->words[field_get(args, field, 'F')->word], sizeof value);
    return value;
}

Attr *args_to_attrs(Arena *arena, Attr *next, const KernelArgs *args) {
    for (int i = args->family->field_count - 1; i >= 0; i--) {
        const FieldInfo *field = &args->family->fields[i];
        const int32_t *words = &args->words[field->word];
        int64_t values[8];
        bool zero = true;
        for (int k = 0; k < field->count; k++) values[k] = words[k], zero = zero && !words[k];
        if (zero && strcmp(field->name, "rows")) continue;
        if (field->kind == 'F') {
            float value;
            memcpy(&value, words, sizeof value);
            next = attr_float(arena, next, field->name, value);
        } else if (field->count > 1) next = attr_ints(arena, next, field->name, field->count, values);
        else next = attr_int(arena, next, field->name, values[0]);
    }
    return next;
}

bool args_from_op(KernelArgs *args, const Op *op) {
    const KernelInfo *kernel = kernel_find(as_kn_call(op).kernel);
    if (!kernel) return false;
    args_begin(args, kernel->family);
    for (const Attr *attr = op->attrs; attr; attr = attr->next) {
        const FieldInfo *field = field_find(args->family, attr->name);
        if (!field) continue;
        if (attr->kind == ATTR_FLOAT && field->kind == 'F') args_float(args, attr->name, (float)attr->f);
        else if (attr->kind == ATTR_INT && field->kind == 'I') args_int(args, attr->name, attr->i);
        else if (attr->kind == ATTR_INTS && field->kind == 'I' && attr->ints.count == field->count)
            args_ints(args, attr->name, field->count, attr->ints.data);
        else return false;
    }
    return true;
}

// Layers that threads share by panels of channels have rows for each: as if they did not.
static void join_panels(KernelArgs *args) {
    const FieldInfo *field = field_find(args->family, "panel");
    int32_t *panel = field ? &args->words[field->word] : NULL;
    if (!panel || *panel <= 0) return;
    int32_t channels = args_get(args, field_find(args->family, "out_c") ? "out_c" : "n"), panels = (channels - 1) / *panel + 1;
    if (panels > 0) args->words[0] /= panels;
    *panel = 0;
}

KernelArgs args_shape(const KernelArgs *args) {
    static const char *const values[] = {"in_zp", "out_zp", "a_zp", "b_zp", "lo", "hi", "scratch_bytes", "fixed_a", "fixed_b",
                                         "fixed_start", "residual_zp", "sum_zp", "sum_lo", "sum_hi", "fixed_own", "fixed_residual"};
    KernelArgs shape = *args;
    for (int i = 0; i < args->family->field_count; i++) {
        const FieldInfo *field = &args->family->fields[i];
        bool is_value = field->kind == 'F';
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) is_value |= !strcmp(field->name, values[k]);
        if (is_value) memset(&shape.words[field->word], 0, sizeof *shape.words * (size_t)field->count);
    }
    join_panels(&shape);
    return shape;
}

// ---- kernels

#define KERNEL(family, operands, result, tile, isa, packing, guard)                             \
    static bool guard_##family##_##operands##_##result##__##tile##__##isa(const void *args) {   \
        const struct qn_##family##_args *a = args;                                              \
        (void)a;                                                                                \
        return guard;                                                                           \
    }
#include "runtime/kernels.def"
#undef KERNEL

static const KernelInfo kernels[] = {
#define KERNEL(family, operands, result, tile, isa, packing, guard)                             \
    {"qn_" #family "_" #operands "_" #result "__" #tile "__" #isa, #family, #operands, #result, \
     #tile, #isa, #packing, #guard, guard_##family##_##operands##_##result##__##tile##__##isa},
#include "runtime/kernels.def"
#undef KERNEL
};

int kernel_count(void) { return (int)(sizeof kernels / sizeof *kernels); }
const KernelInfo *kernel_at(int index) { return &kernels[index]; }

const KernelInfo *kernel_find(const char *symbol) {
    for (int i = 0; i < kernel_count(); i++)
        if (!strcmp(kernels[i].symbol, symbol)) return &kernels[i];
    return NULL;
}

static bool row_is_allowed(const KernelInfo *row, const char *only) {
    if (!only) return true;
    if (*only != '-') return !strcmp(row->isa, only) || !strcmp(row->isa, "generic");
    size_t length = strlen(row->symbol);
    for (const char *at = only; (at = strstr(at, row->symbol)); at += length)
        if (at[-1] == '-' && (!at[length] || at[length] == ',')) return false;
    return true;
}

static const char *refusal(const KernelInfo *row, const char *only, const KernelArgs *args) {
    if (!row_is_allowed(row, only)) return "left out";
    return row->guard(args->words) ? NULL : row->condition;
}

int kernel_candidates(const Target *target, const char *only, const char *operands, const char *result,
                      const KernelArgs *args, Candidate candidates[MAX_CANDIDATES]) {
    int count = 0;
    for (int i = 0; i < kernel_count(); i++) {
        const KernelInfo *row = &kernels[i];
        if (strcmp(row->family, args->family->name) || strcmp(row->operands, operands) || strcmp(row->result, result)) continue;
        if (!target_has_isa(target, row->isa)) continue;
        BUG_UNLESS(count < MAX_CANDIDATES, "more than %d rows for %s", MAX_CANDIDATES, row->family);
        Estimate estimate = kernel_estimate(target, row, args, false);
        candidates[count++] = (Candidate){row, refusal(row, only, args), estimate.ns, estimate.measured};
    }
    return count;
}

const KernelInfo *kernel_choose(const Candidate *candidates, int count, bool in_order) {
    const Candidate *best = NULL;
    for (int i = 0; i < count; i++) {
        const Candidate *own = &candidates[i];
        if (own->refused) continue;
        if (!best || (!in_order && best->measured && own->measured && own->ns < best->ns)) best = own;
    }
    return best ? best->row : NULL;
}
