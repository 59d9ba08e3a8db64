// --custom DOMAIN.OP=SYMBOL: the domain may hold dots, the operator can't.
#include "tools/customs.h"

#include <string.h>

#include "ir/custom.h"

static int read_custom(Arena *arena, const char *text, CustomOption *option) {
    char *domain = arena_strdup(arena, text), *equals = strchr(domain, '=');
    if (equals) *equals = 0;
    char *dot = equals ? strrchr(domain, '.') : NULL;
    if (!dot || dot == domain || !dot[1])
        return usage_error("--custom: expected DOMAIN.OP=SYMBOL, found '%s'", text);
    *dot = 0;
    *option = (CustomOption){domain, dot + 1, equals + 1};
    if (!can_name_custom(option->symbol))
        return usage_error("--custom: '%s' can't be the name of a C function of yours", option->symbol);
    return STATUS_DONE;
}

int read_customs(Arena *arena, Diag *diag, const Options *options, ImportOptions *import) {
    CustomOption *customs = ARENA_ARRAY(arena, CustomOption, options->custom.count + 1);
    for (int i = 0; i < options->custom.count; i++) {
        int status = read_custom(arena, options->custom.items[i], &customs[i]);
        if (status)
            return status;
    }
    import->custom_count = options->custom.count;
    import->customs = customs;
    for (int i = 0; i < options->library.count; i++)
        if (!custom_open(diag, options->library.items[i]))
            return STATUS_INPUT;
    return STATUS_DONE;
}
