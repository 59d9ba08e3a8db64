// A fuzzer's function on files that were cut short at so many places, and with random bytes flipped so many times, each within
// ten seconds of processor time. usage: mutate_tflite CUTS FLIPS FILE...; ends with how many inputs there were and the most memory they took.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { SECONDS = 10 };
static uint64_t state = 1;

static uint64_t random_below(uint64_t limit) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 16) % limit;
}

// Of its own allocation, so that a read past the end is seen.
static void try_bytes(const uint8_t *data, size_t bytes) {
    uint8_t *copy = malloc(bytes ? bytes : 1);
    memcpy(copy, data, bytes);
    setitimer(ITIMER_VIRTUAL, &(struct itimerval){.it_value = {.tv_sec = SECONDS}}, NULL);
    LLVMFuzzerTestOneInput(copy, bytes);
    free(copy);
}

// Half of the flips are in what comes last or first, where the tables are; the rest is mostly weights.
static size_t some_place(size_t bytes) {
    size_t edge = bytes < 8192 ? bytes : 8192;
    switch (random_below(4)) {
    case 0: return random_below(edge);
    case 1: return bytes - 1 - random_below(edge);
    default: return random_below(bytes);
    }
}

static void try_flips(uint8_t *data, size_t bytes) {
    size_t places[8], count = 1 + random_below(8);
    uint8_t kept[8];
    for (size_t i = 0; i < count; i++) {
        places[i] = some_place(bytes);
        kept[i] = data[places[i]];
        data[places[i]] = (uint8_t)random_below(256);
    }
    try_bytes(data, bytes);
    while (count-- > 0) data[places[count]] = kept[count];
}

static int try_file(const char *path, int cuts, int flips) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) return 0;
    size_t bytes = (size_t)ftell(file);
    uint8_t *data = malloc(bytes + 1);
    rewind(file);
    state = 1;
    bool read = bytes > 0 && fread(data, 1, bytes, file) == bytes;
    fclose(file);
    for (int i = 0; read && i < cuts; i++) try_bytes(data, i % 2 ? random_below(bytes) : bytes - 1 - random_below(bytes < 8192 ? bytes : 8192));
    for (int i = 0; read && i < flips; i++) try_flips(data, bytes);
    free(data);
    return read;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    int cuts = atoi(argv[1]), flips = atoi(argv[2]), files = 0;
    for (int i = 3; i < argc; i++) {
        printf("%s\n", argv[i]);
        fflush(stdout);
        files += try_file(argv[i], cuts, flips);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%d files, %d inputs, at most %ld MB\n", files, files * (cuts + flips), usage.ru_maxrss / 1024);
    return files == argc - 3 ? 0 : 1;
}
