// The command line: what cli.def says, as data and as a parser. Every subcommand is a function of its own file,
// `int cmd_<name>(int argc, char **argv)` with argv[0] its name, and returns the exit status.
#pragma once
#include <stdbool.h>
#include <stdio.h>

// Exit statuses. STATUS_BUG comes from the handler of SIGABRT in main.c.
enum { STATUS_DONE = 0, STATUS_INPUT = 1, STATUS_USAGE = 2, STATUS_BUG = 3 };

enum { MAX_LIST = 64, MAX_POSITIONAL = 8 };
typedef struct { int count; const char *items[MAX_LIST]; } TextList;

#define OPTION(field, letter, kind, value, help) OPT_##field,
typedef enum {
#include "tools/cli.def"
    OPT_COUNT
} OptionId;
#undef OPTION

// Values of all options; one that was not given is false, NULL, -1 (NUMBER) or empty. `given` tells.
typedef struct {
#define CLI_C_FLAG bool
#define CLI_C_TEXT const char *
#define CLI_C_CHOICE const char *
#define CLI_C_NUMBER int
#define CLI_C_LIST TextList
#define OPTION(field, letter, kind, value, help) CLI_C_##kind field;
#include "tools/cli.def"
#undef OPTION
    bool given[OPT_COUNT];
    int positional_count;
    const char *positional[MAX_POSITIONAL];
} Options;

// Parses what follows argv[0] for a subcommand that takes `ids`, a list that ends in OPT_COUNT. False: *status is the
// exit status; a message (or the text of --help) was printed.
bool cli_parse(int argc, char **argv, const OptionId *ids, Options *options, int *status);

// Reports a fault of the command line on standard error; gives STATUS_USAGE.
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define SUBCOMMAND(name, arguments, fewest, most, summary) int cmd_##name(int argc, char **argv);
#include "tools/cli.def"
#undef SUBCOMMAND

// The word among `count` that is nearest to `text`; NULL when none is near.
const char *suggest(const char *text, int count, const char *const *words);
