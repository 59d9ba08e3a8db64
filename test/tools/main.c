// tool_test: the parts of the command line that tests drive on their own.
//   tool_test observers                          order and thread independence, exact range, thresholds
//   tool_test weights                            the cache of quantized weights
//   tool_test files DIR                          several output files, one of which can't take its place
//   tool_test image FILE CHANNELS OPERATION...   pixels of an image to standard output: resize WxH | crop WxH
//   tool_test input FILE SPEC SHAPE              the f32 input that --preprocess makes of an image, as .npy
//   tool_test copy FILE.npz OUT.npz              reads and writes all arrays
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "passes/weights.h"
#include "quant/threshold.h"
#include "tools/data/npy.h"
#include "tools/data/preprocess.h"
#include "tools/files.h"

static int fail(const char *what) {
    fprintf(stderr, "tool_test: %s\n", what);
    return 1;
}

// ---- observers

enum { SAMPLES = 40, VALUES = 3001 };

static uint64_t state = 1;
static double uniform(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) * 0x1p-53;
}

// Samples of growing and shrinking magnitude, with zeros, exact powers of two and subnormal numbers.
static void make_samples(float *values) {
    for (int s = 0; s < SAMPLES; s++)
        for (int i = 0; i < VALUES; i++) {
            double x = (uniform() - 0.4) * ldexp(1, (s * 7) % 40 - 20);
            if (i % 5 == 0)
                x = 0;
            else if (i % 11 == 0)
                x = ldexp(i % 2 ? 1 : -1, (s % 30) - 10);
            else if (i % 13 == 0)
                x = -1e-42;
            values[s * VALUES + i] = s == 7 ? 0 : (float)x;
        }
}

static bool same(const Observer *a, const Observer *b) {
    return a->min == b->min && a->max == b->max && a->count == b->count && a->zeros == b->zeros &&
           a->exponent == b->exponent && !a->bins == !b->bins &&
           (!a->bins || memcmp(a->bins, b->bins, BIN_COUNT * sizeof *a->bins) == 0);
}

static void observe(Observer *observer, const float *values, int begin, int end, int step) {
    observer_open(observer, true);
    for (int s = begin; s != end; s += step)
        observer_add(observer, 0, values + s * VALUES, VALUES);
    observer_settle(observer);
}

// Samples dealt to `shards` observers, joined from the last to the first.
static void observe_shards(Observer *all, const float *values, int shards) {
    observer_open(all, true);
    for (int shard = shards - 1; shard >= 0; shard--) {
        Observer part;
        observer_open(&part, true);
        for (int s = shard; s < SAMPLES; s += shards)
            observer_add(&part, 0, values + s * VALUES, VALUES);
        observer_merge(all, &part);
        observer_close(&part);
    }
    observer_settle(all);
}

static bool total_is_right(const Observer *observer) {
    uint64_t total = 0;
    for (int i = 0; i < BIN_COUNT; i++)
        total += observer->bins[i];
    return total == observer->count && observer->count == (uint64_t)SAMPLES * VALUES;
}

static int test_order(void) {
    float *values = malloc(sizeof *values * SAMPLES * VALUES);
    Observer forward, backward, sharded;
    make_samples(values);
    observe(&forward, values, 0, SAMPLES, 1);
    observe(&backward, values, SAMPLES - 1, -1, -1);
    if (!total_is_right(&forward))
        return fail("bins do not add up to the count");
    if (!same(&forward, &backward))
        return fail("the order of samples matters");
    for (int shards = 1; shards <= 9; shards += 2) {
        observe_shards(&sharded, values, shards);
        if (!same(&forward, &sharded))
            return fail("the number of shards matters");
        observer_close(&sharded);
    }
    observer_close(&forward);
    observer_close(&backward);
    free(values);
    return 0;
}

// Nothing is lost where values outgrow the bins in the middle of what is added; and in one call as in many.
static int test_growing_bins(void) {
    enum { COUNT = 50000, PIECE = 77 };
    float *values = malloc(sizeof *values * COUNT);
    Observer whole, pieces;
    uint64_t zeros = 0, total = 0;
    observer_open(&whole, true);
    observer_open(&pieces, true);
    for (int i = 0; i < COUNT; i++) {
        values[i] = i < 3000 || i % 3 == 0 ? 0 : (float)(i % 5 == 0 ? -i : i);
        zeros += values[i] == 0;
    }
    observer_add(&whole, 0, values, COUNT);
    for (int i = 0; i < COUNT; i += PIECE)
        observer_add(&pieces, i, values + i, COUNT - i < PIECE ? COUNT - i : PIECE);
    observer_settle(&whole);
    observer_settle(&pieces);
    for (int i = 0; i < BIN_COUNT; i++)
        total += whole.bins[i];
    bool good = whole.zeros == zeros && total == COUNT && whole.count == COUNT && same(&whole, &pieces);
    observer_close(&whole);
    observer_close(&pieces);
    free(values);
    return good ? 0 : fail("values are lost where bins grow");
}

// Of many values a part is counted: the same one whatever pieces they come in, of every column of any width as many as of others,
// another one for another seed; extremes are those of all. Nothing of what is counted is lost where a bin's low part overflows.
static int test_counted_part(void) {
    enum { COUNT = 10 * COUNTED_VALUES + 77, PIECE = 1777, WIDEST = 96 };
    float *values = malloc(sizeof *values * COUNT);
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)(i % WIDEST + 1);
    values[COUNT - 1] = 500;
    Observer whole, pieces, other;
    observer_open(&whole, true);
    observer_open(&pieces, true);
    observer_open(&other, true);
    for (int sample = 0; sample < 200; sample++) {
        observer_begin_sample(&whole, COUNT, (uint64_t)sample);
        observer_add(&whole, 0, values, COUNT);
    }
    for (int sample = 199; sample >= 0; sample--) {
        observer_begin_sample(&pieces, COUNT, (uint64_t)sample);
        for (int i = 0; i < COUNT; i += PIECE)
            observer_add(&pieces, i, values + i, COUNT - i < PIECE ? COUNT - i : PIECE);
    }
    observer_begin_sample(&other, COUNT, 1000);
    observer_add(&other, 0, values, COUNT);
    Observer *all[] = {&whole, &pieces, &other};
    for (int i = 0; i < 3; i++)
        observer_settle(all[i]);
    const double each = (double)whole.count / WIDEST;
    bool even = true;
    for (int c = 1; c <= WIDEST; c++) { // a bin a column: their width is a power of two
        const double counted = (double)whole.bins[BINS_PER_SIGN + (int)ldexp(c, -whole.exponent)];
        even = even && fabs(counted / each - 1) < 0.02;
    }
    bool good = same(&whole, &pieces) && whole.max == 500 && whole.count >= 200 * COUNTED_VALUES && whole.count < 202 * COUNTED_VALUES;
    bool varies = memcmp(whole.bins, other.bins, BIN_COUNT * sizeof *whole.bins) != 0 && other.count < 2 * COUNTED_VALUES;
    for (int i = 0; i < 3; i++)
        observer_close(all[i]);
    free(values);
    return !good ? fail("the counted part depends on how values come") : !even ? fail("columns are not counted evenly")
           : !varies ? fail("each sample counts the same part") : 0;
}

static int test_thresholds(void) {
    enum { COUNT = 100000 };
    float *values = malloc(sizeof *values * COUNT);
    Observer observer;
    observer_open(&observer, true);
    for (int i = 0; i < COUNT; i++) { // nearly normal
        double sum = -6;
        for (int k = 0; k < 12; k++)
            sum += uniform();
        values[i] = (float)sum;
    }
    values[17] = 40; // an outlier, which minmax keeps and kl does not
    observer_add(&observer, 0, values, COUNT);
    observer_settle(&observer);
    double kl = threshold_kl(&observer);
    if (threshold_minmax(&observer) != 40)
        return fail("minmax is not the largest magnitude");
    if (!(kl >= 2.5 && kl <= 7.5))
        return fprintf(stderr, "kl: %g\n", kl), fail("kl does not clip the outlier");
    if (fabs(kl / (40.0 / 16) - rint(kl / (40.0 / 16))) > 1e-9)
        return fail("kl is not one of its 16 candidates");
    values[3] = NAN;
    observer_add(&observer, 0, values, COUNT);
    if (!observer.not_finite)
        return fail("a NaN went unseen");
    observer_close(&observer);
    free(values);
    return 0;
}

// ---- images

static bool parse_size(const char *text, int *width, int *height) {
    return text && sscanf(text, "%dx%d", width, height) == 2;
}

static int print_image(int argc, char **argv) {
    Image image, made;
    Fault fault = {""};
    if (argc < 2 || !image_load(argv[0], atoi(argv[1]), &image, &fault))
        return fail(fault.text);
    for (int i = 2; i + 1 < argc; i += 2) {
        int width, height;
        if (!parse_size(argv[i + 1], &width, &height))
            return fail("expected WxH");
        bool done = strcmp(argv[i], "crop") == 0 ? image_crop(&image, crop_start(image.width, width), crop_start(image.height, height), width, height, &made, &fault)
                    : image_resize(&image, strcmp(argv[i], "nearest") == 0 ? RESIZE_NEAREST : RESIZE_ANTIALIAS, width, height, &made, &fault);
        image_free(&image);
        if (!done)
            return fail(fault.text);
        image = made;
    }
    fwrite(image.pixels, (size_t)image.channels, (size_t)image.width * (size_t)image.height, stdout);
    image_free(&image);
    return 0;
}

static int print_input(int argc, char **argv) {
    Fault fault = {""};
    Preprocess preprocess;
    ImageInput input;
    int64_t shape[4];
    long long d[4];
    if (argc != 3 || sscanf(argv[2], "%lld,%lld,%lld,%lld", &d[0], &d[1], &d[2], &d[3]) != 4)
        return fail("expected FILE SPEC N,C,H,W");
    for (int i = 0; i < 4; i++)
        shape[i] = d[i];
    Type type = {.kind = TYPE_TENSOR, .elem = ELEM_F32, .rank = 4, .shape = shape};
    float *data = malloc((size_t)(d[0] * d[1] * d[2] * d[3]) * sizeof *data);
    if (!preprocess_parse(argv[1], &preprocess, &fault) || !image_input(&type, &preprocess, &input, &fault) ||
        !preprocess_load(argv[0], &preprocess, &input, &type, data, &fault))
        return fail(fault.text);
    npy_write(stdout, ELEM_F32, 4, shape, data);
    free(data);
    return 0;
}

static int copy_arrays(int argc, char **argv) {
    ArrayFile file;
    Fault fault;
    if (argc != 2)
        return fail("expected FILE.npz OUT.npz");
    if (!array_file_open(&file, argv[0], &fault))
        return fail(fault.text);
    FILE *out = fopen(argv[1], "wb");
    NpzWriter *writer = npz_new(out);
    for (int i = 0; i < file.count; i++)
        npz_add(writer, file.arrays[i].name, file.arrays[i].elem, file.arrays[i].rank, file.arrays[i].shape,
                file.arrays[i].data);
    bool done = npz_end(writer);
    fclose(out);
    array_file_close(&file);
    return done ? 0 : fail("can't write");
}

// A constant and a view of its first elements lie at one address, and with one scale each they are still two.
static int test_weights(void) {
    static const float weights[4] = {1, 2, 3, 4}, scale[1] = {0.5f}, other[1] = {0.25f};
    static const int8_t whole[4] = {2, 4, 6, 8}, part[2] = {3, 4};
    WeightCache *cache = weight_cache_new();
    weight_cache_add(cache, weights, 4, 1, scale, whole);
    bool apart = !weight_cache_find(cache, weights, 2, 1, scale) && !weight_cache_find(cache, weights, 4, 1, other);
    weight_cache_add(cache, weights, 2, 1, scale, part);
    const int8_t *found = weight_cache_find(cache, weights, 4, 1, scale), *first = weight_cache_find(cache, weights, 2, 1, scale);
    bool kept = found && first && !memcmp(found, whole, sizeof whole) && !memcmp(first, part, sizeof part);
    weight_cache_free(cache);
    return apart && kept ? 0 : fail("quantized weights of another constant were found");
}

static bool holds(const char *path, const char *text) {
    char read[64] = "";
    FILE *file = fopen(path, "r");
    if (!file)
        return !text;
    read[fread(read, 1, sizeof read - 1, file)] = 0;
    fclose(file);
    return text && strcmp(read, text) == 0;
}

static bool write_three(Diag *diag, const char *const *paths, const char *in_the_way) {
    OutputFile outputs[3];
    for (int i = 0; i < 3; i++) {
        if (!output_open(&outputs[i], paths[i], diag))
            return false;
        fputs("new", outputs[i].file);
    }
    if (in_the_way)
        mkdir(in_the_way, 0777);
    return outputs_close(outputs, 3, true, diag);
}

// Where the last can't be renamed, the file that was there is there again, what was not there is not, and nothing lies beside.
static int test_files(const char *folder) {
    static const char *const paths[] = {"old", "fresh", "last"};
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena, NULL);
    FILE *old = chdir(folder) == 0 ? fopen(paths[0], "w") : NULL;
    if (!old)
        return fail("no folder to write to");
    fputs("old", old);
    fclose(old);
    if (write_three(diag, paths, paths[2]) || !holds("old", "old") || !holds("fresh", NULL))
        return fail("files were not put back");
    if (rmdir(paths[2]) || !write_three(diag, paths, NULL) || !holds("old", "new") || !holds("fresh", "new") || !holds("last", "new"))
        return fail("files were not written");
    arena_free(arena);
    return 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "observers") == 0)
        return test_order() || test_growing_bins() || test_counted_part() || test_thresholds();
    if (strcmp(what, "weights") == 0)
        return test_weights();
    if (strcmp(what, "files") == 0 && argc == 3)
        return test_files(argv[2]);
    if (strcmp(what, "image") == 0)
        return print_image(argc - 2, argv + 2);
    if (strcmp(what, "input") == 0)
        return print_input(argc - 2, argv + 2);
    if (strcmp(what, "copy") == 0)
        return copy_arrays(argc - 2, argv + 2);
    return fail("expected observers, weights, files, image, input or copy");
}
