// The arena over time: when each buffer of a planned program is alive, and where it lies.
#include "codegen/steps.h"
#include "tools/report.h"

static const Op *alloc_of(const Value *buffer) {
    while (buffer && buffer->def && buffer->def->kind == OP_kn_view) buffer = as_kn_view(buffer->def).source;
    return buffer && buffer->def && buffer->def->kind == OP_kn_alloc ? buffer->def : NULL;
}

// Steps that run together are alive together.
static void find_lives(const Steps *steps, const Map *numbers, SvgBox *boxes) {
    for (int i = 0, end = 1; i < steps->step_count; i = end) {
        end = i + (steps->steps[i].fused ? steps->steps[i].fused->count : 1);
        for (int k = i; k < end; k++) {
            const Op *op = steps->steps[k].op;
            for (int j = 0; j < op->operand_count; j++) {
                const int *number = map_find(numbers, alloc_of(op_operand(op, j)));
                if (!number) continue;
                SvgBox *box = &boxes[*number];
                if (box->first < 0) box->first = i;
                box->last = end - 1;
            }
        }
    }
}

static SvgBox box_of(Arena *arena, const Op *op) {
    const kn_alloc_view alloc = as_kn_alloc(op);
    const char *name = op->results[0].name ? op->results[0].name : "?";
    return (SvgBox){-1, -1, alloc.offset, alloc.offset + alloc.bytes,
                    arena_printf(arena, "%s: %lld bytes at %lld", name, (long long)alloc.bytes, (long long)alloc.offset)};
}

void report_memory(Report *report, const Module *kn) {
    Arena *arena = report->model->arena;
    const Steps *steps = steps_new(arena, kn);
    Map *numbers = map_new_pointers(arena);
    int room = 0;
    FOR_EACH_OP(module_main(kn), op) room += op->kind == OP_kn_alloc;
    report->boxes = ARENA_ARRAY(arena, SvgBox, room + 1);
    FOR_EACH_OP(module_main(kn), op) {
        if (op->kind != OP_kn_alloc) continue;
        int *number = ARENA_NEW(arena, int);
        *number = report->box_count;
        *map_get(numbers, op) = number;
        report->boxes[report->box_count++] = box_of(arena, op);
    }
    find_lives(steps, numbers, report->boxes);
    report->plan_bytes = steps->plan_bytes;
}
