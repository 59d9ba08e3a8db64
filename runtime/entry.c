// See entry.h. Nothing here may use more than the architecture's baseline: it runs before the processor is known.
#include "runtime/entry.h"

#include "runtime/cpu.h"

QN_ENTRY size_t qn_entry_arena_bytes(const struct qn_program *program, int threads) {
    const size_t others = threads > 1 ? (size_t)threads - 1 : 0;
    size_t most = 0;
    for (; program; program = program->next) {
        const size_t bytes = QN_ARENA_HEADER_BYTES + program->plan_bytes + program->scratch_bytes + others * program->worker_bytes;
        if (bytes > most) most = bytes;
    }
    return most;
}

static int qn_entry_bad_arena(const void *arena) { return !arena || (uintptr_t)arena % QN_ARENA_ALIGN != 0; }

static int qn_entry_is_for(const struct qn_program *program, const char *target) {
    const char *own = program->target;
    if (!target) return 1;
    while (*own && *own == *target) own++, target++;
    return *own == *target;
}

// The first that is for this target, or any where it is NULL, and that the processor runs; what it can do is asked once.
static int qn_entry_choose(const struct qn_program **program, const char *target) {
    const struct qn_program *own;
    uint64_t needed = 0, lacks;
    int found = 0;
    for (own = *program; own; own = own->next)
        if (qn_entry_is_for(own, target)) needed |= own->cpu_features, found = 1;
    if (!found) return QN_ERR_TARGET;
    lacks = qn_cpu_lacks(needed);
    for (own = *program; own; own = own->next)
        if (qn_entry_is_for(own, target) && !(own->cpu_features & lacks)) {
            *program = own;
            return QN_OK;
        }
    return QN_ERR_CPU;
}

// The program that an arena was prepared for by init of this model; NULL: it was not.
static const struct qn_program *qn_entry_find(const struct qn_program *program, const void *arena) {
    const struct qn_program *own = ((const struct qn_arena_header *)arena)->program;
    while (program && program != own) program = program->next;
    return program;
}

QN_ENTRY int qn_entry_init(const struct qn_program *program, void *arena, const struct qn_options *options) {
    struct qn_arena_header *header = (struct qn_arena_header *)arena;
    int status;
    if (qn_entry_bad_arena(arena)) return QN_ERR_ARENA;
    status = qn_entry_choose(&program, options ? options->target : NULL);
    if (status != QN_OK) return status;
    header->program = program;
    header->threads = options && options->threads > 1 ? options->threads : 1;
    return qn_entry_reset(program, arena);
}

QN_ENTRY const char *qn_entry_target(const struct qn_program *program, const void *arena) {
    if (qn_entry_bad_arena(arena)) return NULL;
    program = qn_entry_find(program, arena);
    return program ? program->target : NULL;
}

static int qn_entry_sizes_lie_in(const int32_t *sizes, int32_t count, const int32_t *least, const int32_t *most) {
    int32_t i;
    for (i = 0; i < count; i++)
        if (sizes[i] < least[i] || sizes[i] > most[i]) return 0;
    return 1;
}

// The rows of step `step`, whose terms, if it has any, are the next.
static int32_t qn_entry_rows(const struct qn_program *program, int32_t step, const int32_t *sizes, int32_t *term) {
    int64_t rows = 0;
    int32_t i, k;
    while (*term < program->term_count && program->terms[*term].step < step) ++*term;
    if (*term == program->term_count || program->terms[*term].step > step) return program->steps[step].rows;
    for (; *term < program->term_count && program->terms[*term].step == step; ++*term) {
        int64_t product = program->terms[*term].factor;
        for (i = 0; i < program->size_count; i++)
            for (k = 0; k < program->terms[*term].power[i]; k++) product *= sizes[i];
        rows += product;
    }
    return (int32_t)rows;
}

static void qn_entry_fused_run(const struct qn_program *program, const struct qn_step *steps, const struct qn_context *context,
                               const struct qn_pool *pool) {
    const struct qn_step *last = &steps[steps->fused->count - 1];
    struct qn_fused_steps fused;
    fused.context = *context;
    fused.program = program;
    fused.steps = steps;
    fused.worker = 0;
    if (pool && pool->threads > 1 && last->rows / 2 >= last->grain)
        pool->run(pool, program->fused_rows, &fused, last->rows, last->grain);
    else
        program->fused_rows(&fused, 0, 0, last->rows);
}

static void qn_entry_steps(const struct qn_program *program, struct qn_context *context, const struct qn_pool *pool,
                           int32_t first, int32_t count) {
    int32_t i, term = 0;
    for (i = first; i < first + count; i++) {
        const struct qn_step *step = &program->steps[i];
        int32_t rows;
        if (step->fused) {
            qn_entry_fused_run(program, step, context, pool);
            i += step->fused->count - 1;
            continue;
        }
        rows = program->size_count ? qn_entry_rows(program, i, context->sizes, &term) : step->rows;
        if (pool && pool->threads > 1 && rows / 2 >= step->grain)
            pool->run(pool, step->task, context, rows, step->grain);
        else
            step->task(context, 0, 0, rows);
    }
}

// The sizes stand behind the inputs' addresses.
static int qn_entry_bounded(const struct qn_program *program, struct qn_context *context, const struct qn_pool *pool) {
    int32_t i;
    for (i = 0; i < program->size_count; i++)
        if (context->sizes[i] < program->sizes[i].least || context->sizes[i] > program->sizes[i].most) return QN_ERR_SIZE;
    for (i = 0; i < program->variant_count; i++) {
        const struct qn_variant *variant = &program->variants[i];
        if (!qn_entry_sizes_lie_in(context->sizes, program->size_count, variant->least, variant->most)) continue;
        qn_entry_steps(program, context, pool, variant->first_step, variant->step_count);
        return QN_OK;
    }
    return QN_ERR_SIZE;
}

QN_ENTRY int qn_entry_run(const struct qn_program *program, void *arena, const void *const *inputs,
                          void *const *outputs, const struct qn_pool *pool) {
    struct qn_arena_header *header = (struct qn_arena_header *)arena;
    struct qn_context context;
    int status = QN_OK, i;
    if (qn_entry_bad_arena(arena)) return QN_ERR_ARENA;
    program = qn_entry_find(program, arena);
    if (!program) return QN_ERR_INIT;
    if (pool && pool->threads > header->threads) return QN_ERR_THREADS;
    if ((program->input_count && !inputs) || (program->output_count && !outputs)) return QN_ERR_POINTER;
    for (i = 0; i < program->input_count; i++)
        if (!inputs[i]) return QN_ERR_POINTER;
    for (i = 0; i < program->output_count; i++)
        if (!outputs[i]) return QN_ERR_POINTER;
    context.arena = (unsigned char *)arena + QN_ARENA_HEADER_BYTES;
    context.inputs = inputs;
    context.outputs = outputs;
    context.sizes = program->size_count ? (const int32_t *)(const void *)(inputs + program->input_count) : NULL;
    context.rows = NULL;
    if (program->states) qn_states_bind(program->states, context.arena, header->turn, &context.inputs, &context.outputs);
    if (program->size_count) status = qn_entry_bounded(program, &context, pool);
    else qn_entry_steps(program, &context, pool, 0, program->step_count);
    if (program->states && status == QN_OK) header->turn = 1 - header->turn;
    return status;
}

QN_ENTRY int qn_entry_reset(const struct qn_program *program, void *arena) {
    if (qn_entry_bad_arena(arena)) return QN_ERR_ARENA;
    program = qn_entry_find(program, arena);
    if (!program) return QN_ERR_INIT;
    ((struct qn_arena_header *)arena)->turn = 0;
    if (program->states) qn_states_reset(program->states, (unsigned char *)arena + QN_ARENA_HEADER_BYTES);
    return QN_OK;
}
