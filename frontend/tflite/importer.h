// The state of one import, and what the conversions of tflite_ops.def build with. A conversion reads the inputs and options
// of its operator, emits nn ops, and binds its results. It reports its own faults and returns false; the import then goes on,
// so that one run shows them all.
//
// What a tensor's type says: int8 and uint8 with a scale are nn's i8 tensors of that scale, unsigned ones with their elements
// and zero point moved by 128. int16 with one scale are i16 tensors of that scale.
#pragma once
#include "frontend/build.h"
#include "frontend/frontend.h"
#include "frontend/tflite/flatbuffer.h"

typedef struct LiteState LiteState; // states.c

typedef struct {
    FlatTable table;
    const char *name;
    int code; // TensorType of the schema
    Elem elem; // of the nn tensor; ELEM_COUNT where there is none
    int rank;
    int64_t shape[MAX_RANK]; // as the model states it
    bool fixed;              // its shape was not left open
    bool is_unsigned;        // uint8, read as i8
    const Quant *quant;      // of the nn tensor; NULL: not quantized
    const Quant *wide;       // of 32 and 64 bits, and of 16 with several scales
    const Dense *dense;      // of a constant, once decoded
    Value *value, *real;     // as it is, and in f32
    LiteState *state;        // that the operators change in it, or that it is the handle of; NULL: none so far
    bool described, defined, broken, is_output;
} LiteTensor;

typedef struct {
    Module *module;
    Func *func;
    Arena *arena;   // the module's
    Arena *scratch; // of the import
    Diag *diag;
    Diag *quiet; // collects what inference says, to be told with the node's name
    const char *path;
    Builder builder;
    Map *names; // of the module's values
    FlatFile file;
    FlatVector codes, buffers, subgraphs;
    int tensor_count;
    LiteTensor *tensors;
    const ImportOptions *options; // may be NULL
    int64_t constant_bytes_left;  // of what constants may come to
    int64_t links_left, ops_left; // of the tensors that operators list, and of what they become
    bool stopped;                 // one of these is spent: nothing more is converted
    Map *variables; // their states, by what handles say; NULL: none
    LiteState *first_state, *last_state; // of those that are arguments, in their order
    int state_room;                      // for further ones
    bool starting;                       // a graph that runs once, before the first run
    int branches;                        // around the graph that is converted
    bool reshaped; // the user gave shapes: those that the model states do not hold
} Lite;

typedef struct {
    Lite *lite;
    FlatTable table, options;
    FlatVector inputs, outputs;
    int code;
    const char *label; // "node 'conv1' (CONV_2D)"
} LiteOp;

typedef bool LiteFn(const LiteOp *op);
typedef struct {
    int code;
    const char *name;
    LiteFn *convert;
} LiteRow;

#define TFLITE(code, name, function) LiteFn function;
#define TFLITE_CUSTOM(name, function) LiteFn function;
#define TFLITE_MISSING(code, name)
#include "frontend/tflite/tflite_ops.def"
#undef TFLITE
#undef TFLITE_CUSTOM
#undef TFLITE_MISSING

// ---- import.c

// The operator's number in the schema; -1: none.
int lite_code(const Lite *lite, FlatTable table);
LiteTensor *lite_tensor_at(const Lite *lite, FlatVector list, uint32_t index); // NULL if it lists none there
// Converts the operators of another graph, with tensors of its own. Faults are reported.
void lite_run_graph(Lite *lite, uint32_t index);
// Converts those of graph `index` with these inputs, in the place of an operator; its outputs. False after a message.
bool lite_inline(const LiteOp *op, int64_t index, int input_count, Value *const *inputs, int output_count, Value **outputs);

bool lite_import_error(const Lite *lite, const char *format, ...) __attribute__((format(printf, 2, 3)));

// ---- tensors (tensor.c)

// Reads what the model says of a tensor. False after a message.
bool tensor_describe(Lite *lite, LiteTensor *tensor);
// The elements of a constant; NULL if it is none, or after a message (`broken` then).
const Dense *tensor_dense(Lite *lite, LiteTensor *tensor);
const Type *tensor_type(const Lite *lite, const LiteTensor *tensor); // of nn, in the shape that the model states
const Type *tensor_edge_type(const Lite *lite, const LiteTensor *tensor); // of an input or output: uint8 is u8
const char *tensor_type_name(int code);
// Ends the import: the message is given once, and the result is false.
bool lite_stop(Lite *lite, const char *text);
// Takes so many bytes of what constants may come to; false after a message.
bool lite_take_bytes(Lite *lite, int64_t bytes);
// Elements of a tensor that keeps only some of them (sparse.c), of `bytes` each; NULL after a message.
const void *tensor_densify(Lite *lite, const LiteTensor *tensor, const void *values, size_t value_bytes, size_t bytes);

// ---- operators (node.c)

bool lite_error(const LiteOp *op, const char *format, ...) __attribute__((format(printf, 2, 3)));
int lite_input_count(const LiteOp *op);
LiteTensor *lite_tensor(const LiteOp *op, int index); // NULL if absent
LiteTensor *lite_output(const LiteOp *op, int index); // NULL if absent
// An input as it is; in f32 where its elements are floats or quantized; both report its absence, and are NULL then.
Value *lite_input(const LiteOp *op, int index);
Value *lite_real(const LiteOp *op, int index);
const Dense *lite_dense(const LiteOp *op, int index); // NULL if absent or not constant
// The integers of a constant input; reports one that is not constant.
typedef struct {
    int count;
    int64_t *data;
} LiteInts;
bool lite_ints(const LiteOp *op, int index, const char *what, LiteInts *ints);
bool lite_axis(const LiteOp *op, int64_t axis, int rank, int *out); // may be counted from the end
int64_t lite_option(const LiteOp *op, FlatField field);

// Binds a result, converted to the type that the model states for it.
bool lite_bind(const LiteOp *op, int index, Value *value);

// ---- what is kept from run to run (states.c)

// The most arguments that states of the main graph take.
int lite_state_room(Lite *lite, FlatVector operators);
// Runs the graphs that run once, for what variables begin with.
void lite_run_once(Lite *lite, FlatVector operators);
bool lite_is_variable(const LiteTensor *tensor);
// What input `index` holds at this place, in f32: a variable tensor, or a plain one.
Value *lite_state_real(const LiteOp *op, int index);
// Its next value, in its own type; nothing where it is a plain tensor.
bool lite_state_set(const LiteOp *op, int index, Value *value);
int lite_state_count(const Lite *lite);
void lite_next_states(const Lite *lite, Value **values); // as many
void lite_declare_states(Lite *lite);                    // once the function is complete

// ---- emitting (emit.c)

// NULL after a message; `owned`: in the module's arena already, and its bytes are taken.
Value *lite_constant(Lite *lite, const Dense *dense, bool owned, const char *name);
// One op with one inferred result; computed at once when its operands are small constants. NULL after a message.
Value *lite_emit(const LiteOp *op, OpKind kind, int count, Value *const *operands, Attr *attrs);
Value *lite_unary(const LiteOp *op, OpKind kind, Value *input, Attr *attrs);
Value *lite_binary(const LiteOp *op, OpKind kind, Value *a, Value *b);
// The same with a quantized result where the operands are quantized.
Value *lite_emit_as(const LiteOp *op, const Quant *quant, OpKind kind, int count, Value *const *operands, Attr *attrs);
// Can the op compute on these inputs as integers, for a result that is quantized, too, and of as many bits?
bool lite_in_i8(const LiteOp *op, OpKind kind, int count, const int *inputs);
// Inputs 0 to count - 1 as integers where that can be, else in f32.
bool lite_forms(const LiteOp *op, OpKind kind, int count, Value **values);
// One op over these; its result is of the first result's quantization.
Value *lite_compute(const LiteOp *op, OpKind kind, int count, Attr *attrs);
Value *lite_reshape(const LiteOp *op, Value *input, int rank, const int64_t *dims); // none if it changes nothing
Value *lite_transpose(const LiteOp *op, Value *input, const int *perm);
Value *lite_slice(const LiteOp *op, Value *input, const int64_t *starts, const int64_t *ends, const int64_t *steps);
Value *lite_broadcast(const LiteOp *op, Value *input, int rank, const int64_t *dims);
Value *lite_concat(const LiteOp *op, int count, Value *const *inputs, int axis);
Value *lite_cast(const LiteOp *op, Value *input, Elem elem);
Value *lite_scalar(const LiteOp *op, double value); // f32, rank 0
Value *lite_int_list(const LiteOp *op, int count, const int64_t *values);
Value *lite_floats(const LiteOp *op, int rank, const int64_t *shape, const float *values);
Value *lite_quantize(const LiteOp *op, Value *value, const Quant *quant); // by requantize, where it is quantized
Value *lite_dequantize(const LiteOp *op, Value *value);

// Fused activations: what ops take as their attribute, or "none"; and the others (`fused`), or all, as an op behind it.
const char *lite_activation(int64_t code);
Value *lite_activate(const LiteOp *op, Value *value, int64_t code, bool fused);
