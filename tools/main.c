// qanat: dispatches to the subcommands.
#include <stdio.h>
#include <string.h>

int cmd_opt(int argc, char **argv);

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "opt")) return cmd_opt(argc - 1, argv + 1);
    fputs("usage: qanat opt [FILE] [options]\n", stderr);
    return 2;
}
