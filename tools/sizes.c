// Sizes that vary, as the command line and the data have them: names and bounds from --shape, the sizes of one run from the
// arrays that are given.
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "codegen/steps.h"
#include "ir/state.h"
#include "tools/data/npy.h"
#include "tools/prepare.h"

// ---- names and bounds

static int input_index(const Model *model, const char *name) {
    const Func *main = module_main(model->imported);
    for (int i = 0; i < main->arg_count; i++)
        if (!name || (main->args[i].name && strcmp(main->args[i].name, name) == 0))
            return i;
    return -1;
}

// What a dimension's size is called: as the user says, as the model says, or by its place.
static const char *size_key(const Model *model, const ShapeOption *shape, int input, int dim) {
    const InputSymbols *symbols = &model->import.symbols[input];
    if (shape->sizes[dim])
        return shape->sizes[dim];
    if (symbols->symbols[dim])
        return symbols->symbols[dim];
    return arena_printf(model->arena, "%s_dim%d", symbols->input, dim);
}

// A name for C, and one of its own.
static const char *size_name(const Model *model, const char *key) {
    const char *base = identifier(model->arena, key), *name = base;
    for (int i = 0, n = 2; i < model->sizes.count; i++)
        if (strcmp(model->sizes.items[i].name, name) == 0)
            name = arena_printf(model->arena, "%s_%d", base, n++), i = -1;
    return name;
}

// The number of the size with that key, a new one if need be; -1 after a message.
static int size_number(Model *model, const char **keys, const char *key, int64_t least, int64_t most) {
    Sizes *sizes = &model->sizes;
    Loc loc = loc_file(model->path);
    int i = 0;
    while (i < sizes->count && strcmp(keys[i], key) != 0)
        i++;
    if (i == MAX_SIZES) {
        diag_error(model->diag, loc, "--shape: more than %d sizes vary; give '%s' one size", MAX_SIZES, key);
        return -1;
    }
    if (i == sizes->count) {
        sizes->items[i] = (Size){size_name(model, key), (int32_t)least, (int32_t)most};
        keys[sizes->count++] = key;
    }
    if (sizes->items[i].least != least || sizes->items[i].most != most) {
        diag_error(model->diag, loc, "--shape: dimension '%s' is given two bounds, %d..%d and %lld..%lld", key,
                   sizes->items[i].least, sizes->items[i].most, (long long)least, (long long)most);
        return -1;
    }
    return i;
}

static bool find_sizes_of(Model *model, const ShapeOption *shape, const char **keys, const char **symbols) {
    int input = input_index(model, shape->input);
    for (int j = 0; j < shape->rank; j++) {
        if (!shape->least[j] || shape->least[j] == shape->dims[j])
            continue;
        if (input < 0 || input >= MAX_NAMED_INPUTS || !model->import.symbols[input].input)
            return diag_error(model->diag, loc_file(model->path), "--shape: only dimensions of an ONNX model can vary; a .qir "
                              "has the shapes that it states");
        int number = size_number(model, keys, size_key(model, shape, input, j), shape->least[j], shape->dims[j]);
        if (number < 0)
            return false;
        model->size_of[input][j] = (signed char)number;
        if (model->import.symbols[input].symbols[j])
            symbols[number] = model->import.symbols[input].symbols[j];
    }
    return true;
}

// Dimensions of one symbol have one size, also where --shape speaks of one of them only.
static void spread_symbols(Model *model, const char *const *symbols) {
    const Func *main = module_main(model->imported);
    for (int i = 0; i < main->arg_count && i < MAX_NAMED_INPUTS; i++)
        for (int j = 0; j < model->import.symbols[i].rank; j++)
            for (int s = 0; s < model->sizes.count && model->import.symbols[i].symbols[j]; s++)
                if (symbols[s] && strcmp(symbols[s], model->import.symbols[i].symbols[j]) == 0)
                    model->size_of[i][j] = (signed char)s;
}

bool model_find_sizes(Model *model) {
    const char *keys[MAX_SIZES], *symbols[MAX_SIZES] = {0};
    int inputs = module_main(model->imported) ? module_main(model->imported)->arg_count : 0;
    model->size_of = arena_alloc(model->arena, sizeof *model->size_of * (size_t)(inputs + 1));
    memset(model->size_of, -1, sizeof *model->size_of * (size_t)(inputs + 1));
    for (int i = 0; inputs && i < model->import.shape_count; i++)
        if (!find_sizes_of(model, &model->import.shapes[i], keys, symbols))
            return false;
    if (model->sizes.count)
        spread_symbols(model, symbols);
    for (int i = 0; i < model->sizes.count; i++)
        model->at[i] = model->sizes.items[i].most;
    return true;
}

// ---- the network at given sizes

Module *model_import_at(const Model *model, Arena *arena, Diag *diag, const int32_t *sizes) {
    ImportOptions import = model->import;
    import.symbols = NULL;
    import.unfolded = model->unfolded;
    ShapeOption *shapes = ARENA_ARRAY(arena, ShapeOption, import.shape_count + 1);
    for (int i = 0; i < import.shape_count; i++) {
        int input = input_index(model, model->import.shapes[i].input);
        shapes[i] = model->import.shapes[i];
        for (int j = 0; j < shapes[i].rank && input >= 0; j++)
            if (model->size_of[input][j] >= 0)
                shapes[i].dims[j] = sizes[model->size_of[input][j]];
    }
    import.shapes = shapes;
    PassContext context = model_context(model, ELEM_F32, false);
    context.diag = diag;
    context.scratch = arena;
    context.unfolded = model->unfolded;
    Module *module = import_model(arena, diag, model->path, &import);
    return module && run_pipeline(module, &context, "import") ? module : NULL;
}

// ---- sizes of data

typedef struct {
    Model *model;
    const char *path;
    bool samples;
    int32_t at[MAX_SIZES];
} DataSizes;

// The dimensions of an array for an input; the batch of 1 may be missing.
static bool take_array(DataSizes *data, int input, const Array *array) {
    Model *model = data->model;
    const Type *type = module_main(model->imported)->args[input].type;
    int missing = type->rank - array->rank;
    if (missing < 0 || missing > 1)
        return true; // said when it is loaded
    for (int j = 0; j < type->rank; j++) {
        int number = model->size_of[input][j];
        if (number < 0)
            continue;
        const Size *size = &model->sizes.items[number];
        int64_t found = j < missing ? 1 : array->shape[j - missing];
        bool many = j == 0 && !missing && (data->samples || (found > size->most && size->least == 1));
        if (many)
            found = size->least;
        if (found < size->least || found > size->most)
            return diag_error(model->diag, loc_file(data->path), "dimension '%s' of input '%s' is %lld, beyond the bounds %d..%d",
                              size->name, model->import.symbols[input].input, (long long)found, size->least, size->most);
        data->at[number] = (int32_t)found;
    }
    return true;
}

static bool take_file(DataSizes *data, const char *path, int input) {
    ArrayFile file;
    Fault fault;
    const Func *main = module_main(data->model->imported);
    if (!array_file_open(&file, path, &fault))
        return true; // said when it is loaded
    bool good = true;
    const int inputs = module_input_count(data->model->imported);
    bool alone = inputs == 1 || input >= 0;
    for (int i = 0; good && i < inputs; i++) {
        const Array *array = array_file_find(&file, main->args[i].name ? main->args[i].name : "");
        if (!array && alone && file.count == 1)
            array = &file.arrays[0];
        if (array && (input < 0 || input == i))
            good = take_array(data, i, array);
    }
    array_file_close(&file);
    return good;
}

static bool is_array(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".npy") == 0 || strcmp(dot, ".npz") == 0);
}

// The first array of a folder, by name; NULL: it holds none.
static const char *first_array(Arena *arena, const char *folder) {
    const char *first = NULL;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (is_array(entry->d_name) && (!first || strcmp(entry->d_name, first) < 0))
            first = arena_strdup(arena, entry->d_name);
    if (dir)
        closedir(dir);
    return first ? arena_printf(arena, "%s/%s", folder, first) : NULL;
}

// An image is a batch of one.
static void take_image(DataSizes *data) {
    int number = data->model->size_of[0][0];
    if (number >= 0 && data->model->sizes.items[number].least == 1)
        data->at[number] = 1;
}

static bool take_data(DataSizes *data, int input) {
    struct stat info;
    if (strcmp(data->path, "random") == 0 || stat(data->path, &info) != 0)
        return true;
    const char *path = data->path;
    if (S_ISDIR(info.st_mode)) {
        path = first_array(data->model->arena, path);
        data->samples = false; // each file is one
    }
    if (path && is_array(path))
        return take_file(data, path, input);
    take_image(data);
    return true;
}

static bool import_anew(Model *model, const int32_t *at) {
    if (memcmp(at, model->at, sizeof model->at) == 0)
        return true;
    memcpy(model->at, at, sizeof model->at);
    model->imported = model_import_at(model, model->arena, model->diag, model->at);
    return model->imported != NULL;
}

bool model_resize_to_largest(Model *model) {
    int32_t most[MAX_SIZES] = {0};
    for (int i = 0; i < model->sizes.count; i++)
        most[i] = model->sizes.items[i].most;
    return !model->sizes.count || import_anew(model, most);
}

bool model_resize(Model *model, const char *path, int input, bool samples) {
    DataSizes data = {.model = model, .path = path, .samples = samples};
    if (!model->sizes.count || !path)
        return true;
    memcpy(data.at, model->at, sizeof data.at);
    return take_data(&data, input) && import_anew(model, data.at);
}

bool model_fix_sizes(Model *model, const char *path, bool samples) {
    if (!model_resize(model, path, -1, samples))
        return false;
    model->sizes.count = 0;
    return true;
}

// ---- shapes at given sizes

// What is run with these sizes: the first whose bounds they lie in.
static const Func *func_at(Arena *arena, const Module *program, const int32_t *at) {
    const Func *main = module_main(program);
    for (const Func *func = program->funcs; func; func = func->next) {
        Sizes sizes = func_sizes(arena, func);
        bool inside = func != main;
        for (int i = 0; i < sizes.count; i++)
            inside &= at[i] >= sizes.items[i].least && at[i] <= sizes.items[i].most;
        if (inside)
            return func;
    }
    return main;
}

const Type *program_type_at(Arena *arena, const Module *program, bool is_input, int index, const int32_t *sizes) {
    const Func *func = func_at(arena, program, sizes);
    Sizes names = func_sizes(arena, func);
    FOR_EACH_OP(func, op) {
        bool found = is_input ? op->kind == OP_kn_input && as_kn_input(op).index == index
                              : op->kind == OP_kn_output && as_kn_output(op).index == index;
        if (!found)
            continue;
        VaryingList list = op_varying(arena, op, &names);
        Type *type = arena_copy(arena, op->results[0].type, sizeof *type);
        int64_t *shape = arena_copy(arena, type->shape, sizeof *shape * (size_t)type->rank);
        for (int i = 0; i < list.count; i++)
            shape[list.items[i].index] = size_expr_at(&list.items[i].value, sizes);
        type->shape = shape;
        return type;
    }
    BUG("a program without %s %d", is_input ? "input" : "output", index);
}
