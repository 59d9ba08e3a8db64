// Testing one row of kernels.def: random cases, run between guard pages and compared with a naive computation.
// A family's case function draws arguments and data, computes what must come out, and hands both to check().
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ir/targets.h"
#include "runtime/kernel.h"

enum { MAX_INPUTS = 5, MAX_POINTERS = MAX_INPUTS + 2, OVER_READ = 64 }; // and scratch and output

// Memory between two pages that may not be touched.
typedef struct { uint8_t *begin, *end; } Slot;

typedef struct {
    const KernelInfo *row;
    void (*fn)(void);
    uint64_t seed;   // of the case at hand
    uint64_t random; // state
    Arena *arena;    // of the case at hand
    int accepted, rejected;
    bool failed;
    Slot slots[MAX_POINTERS];
} Test;

// One of a call's buffers: its bytes, and where in them the pointer points. bytes NULL: a NULL pointer.
typedef struct {
    const void *bytes;
    size_t size, origin;
    int align;      // the pointer's
    int over_read;  // bytes that may be read beyond either end
} Memory;

typedef struct {
    const void *args; // the family's struct
    int input_count;
    Memory inputs[MAX_INPUTS];
    Memory output;        // its bytes before the call
    const void *expected; // and after
    const float *bound;   // NULL: to the bit. f32: how far each may be off
    int in_place;         // 1 + the input whose memory may be the output's (equal sizes and bytes); 0: none
} Call;

// Counts the case as rejected when the row's guard does not hold. A mismatch, a touched guard page or a changed byte
// outside the output's elements is reported with the arguments and the seed.
void check(Test *test, const Call *call);

typedef void CaseFn(Test *test);
#define FAMILY(name, pointers, fields) CaseFn case_##name;
#include "runtime/families.def"
#undef FAMILY
CaseFn case_binary_integers, case_unary_integers;
bool case_words(Test *test); // rows of 16-bit activations but those with weights; false: it is another

// ---- random data

uint32_t random_bits(Test *test);
int random_int(Test *test, int low, int high); // both included
bool random_chance(Test *test, int percent);
float random_float(Test *test, float low, float high);
// One of a list of ints.
#define RANDOM_OF(test, ...)                                                                             \
    ((const int[]){__VA_ARGS__}[random_int(test, 0, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)) - 1)])
int random_channels(Test *test, int max);
int random_zero_point(Test *test); // often at an end
void random_clamp(Test *test, int32_t *lo, int32_t *hi);
void random_clamp_f32(Test *test, float *min, float *max);
// Of 16-bit activations: zero points, mostly 0, and a clamp.
void words_quantization(Test *test, int32_t *in_zp, int32_t *out_zp, int32_t *lo, int32_t *hi);
float random_multiplier(Test *test, bool below_one);
// Bytes of 8-bit values: random, all at one end, or all 0.
uint8_t *random_bytes(Test *test, size_t count);
float *random_floats(Test *test, size_t count, float low, float high);

// Images with pitches of their own, and elements before and after.
typedef struct { int n, h, w, c, pixel, row, image; size_t before, elems; } Image;
Image image_random(Test *test, int n, int h, int w, int c);
// Some channels of a wider image: `others` more lie between its pixels.
Image image_part_random(Test *test, int n, int h, int w, int c, int others);
static inline int random_others(Test *test) { return random_chance(test, 75) ? 0 : random_int(test, 1, 70); }
static inline size_t image_at(const Image *i, int n, int y, int x, int c) {
    return i->before + (size_t)n * i->image + (size_t)y * i->row + (size_t)x * i->pixel + c;
}

// Strides over five dimensions.
typedef struct { int32_t stride[5]; size_t before, elems; } Strided;
enum { DISTINCT = 0, MAY_REPEAT = 1 }; // an output's elements are distinct; an input's may repeat or run backwards
Strided strided_random(Test *test, const int32_t shape[5], int flags);
void shape_random(Test *test, int32_t shape[5]);
size_t strided_at(const Strided *s, const int32_t shape[5], size_t index);
size_t shape_elems(const int32_t shape[5]);

// ---- the rounding contract, written without runtime/rounding.h
int32_t naive_round(float y, int32_t zp, int32_t lo, int32_t hi);

void *copy_bytes(Test *test, const void *bytes, size_t size);
Memory memory_of(const void *bytes, size_t elem_bytes, size_t elems, size_t before);
Memory memory_constant(const void *bytes, size_t size); // aligned as weights are

// ---- kernel_test --bench
int bench(const char *filter);
