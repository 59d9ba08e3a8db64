// The public interface of compiled models. Every emitted header carries this text, so that a product needs no file
// but the model's own.
#ifndef QANAT_H
#define QANAT_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define QN_ABI_VERSION 3

enum {
    QN_OK = 0,
    QN_ERR_ARENA = 1,   // the arena is NULL or not aligned to 64 bytes
    QN_ERR_CPU = 2,     // this processor lacks an instruction set that the model was compiled for
    QN_ERR_INIT = 3,    // the arena was not prepared by init
    QN_ERR_THREADS = 4, // the pool has more workers than init was told
    QN_ERR_POINTER = 5, // an input or output pointer is NULL
    QN_ERR_SIZE = 6,    // a size is outside its bounds
    QN_ERR_TARGET = 7,  // the model was not compiled for the target that the options name
};

// Work that can be split: task(context, worker, begin, end) does rows [begin, end).
// `worker` is in [0, threads): no two calls of one worker overlap.
typedef void qn_task(void *context, int worker, int32_t begin, int32_t end);

// The caller's threads. `run` calls `task` over all of [0, rows), in pieces of at least `grain` rows, and returns
// when all are done.
struct qn_pool {
    int threads;
    void (*run)(const struct qn_pool *pool, qn_task *task, void *context, int32_t rows, int32_t grain);
};

struct qn_options {
    int threads;        // the largest pool that will be passed to run; 0 counts as 1
    const char *target; // one of those that the model was compiled for; NULL: the best that this processor runs
};

enum {
    QN_F32 = 1, QN_I8 = 2, QN_U8 = 3, QN_I32 = 4, QN_I64 = 5, QN_I16 = 6, QN_U16 = 7, QN_U32 = 8, QN_U64 = 9, QN_F64 = 10,
    QN_BOOL = 11,              // a byte, 0 or 1
    QN_F16 = 12, QN_BF16 = 13, // their bits, in uint16_t
};

// A size that each run chooses: a batch, the length of a sequence.
struct qn_size {
    const char *name;
    int32_t least, most;
};

// An input or output of a model. Shapes are as the model had them, at the largest sizes where any vary; scale is 0 for
// tensors that are not quantized.
struct qn_tensor {
    const char *name;
    int32_t type; // QN_F32 …
    int32_t rank;
    int64_t shape[8];
    size_t bytes;
    float scale;
    int32_t zero_point;
};

// A custom operator: the network names a symbol of type qn_custom_fn, which the product defines.
struct qn_custom {
    const char *name;       // of the node
    const char *attributes; // as in the textual IR: `alpha = 0.5, mode = "fast", sizes = [1, 2]`; "" when there are none
    int32_t input_count, output_count;
    const struct qn_tensor *inputs, *outputs; // types and shapes
};
// Dense tensors in C order, as the node has them. Each call is made by one thread; runs in several arenas may overlap.
typedef void qn_custom_fn(const struct qn_custom *op, const void *const *inputs, void *const *outputs);

struct qn_model {
    int32_t abi_version;
    const char *name;
    const char *target; // or targets, with a comma between, the best first
    int32_t input_count, output_count;
    const struct qn_tensor *inputs, *outputs;
    size_t weights_bytes; // read-only data
    size_t live_bytes;    // the largest sum of buffers alive at once
    size_t (*arena_bytes)(int threads);
    int (*init)(void *arena, const struct qn_options *options);
    // inputs and outputs: the addresses, in order (the model's structs of pointers have this layout). Where sizes vary,
    // those of this run stand behind the inputs' addresses, as int32_t.
    int (*run)(void *arena, const void *const *inputs, void *const *outputs, const struct qn_pool *pool);
    int (*reset)(void *arena);
    int32_t size_count; // sizes that vary
    const struct qn_size *sizes;
    const char *(*target_of)(const void *arena); // the one that init chose; NULL: the arena was not prepared by it
};

#ifdef __cplusplus
}
#endif
#endif
