// Parses a command line by the tables of cli.def: long and short options, values behind `=` or as the next word, the
// nearest known option for an unknown one, options that exclude or need each other. Prints --help from the same rows.
// A fault gives one message on standard error and status 2.
#include "tools/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum { KIND_FLAG, KIND_TEXT, KIND_CHOICE, KIND_NUMBER, KIND_LIST } OptionKind;

typedef struct {
    const char *field;
    char letter;
    OptionKind kind;
    const char *value, *help;
    size_t offset;
} OptionRow;

static const OptionRow option_rows[] = {
#define OPTION(field, letter, kind, value, help)                                                   \
    {#field, letter, KIND_##kind, value, help, offsetof(Options, field)},
#include "tools/cli.def"
#undef OPTION
};

typedef struct {
    const char *name, *arguments;
    int fewest, most;
    const char *summary;
} SubcommandRow;

static const SubcommandRow subcommand_rows[] = {
#define SUBCOMMAND(name, arguments, fewest, most, summary)                                         \
    {#name, arguments, fewest, most, summary},
#include "tools/cli.def"
#undef SUBCOMMAND
};

static const struct {
    OptionId a, b;
    bool exclude;
} option_rules[] = {
#define EXCLUDES(a, b) {OPT_##a, OPT_##b, true},
#define NEEDS(a, b)    {OPT_##a, OPT_##b, false},
#include "tools/cli.def"
#undef EXCLUDES
#undef NEEDS
};

enum { MAX_NAME = 64 };

// "--weight-scales" of weight_scales.
static const char *flag_name(OptionId id, char text[MAX_NAME]) {
    snprintf(text, MAX_NAME, "--%s", option_rows[id].field);
    for (char *c = text; *c; c++)
        if (*c == '_')
            *c = '-';
    return text;
}

int usage_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("qanat: error: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return STATUS_USAGE;
}

static int edit_distance(const char *a, const char *b) {
    enum { LONGEST = 48 };
    size_t rows = strlen(a), columns = strlen(b);
    if (rows > LONGEST || columns > LONGEST)
        return INT_MAX;
    int line[LONGEST + 1];
    for (size_t j = 0; j <= columns; j++)
        line[j] = (int)j;
    for (size_t i = 1; i <= rows; i++) {
        int diagonal = line[0];
        line[0] = (int)i;
        for (size_t j = 1; j <= columns; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (line[j] + 1 < best)
                best = line[j] + 1;
            if (line[j - 1] + 1 < best)
                best = line[j - 1] + 1;
            diagonal = line[j];
            line[j] = best;
        }
    }
    return line[columns];
}

const char *suggest(const char *text, int count, const char *const *words) {
    const char *best = NULL;
    int best_distance = (int)strlen(text) / 3 + 2; // so many typing errors are still the same word
    for (int i = 0; i < count; i++) {
        int distance = edit_distance(text, words[i]);
        if (distance < best_distance) {
            best_distance = distance;
            best = words[i];
        }
    }
    return best;
}

static const SubcommandRow *find_subcommand(const char *name) {
    for (size_t i = 0; i < sizeof subcommand_rows / sizeof *subcommand_rows; i++)
        if (strcmp(subcommand_rows[i].name, name) == 0)
            return &subcommand_rows[i];
    return NULL;
}

// ---- help

static void print_wrapped(const char *text, int indent) {
    enum { WIDTH = 100 };
    int column = indent;
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (column + word > WIDTH && column > indent) {
            printf("\n%*s", indent, "");
            column = indent;
        }
        column += printf("%.*s", word, text);
        text += word;
        if (*text == ' ') {
            text++;
            putchar(' ');
            column++;
        }
    }
    putchar('\n');
}

static void print_option(OptionId id) {
    enum { HELP_COLUMN = 30 };
    const OptionRow *row = &option_rows[id];
    char name[MAX_NAME], left[256];
    int used = snprintf(left, sizeof left, "  %c%c%s%s", row->letter ? '-' : ' ',
                        row->letter ? row->letter : ' ', row->letter ? ", " : "  ",
                        flag_name(id, name));
    if (row->value)
        snprintf(left + used, sizeof left - (size_t)used, " %s", row->value);
    if (strlen(left) + 2 > HELP_COLUMN)
        printf("%s\n%*s", left, HELP_COLUMN, "");
    else
        printf("%-*s", HELP_COLUMN, left);
    print_wrapped(row->help, HELP_COLUMN);
}

static void print_help(const SubcommandRow *subcommand, const OptionId *ids) {
    printf("usage: qanat %s %s%s[options]\n\n%s\n\n", subcommand->name, subcommand->arguments,
           *subcommand->arguments ? " " : "", subcommand->summary);
    for (; *ids != OPT_COUNT; ids++)
        print_option(*ids);
    printf("  -h, --help                  print this text\n");
}

// ---- parsing

static const char *suggest_option(const char *text, const OptionId *ids, char name[MAX_NAME]) {
    static char names[OPT_COUNT][MAX_NAME];
    const char *words[OPT_COUNT];
    int count = 0;
    for (; *ids != OPT_COUNT; ids++, count++)
        words[count] = flag_name(*ids, names[count]);
    const char *nearest = suggest(text, count, words);
    return nearest ? strcpy(name, nearest) : NULL;
}

static int unknown_option(const char *command, const char *text, const OptionId *ids) {
    char name[MAX_NAME];
    const char *nearest = suggest_option(text, ids, name);
    if (nearest)
        return usage_error("%s: unknown option '%s'; did you mean '%s'?", command, text, nearest);
    return usage_error("%s: unknown option '%s'; `qanat %s --help` lists them", command, text,
                       command);
}

// The option that `word` names (up to length); OPT_COUNT when it is none of `ids`.
static OptionId find_option(const char *word, size_t length, const OptionId *ids) {
    char name[MAX_NAME];
    for (; *ids != OPT_COUNT; ids++) {
        if (word[1] == '-') {
            flag_name(*ids, name);
            if (strlen(name) == length && strncmp(name, word, length) == 0)
                return *ids;
        } else if (length == 2 && option_rows[*ids].letter == word[1]) {
            return *ids;
        }
    }
    return OPT_COUNT;
}

static bool is_choice(const char *choices, const char *value) {
    size_t length = strlen(value);
    for (const char *c = choices; c; c = strchr(c, '|')) {
        if (*c == '|')
            c++;
        if (length == strcspn(c, "|") && strncmp(c, value, length) == 0)
            return true;
    }
    return false;
}

static bool parse_number(const char *text, int *number) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < 0 || value > INT_MAX)
        return false;
    *number = (int)value;
    return true;
}

static int set_option(Options *options, OptionId id, const char *value) {
    const OptionRow *row = &option_rows[id];
    char name[MAX_NAME];
    void *field = (char *)options + row->offset;
    if (options->given[id] && row->kind != KIND_LIST && row->kind != KIND_FLAG)
        return usage_error("%s is given twice", flag_name(id, name));
    options->given[id] = true;
    switch (row->kind) {
    case KIND_FLAG: *(bool *)field = true; break;
    case KIND_TEXT: *(const char **)field = value; break;
    case KIND_CHOICE:
        if (!is_choice(row->value, value))
            return usage_error("%s: expected one of %s, found '%s'", flag_name(id, name),
                               row->value, value);
        *(const char **)field = value;
        break;
    case KIND_NUMBER:
        if (!parse_number(value, field))
            return usage_error("%s: expected a whole number, found '%s'", flag_name(id, name),
                               value);
        break;
    case KIND_LIST: {
        TextList *list = field;
        if (list->count == MAX_LIST)
            return usage_error("%s is given more than %d times", flag_name(id, name), MAX_LIST);
        list->items[list->count++] = value;
        break;
    }
    }
    return STATUS_DONE;
}

static int check_rules(const Options *options) {
    char a[MAX_NAME], b[MAX_NAME];
    for (size_t i = 0; i < sizeof option_rules / sizeof *option_rules; i++) {
        OptionId first = option_rules[i].a, second = option_rules[i].b;
        if (!options->given[first] || options->given[second] != option_rules[i].exclude)
            continue;
        if (option_rules[i].exclude)
            return usage_error("%s and %s exclude each other: give one of them",
                               flag_name(first, a), flag_name(second, b));
        return usage_error("%s has no effect without %s", flag_name(first, a),
                           flag_name(second, b));
    }
    return STATUS_DONE;
}

// One option at argv[*at]; moves *at past it.
static int parse_option(int argc, char **argv, int *at, const OptionId *ids, Options *options) {
    const char *word = argv[*at];
    const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    OptionId id = find_option(word, length, ids);
    if (id == OPT_COUNT) {
        char text[MAX_NAME];
        snprintf(text, sizeof text, "%.*s", (int)length, word);
        return unknown_option(argv[0], text, ids);
    }
    const char *value = equals ? equals + 1 : NULL;
    if (option_rows[id].kind == KIND_FLAG) {
        if (value)
            return usage_error("%.*s takes no value", (int)length, word);
    } else if (!value) {
        if (*at + 1 >= argc)
            return usage_error("%s needs a value: %s", word, option_rows[id].value);
        value = argv[++*at];
    }
    ++*at;
    return set_option(options, id, value);
}

static int check_positional(const SubcommandRow *row, const Options *options) {
    if (options->positional_count < row->fewest)
        return usage_error("%s: %s is missing; `qanat %s --help` says more", row->name,
                           row->arguments, row->name);
    if (options->positional_count > row->most)
        return usage_error("%s: unexpected argument '%s'", row->name,
                           options->positional[row->most]);
    return check_rules(options);
}

static void clear_options(Options *options) {
    memset(options, 0, sizeof *options);
    for (int i = 0; i < OPT_COUNT; i++)
        if (option_rows[i].kind == KIND_NUMBER)
            *(int *)((char *)options + option_rows[i].offset) = -1;
}

bool cli_parse(int argc, char **argv, const OptionId *ids, Options *options, int *status) {
    const SubcommandRow *row = find_subcommand(argv[0]);
    bool only_positional = false;
    clear_options(options);
    for (int at = 1; at < argc;) {
        const char *word = argv[at];
        if (!only_positional && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            print_help(row, ids);
            return *status = STATUS_DONE, false;
        }
        if (!only_positional && strcmp(word, "--") == 0) {
            only_positional = true;
            at++;
        } else if (!only_positional && word[0] == '-' && word[1]) {
            if ((*status = parse_option(argc, argv, &at, ids, options)))
                return false;
        } else if (options->positional_count == MAX_POSITIONAL) {
            return *status = usage_error("%s: too many arguments", argv[0]), false;
        } else {
            options->positional[options->positional_count++] = word;
            at++;
        }
    }
    *status = check_positional(row, options);
    return *status == STATUS_DONE;
}
