// Whole networks quantized as `--quantize i8` does: ranges measured on random numbers, then assign_precision.
#include <stdlib.h>
#include <string.h>

#include "ir/verify.h"
#include "quant/calibrate.h"
#include "test/differential/graph.h"

typedef struct { Graph random; const Func *main; } Source;

static bool load_random(void *context, int sample, void *const *inputs, char *message) {
    Source *source = context;
    (void)message;
    source->random.random += (uint64_t)sample;
    for (int i = 0; i < source->main->arg_count; i++) {
        const Type *type = source->main->args[i].type;
        for (int64_t k = 0; k < type_elem_count(type); k++) ((float *)inputs[i])[k] = (float)random_real(&source->random, -3, 3);
    }
    return true;
}

static const char *no_path(void *context, int sample) {
    (void)context;
    (void)sample;
    return "random";
}

bool graph_quantize(Arena *arena, Module *module, uint64_t seed) {
    Diag *diag = diag_new(arena, NULL);
    PassContext context = {.target = target_host(), .precision = ELEM_I8, .input_type = seed % 16 < 8 ? ELEM_F32 : ELEM_I8,
                           .output_type = seed % 32 < 16 ? ELEM_F32 : ELEM_I8, .symmetric = seed % 3 == 0, .per_tensor_weights = seed % 5 == 0,
                           .mse_weights = seed % 7 == 0,
                           .diag = diag, .scratch = arena};
    Source source = {.random = {.random = seed}, .main = module_main(module)};
    for (int i = 0; i < source.main->arg_count; i++)
        if (!is_f32(&source.main->args[i])) return false;
    if (!run_pipeline(module, &context, "import")) return false;
    source.main = module_main(module);
    const SampleSource samples = {.count = 2, .description = "random numbers", .load = load_random, .path = no_path, .context = &source};
    CalibrationTable table;
    if (!calibrate(arena, module, &context, &samples, &(CalibrateOptions){.method = METHOD_MINMAX, .equalization = EQUALIZE_NONE, .correction = CORRECT_OFF}, 1, &table)) return false;
    context.calibration = &table;
    return run_pipeline(module, &context, "quantize") && module_verify(module, diag) && floats_are_sound(module_main(module));
}
