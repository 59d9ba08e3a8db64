// Classifies the test digits with the compiled network, as a product would: one header, one object,
// one arena, no allocation.
//
// In:   the path of test.npz: `image` f32 [N, 1, 8, 8], `labels` int64 [N].
// Out:  one line: images=N correct=N accuracy=PERCENT arena_bytes=N median_ns=N
// Exit: 0 done, 1 the file can't be read or the network can't run here.
#include "digits.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PIXELS = 8 * 8, CLASSES = 10, MAX_IMAGES = 1000, TIMED_PASSES = 4 };

struct test_set {
    int count;
    float images[MAX_IMAGES][PIXELS];
    int64_t labels[MAX_IMAGES];
};

static struct test_set test_set;
static _Alignas(DIGITS_ARENA_ALIGN) unsigned char arena[DIGITS_ARENA_BYTES];
static double elapsed_ns[TIMED_PASSES * MAX_IMAGES];

// ---- the network

static int classify(const float *image) {
    float logits[CLASSES];
    const struct digits_inputs inputs = {.image = image};
    const struct digits_outputs outputs = {.logits = logits};
    if (digits_run(arena, &inputs, &outputs, NULL) != 0)
        return -1;
    int best = 0;
    for (int i = 1; i < CLASSES; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

// ---- the test set: numpy's .npz, little-endian and not compressed: a zip of .npy files. Each is
// a zip header, its name, a .npy header (a Python dict, as text), the data.

static unsigned long little_endian(const unsigned char *bytes, int count) {
    unsigned long value = 0;
    while (count-- > 0)
        value = value << 8 | bytes[count];
    return value;
}

// Reads the next array of the file, which must have this name, this type, and rows of row_bytes.
// Returns the number of rows; 0 when the file is not as expected.
static int read_array(FILE *file, const char *name, const char *type, size_t row_bytes,
                      void *rows) {
    unsigned char zip[30], npy[10];
    char text[512], expected[64];
    if (fread(zip, 1, sizeof zip, file) != sizeof zip || memcmp(zip, "PK\3\4", 4) != 0)
        return 0;
    const unsigned long name_bytes = little_endian(zip + 26, 2);
    const int stored = little_endian(zip + 8, 2) == 0;
    if (!stored || name_bytes >= sizeof text || fread(text, 1, name_bytes, file) != name_bytes)
        return 0;
    text[name_bytes] = '\0';
    if (strcmp(text, name) != 0 || fseek(file, (long)little_endian(zip + 28, 2), SEEK_CUR) != 0)
        return 0;
    if (fread(npy, 1, sizeof npy, file) != sizeof npy || memcmp(npy, "\x93NUMPY\1", 7) != 0)
        return 0;
    const unsigned long text_bytes = little_endian(npy + 8, 2);
    if (text_bytes >= sizeof text || fread(text, 1, text_bytes, file) != text_bytes)
        return 0;
    text[text_bytes] = '\0';
    snprintf(expected, sizeof expected, "'descr': '%s', 'fortran_order': False", type);
    const char *shape = strstr(text, "'shape': (");
    if (!strstr(text, expected) || !shape)
        return 0;
    const int count = atoi(shape + strlen("'shape': ("));
    if (count < 1 || count > MAX_IMAGES)
        return 0;
    return fread(rows, row_bytes, (size_t)count, file) == (size_t)count ? count : 0;
}

static int read_test_set(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    struct test_set *set = &test_set;
    set->count = read_array(file, "image.npy", "<f4", sizeof set->images[0], set->images);
    const int labels = read_array(file, "labels.npy", "<i8", sizeof set->labels[0], set->labels);
    fclose(file);
    return set->count > 0 && labels == set->count;
}

// ---- measurement

static double now_ns(void) {
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_latency_ns(void) {
    int count = 0;
    for (int pass = 0; pass < TIMED_PASSES; pass++) {
        for (int i = 0; i < test_set.count; i++) {
            const double start = now_ns();
            classify(test_set.images[i]);
            elapsed_ns[count++] = now_ns() - start;
        }
    }
    qsort(elapsed_ns, (size_t)count, sizeof elapsed_ns[0], compare_doubles);
    return elapsed_ns[count / 2];
}

int main(int argc, char **argv) {
    if (argc != 2 || !read_test_set(argv[1])) {
        fprintf(stderr, "usage: %s test.npz (f32 image [N, 1, 8, 8], int64 labels [N], N <= %d)\n",
                argv[0], MAX_IMAGES);
        return 1;
    }
    const int status = digits_init(arena, NULL);
    if (status != 0) {
        fprintf(stderr, "digits_init: error %d%s\n", status,
                status == QN_ERR_CPU ? ": compiled for another processor" : "");
        return 1;
    }
    int correct = 0;
    for (int i = 0; i < test_set.count; i++) {
        const int digit = classify(test_set.images[i]);
        if (digit < 0) {
            fprintf(stderr, "digits_run failed on image %d\n", i);
            return 1;
        }
        correct += digit == test_set.labels[i];
    }
    printf("images=%d correct=%d accuracy=%.2f arena_bytes=%zu median_ns=%.0f\n", test_set.count,
           correct, 100.0 * correct / test_set.count, (size_t)DIGITS_ARENA_BYTES,
           median_latency_ns());
    return 0;
}
