// The table of passes, named pipelines, and --passes lists.
#include <stdlib.h>
#include <string.h>

#include "passes/pass.h"

static const PassInfo passes[] = {
#define PASS(name, summary) {#name, name, summary},
#include "passes/passes.def"
#undef PASS
};

// Float rewrites first, on the layout they become simplest in; quantization on the fused float network that was
// calibrated; lowering last.
static const struct { const char *name, *passes; } pipelines[] = {
    {"import", "fold_qdq,drop_quantization,fold_constants,canonicalize_ops,sink_transposes,canonicalize_ops,fold_batch_norm,fuse_activation,"
               "center_weights,fold_constants,canonicalize_ops,dead_code,name_values"},
    {"quantize", "equalize,assign_precision,correct_bias,frame_input,postprocess,dead_code"},
    {"lower", "lower_winograd,lower_kn,dead_code,fuse_rows,plan_memory"},
};

static const char *find_pipeline(const char *name) {
    for (size_t i = 0; i < sizeof pipelines / sizeof *pipelines; i++)
        if (!strcmp(pipelines[i].name, name)) return pipelines[i].passes;
    return NULL;
}

int pass_count(void) { return (int)(sizeof passes / sizeof *passes); }
const PassInfo *pass_at(int index) { return &passes[index]; }

const PassInfo *pass_find(const char *name) {
    for (int i = 0; i < pass_count(); i++)
        if (!strcmp(passes[i].name, name)) return &passes[i];
    return NULL;
}

static bool unknown_pass(const PassContext *context, const char *name) {
    const char *names[64];
    for (int i = 0; i < pass_count(); i++) names[i] = passes[i].name;
    const char *near = nearest_name(name, pass_count(), names);
    if (near) return diag_error(context->diag, loc_file(NULL), "unknown pass '%s'; did you mean '%s'", name, near);
    return diag_error(context->diag, loc_file(NULL), "unknown pass '%s'", name);
}

// Splits "a,b{k=v,l=w}" at commas outside braces; returns the item and moves *list past it.
static char *next_item(Arena *arena, const char **list) {
    const char *start = *list, *at = start;
    for (int depth = 0; *at && (depth || *at != ','); at++) depth += (*at == '{') - (*at == '}');
    char *item = arena_alloc(arena, (size_t)(at - start) + 1);
    memcpy(item, start, (size_t)(at - start));
    *list = *at ? at + 1 : at;
    return item;
}

bool run_passes(Module *module, const PassContext *context, const char *list, AfterPass *after_each, void *user) {
    while (*list) {
        char *item = next_item(context->scratch, &list), *brace = strchr(item, '{');
        PassContext own = *context;
        own.options = NULL;
        if (brace) {
            *brace = 0;
            own.options = brace + 1;
            char *close = strrchr(brace + 1, '}');
            if (!close || close[1]) return diag_error(context->diag, loc_file(NULL), "'%s': options lack a closing brace", item);
            *close = 0;
        }
        const PassInfo *pass = pass_find(item);
        const char *pipeline = find_pipeline(item);
        if (pipeline) {
            if (!run_passes(module, context, pipeline, after_each, user)) return false;
            continue;
        }
        if (!pass) return unknown_pass(context, item);
        own.scratch = arena_new();
        bool done = pass->run(module, &own);
        arena_free(own.scratch);
        if (!done || (after_each && !after_each(user, item, module))) return false;
    }
    return true;
}

bool run_pipeline(Module *module, const PassContext *context, const char *pipeline) {
    BUG_UNLESS(find_pipeline(pipeline), "no pipeline '%s'", pipeline);
    return run_passes(module, context, pipeline, NULL, NULL);
}
