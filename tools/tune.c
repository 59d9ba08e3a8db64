// --tune FILE: the table is read, completed by what this machine measures, and written; --tuned FILE: only read.
#include "tools/tune.h"

#include <string.h>
#include <unistd.h>

// What another target's kernels were written for is not measured again: one line a layer.
static void check_foreign(Model *model) {
    const Target *target = model->context.target;
    const TuningEntry *first = NULL;
    int count = 0;
    for (int i = 0; i < model->tuning.count; i++) {
        const TuningEntry *entry = &model->tuning.entries[i];
        if (target_has_isa(target, entry->kernel->isa))
            continue;
        first = count++ ? first : entry;
    }
    if (first)
        diag_warning(model->diag, first->loc, "%d line%s kernels that target '%s' does not run, and their layers are not "
                     "measured again; keep a file for each target", count, count == 1 ? " names" : "s name", target->name);
}

int tune_open(Model *model) {
    const Options *options = model->options;
    const char *path = options->tune ? options->tune : options->tuned;
    if (!path)
        return STATUS_DONE;
    if (options->shape.count)
        for (int i = 0; i < options->shape.count; i++)
            if (strstr(options->shape.items[i], ".."))
                return usage_error("--tune and --tuned take networks of one size; --shape leaves one to each run");
    if (options->tune && !target_host_supports(model->context.target))
        return usage_error("--tune measures on this machine, which can't run target '%s'; --tuned FILE reads what another "
                           "has measured", model->context.target->name);
    bool exists = options->tuned || access(path, F_OK) == 0;
    if (exists && !parse_tuning_table(model->arena, model->diag, path, &model->tuning))
        return STATUS_INPUT;
    model->context.tuning = &model->tuning;
    if (options->tune)
        check_foreign(model);
    return STATUS_DONE;
}

static void write_line(FILE *file, Arena *arena, const TuningEntry *entry) {
    fprintf(file, "%s %s %.0f", tuning_layer_text(arena, &entry->args), entry->kernel->symbol, entry->ns);
    if (entry->loc.name)
        fprintf(file, " # %s", printable(arena, entry->loc.name));
    fprintf(file, "\n");
}

// What stands in the file stays as it is; lines from `first` on are added.
static bool write_table(Model *model, int first) {
    const char *path = model->options->tune, *text = NULL;
    size_t bytes = 0;
    OutputFile out;
    if (access(path, F_OK) == 0 && !(text = read_file(model->arena, model->diag, path, &bytes)))
        return false;
    if (!output_open(&out, path, model->diag))
        return false;
    if (text)
        fwrite(text, 1, bytes, out.file);
    else
        fprintf(out.file, "# qanat tuning table\n# family field=value ... kernel nanoseconds # the first layer of this shape\n");
    if (bytes && text[bytes - 1] != '\n')
        fprintf(out.file, "\n");
    for (int i = first; i < model->tuning.count; i++)
        write_line(out.file, model->arena, &model->tuning.entries[i]);
    return output_close(&out, true, model->diag);
}

bool tune_network(Model *model, const PassContext *context, const Module *quantized) {
    const int first = model->tuning.count;
    if (!tune_search(model, context, quantized))
        return false;
    return (model->tuning.count == first && access(model->options->tune, F_OK) == 0) || write_table(model, first);
}
