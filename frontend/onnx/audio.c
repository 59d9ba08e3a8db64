// Signals: DFT, STFT, windows and MelWeightMatrix. A long transform of a composite length is two shorter
// ones with a rotation between them (Cooley and Tukey), and so on, down to lengths of at most 256 or a
// prime, which nn.dft takes.
#include <math.h>
#include <string.h>

#include "frontend/onnx/importer.h"

static const double PI = 3.14159265358979323846;
enum { DIRECT_LENGTH = 256, LONGEST_PRIME = 4096 };

// ---- transforms of [batch, length, 1 or 2] to [batch, bins, 2]

// e^(sign * 2 pi i * step / length): its real part for part 0, else the imaginary one.
// Right angles are exact.
static double rotation(int64_t step, int64_t length, int sign, int part) {
    int64_t quarters = 4 * (step % length);
    double angle = 2 * PI * (double)(step % length) / (double)length;
    if (quarters % length == 0)
        return (double[]){1, 0, -1, 0}[(quarters / length + (part ? 3 : 0)) % 4] * (part ? sign : 1) + 0.0; // never -0
    return part ? sign * sin(angle) : cos(angle);
}

static Value *emit_direct(const Node *node, Value *input, int64_t bins, int sign) {
    Importer *importer = node->importer;
    int64_t shape[2] = {input->type->shape[1], 2};
    double *roots = ARENA_ARRAY(importer->scratch, double, 2 * shape[0]);
    for (int64_t i = 0; i < 2 * shape[0]; i++)
        roots[i] = rotation(i / 2, shape[0], sign, (int)(i % 2));
    Dense *table = dense_new(importer->scratch, type_tensor(importer->scratch, ELEM_F64, 2, shape), roots, false);
    Value *operands[] = {input, emit_constant(importer, table, false, NULL)};
    return emit(node, OP_dft, 2, operands, attr_int(importer->arena, NULL, "bins", bins));
}

// [batch, outer, inner, 2] times e^(sign * 2 pi i * outer * inner / length).
static Value *emit_rotated(const Node *node, Value *value, int sign) {
    int64_t outer = value->type->shape[1], inner = value->type->shape[2], shape[3] = {outer, inner, 2};
    float *same = ARENA_ARRAY(node->importer->scratch, float, outer * inner * 2);
    float *other = ARENA_ARRAY(node->importer->scratch, float, outer * inner * 2);
    for (int64_t i = 0; i < outer * inner; i++) {
        int64_t step = (i / inner) * (i % inner);
        same[2 * i] = same[2 * i + 1] = (float)rotation(step, outer * inner, sign, 0);
        other[2 * i + 1] = (float)rotation(step, outer * inner, sign, 1);
        other[2 * i] = -other[2 * i + 1];
    }
    Attr *axis = attr_int(node->importer->arena, NULL, "axis", 3);
    Value *swapped = emit(node, OP_gather, 2, (Value *[]){value, emit_ints(node, 2, (int64_t[]){1, 0})}, axis);
    Value *a = emit_binary(node, OP_mul, value, emit_floats(node, 3, shape, same));
    Value *b = emit_binary(node, OP_mul, swapped, emit_floats(node, 3, shape, other));
    return emit_binary(node, OP_add, a, b);
}

static int64_t split_of(int64_t length) {
    int64_t best = 1;
    for (int64_t i = 2; i * i <= length; i++)
        if (length % i == 0)
            best = i;
    return best;
}

static Value *emit_transform(const Node *node, Value *input, int64_t bins, int sign);

// With n = second * n1 + n2 and k = k1 + first * k2: transforms over n1, a rotation, transforms over n2.
static Value *emit_split(const Node *node, Value *input, int64_t first, int sign) {
    const int64_t batch = input->type->shape[0], length = input->type->shape[1], parts = input->type->shape[2];
    const int64_t second = length / first;
    Value *v = emit_reshape(node, input, 4, (int64_t[]){batch, first, second, parts});
    v = emit_transpose(node, v, (int[]){0, 2, 1, 3});
    v = emit_reshape(node, v, 3, (int64_t[]){batch * second, first, parts});
    v = v ? emit_transform(node, v, first, sign) : NULL;
    v = emit_reshape(node, v, 4, (int64_t[]){batch, second, first, 2});
    v = v ? emit_rotated(node, v, sign) : NULL;
    v = emit_transpose(node, v, (int[]){0, 2, 1, 3});
    v = emit_reshape(node, v, 3, (int64_t[]){batch * first, second, 2});
    v = v ? emit_transform(node, v, second, sign) : NULL;
    v = emit_reshape(node, v, 4, (int64_t[]){batch, first, second, 2});
    v = emit_transpose(node, v, (int[]){0, 2, 1, 3});
    return emit_reshape(node, v, 3, (int64_t[]){batch, length, 2});
}

// The elements before `count` along one axis, zeros after the last.
static Value *emit_sized(const Node *node, Value *input, int axis, int64_t count) {
    int64_t none[MAX_RANK] = {0}, high[MAX_RANK] = {0};
    if (!input || input->type->shape[axis] == count)
        return input;
    high[axis] = count - input->type->shape[axis];
    Attr *attrs = attr_ints(node->importer->arena, NULL, "high", input->type->rank, high);
    return emit_unary(node, OP_pad, input, attr_ints(node->importer->arena, attrs, "low", input->type->rank, none));
}

static Value *emit_transform(const Node *node, Value *input, int64_t bins, int sign) {
    int64_t length = input->type->shape[1], first = length > DIRECT_LENGTH ? split_of(length) : 1;
    if (first > 1)
        return emit_sized(node, emit_split(node, input, first, sign), 1, bins);
    if (length > LONGEST_PRIME)
        return node_error(node, "a transform of %lld elements is not supported: its prime factors must be at most %d",
                          (long long)length, LONGEST_PRIME), NULL;
    return emit_direct(node, input, bins, sign);
}

// ---- DFT

typedef struct { int64_t length; bool inverse, onesided; } Dft;

// All `length` bins of a real signal's spectrum from the first half: bin length - k is the conjugate of k. The
// imaginary parts of bins that are their own conjugates do not count.
static Value *emit_conjugates(const Node *node, Value *input, int64_t length) {
    int64_t *indices = ARENA_ARRAY(node->importer->scratch, int64_t, length), shape[2] = {length, 2};
    float *signs = ARENA_ARRAY(node->importer->scratch, float, 2 * length);
    for (int64_t k = 0; k < length; k++) {
        bool own = k == 0 || 2 * k == length;
        indices[k] = 2 * k <= length ? k : length - k;
        signs[2 * k] = 1;
        signs[2 * k + 1] = own ? 0 : 2 * k < length ? 1 : -1;
    }
    Attr *axis = attr_int(node->importer->arena, NULL, "axis", 1);
    Value *all = emit(node, OP_gather, 2, (Value *[]){input, emit_ints(node, (int)length, indices)}, axis);
    return emit_binary(node, OP_mul, all, emit_floats(node, 2, shape, signs));
}

// [batch, elements, 1 or 2] to [batch, bins, 2], or for the inverse of half a spectrum [batch, length, 1].
static Value *emit_dft(const Node *node, Value *input, const Dft *dft) {
    bool halves = dft->inverse && dft->onesided;
    int64_t half = dft->length / 2 + 1;
    Value *value = emit_sized(node, input, 1, halves ? half : dft->length);
    if (halves && value)
        value = emit_conjugates(node, value, dft->length);
    int64_t bins = dft->onesided && !dft->inverse ? half : dft->length;
    value = value ? emit_transform(node, value, bins, dft->inverse ? 1 : -1) : NULL;
    if (halves)
        value = emit_sized(node, value, 2, 1); // the real parts
    if (value && dft->inverse)
        value = emit_binary(node, OP_mul, value, emit_scalar(node, 1 / (double)dft->length));
    return value;
}

static bool check_length(const Node *node, int64_t length) {
    return (length >= 1 && length <= MAX_FOLD_ELEMS) ||
           node_error(node, "a transform of %lld elements is not supported; 1 to %lld are", (long long)length,
                      (long long)MAX_FOLD_ELEMS);
}

static bool check_signal(const Node *node, const Type *type) {
    int64_t last = type->rank >= 2 ? type->shape[type->rank - 1] : 0;
    return (type->elem == ELEM_F32 && (last == 1 || last == 2) && type_elem_count(type) > 0) ||
           node_error(node, "its signal is %s, expected f32 with a last dimension of 1 (real) or 2 (complex)",
                      type_text(node->importer->scratch, type));
}

static bool read_dft(const Node *node, const Type *input, Dft *dft, int *axis) {
    double given, length;
    bool old = node->importer->opset < 20;
    dft->inverse = node_int(node, "inverse", 0) != 0;
    dft->onesided = node_int(node, "onesided", 0) != 0;
    if (!check_signal(node, input) || !node_scalar(node, 2, old ? (double)node_int(node, "axis", 1) : -2, &given) ||
        !node_axis(node, (int64_t)given, input->rank, axis))
        return false;
    if (*axis == input->rank - 1)
        return node_error(node, "axis %d holds the parts of complex numbers", *axis);
    int64_t size = input->shape[*axis];
    if (!node_scalar(node, 1, (double)(dft->inverse && dft->onesided ? 2 * (size - 1) : size), &length))
        return false;
    dft->length = length > 0 && length <= (double)MAX_FOLD_ELEMS ? (int64_t)length : 0;
    if (dft->onesided && (input->shape[input->rank - 1] == 2) != dft->inverse)
        return node_error(node, "onesided needs a real signal, or the inverse of a complex one");
    return check_length(node, dft->length);
}

// The axis stands before the last while the transform is taken.
bool convert_dft(Node *node) {
    Value *input = node_input(node, 0);
    Dft dft;
    int axis, perm[MAX_RANK];
    if (!input || !read_dft(node, input->type, &dft, &axis))
        return false;
    int rank = input->type->rank;
    int64_t shape[MAX_RANK], batch = 1;
    for (int i = 0; i < rank; i++)
        perm[i] = i == axis ? rank - 2 : i == rank - 2 ? axis : i;
    Value *value = emit_transpose(node, input, perm);
    if (!value)
        return false;
    for (int i = 0; i < rank; i++)
        shape[i] = value->type->shape[i], batch *= i < rank - 2 ? shape[i] : 1;
    value = emit_reshape(node, value, 3, (int64_t[]){batch, shape[rank - 2], shape[rank - 1]});
    value = value ? emit_dft(node, value, &dft) : NULL;
    if (!value)
        return false;
    shape[rank - 2] = value->type->shape[1], shape[rank - 1] = value->type->shape[2];
    return node_bind(node, 0, emit_transpose(node, emit_reshape(node, value, rank, shape), perm));
}

// ---- STFT

typedef struct { int64_t step, length, taken, frames; Value *window; } Frames;

static bool read_frames(const Node *node, const Type *signal, Frames *f) {
    double step, length;
    f->window = node_has_input(node, 2) ? node_input(node, 2) : NULL;
    if (node_has_input(node, 2) && (!f->window || f->window->type->rank != 1))
        return f->window && node_error(node, "its window must have one dimension");
    double fallback = (double)(f->window ? f->window->type->shape[0] : signal->shape[1]);
    if (!node_has_input(node, 1))
        return node_error(node, "input 1 (frame_step) is missing");
    if (!node_scalar(node, 1, 0, &step) || !node_scalar(node, 3, fallback, &length))
        return false;
    if (!(step >= 1 && step <= (double)MAX_IMPORT_ELEMS && length >= 1 && length <= (double)signal->shape[1]))
        return node_error(node, "frames of %g elements every %g do not fit a signal of %lld", length, step,
                          (long long)signal->shape[1]);
    f->step = (int64_t)step;
    f->length = (int64_t)length;
    f->taken = f->window ? f->window->type->shape[0] : f->length;
    f->frames = (signal->shape[1] - f->length) / f->step + 1;
    if (f->taken > f->length)
        return node_error(node, "its window has %lld elements, its frames %lld", (long long)f->taken, (long long)f->length);
    return f->frames * f->taken <= MAX_FOLD_ELEMS * 256 || node_error(node, "it has too many frames");
}

// [batch * frames, elements, parts]
static Value *emit_frames(const Node *node, Value *signal, const Frames *f) {
    const int64_t batch = signal->type->shape[0], parts = signal->type->shape[2], count = f->frames * f->taken;
    int64_t *indices = ARENA_ARRAY(node->importer->scratch, int64_t, count);
    for (int64_t i = 0; i < count; i++)
        indices[i] = i / f->taken * f->step + i % f->taken;
    Attr *axis = attr_int(node->importer->arena, NULL, "axis", 1);
    Value *frames = emit(node, OP_gather, 2, (Value *[]){signal, emit_ints(node, (int)count, indices)}, axis);
    frames = emit_reshape(node, frames, 3, (int64_t[]){batch * f->frames, f->taken, parts});
    Value *window = f->window ? emit_reshape(node, f->window, 2, (int64_t[]){f->taken, 1}) : NULL;
    return window && frames ? emit_binary(node, OP_mul, frames, window) : frames;
}

bool convert_stft(Node *node) {
    Value *signal = node_input(node, 0);
    Frames f = {0};
    if (!signal || !check_signal(node, signal->type))
        return false;
    if (signal->type->rank != 3)
        return node_error(node, "its signal has %d dimensions, expected 3", signal->type->rank);
    Dft dft = {.onesided = node_int(node, "onesided", 1) != 0};
    if (!read_frames(node, signal->type, &f) || !check_length(node, dft.length = f.length))
        return false;
    if (dft.onesided && signal->type->shape[2] == 2)
        return node_error(node, "onesided needs a real signal");
    int64_t batch = signal->type->shape[0];
    Value *value = emit_frames(node, signal, &f);
    value = value ? emit_dft(node, value, &dft) : NULL;
    if (!value)
        return false;
    return node_bind(node, 0, emit_reshape(node, value, 4, (int64_t[]){batch, f.frames, value->type->shape[1], 2}));
}

// ---- constants: windows and mel weights

static bool output_elem(const Node *node, Elem *elem) {
    int64_t type = node_int(node, "output_datatype", 1);
    return (type >= 0 && type < 64 && elem_from_onnx((int)type, elem)) ||
           node_error(node, "output_datatype %lld is not supported", (long long)type);
}

static bool needs_scalar(const Node *node, int index, const char *name, double *value) {
    if (!node_has_input(node, index))
        return node_error(node, "input %d (%s) is missing", index, name);
    return node_scalar(node, index, 0, value);
}

// a - b cos(2 pi i / n) + c cos(4 pi i / n), n one less than the size unless periodic.
static bool convert_window(Node *node, double a, double b, double c) {
    Elem elem;
    double size;
    if (!output_elem(node, &elem) || !needs_scalar(node, 0, "size", &size))
        return false;
    if (!(size >= 0 && size <= (double)MAX_FOLD_ELEMS))
        return node_error(node, "a window of %g elements is out of bounds", size);
    int64_t count = (int64_t)size;
    double period = node_int(node, "periodic", 1) ? size : size - 1;
    Arena *scratch = node->importer->scratch;
    Tensor window = tensor_new(scratch, type_tensor(scratch, elem, 1, &count));
    for (int64_t i = 0; i < count; i++) {
        double angle = period > 0 ? 2 * PI * (double)i / period : 0;
        tensor_set_f64(&window, i, a - b * cos(angle) + c * cos(2 * angle));
    }
    return node_bind_dense(node, 0, dense_new(scratch, window.type, window.data, false));
}

bool convert_hann_window(Node *node) {
    return convert_window(node, 0.5, 0.5, 0);
}
bool convert_hamming_window(Node *node) {
    return convert_window(node, 25.0 / 46.0, 21.0 / 46.0, 0);
}
bool convert_blackman_window(Node *node) {
    return convert_window(node, 0.42, 0.5, 0.08);
}

typedef struct { double bins, length, rate, low, high; } Mel;

// The spectrogram's bin at the lower edge of mel bin `i`.
static int64_t mel_edge(const Mel *mel, int64_t i) {
    double low = 2595 * log10(1 + mel->low / 700), high = 2595 * log10(1 + mel->high / 700);
    double at = low + (double)i * (high - low) / (mel->bins + 2);
    return (int64_t)floor((mel->length + 1) * 700 * (pow(10, at / 2595) - 1) / mel->rate);
}

// A triangle from `low` up to 1 at `center` and down to 0 at `high`.
static double triangle(int64_t at, int64_t low, int64_t center, int64_t high) {
    if (at == center)
        return 1;
    if (at < center)
        return at >= low ? (double)(at - low) / (double)(center - low) : 0;
    return at < high ? (double)(high - at) / (double)(high - center) : 0;
}

static bool read_mel(const Node *node, Mel *mel) {
    if (!needs_scalar(node, 0, "num_mel_bins", &mel->bins) || !needs_scalar(node, 1, "dft_length", &mel->length) ||
        !needs_scalar(node, 2, "sample_rate", &mel->rate) || !needs_scalar(node, 3, "lower_edge_hertz", &mel->low) ||
        !needs_scalar(node, 4, "upper_edge_hertz", &mel->high))
        return false;
    bool good = mel->bins >= 0 && mel->bins <= 4096 && mel->length >= 1 && mel->length <= (double)MAX_FOLD_ELEMS &&
                mel->rate > 0 && mel->low >= 0 && mel->high >= mel->low && mel->high <= mel->rate;
    return good || node_error(node, "its numbers of bins, length, rate or edges are out of bounds");
}

bool convert_mel_weight_matrix(Node *node) {
    Mel mel;
    Elem elem;
    if (!output_elem(node, &elem) || !read_mel(node, &mel))
        return false;
    int64_t shape[2] = {(int64_t)mel.length / 2 + 1, (int64_t)mel.bins};
    Arena *scratch = node->importer->scratch;
    Tensor weights = tensor_new(scratch, type_tensor(scratch, elem, 2, shape));
    for (int64_t i = 0; i < shape[1]; i++) {
        int64_t low = mel_edge(&mel, i), center = mel_edge(&mel, i + 1), high = mel_edge(&mel, i + 2);
        for (int64_t j = 0; j < shape[0]; j++)
            tensor_set_f64(&weights, j * shape[1] + i, triangle(j, low, center, high));
    }
    return node_bind_dense(node, 0, dense_new(scratch, weights.type, weights.data, false));
}
