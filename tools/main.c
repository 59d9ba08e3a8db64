// qanat: dispatches to the subcommands of cli.def. Exit status 0 done, 1 the input is at fault, 2 the command line is
// at fault, 3 a fault of Qanat's own (an abort), which asks for a report.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/files.h"

#ifndef QANAT_VERSION
#define QANAT_VERSION "0.1.0"
#endif

typedef struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} Subcommand;

static const Subcommand subcommands[] = {
#define SUBCOMMAND(name, arguments, fewest, most, summary) {#name, cmd_##name, summary},
#include "tools/cli.def"
};
enum { SUBCOMMAND_COUNT = sizeof subcommands / sizeof *subcommands };

static void print_usage(FILE *out) {
    fprintf(out, "usage: qanat SUBCOMMAND [arguments]\n\n"
                 "Compiles trained neural networks to small, fast object files.\n\n");
    for (int i = 0; i < SUBCOMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", subcommands[i].name, subcommands[i].summary);
    fprintf(out, "\n`qanat SUBCOMMAND --help` lists the options of one; `qanat --version` the version.\n");
}

static int unknown_subcommand(const char *name) {
    const char *names[SUBCOMMAND_COUNT];
    for (int i = 0; i < SUBCOMMAND_COUNT; i++)
        names[i] = subcommands[i].name;
    const char *nearest = suggest(name, SUBCOMMAND_COUNT, names);
    if (nearest)
        return usage_error("unknown subcommand '%s'; did you mean '%s'?", name, nearest);
    return usage_error("unknown subcommand '%s'; `qanat --help` lists them", name);
}

// A BUG has printed what it knows before it aborted.
static void on_abort(int signal) {
    (void)signal;
    static const char text[] = "qanat: this is a fault of Qanat's own; please report it with the command line\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    files_remove_unfinished();
    _exit(STATUS_BUG);
}

// Dies of the signal all the same, as its parent expects.
static void on_interrupt(int number) {
    files_remove_unfinished();
    signal(number, SIG_DFL);
    raise(number);
}

static void handle_signals(void) {
    static const int interrupts[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    signal(SIGABRT, on_abort);
    for (size_t i = 0; i < sizeof interrupts / sizeof *interrupts; i++)
        if (signal(interrupts[i], on_interrupt) == SIG_IGN)
            signal(interrupts[i], SIG_IGN); // as under nohup
}

int main(int argc, char **argv) {
    handle_signals();
    if (argc < 2) {
        print_usage(stderr);
        return STATUS_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_usage(stdout);
        return STATUS_DONE;
    }
    if (strcmp(name, "--version") == 0) {
        puts("qanat " QANAT_VERSION);
        return STATUS_DONE;
    }
    for (int i = 0; i < SUBCOMMAND_COUNT; i++)
        if (strcmp(subcommands[i].name, name) == 0) {
            int status = subcommands[i].run(argc - 1, argv + 1);
            if (fflush(stdout) != 0 || ferror(stdout)) {
                fprintf(stderr, "qanat: error: standard output could not be written\n");
                return status ? status : STATUS_INPUT;
            }
            return status;
        }
    return unknown_subcommand(name);
}
