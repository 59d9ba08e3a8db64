// See entry.h. Nothing here may use more than the architecture's baseline: it runs before the processor is known.
#include "runtime/entry.h"

#include "runtime/cpu.h"

QN_ENTRY size_t qn_entry_arena_bytes(const struct qn_program *program, int threads) {
    size_t workers = threads > 1 ? (size_t)threads : 1;
    return QN_ARENA_HEADER_BYTES + program->plan_bytes + workers * program->scratch_bytes;
}

static int qn_entry_bad_arena(const void *arena) { return !arena || (uintptr_t)arena % QN_ARENA_ALIGN != 0; }

QN_ENTRY int qn_entry_init(const struct qn_program *program, void *arena, const struct qn_options *options) {
    struct qn_arena_header *header = (struct qn_arena_header *)arena;
    if (qn_entry_bad_arena(arena)) return QN_ERR_ARENA;
    if (program->cpu_features & ~qn_cpu_features()) return QN_ERR_CPU;
    header->program = program;
    header->threads = options && options->threads > 1 ? options->threads : 1;
    return QN_OK;
}

// The arena was prepared by init of this model.
static int qn_entry_check(const struct qn_program *program, const void *arena) {
    const struct qn_arena_header *header = (const struct qn_arena_header *)arena;
    if (qn_entry_bad_arena(arena)) return QN_ERR_ARENA;
    return header->program == program ? QN_OK : QN_ERR_INIT;
}

QN_ENTRY int qn_entry_run(const struct qn_program *program, void *arena, const void *const *inputs,
                          void *const *outputs, const struct qn_pool *pool) {
    struct qn_context context;
    int status = qn_entry_check(program, arena), i;
    if (status != QN_OK) return status;
    if (pool && pool->threads > ((const struct qn_arena_header *)arena)->threads) return QN_ERR_THREADS;
    if ((program->input_count && !inputs) || (program->output_count && !outputs)) return QN_ERR_POINTER;
    for (i = 0; i < program->input_count; i++)
        if (!inputs[i]) return QN_ERR_POINTER;
    for (i = 0; i < program->output_count; i++)
        if (!outputs[i]) return QN_ERR_POINTER;
    context.arena = (unsigned char *)arena + QN_ARENA_HEADER_BYTES;
    context.inputs = inputs;
    context.outputs = outputs;
    for (i = 0; i < program->step_count; i++) {
        const struct qn_step *step = &program->steps[i];
        if (pool && pool->threads > 1 && step->rows / 2 >= step->grain)
            pool->run(pool, step->task, &context, step->rows, step->grain);
        else
            step->task(&context, 0, 0, step->rows);
    }
    return QN_OK;
}

// No op keeps state between runs so far: a prepared arena is at its start.
QN_ENTRY int qn_entry_reset(const struct qn_program *program, void *arena) { return qn_entry_check(program, arena); }
