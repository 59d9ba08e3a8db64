// Data sources: lists what a folder, a list or an archive holds, and loads samples of it. Names are sorted by bytes, so
// that the order is the same on every machine.
#include "tools/data/dataset.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "tools/data/npy.h"

typedef struct {
    const char *path, *name;
    int64_t label;
} Sample;

struct Dataset {
    Arena *arena;
    Diag *diag;
    DatasetShape shape;
    const char *path, *description;
    int count, room;
    Sample *samples;
    bool random;
    uint64_t seed;
    ArrayFile archive; // of one .npz or .npy: samples are its first dimension
    const Array **arrays; // one an input, in the archive
    bool has_preprocess;
    Preprocess preprocess;
    ImageInput image; // of input 0
};

static bool fail(Dataset *dataset, const char *path, const Fault *fault) {
    return diag_error(dataset->diag, loc_file(path), "%s", fault->text);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool has_ending(const char *path, const char *const *endings) {
    const char *dot = strrchr(base_name(path), '.');
    for (; dot && *endings; endings++)
        if (strcasecmp(dot, *endings) == 0)
            return true;
    return false;
}

static bool is_image_name(const char *path) {
    return has_ending(path, (const char *const[]){".jpg", ".jpeg", ".png", ".bmp", NULL});
}

static bool is_array_name(const char *path) {
    return has_ending(path, (const char *const[]){".npy", ".npz", NULL});
}

// ---- listing

static void add_sample(Dataset *dataset, const char *path, const char *name, int64_t label) {
    if (dataset->count == dataset->room) {
        dataset->room = 2 * dataset->room + 64;
        Sample *grown = ARENA_ARRAY(dataset->arena, Sample, dataset->room);
        if (dataset->count)
            memcpy(grown, dataset->samples, (size_t)dataset->count * sizeof *grown);
        dataset->samples = grown;
    }
    dataset->samples[dataset->count++] = (Sample){path, name, label};
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const Sample *)a)->name, ((const Sample *)b)->name);
}

static bool list_folder(Dataset *dataset, const char *path) {
    DIR *dir = opendir(path);
    if (!dir)
        return diag_error(dataset->diag, loc_file(path), "can't be read: %s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && (is_image_name(entry->d_name) || is_array_name(entry->d_name))) {
            const char *file = arena_printf(dataset->arena, "%s/%s", path, entry->d_name);
            add_sample(dataset, file, base_name(file), -1);
        }
    closedir(dir);
    if (dataset->count == 0)
        return diag_error(dataset->diag, loc_file(path), "the folder holds no .jpg, .jpeg, .png, .bmp, .npy or .npz file");
    qsort(dataset->samples, (size_t)dataset->count, sizeof *dataset->samples, by_name);
    return true;
}

// Splits "some name.png 12" at the last blank when a whole number follows it.
static int64_t split_label(char *line) {
    char *blank = strrchr(line, ' ');
    char *tab = strrchr(line, '\t');
    if (tab > blank)
        blank = tab;
    if (!blank || !blank[1])
        return -1;
    char *end;
    long long label = strtoll(blank + 1, &end, 10);
    if (*end || label < 0)
        return -1;
    while (blank > line && (blank[-1] == ' ' || blank[-1] == '\t'))
        blank--;
    *blank = 0;
    return label;
}

// Calls `each` for every line that holds something, without blanks around it. The line may be changed.
typedef bool EachLine(Dataset *dataset, const char *path, int number, char *line);
static bool read_lines(Dataset *dataset, const char *path, EachLine *each) {
    Fault fault;
    uint8_t *data;
    size_t bytes;
    if (!file_load(path, &data, &bytes, &fault))
        return fail(dataset, path, &fault);
    data[bytes] = 0;
    bool done = strlen((char *)data) == bytes ||
                diag_error(dataset->diag, loc_file(path), "expected text with one file a line; this is binary");
    char *rest = (char *)data;
    int number = 0;
    for (char *line; done && (line = strsep(&rest, "\n"));) {
        number++;
        line += strspn(line, " \t\r");
        for (char *end = line + strlen(line); end > line && strchr(" \t\r", end[-1]); end--)
            end[-1] = 0;
        if (*line && *line != '#')
            done = each(dataset, path, number, line);
    }
    free(data);
    return done;
}

static bool add_listed(Dataset *dataset, const char *list, int number, char *line) {
    int64_t label = split_label(line);
    const char *name = arena_strdup(dataset->arena, line), *path = name;
    const char *slash = strrchr(list, '/');
    if (*name != '/' && slash)
        path = arena_printf(dataset->arena, "%.*s/%s", (int)(slash - list), list, name);
    if (!is_image_name(name) && !is_array_name(name))
        return diag_error(dataset->diag, (Loc){.file = list, .line = number},
                          "expected the name of a .jpg, .jpeg, .png, .bmp, .npy or .npz file, found '%s'", name);
    add_sample(dataset, path, base_name(path), label);
    return true;
}

// ---- archives

// Whether an array holds whole samples of an input: its first dimension counts them, the rest is the input's without
// its batch.
static bool array_fits(const Array *array, const Type *type) {
    if (type->rank < 1 || array->rank != type->rank || type->shape[0] < 1 || array->shape[0] % type->shape[0] != 0)
        return false;
    return memcmp(array->shape + 1, type->shape + 1, (size_t)(type->rank - 1) * sizeof *type->shape) == 0;
}

// An array of the input's dimensions, the batch of 1 may be missing.
static bool is_one_sample(const Array *array, const Type *type) {
    if (type->rank == 0)
        return array->rank == 0;
    if (array->rank == type->rank)
        return memcmp(array->shape, type->shape, (size_t)type->rank * sizeof *type->shape) == 0;
    return type->shape[0] == 1 && array->rank == type->rank - 1 &&
           memcmp(array->shape, type->shape + 1, (size_t)array->rank * sizeof *type->shape) == 0;
}

// Without an input, with one of no dimensions or of none along the first, nothing could count samples: there is one.
static bool has_one_sample(const DatasetShape *shape) {
    for (int i = 0; i < shape->input_count; i++)
        if (shape->inputs[i].type->rank == 0 || shape->inputs[i].type->shape[0] == 0)
            return true;
    return shape->input_count == 0;
}

static const Array *find_array(const ArrayFile *file, const DatasetShape *shape, int input) {
    const Array *named = array_file_find(file, shape->inputs[input].name ? shape->inputs[input].name : "");
    if (named || shape->input_count > 1)
        return named;
    for (int i = 0; i < file->count; i++)
        if (array_fits(&file->arrays[i], shape->inputs[0].type) ||
            is_one_sample(&file->arrays[i], shape->inputs[0].type))
            return &file->arrays[i];
    return file->count == 1 ? &file->arrays[0] : NULL;
}

static bool shape_fault(Fault *fault, const Array *array, const Value *input) {
    char found[128], expected[128];
    shape_text(found, sizeof found, array->elem, array->rank, array->shape);
    shape_text(expected, sizeof expected, input->type->elem, input->type->rank, input->type->shape);
    return fault_set(fault, "the array %s does not fit input '%s', which is %s", found, input->name ? input->name : "",
                     expected);
}

static bool find_arrays(const ArrayFile *file, const DatasetShape *shape, const Array **arrays, Fault *fault) {
    for (int i = 0; i < shape->input_count; i++) {
        arrays[i] = find_array(file, shape, i);
        if (!arrays[i])
            return fault_set(fault, "holds no array for input '%s'",
                             shape->inputs[i].name ? shape->inputs[i].name : "");
        const Type *type = shape->inputs[i].type;
        bool as_first = array_fits(arrays[0], shape->inputs[0].type) == array_fits(arrays[i], type);
        as_first |= has_one_sample(shape);
        if (!as_first || (!array_fits(arrays[i], type) && !is_one_sample(arrays[i], type)))
            return shape_fault(fault, arrays[i], &shape->inputs[i]);
    }
    return true;
}

static bool open_archive(Dataset *dataset, const char *path) {
    Fault fault;
    const DatasetShape *shape = &dataset->shape;
    if (!array_file_open(&dataset->archive, path, &fault))
        return fail(dataset, path, &fault);
    dataset->arrays = ARENA_ARRAY(dataset->arena, const Array *, shape->input_count);
    if (!find_arrays(&dataset->archive, shape, dataset->arrays, &fault))
        return fail(dataset, path, &fault);
    if (has_one_sample(shape) || !array_fits(dataset->arrays[0], shape->inputs[0].type)) { // one sample without the batch
        dataset->arrays = NULL;
        add_sample(dataset, path, base_name(path), -1);
        return true;
    }
    int64_t count = dataset->arrays[0]->shape[0] / shape->inputs[0].type->shape[0];
    for (int i = 1; i < shape->input_count; i++)
        if (dataset->arrays[i]->shape[0] / shape->inputs[i].type->shape[0] != count)
            return diag_error(dataset->diag, loc_file(path), "arrays '%s' and '%s' hold different numbers of samples",
                              dataset->arrays[0]->name, dataset->arrays[i]->name);
    const Array *labels = array_file_find(&dataset->archive, "labels");
    for (int64_t i = 0; i < count && i < INT32_MAX; i++) {
        int64_t label = -1;
        if (labels && i < labels->count)
            array_convert(labels, i, 1, ELEM_I64, &label);
        add_sample(dataset, path, base_name(path), label);
    }
    return true;
}

// ---- opening

static bool list_samples(Dataset *dataset, const char *path, int limit) {
    struct stat info;
    if (strcmp(path, "random") == 0) {
        dataset->random = true;
        for (int i = 0; i < (limit < 0 ? 16 : limit); i++)
            add_sample(dataset, "random", "random", -1);
        return true;
    }
    if (stat(path, &info) != 0)
        return diag_error(dataset->diag, loc_file(path), "can't be read: %s", strerror(errno));
    if (S_ISDIR(info.st_mode))
        return list_folder(dataset, path);
    if (is_array_name(path))
        return open_archive(dataset, path);
    if (is_image_name(path)) {
        add_sample(dataset, arena_strdup(dataset->arena, path), base_name(path), -1);
        return true;
    }
    return read_lines(dataset, path, add_listed);
}

// Images among the samples need a specification that fits the network's one input.
static bool prepare_images(Dataset *dataset, const char *spec) {
    Fault fault;
    int first = 0;
    dataset->has_preprocess = spec != NULL;
    if (spec && !preprocess_parse(spec, &dataset->preprocess, &fault))
        return diag_error(dataset->diag, loc_file("--preprocess"), "%s", fault.text);
    while (first < dataset->count && !is_image_name(dataset->samples[first].path))
        first++;
    if (first == dataset->count)
        return true;
    Loc loc = loc_file(dataset->path);
    if (dataset->shape.input_count != 1)
        return diag_error(dataset->diag, loc, "images can't feed a network of %d inputs; give .npz files with an array "
                          "for each", dataset->shape.input_count);
    const Type *type = dataset->shape.inputs[0].type;
    const bool is_bytes = type->elem == ELEM_U8 || type->elem == ELEM_I8; // pixels may go there as they are
    if (!spec && !(is_bytes && preprocess_parse("", &dataset->preprocess, &fault)))
        return diag_error(dataset->diag, loc, "images need --preprocess, which says how they become the network's "
                          "input, e.g. \"resize=256,crop=224,mean=123.675:116.28:103.53,std=58.395:57.12:57.375\"");
    return image_input(type, &dataset->preprocess, &dataset->image, &fault) ||
           fail(dataset, dataset->path, &fault);
}

static const char *without_slashes(Arena *arena, const char *path) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    char *copy = arena_strdup(arena, path);
    copy[length] = 0;
    return copy;
}

Dataset *dataset_open(Arena *arena, Diag *diag, const char *path, const char *spec, DatasetShape shape, int limit,
                      int seed) {
    Dataset *dataset = ARENA_NEW(arena, Dataset);
    dataset->arena = arena;
    dataset->diag = diag;
    dataset->path = path = without_slashes(arena, path);
    dataset->shape = shape;
    dataset->seed = seed < 0 ? 0 : (uint64_t)seed;
    bool done = list_samples(dataset, path, limit);
    if (done && limit >= 0 && limit < dataset->count)
        dataset->count = limit;
    if (done && dataset->count == 0)
        done = diag_error(diag, loc_file(path), "holds no samples");
    if (!done || !prepare_images(dataset, spec)) {
        dataset_close(dataset);
        return NULL;
    }
    dataset->description = arena_printf(arena, "%d sample%s of %s", dataset->count, dataset->count == 1 ? "" : "s",
                                        base_name(path));
    return dataset;
}

void dataset_close(Dataset *dataset) {
    if (dataset)
        array_file_close(&dataset->archive);
}

int dataset_count(const Dataset *dataset) {
    return dataset->count;
}

const char *dataset_name(const Dataset *dataset, int sample) {
    return dataset->samples[sample].name;
}

const char *dataset_path(const Dataset *dataset, int sample) {
    return dataset->samples[sample].path;
}

const char *dataset_describe(const Dataset *dataset) {
    return dataset->description;
}

int64_t dataset_label(const Dataset *dataset, int sample) {
    return dataset->samples[sample].label;
}

// ---- labels

static int by_name_key(const void *key, const void *sample) {
    return strcmp(key, ((const Sample *)sample)->name);
}

static bool read_label(Dataset *dataset, const char *path, int number, char *line) {
    int64_t label = split_label(line);
    if (label < 0)
        return diag_error(dataset->diag, (Loc){.file = path, .line = number},
                          "expected `filename index`, found '%s'", line);
    Sample *sample = bsearch(base_name(line), dataset->samples, (size_t)dataset->count, sizeof *sample, by_name_key);
    if (sample)
        sample->label = label;
    return true;
}

bool dataset_read_labels(Dataset *dataset, Diag *diag, const char *path) {
    // Lists come in their own order; labels are found by name.
    qsort(dataset->samples, (size_t)dataset->count, sizeof *dataset->samples, by_name);
    if (!read_lines(dataset, path, read_label))
        return false;
    for (int i = 0; i < dataset->count; i++)
        if (dataset->samples[i].label < 0)
            return diag_error(diag, loc_file(path), "has no label for '%s'", dataset->samples[i].name);
    return true;
}

// ---- loading

static bool load_array(const Array *array, int64_t first, const Value *input, void *target, Fault *fault) {
    int64_t count = type_elem_count(input->type);
    if (array_convert(array, first * count, count, input->type->elem, target))
        return true;
    return fault_set(fault, "elements of type %s can't feed input '%s' of type %s", elem_name(array->elem),
                     input->name ? input->name : "", elem_name(input->type->elem));
}

static bool load_array_file(const Dataset *dataset, const char *path, void *const *inputs, Fault *fault) {
    ArrayFile file;
    const DatasetShape *shape = &dataset->shape;
    if (!array_file_open(&file, path, fault))
        return false;
    bool done = true;
    for (int i = 0; done && i < shape->input_count; i++) {
        const Array *array = find_array(&file, shape, i);
        if (!array)
            done = fault_set(fault, "holds no array for input '%s'", shape->inputs[i].name ? shape->inputs[i].name : "");
        else if (!is_one_sample(array, shape->inputs[i].type))
            done = shape_fault(fault, array, &shape->inputs[i]);
        else
            done = load_array(array, 0, &shape->inputs[i], inputs[i], fault);
    }
    array_file_close(&file);
    return done;
}

// A stream of numbers that depends on the seed and the sample only (splitmix64).
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

// Nearly normal: the sum of 12 uniform numbers has variance 1.
static double next_normal(uint64_t *state) {
    double sum = -6;
    for (int i = 0; i < 6; i++) {
        uint64_t bits = next_random(state);
        sum += (double)(bits >> 32) * 0x1p-32 + (double)(bits & 0xFFFFFFFF) * 0x1p-32;
    }
    return sum;
}

static void load_random(const Dataset *dataset, int sample, void *const *inputs) {
    uint64_t state = dataset->seed * 1000003u + (uint64_t)sample;
    for (int i = 0; i < dataset->shape.input_count; i++) {
        const Type *type = dataset->shape.inputs[i].type;
        int64_t count = type_elem_count(type);
        for (int64_t j = 0; j < count; j++) {
            double value = next_normal(&state);
            if (elem_is_float(type->elem))
                array_convert(&(Array){.elem = ELEM_F64, .data = &value}, 0, 1, type->elem,
                              (char *)inputs[i] + j * elem_bits(type->elem) / 8);
            else if (type->elem == ELEM_U8 || type->elem == ELEM_I8)
                ((uint8_t *)inputs[i])[j] = (uint8_t)(int)(value * 32);
        }
        if (!elem_is_float(type->elem) && type->elem != ELEM_U8 && type->elem != ELEM_I8)
            memset(inputs[i], 0, type_bytes(type)); // indices and the like: 0 is always one
    }
}

bool dataset_load(const Dataset *dataset, int sample, void *const *inputs, Fault *fault) {
    if (dataset->random)
        return load_random(dataset, sample, inputs), true;
    const char *path = dataset->samples[sample].path;
    if (dataset->arrays) {
        bool done = true;
        for (int i = 0; done && i < dataset->shape.input_count; i++)
            done = load_array(dataset->arrays[i], sample, &dataset->shape.inputs[i], inputs[i], fault);
        return done;
    }
    if (is_image_name(path))
        return preprocess_load(path, &dataset->preprocess, &dataset->image, dataset->shape.inputs[0].type, inputs[0], fault);
    return load_array_file(dataset, path, inputs, fault);
}
