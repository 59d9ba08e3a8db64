// nn.custom: calls the user's function (ir/custom.h).
#include <ctype.h>
#include <dlfcn.h>
#include <string.h>

#include "ir/custom.h"
#include "ir/eval_common.h"
#include "runtime/qanat.h"

enum { MAX_LIBRARIES = 64 };
static void *libraries[MAX_LIBRARIES];
static int library_count;

bool custom_open(Diag *diag, const char *path) {
    if (library_count == MAX_LIBRARIES)
        return diag_error(diag, loc_file(path), "more than %d libraries", MAX_LIBRARIES);
    // A name without a slash would be looked for among the system's libraries. Global: compiled models find it too.
    Arena *scratch = arena_new();
    void *library = dlopen(strchr(path, '/') ? path : arena_printf(scratch, "./%s", path), RTLD_NOW | RTLD_GLOBAL);
    arena_free(scratch);
    if (!library) return diag_error(diag, loc_file(path), "cannot be loaded as a shared library: %s", dlerror());
    libraries[library_count++] = library;
    return true;
}

qn_custom_fn *custom_find(Diag *diag, Loc loc, const char *symbol) {
    for (int i = 0; i < library_count; i++) {
        void *found = dlsym(libraries[i], symbol);
        if (found) return (qn_custom_fn *)(uintptr_t)found;
    }
    diag_error(diag, loc, "no function '%s' for this custom operator: give --library FILE.so that defines it", symbol);
    return NULL;
}

// Words of C, and functions that compiled models call or link with.
static bool is_reserved(const char *text) {
    static const char *const words[] = {
        "asm", "auto", "bool", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum",
        "extern", "false", "float", "for", "goto", "if", "inline", "int", "long", "main", "memcpy", "memmove", "memset",
        "register", "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "true", "typedef",
        "typeof", "union", "unsigned", "void", "volatile", "while",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i], text)) return true;
    return false;
}

bool can_name_custom(const char *text) {
    if (!isalpha((unsigned char)*text) && *text != '_') return false;
    for (const char *at = text; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '_') return false;
    return strncmp(text, "qn_", 3) != 0 && !is_reserved(text);
}

static struct qn_tensor *describe(Arena *arena, int count, const Value *const *values) {
    struct qn_tensor *tensors = ARENA_ARRAY(arena, struct qn_tensor, count + 1);
    for (int i = 0; i < count; i++) {
        const Type *type = values[i]->type;
        tensors[i] = (struct qn_tensor){.name = values[i]->name ? values[i]->name : "", .type = elem_code(type->elem),
                                        .rank = type->rank};
        tensors[i].bytes = (size_t)type_elem_count(type) * (size_t)(elem_bits(type->elem) / 8);
        for (int k = 0; k < type->rank; k++) tensors[i].shape[k] = type->shape[k];
    }
    return tensors;
}

struct qn_custom *custom_describe(Arena *arena, const char *name, const char *attributes, int input_count,
                                  const Value *const *inputs, int output_count, const Value *const *outputs) {
    struct qn_custom *custom = ARENA_NEW(arena, struct qn_custom);
    *custom = (struct qn_custom){name ? name : "", attributes, input_count, output_count,
                                 describe(arena, input_count, inputs), describe(arena, output_count, outputs)};
    return custom;
}

bool eval_custom(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    custom_view view = as_custom(op);
    qn_custom_fn *function = custom_find(diag, op->loc, view.symbol);
    if (!function) return false;
    Arena *scratch = arena_new();
    int inputs = op->operand_count, outputs = op->result_count;
    const Value **values = ARENA_ARRAY(scratch, const Value *, inputs + outputs + 1);
    const void **from = ARENA_ARRAY(scratch, const void *, inputs + 1);
    void **to = ARENA_ARRAY(scratch, void *, outputs + 1);
    for (int i = 0; i < inputs; i++) values[i] = op_operand(op, i), from[i] = operands[i]->data;
    for (int i = 0; i < outputs; i++) values[inputs + i] = &op->results[i], to[i] = results[i]->data;
    function(custom_describe(scratch, op->loc.name, view.attributes, inputs, values, outputs, values + inputs), from, to);
    arena_free(scratch);
    return true;
}
