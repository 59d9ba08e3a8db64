// qanat targets: the table of targets, the default of this machine marked.
#include <string.h>

#include "ir/targets.h"
#include "tools/cli.h"

static const OptionId ids[] = {OPT_COUNT};

int cmd_targets(int argc, char **argv) {
    Options options;
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status))
        return status;
    const Target *host = target_host();
    for (int i = 0; i < target_count(); i++) {
        const Target *target = target_at(i);
        const char *mark = target == host ? "  (this machine)" : target_host_supports(target) ? "" : "  (not here)";
        printf("%-16s %-26s kernels: %s%s\n", target->name, target->triple, target->isas, mark);
    }
    return STATUS_DONE;
}
