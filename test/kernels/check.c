// Running one case: buffers are placed against guard pages, first at the end, then at the start, where the rows are
// split into pieces; in place where the family allows it. Whatever changes but the expected bytes is an error.
#include "test/kernels/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/kernel_table.h"

enum { MARGIN = 4096, GARBAGE = 0xA5 };

static size_t round_up(size_t value, size_t to) { return (value + to - 1) / to * to; }

// Where a buffer of `memory` lies in a slot; garbage stands around it.
static uint8_t *place(const Slot *slot, const Memory *memory, bool at_end) {
    const size_t slack = (size_t)memory->over_read, align = (size_t)memory->align;
    uint8_t *at;
    BUG_UNLESS(memory->size + 2 * slack + 2 * MARGIN <= (size_t)(slot->end - slot->begin), "case exceeds its slot");
    if (at_end) at = slot->end - slack - memory->size - ((uintptr_t)(slot->end - slack - memory->size) % align);
    else at = (uint8_t *)round_up((uintptr_t)slot->begin + slack, align);
    size_t before = (size_t)(at - slot->begin), after = (size_t)(slot->end - at) - memory->size;
    if (before > MARGIN) before = MARGIN;
    if (after > MARGIN) after = MARGIN;
    memset(at - before, GARBAGE, before);
    memset(at + memory->size, GARBAGE, after);
    if (memory->size) memcpy(at, memory->bytes, memory->size);
    return at;
}

static bool all_garbage(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != GARBAGE) return false;
    return true;
}
static bool margins_kept(const Slot *slot, const uint8_t *at, size_t size) {
    size_t before = (size_t)(at - slot->begin), after = (size_t)(slot->end - at) - size;
    if (before > MARGIN) before = MARGIN;
    if (after > MARGIN) after = MARGIN;
    return all_garbage(at - before, before) && all_garbage(at + size, after);
}

static void print_args(const FamilyInfo *family, const int32_t *words) {
    for (int i = 0; i < family->field_count; i++) {
        const FieldInfo *field = &family->fields[i];
        printf("%s%s =", i ? ", " : "  ", field->name);
        for (int k = 0; k < field->count; k++) {
            float value;
            memcpy(&value, &words[field->word + k], sizeof value);
            if (field->kind == 'F') printf(" %g", (double)value);
            else printf(" %d", words[field->word + k]);
        }
    }
    printf("\n");
}

static void report(Test *test, const void *args, const char *what) {
    test->failed = true;
    printf("%s: seed %llu: %s\n", test->row->symbol, (unsigned long long)test->seed, what);
    print_args(family_find(test->row->family), args);
}

static bool close_enough(float actual, float expected, float bound) {
    return (isnan(actual) && isnan(expected)) || fabsf(actual - expected) <= bound;
}

// Index of the first element that is wrong, -1 if none.
static ptrdiff_t first_difference(const Call *call, const uint8_t *actual) {
    const uint8_t *expected = call->expected;
    if (!memcmp(actual, expected, call->output.size)) return -1;
    for (size_t i = 0; !call->bound && i < call->output.size; i++)
        if (actual[i] != expected[i]) return (ptrdiff_t)i;
    for (size_t i = 0; i < call->output.size / sizeof(float); i++) {
        float a, b;
        memcpy(&a, actual + i * sizeof a, sizeof a);
        memcpy(&b, expected + i * sizeof b, sizeof b);
        if (memcmp(&a, &b, sizeof a) && !close_enough(a, b, call->bound[i])) return (ptrdiff_t)i;
    }
    return -1;
}

static void report_difference(Test *test, const Call *call, const uint8_t *actual, ptrdiff_t at, const char *way) {
    const uint8_t *expected = call->expected;
    char text[200];
    if (call->bound) {
        float a, b;
        memcpy(&a, actual + at * 4, sizeof a);
        memcpy(&b, expected + at * 4, sizeof b);
        snprintf(text, sizeof text, "%s: element %td is %.9g, expected %.9g within %g", way,
                 at - (ptrdiff_t)call->output.origin / 4, (double)a, (double)b, (double)call->bound[at]);
    } else {
        snprintf(text, sizeof text, "%s: byte %td is %d, expected %d", way, at - (ptrdiff_t)call->output.origin,
                 actual[at], expected[at]);
    }
    report(test, call->args, text);
}

// Calls the kernel on all rows, or on random pieces of them in a random order of two.
static void run_rows(Test *test, const void *args, void *const *ptrs, int pointers, bool in_pieces) {
    const int32_t rows = *(const int32_t *)args;
    if (!in_pieces || rows < 2) {
        qn_kernel_call(test->fn, pointers, args, ptrs, 0, rows);
        return;
    }
    const int32_t middle = random_int(test, 1, rows - 1);
    qn_kernel_call(test->fn, pointers, args, ptrs, middle, rows);
    for (int32_t begin = 0; begin < middle;) {
        int32_t end = begin + random_int(test, 1, middle - begin);
        qn_kernel_call(test->fn, pointers, args, ptrs, begin, end);
        begin = end;
    }
}

// Scratch, where the arguments ask for it: garbage, and nothing beyond it may be touched.
static void *place_scratch(const Slot *slot, const void *args, bool at_end) {
    const size_t bytes = (size_t)((const int32_t *)args)[1], room = round_up(bytes, 64);
    if (!bytes) return NULL;
    uint8_t *at = at_end ? slot->end - room : slot->begin;
    memset(at, GARBAGE, room);
    return at;
}

// One run; `in_place`: the pointer of the input that may be the output is.
static void run_once(Test *test, const Call *call, bool at_end, bool in_place) {
    const char *way = in_place ? at_end ? "in place" : "in place, in pieces" : at_end ? "all rows" : "in pieces";
    void *ptrs[MAX_POINTERS] = {0};
    uint8_t *places[MAX_INPUTS] = {0};
    for (int i = 0; i < call->input_count; i++) {
        if (!call->inputs[i].bytes) continue;
        places[i] = place(&test->slots[i], &call->inputs[i], at_end);
        ptrs[i] = places[i] + call->inputs[i].origin;
    }
    uint8_t *out = place(&test->slots[call->input_count], &call->output, at_end);
    int count = call->input_count;
    if ((ptrs[count] = place_scratch(&test->slots[MAX_POINTERS - 1], call->args, at_end))) count++;
    ptrs[count] = out + call->output.origin;
    if (in_place) ptrs[call->in_place - 1] = ptrs[count];
    run_rows(test, call->args, ptrs, count + 1, !at_end);

    ptrdiff_t at = first_difference(call, out);
    if (at >= 0) report_difference(test, call, out, at, way);
    else if (!margins_kept(&test->slots[call->input_count], out, call->output.size))
        report(test, call->args, "writes outside its output");
    for (int i = 0; i < call->input_count && !test->failed; i++)
        if (places[i] && memcmp(places[i], call->inputs[i].bytes, call->inputs[i].size))
            report(test, call->args, "writes to an input");
}

void check(Test *test, const Call *call) {
    if (!test->row->guard(call->args)) {
        test->rejected++;
        return;
    }
    test->accepted++;
    run_once(test, call, true, false);
    if (!test->failed) run_once(test, call, false, false);
    if (!test->failed && call->in_place) run_once(test, call, true, true);
    if (!test->failed && call->in_place) run_once(test, call, false, true);
}
