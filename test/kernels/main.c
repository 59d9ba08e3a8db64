// kernel_test [--seed N] [--cases N] [--case SEED] [filter]: tests the rows of kernels.def whose symbol contains
// `filter`. --case runs the one case of a reported seed. kernel_test --bench [filter] measures them instead.
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/kernel_table.h"
#include "test/kernels/check.h"

static const struct { const char *family; CaseFn *run; } families[] = {
#define FAMILY(name, pointers, fields) {#name, case_##name},
#include "runtime/families.def"
#undef FAMILY
};

enum { SLOT_BYTES = 64 << 20 };

static Slot slot_new(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *map = mmap(NULL, SLOT_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + page, SLOT_BYTES, PROT_READ | PROT_WRITE)) {
        perror("kernel_test: mmap");
        exit(1);
    }
    return (Slot){map + page, map + page + SLOT_BYTES};
}

// What a fault is reported with; a signal handler has no other way to it.
static const Test *running;

static void on_fault(int signal_number) {
    char text[300];
    int length = snprintf(text, sizeof text, "%s: seed %" PRIu64 ": %s: touches memory outside its buffers\n",
                          running ? running->row->symbol : "?", running ? running->seed : 0,
                          signal_number == SIGSEGV ? "segmentation fault" : "bus error");
    if (write(STDOUT_FILENO, text, (size_t)length) < 0) _exit(2);
    _exit(1);
}

static void run_case(Test *test, uint64_t seed) {
    test->arena = arena_new();
    test->seed = test->random = seed;
    const bool done = case_words(test);
    for (size_t i = 0; i < sizeof families / sizeof *families && !done; i++)
        if (!strcmp(families[i].family, test->row->family)) families[i].run(test);
    arena_free(test->arena);
}

// Cases until enough passed the row's guard. A guard that no random case passes would be a row that is never tested.
static bool run_row(Test *test, uint64_t seed, int cases) {
    for (int i = 0; i < 200 * cases && test->accepted < cases && !test->failed; i++)
        run_case(test, seed * 1000003 + (uint64_t)i);
    if (!test->failed && test->accepted < cases / 4) {
        printf("%s: only %d of %d random cases pass its guard\n", test->row->symbol, test->accepted,
               test->accepted + test->rejected);
        test->failed = true;
    }
    return !test->failed;
}

typedef struct { uint64_t seed, only; int cases; const char *filter; bool bench; } Options;

static Options parse(int argc, char **argv) {
    Options options = {.seed = 1, .cases = 200, .filter = ""};
    for (int i = 1; i < argc; i++) {
        const bool has_value = i + 1 < argc;
        if (!strcmp(argv[i], "--seed") && has_value) options.seed = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--case") && has_value) options.only = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--cases") && has_value) options.cases = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--bench")) options.bench = true;
        else if (argv[i][0] != '-') options.filter = argv[i];
        else {
            fprintf(stderr, "kernel_test: unknown option '%s'\n", argv[i]);
            exit(2);
        }
    }
    return options;
}

int main(int argc, char **argv) {
    const Options options = parse(argc, argv);
    int passed = 0, failed = 0, skipped = 0;
    Slot slots[MAX_POINTERS];
    if (options.bench) return bench(options.filter);
    for (int i = 0; i < MAX_POINTERS; i++) slots[i] = slot_new();
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    for (int i = 0; i < kernel_count(); i++) {
        Test test = {.row = kernel_at(i), .fn = qn_kernel_table[i].fn};
        if (!strstr(test.row->symbol, options.filter)) continue;
        if (!test.fn || !target_for_isa(test.row->isa)) {
            printf("%s: skipped, this machine lacks %s\n", test.row->symbol, test.row->isa);
            skipped++;
            continue;
        }
        memcpy(test.slots, slots, sizeof slots);
        running = &test;
        if (options.only) run_case(&test, options.only);
        else run_row(&test, options.seed, options.cases);
        if (!test.failed) printf("%s: %d cases\n", test.row->symbol, test.accepted);
        test.failed ? failed++ : passed++;
    }
    printf("%d kernels passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
