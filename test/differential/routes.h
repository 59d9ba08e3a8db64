// One network with its inputs and what the interpreter makes of them, and the routes that must agree with it.
#pragma once
#include "ir/targets.h"
#include "test/differential/cover.h"
#include "test/differential/graph.h"

// How a network is run: `only` as PassContext.only_isa; storage of quantized inputs and outputs; `via` NULL: kernels in
// process, "llvm": that route, else a C compiler's command.
typedef struct {
    const Target *target;
    const char *only, *via;
    Elem input_type, output_type;
    int threads;
} Route;

typedef struct {
    uint64_t seed;
    Arena *arena;
    const Module *module;
    Func *main;
    Tensor *inputs, *expected;
    double *bounds;
    int input_count, output_count;
    bool imported; // the passes of pipeline "import" come before lowering
} Case;

typedef enum { RUN_SAME, RUN_DIFFERS, RUN_REFUSED, RUN_OVERWRITES, RUN_BROKEN } RunResult;

// Fills `expected` and `bounds`; false where the interpreter refuses these inputs, such as sums that leave i32.
bool case_judge(Case *test);
// `what`: a message in the case's arena, for all but RUN_SAME. `dir`: for compiled files. `cover` may be NULL.
RunResult case_run(const Case *test, const Route *route, const char *dir, Cover *cover, const char **what);
// The symbol of the fastest row of the route's last lowering that is not generic, which `only` may leave out next; NULL.
const char *case_fast_row(const Case *test, const Route *route);
const char *route_text(Arena *arena, const Route *route);
