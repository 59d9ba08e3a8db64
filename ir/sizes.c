// Sizes of run time and expressions of them: values, text and back (sizes.h).
#include "ir/sizes.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// ---- values

static int64_t term_at(const SizeTerm *term, const int32_t *sizes) {
    int64_t value = term->factor;
    for (int i = 0; i < MAX_SIZES; i++)
        for (int k = 0; k < term->power[i]; k++) value *= sizes[i];
    return value;
}

int64_t size_expr_at(const SizeExpr *expr, const int32_t *sizes) {
    int64_t sum = 0;
    for (int i = 0; i < expr->count; i++) sum += term_at(&expr->terms[i], sizes);
    return sum;
}

bool size_expr_equal(const SizeExpr *a, const SizeExpr *b) {
    if (a->count != b->count) return false;
    for (int i = 0; i < a->count; i++)
        if (a->terms[i].factor != b->terms[i].factor || memcmp(a->terms[i].power, b->terms[i].power, MAX_SIZES)) return false;
    return true;
}

bool size_expr_is_fixed(const SizeExpr *expr) {
    static const uint8_t none[MAX_SIZES];
    return !expr->count || (expr->count == 1 && !memcmp(expr->terms[0].power, none, MAX_SIZES));
}

double size_expr_reach(const SizeExpr *expr, const Sizes *sizes) {
    double sum = 0;
    for (int i = 0; i < expr->count; i++) {
        double value = (double)expr->terms[i].factor;
        for (int s = 0; s < sizes->count; s++)
            for (int k = 0; k < expr->terms[i].power[s]; k++) value *= sizes->items[s].most;
        sum += value < 0 ? -value : value;
    }
    return sum;
}

// ---- text

static const char *term_text(Arena *arena, const SizeTerm *term, const Sizes *sizes, bool first) {
    long long factor = (long long)(term->factor < 0 && !first ? -term->factor : term->factor);
    const char *text = NULL;
    for (int i = 0; i < sizes->count; i++)
        for (int k = 0; k < term->power[i]; k++)
            text = text ? arena_printf(arena, "%s*%s", text, sizes->items[i].name) : sizes->items[i].name;
    const char *sign = first ? "" : term->factor < 0 ? " - " : " + ";
    if (!text) return arena_printf(arena, "%s%lld", sign, factor);
    if (factor == 1) return arena_printf(arena, "%s%s", sign, text);
    return arena_printf(arena, "%s%lld*%s", sign, factor, text);
}

const char *size_expr_text(Arena *arena, const SizeExpr *expr, const Sizes *sizes) {
    const char *text = expr->count ? "" : "0";
    for (int i = 0; i < expr->count; i++)
        text = arena_printf(arena, "%s%s", text, term_text(arena, &expr->terms[i], sizes, i == 0));
    return text;
}

const char *sizes_text(Arena *arena, const Sizes *sizes) {
    const char *text = "";
    for (int i = 0; i < sizes->count; i++)
        text = arena_printf(arena, "%s%s%s = %d..%d", text, i ? "; " : "", sizes->items[i].name, sizes->items[i].least,
                            sizes->items[i].most);
    return text;
}

const char *varying_text(Arena *arena, const VaryingList *list, const Sizes *sizes) {
    const char *text = "";
    for (int i = 0; i < list->count; i++) {
        const Varying *item = &list->items[i];
        const char *index = item->index ? arena_printf(arena, "[%d]", item->index) : "";
        text = arena_printf(arena, "%s%s%s%s = %s", text, i ? "; " : "", item->field, index,
                            size_expr_text(arena, &item->value, sizes));
    }
    return text;
}

// ---- parsing

static bool take(const char **at, const char *text) {
    *at += strspn(*at, " ");
    size_t length = strlen(text);
    if (strncmp(*at, text, length)) return false;
    *at += length;
    return true;
}

static bool take_number(const char **at, int64_t *value) {
    *at += strspn(*at, " ");
    if (!isdigit((unsigned char)**at)) return false;
    char *end;
    errno = 0;
    *value = strtoll(*at, &end, 10);
    *at = end;
    return !errno;
}

static const char *take_name(Arena *arena, const char **at) {
    *at += strspn(*at, " ");
    size_t length = 0;
    while (isalnum((unsigned char)(*at)[length]) || (*at)[length] == '_') length++;
    if (!length || isdigit((unsigned char)**at)) return NULL;
    const char *name = arena_printf(arena, "%.*s", (int)length, *at);
    *at += length;
    return name;
}

static bool take_size(Arena *arena, const char **at, Sizes *sizes) {
    int64_t least, most;
    const char *name = take_name(arena, at);
    if (!name || sizes->count == MAX_SIZES || !take(at, "=") || !take_number(at, &least) || !take(at, "..") ||
        !take_number(at, &most) || least < 1 || least > most || most > INT32_MAX) return false;
    for (int i = 0; i < sizes->count; i++)
        if (!strcmp(sizes->items[i].name, name)) return false;
    sizes->items[sizes->count++] = (Size){name, (int32_t)least, (int32_t)most};
    return true;
}

bool sizes_parse(Arena *arena, const char *text, Sizes *sizes) {
    *sizes = (Sizes){0};
    do
        if (!take_size(arena, &text, sizes)) return false;
    while (take(&text, ";"));
    return !*text;
}

static bool take_factor(Arena *arena, const char **at, const Sizes *sizes, SizeTerm *term) {
    const char *name = take_name(arena, at);
    for (int i = 0; name && i < sizes->count; i++)
        if (!strcmp(sizes->items[i].name, name)) return ++term->power[i] <= MAX_SIZE_POWER;
    return false;
}

static bool take_term(Arena *arena, const char **at, const Sizes *sizes, SizeTerm *term) {
    *term = (SizeTerm){.factor = 1};
    if (!take_number(at, &term->factor)) {
        *at += strspn(*at, " ");
        if (isdigit((unsigned char)**at) || !take_factor(arena, at, sizes, term)) return false;
    }
    while (take(at, "*"))
        if (!take_factor(arena, at, sizes, term)) return false;
    return true;
}

static bool take_expr(Arena *arena, const char **at, const Sizes *sizes, SizeExpr *expr) {
    enum { MOST_TERMS = 64 };
    SizeTerm *terms = ARENA_ARRAY(arena, SizeTerm, MOST_TERMS);
    *expr = (SizeExpr){0, terms};
    bool negative = take(at, "-");
    do {
        if (expr->count == MOST_TERMS || !take_term(arena, at, sizes, &terms[expr->count])) return false;
        if (negative) terms[expr->count].factor = -terms[expr->count].factor;
        expr->count++;
        negative = take(at, "-");
    } while (negative || take(at, "+"));
    return true;
}

static bool take_varying(Arena *arena, const char **at, const Sizes *sizes, Varying *item) {
    int64_t index = 0;
    item->field = take_name(arena, at);
    if (!item->field) return false;
    if (take(at, "[") && (!take_number(at, &index) || index > INT32_MAX || !take(at, "]"))) return false;
    item->index = (int)index;
    return take(at, "=") && take_expr(arena, at, sizes, &item->value);
}

bool varying_parse(Arena *arena, const char *text, const Sizes *sizes, VaryingList *list) {
    int room = 1;
    for (const char *c = text; *c; c++) room += *c == ';';
    Varying *items = ARENA_ARRAY(arena, Varying, room);
    *list = (VaryingList){0, items};
    do
        if (!take_varying(arena, &text, sizes, &items[list->count++])) return false;
    while (take(&text, ";"));
    return !*text;
}

// ---- of ops

Sizes func_sizes(Arena *arena, const Func *func) {
    Sizes sizes = {0};
    const Attr *attr = func->last ? attr_find(func->last->attrs, "kn.sizes") : NULL;
    if (attr && (attr->kind != ATTR_STRING || !sizes_parse(arena, attr->s, &sizes))) BUG("kn.sizes of @%s", func->name);
    return sizes;
}

VaryingList op_varying(Arena *arena, const Op *op, const Sizes *sizes) {
    VaryingList list = {0};
    const Attr *attr = attr_find(op->attrs, "kn.varying");
    if (attr && (attr->kind != ATTR_STRING || !varying_parse(arena, attr->s, sizes, &list)))
        BUG("kn.varying of %s", op->loc.name ? op->loc.name : op_info(op->kind)->full_name);
    return list;
}

bool op_follows_sizes(const Op *op) {
    const Type *type = op->results[0].type;
    int64_t taken = 0;
    if (!elem_is_float(type->elem) && type->elem != ELEM_I1) return false;
    for (int i = 0; i < op->operand_count; i++) taken += op_operand(op, i) ? type_elem_count(op_operand(op, i)->type) : 0;
    return op->kind == OP_slice ? type->rank > 1 : type_elem_count(type) > taken;
}
