// Quantized operators on plain integer tensors, with ONNX's own rounding: to nearest even after the division by the scale,
// before the zero point is added. Products are those of whole numbers in f32: operands that could sum beyond 2^24 are taken
// apart into halves of 4 bits, whose sums stay below it, so that the i32 results are exact.
#include <float.h>
#include <math.h>
#include <string.h>

#include "frontend/onnx/window.h"

// ---- scales and zero points

// Where the one or the other of an element stands: one in all (rank 0), one an index of `axis` (rank 1), or one a block of
// `block` elements along it.
typedef struct {
    int axis;
    int64_t block;
} Grain;

static bool read_grain(const Node *node, const Type *type, const Type *scale, Grain *grain) {
    *grain = (Grain){0, node_int(node, "block_size", 0)};
    int64_t count = type_elem_count(scale), axis = node_int(node, "axis", 1);
    if (count == 1 && scale->rank <= 1)
        return true;
    if (grain->block < 0 || grain->block > MAX_IMPORT_ELEMS)
        return node_error(node, "block_size is %lld", (long long)grain->block);
    if (!node_axis(node, axis, type->rank, &grain->axis))
        return false;
    int64_t size = type->shape[grain->axis];
    if (scale->rank == 1)
        return count == size || node_error(node, "it has %lld scales for %lld elements along axis %d",
                                           (long long)count, (long long)size, grain->axis);
    bool fits = scale->rank == type->rank && grain->block > 0 &&
                scale->shape[grain->axis] == (size + grain->block - 1) / grain->block;
    for (int i = 0; fits && i < type->rank; i++)
        fits = i == grain->axis || scale->shape[i] == type->shape[i];
    return fits || node_error(node, "the shape of its scales does not fit its input and block_size %lld",
                              (long long)grain->block);
}

// Input `index` in f32, of a shape that broadcasts to `type`.
static Value *emit_parameter(const Node *node, int index, const Type *type, Grain grain) {
    Value *value = emit_cast(node, node_input(node, index), ELEM_F32);
    int64_t dims[MAX_RANK];
    if (!value)
        return NULL;
    if (type_elem_count(value->type) == 1 && value->type->rank <= 1)
        return emit_reshape(node, value, 0, NULL);
    for (int i = 0; i < type->rank; i++)
        dims[i] = i == grain.axis ? type->shape[i] : 1;
    if (value->type->rank == 1)
        return emit_reshape(node, value, type->rank, dims);
    int64_t *blocks = ARENA_ARRAY(node->importer->scratch, int64_t, type->shape[grain.axis] + 1);
    for (int64_t i = 0; i < type->shape[grain.axis]; i++)
        blocks[i] = i / grain.block;
    Value *operands[] = {value, emit_ints(node, (int)type->shape[grain.axis], blocks)};
    return emit(node, OP_gather, 2, operands, attr_int(node->importer->arena, NULL, "axis", grain.axis));
}

static bool has_type_of_zero(const Node *node, Elem elem, const Type *zero) {
    return !zero || zero->elem == elem ||
           node_error(node, "its zero point has elements of type %s, its input of type %s", elem_name(zero->elem), elem_name(elem));
}

static bool same_parameters(const Node *node, int scale, int zero) {
    const Type *a = node_input_type(node, scale), *b = node_input_type(node, zero);
    if (!b || type_same_shape(a, b) || (type_elem_count(a) == 1 && type_elem_count(b) == 1))
        return true;
    return node_error(node, "its zero points differ in shape from its scales");
}

// ---- QuantizeLinear, DequantizeLinear

// rne(x / scale) + zero, within the type.
static Value *emit_quantized(const Node *node, Value *value, Value *scale, Value *zero, Elem elem) {
    value = scale ? emit_binary(node, OP_div, value, scale) : value;
    value = value ? emit_unary(node, OP_round, value, NULL) : NULL;
    value = zero ? emit_binary(node, OP_add, value, zero) : value;
    return emit_cast(node, value, elem);
}

static bool is_stored(const Node *node, Elem elem) {
    if (elem == ELEM_I8 || elem == ELEM_U8 || elem == ELEM_I16 || elem == ELEM_U16)
        return true;
    return node_error(node, "quantized elements of type %s are not supported; i8, u8, i16 and u16 are", elem_name(elem));
}

// Of constants, a message where the scale is none.
static bool check_scale(const Node *node, int index, bool divides) {
    const Dense *scale = node_dense(node, index);
    for (int64_t i = 0, count = scale ? dense_count(scale) : 0; i < count; i++) {
        double value = dense_f64(scale, i);
        if (!(value >= 0 && value < (double)INFINITY) || (divides && value < (double)FLT_MIN))
            return node_error(node, "element %lld of its scale is %g, expected a positive%s number", (long long)i, value,
                              divides ? " normal" : "");
    }
    return true;
}

// The index of its scale for element `at` of a constant.
typedef struct {
    Grain grain;
    int64_t size, inner, blocks;
    bool one, blocked;
} Walk;

static Walk walk_of(const Type *type, const Dense *scale, Grain grain) {
    Walk walk = {grain, type->rank ? type->shape[grain.axis] : 1, 1, 1, dense_count(scale) == 1, false};
    walk.blocked = !walk.one && scale->type->rank > 1;
    walk.blocks = walk.blocked ? scale->type->shape[grain.axis] : 1;
    for (int i = grain.axis + 1; i < type->rank; i++)
        walk.inner *= type->shape[i];
    return walk;
}

static int64_t parameter_at(const Walk *walk, int64_t at) {
    int64_t along = at / walk->inner % walk->size;
    if (walk->one || !walk->blocked)
        return walk->one ? 0 : along;
    return (at / walk->inner / walk->size * walk->blocks + along / walk->grain.block) * walk->inner + at % walk->inner;
}

// A constant of any size: DequantizeLinear makes weights of it.
static const Dense *quantized(const Node *node, const Dense *input, const Dense *scale, const Dense *zero, Elem elem, Grain grain) {
    Arena *arena = node->importer->scratch;
    const Type *type = input->type;
    Tensor result = tensor_new(arena, type_tensor(arena, elem, type->rank, type->shape));
    const Walk walk = walk_of(type, scale, grain);
    int64_t least, most;
    elem_range(elem, &least, &most);
    for (int64_t i = 0, count = dense_count(input); i < count; i++) {
        int64_t at = parameter_at(&walk, i), point = zero ? dense_i64(zero, at) : 0;
        float x = rintf((float)dense_f64(input, i) / (float)dense_f64(scale, at));
        double y = isnan(x) ? (double)point : (double)x + (double)point;
        tensor_set_f64(&result, i, fmin(fmax(y, (double)least), (double)most));
    }
    return dense_new(arena, result.type, result.data, false);
}

static bool bind_quantized(const Node *node, Value *input, const Quant *quant, Elem elem) {
    const Type *type = type_quantized(node->importer->arena, quant, input->type->rank, input->type->shape);
    Op *made = op_new(&node->importer->builder, OP_quantize, 1, &input, 1, &type, NULL);
    return node_bind_quantized(node, 0, op_result(made, 0), elem);
}

static bool stored_type(const Node *node, const Type *zero, Elem *elem) {
    int64_t stated = node_int(node, "output_dtype", 0);
    *elem = zero ? zero->elem : ELEM_U8;
    if (stated && !zero && !elem_from_onnx((int)(stated & 1023), elem))
        return node_error(node, "the type %s is not supported", onnx_type_name((int)(stated & 1023)));
    return true;
}

bool convert_quantize_linear(Node *node) {
    const Type *type = node_input_type(node, 0), *scale = node_input_type(node, 1), *zero = node_input_type(node, 2);
    const Dense *scales = node_dense(node, 1), *zeros = node_dense(node, 2);
    Elem elem;
    Grain grain;
    if (!type || !scale)
        return node_input(node, type ? 1 : 0) && false;
    if (!stored_type(node, zero, &elem) || !check_scale(node, 1, true) || !same_parameters(node, 1, 2) ||
        !read_grain(node, type, scale, &grain))
        return false;
    const Dense *input = scales && (!zero || zeros) && type->elem == ELEM_F32 ? node_dense(node, 0) : NULL;
    if (input && !elem_is_float(elem))
        return node_bind_dense(node, 0, quantized(node, input, scales, zeros, elem, grain));
    if (!is_stored(node, elem))
        return false;
    Value *value = emit_cast(node, node_input(node, 0), ELEM_F32);
    const Quant *quant = tensor_quant(node, 1, 2, elem);
    if (value && quant)
        return bind_quantized(node, value, quant, elem);
    Value *divisor = value ? emit_parameter(node, 1, type, grain) : NULL, *offset = NULL;
    if (!divisor || (zero && !(offset = emit_parameter(node, 2, type, grain))))
        return false;
    return node_bind(node, 0, emit_quantized(node, value, divisor, offset, elem));
}

// A constant of any size: what follows may want it as a weight.
static const Dense *dequantized(const Node *node, const Dense *input, const Dense *scale, const Dense *zero, Grain grain) {
    Arena *arena = node->importer->scratch;
    const Type *type = input->type;
    Dense *result = dense_alloc(arena, type_tensor(arena, ELEM_F32, type->rank, type->shape));
    const Walk walk = walk_of(type, scale, grain);
    for (int64_t i = 0, count = dense_count(input); i < count; i++) {
        int64_t at = parameter_at(&walk, i), centered = dense_i64(input, i) - (zero ? dense_i64(zero, at) : 0);
        ((float *)result->data)[i] = (float)centered * (float)dense_f64(scale, at);
    }
    return result;
}

static bool bind_constant(const Node *node, const Dense *input, Grain grain) {
    const Dense *scales = node_dense(node, 1), *zeros = node_dense(node, 2);
    const Dense *stored = stored_constant(node, input, scales, zeros, grain.axis);
    return stored ? node_bind_stored(node, 0, stored) : node_bind_dense(node, 0, dequantized(node, input, scales, zeros, grain));
}

// In nn's i8, which nn.dequantize reads: what was made with this scale is there already.
static Value *emit_real(const Node *node, Value *value, const Quant *quant) {
    const Symbol *symbol = symbol_find(node->importer, node->proto->input[0]);
    Value *made = symbol && symbol->quantized ? symbol->quantized->value : NULL;
    if (made && quant_equal(made->type->quant, quant))
        return emit_unary(node, OP_dequantize, made, NULL);
    if (!value)
        return NULL;
    const Type *type = type_quantized(node->importer->arena, quant, value->type->rank, value->type->shape);
    Op *again = op_new(&node->importer->builder, OP_quantize, 1, &value, 1, &type, NULL); // exactly what it was
    return emit_unary(node, OP_dequantize, op_result(again, 0), NULL);
}

static bool is_made_with(const Node *node, const Quant *quant) {
    const Symbol *symbol = symbol_find(node->importer, node->proto->input[0]);
    return quant && symbol && symbol->quantized && quant_equal(symbol->quantized->value->type->quant, quant);
}

static Value *emit_scaled_difference(const Node *node, const Type *type, Grain grain) {
    Value *value = emit_cast(node, node_input(node, 0), ELEM_F32), *offset = NULL;
    if (node_has_input(node, 2) && !(offset = emit_parameter(node, 2, type, grain)))
        return NULL;
    if (offset)
        value = emit_binary(node, OP_sub, value, offset);
    return emit_binary(node, OP_mul, value, emit_parameter(node, 1, type, grain));
}

bool convert_dequantize_linear(Node *node) {
    const Type *type = node_input_type(node, 0), *scale = node_input_type(node, 1);
    Grain grain;
    if (!type || !scale)
        return node_input(node, type ? 1 : 0) && false;
    if (elem_is_float(type->elem))
        return node_error(node, "its input has elements of type %s, expected integers", elem_name(type->elem));
    if (!has_type_of_zero(node, type->elem, node_input_type(node, 2)) || !check_scale(node, 1, false) ||
        !same_parameters(node, 1, 2) || !read_grain(node, type, scale, &grain))
        return false;
    const Dense *input = node_dense(node, 0);
    if (node_has_output(node, 0))
        symbol_find(node->importer, node->proto->output[0])->origin = type->elem;
    if (input && node_dense(node, 1) && (node_dense(node, 2) || !node_has_input(node, 2)))
        return bind_constant(node, input, grain);
    const Quant *quant = tensor_quant(node, 1, 2, type->elem);
    Value *value = is_made_with(node, quant) ? NULL : emit_scaled_difference(node, type, grain);
    return node_bind(node, 0, quant ? emit_real(node, value, quant) : value);
}

// The scale of all elements' range, widened to hold 0; of a tensor of zeros 1.
static Value *emit_range_end(const Node *node, OpKind reduction, OpKind widen, Value *input) {
    int64_t axes[MAX_RANK];
    for (int i = 0; i < input->type->rank; i++)
        axes[i] = i;
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_bool(arena, attr_ints(arena, NULL, "axes", input->type->rank, axes), "keep_dims", false);
    Value *extreme = emit_unary(node, reduction, input, attrs);
    return emit_binary(node, widen, extreme, emit_scalar(node, 0));
}

bool convert_dynamic_quantize_linear(Node *node) {
    Value *input = node_input(node, 0);
    if (!input)
        return false;
    Value *low = emit_range_end(node, OP_reduce_min, OP_min, input);
    Value *high = emit_range_end(node, OP_reduce_max, OP_max, input);
    Value *range = emit_binary(node, OP_sub, high, low);
    Value *scale = emit_binary(node, OP_div, range, emit_scalar(node, 255));
    Value *empty = emit_binary(node, OP_equal, range, emit_scalar(node, 0));
    scale = emit(node, OP_where, 3, (Value *[]){empty, emit_scalar(node, 1), scale}, NULL);
    Value *start = emit_binary(node, OP_sub, emit_scalar(node, 0), low);
    Value *zero = emit_quantized(node, start, scale, NULL, ELEM_U8);
    Value *output = emit_quantized(node, input, scale, emit_cast(node, zero, ELEM_F32), ELEM_U8);
    return node_bind(node, 0, output) && node_bind(node, 1, scale) && node_bind(node, 2, zero);
}

// ---- products of integers

// Less the zero point of input `index` if there is one, which `dims` shapes when it is a list.
static Value *emit_centered(const Node *node, int input, int index, int rank, const int64_t *dims) {
    Value *value = emit_cast(node, node_input(node, input), ELEM_F32);
    if (!value || !node_has_input(node, index))
        return value;
    Value *zero = emit_cast(node, node_input(node, index), ELEM_F32);
    if (zero && type_elem_count(zero->type) == 1)
        zero = emit_reshape(node, zero, 0, NULL);
    else if (zero && zero->type->rank == 1)
        zero = emit_reshape(node, zero, rank, dims);
    return emit_binary(node, OP_sub, value, zero);
}

typedef struct {
    bool is_matmul;
    Window window;
    int64_t group;
} Product;

static Value *emit_product(const Node *node, Value *a, Value *b, const Product *product) {
    return product->is_matmul ? emit_binary(node, OP_matmul, a, b)
                              : emit_conv(node, a, b, NULL, &product->window, product->group);
}

// parts[0] + 16 * parts[1]; with one part the value itself.
static bool take_apart(const Node *node, Value *value, int count, Value *parts[2]) {
    parts[0] = value;
    if (count == 1)
        return true;
    Value *scaled = emit_binary(node, OP_mul, value, emit_scalar(node, 0.0625));
    parts[1] = scaled ? emit_unary(node, OP_floor, scaled, NULL) : NULL;
    Value *high = emit_binary(node, OP_mul, parts[1], emit_scalar(node, 16));
    parts[0] = emit_binary(node, OP_sub, value, high);
    return parts[0] != NULL;
}

static Value *emit_i32(const Node *node, int32_t value) {
    Importer *importer = node->importer;
    const Type *type = type_tensor(importer->scratch, ELEM_I32, 0, NULL);
    return emit_constant(importer, dense_splat(importer->scratch, type, value), false, NULL);
}

// The i32 product of whole numbers within 255 of 0; each result sums `terms` of them.
static Value *emit_exact(const Node *node, Value *a, Value *b, int64_t terms, const Product *product) {
    enum { WHOLE = 258, HALVED = 4096, QUARTERED = 65536 }; // terms of 255 * 255, 255 * 16, 16 * 16 within 2^24
    int a_count = terms > HALVED ? 2 : 1, b_count = terms > WHOLE ? 2 : 1;
    Value *a_parts[2], *b_parts[2], *sum = NULL;
    if (terms > QUARTERED)
        return node_error(node, "sums of %lld products are not supported; of %d are", (long long)terms, QUARTERED), NULL;
    if (!a || !b || !take_apart(node, a, a_count, a_parts) || !take_apart(node, b, b_count, b_parts))
        return NULL;
    for (int i = 0; i < a_count; i++)
        for (int j = 0; j < b_count; j++) {
            Value *part = emit_cast(node, emit_product(node, a_parts[i], b_parts[j], product), ELEM_I32);
            if (i + j)
                part = emit_binary(node, OP_mul, part, emit_i32(node, i + j == 2 ? 256 : 16));
            sum = i + j ? emit_binary(node, OP_add, sum, part) : part;
            if (!sum)
                return NULL;
        }
    return sum;
}

// Products are exact for factors of 8 bits, with zero points of the same type.
static bool is_factor(const Node *node, int input, int zero) {
    const Type *type = node_input_type(node, input), *zero_type = node_input_type(node, zero);
    if (!type)
        return node_input(node, input) && false;
    if (type->elem != ELEM_I8 && type->elem != ELEM_U8)
        return node_error(node, "its input %d has elements of type %s, expected i8 or u8", input, elem_name(type->elem));
    return has_type_of_zero(node, type->elem, zero_type);
}

// The sums of a matrix product; inputs a and b, and their zero points: those of rows and of columns.
static Value *emit_integer_matmul(const Node *node, int a_index, int a_zero, int b_index, int b_zero) {
    const Type *a = node_input_type(node, a_index), *b = node_input_type(node, b_index);
    if (!is_factor(node, a_index, a_zero) || !is_factor(node, b_index, b_zero))
        return NULL;
    if (a->rank < 2 || b->rank < 2)
        return node_error(node, "factors of fewer than 2 dimensions are not supported"), NULL;
    int64_t terms = a->shape[a->rank - 1], rows[2] = {a->shape[a->rank - 2], 1}, columns = b->shape[b->rank - 1];
    Value *left = emit_centered(node, a_index, a_zero, 2, rows);
    Value *right = emit_centered(node, b_index, b_zero, 1, &columns);
    return emit_exact(node, left, right, terms, &(Product){.is_matmul = true});
}

bool convert_matmul_integer(Node *node) {
    return node_bind(node, 0, emit_integer_matmul(node, 0, 2, 1, 3));
}

// The sums of a convolution, channels last; inputs x and w, and their zero points: those of output channels.
static Value *emit_integer_conv(const Node *node, int x_zero, int w_index, int w_zero) {
    const Type *input = node_input_type(node, 0), *weight = node_input_type(node, w_index);
    Product product = {.group = node_int(node, "group", 1)};
    if (!is_factor(node, 0, x_zero) || !is_factor(node, w_index, w_zero) || !check_spatial(node, input))
        return NULL;
    if (weight->rank != input->rank)
        return node_error(node, "its weight has %d dimensions, its input %d", weight->rank, input->rank), NULL;
    if (!window_from_weight(node, weight, &product.window) || !read_window(node, input, &product.window))
        return NULL;
    int64_t channels[MAX_RANK] = {weight->shape[0], 1, 1, 1, 1}, terms = weight->shape[0] ? type_elem_count(weight) / weight->shape[0] : 0;
    Value *x = emit_to_nhwc(node, emit_centered(node, 0, x_zero, 0, NULL));
    Value *w = emit_to_nhwc(node, emit_centered(node, w_index, w_zero, weight->rank, channels));
    return emit_exact(node, x, w, terms, &product);
}

bool convert_conv_integer(Node *node) {
    Value *sum = emit_integer_conv(node, 2, 1, 3);
    return sum && node_bind_layout(node, sum, emit_from_nhwc(node, sum, node_input_type(node, 0)->rank));
}

// Of quantized factors: sum * (a_scale * b_scale / y_scale), rounded, plus the zero point. A list of `rows` scales of a or y
// is one of rows.
static Value *emit_scale(const Node *node, int index, bool rows) {
    Value *scale = emit_cast(node, node_input(node, index), ELEM_F32);
    if (scale && type_elem_count(scale->type) == 1)
        return emit_reshape(node, scale, 0, NULL);
    if (scale && rows && scale->type->rank == 1)
        return emit_reshape(node, scale, 2, (int64_t[]){scale->type->shape[0], 1});
    return scale;
}

static Value *emit_requantized(const Node *node, Value *sum, bool rows) {
    const Type *zero = node_input_type(node, 7);
    if (!sum || !zero || !is_stored(node, zero->elem))
        return sum && !zero ? node_input(node, 7) : NULL;
    Value *a = emit_scale(node, 1, rows), *b = emit_scale(node, 4, false), *scale = emit_binary(node, OP_mul, a, b);
    scale = emit_binary(node, OP_div, scale, emit_scale(node, 6, rows));
    Value *value = emit_binary(node, OP_mul, emit_cast(node, sum, ELEM_F32), scale);
    return emit_quantized(node, value, NULL, emit_scale(node, 7, rows), zero->elem);
}

bool convert_qlinear_matmul(Node *node) {
    if (has_constant_scales(node))
        return convert_qoperator(node);
    return node_bind(node, 0, emit_requantized(node, emit_integer_matmul(node, 0, 2, 3, 5), true));
}

bool convert_qlinear_conv(Node *node) {
    if (has_constant_scales(node))
        return convert_qoperator(node);
    Value *sum = emit_integer_conv(node, 2, 3, 5);
    if (sum && node_has_input(node, 8))
        sum = emit_binary(node, OP_add, sum, node_input(node, 8));
    Value *output = emit_requantized(node, sum, false);
    return output && node_bind_layout(node, output, emit_from_nhwc(node, output, node_input_type(node, 0)->rank));
}
