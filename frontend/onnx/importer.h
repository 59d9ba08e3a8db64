// The state of one import, and what the conversions of onnx_ops.def build with. A conversion reads
// the inputs and attributes of its node, emits nn ops, and binds each output name to a value. Every
// conversion reports its own faults and returns false; the import then goes on with the other
// nodes, so that one run shows them all.
//
// Memory: the protobuf messages live in a scratch arena that ends with the import; constants are
// copied (or written transposed) into the module's arena when an op takes them.
#pragma once
#include "frontend/build.h"
#include "frontend/frontend.h"
#include "ir/eval.h"
#include "ir/map.h"
#include "onnx/onnx.pb-c.h"

// What an ONNX tensor name stands for. A constant has `dense`, and a `value` once an op took it. A
// `broken` one is the result of a node that failed: what depends on it is passed over, unless the
// model states its type.
typedef struct Symbol {
    const char *name;
    const Onnx__TensorProto *initializer; // decoded on first use
    const Onnx__SparseTensorProto *sparse; // the same, of a sparse one
    const Onnx__ValueInfoProto *info;     // the type that the model states
    const Dense *dense;
    Value *value;
    bool defined; // an input, initializer, or result of a node already converted
    bool broken;
    bool absent;         // an input of a function that its call leaves out
    bool is_output;      // of the graph
    struct Symbol *as_f32; // the same in f32, once something computed on it
    const Dense *stored;   // of what DequantizeLinear gives of a constant: the integers, of nn's quantized type
    struct Symbol *dequantized; // the same as nn.dequantize of these, once an op took it
    struct Symbol *quantized;   // of i8 or u8 with a scale: in nn's i8; `value` is made of it when it is asked for
    Elem integer;               // i8 or u8, what the model has there
    Elem origin;                // of what DequantizeLinear gives: the type of the integers
    struct Symbol *next; // of its hash bucket
} Symbol;

// The names of one graph. Those of the graph around it are seen too; a function sees its own only.
typedef struct Scope {
    size_t bucket_count;
    Symbol **buckets;
    struct Scope *outer;
} Scope;

// The call of a function whose nodes are being converted: its attributes are what theirs refer to.
typedef struct Call {
    const Onnx__NodeProto *proto;
    const Onnx__FunctionProto *function;
    const struct Call *outer;
} Call;

// A file of external data.
typedef struct External {
    const char *path;
    FileBytes file;
    struct External *next;
} External;

typedef struct Counted Counted;

typedef struct {
    Module *module;
    Func *func;
    Arena *arena;   // the module's
    Arena *scratch; // of the import
    Diag *diag;
    Diag *quiet; // collects what inference says, to be told with the node's name
    bool unfolded; // constants that may follow the sizes of inputs stay ops
    int errors;  // reported before this import
    const char *path;
    Builder builder;
    int64_t opset;
    Scope *scope;
    Map *names; // of the module's values
    const Onnx__ModelProto *model;
    const ImportOptions *options; // may be NULL
    const Call *call;      // NULL in the model's own graph
    const struct Input *inputs; // of the model (import.c); their dimensions' names stand for sizes
    int input_count;
    bool warned_of_f64;
    UnsupportedList *unsupported; // what the user asks to be listed; may be NULL
    External *externals;   // files of external data that are open
    Map *counted;          // values of a size that depends on data (counted.c): Value to Counted; NULL: none
    int64_t inlined_nodes; // converted for bodies of loops, branches and functions
} Importer;

typedef struct {
    Importer *importer;
    const Onnx__NodeProto *proto;
    const char *label; // "node 'Conv_12' (Conv)"
    bool computes_f32; // its inputs of other floats are seen as f32
    bool takes_stored; // its dequantized constants are seen as nn.dequantize, not folded
    bool moves_quantized; // its first input is seen in nn's i8, and so is its result
    Elem integer;         // what that is in the model
} Node;

typedef bool ConvertFn(Node *node);

#define ONNX(name, first_opset, function) ConvertFn function;
#include "frontend/onnx/onnx_ops.def"
#undef ONNX

typedef struct {
    const char *name;
    int first_opset;
    ConvertFn *convert;
} OnnxOp;
// NULL when there is no row of that name.
const OnnxOp *onnx_op_find(const char *name);

// ---- reading the file (message.c)

// NULL after a message. The result lives in `scratch`; raw data of tensors stays in `data`, at any alignment.
Onnx__ModelProto *onnx_unpack(Arena *scratch, Diag *diag, const char *path, const void *data,
                              size_t bytes);

// Allocator functions of protobuf-c, over an arena.
void *arena_allocate(void *arena, size_t bytes);
void arena_release(void *arena, void *memory);

// ---- tensors (tensor.c)

bool elem_from_onnx(int data_type, Elem *elem);
const char *onnx_type_name(int data_type);
int onnx_type_of_name(const char *name); // 0 if there is none
// The elements of `proto`; they may point into it. NULL after a message that starts with `what`.
const Dense *dense_from_proto(Importer *importer, const Onnx__TensorProto *proto, const char *what);
const char *sparse_name(const Onnx__SparseTensorProto *proto); // of an initializer; "" if it has none
const Dense *dense_from_sparse(Importer *importer, const Onnx__SparseTensorProto *proto, const char *what);
// So many bytes of a tensor in another file (external.c); NULL after a message.
const void *external_data(Importer *importer, const Onnx__TensorProto *proto, size_t bytes, const char *what);
void forget_externals(const Importer *importer);
// ---- names (symbols.c)

// Names go into a new scope from now on; `outer` is seen too.
Scope *scope_enter(Importer *importer, size_t expected, Scope *outer);
Symbol *symbol_find(const Importer *importer, const char *name);
// A new one; NULL if the name is taken.
Symbol *symbol_add(Importer *importer, const char *name);
// Its constant elements, NULL if it is none (or after a message; it is broken then).
const Dense *symbol_dense(Importer *importer, Symbol *symbol);
// Of what it is; NULL if that is not known.
const Type *symbol_type(Importer *importer, Symbol *symbol);
// Its value; a constant becomes an op. NULL if broken.
Value *symbol_value(Importer *importer, Symbol *symbol);
// A constant op. `dense` is copied into the module unless it is there already (`owned`).
Value *emit_constant(Importer *importer, const Dense *dense, bool owned, const char *name);
// The name for another form of the constant input `index`: its own, which an unused op of the first
// form gives up.
const char *take_name(const Node *node, int index);
// Gives the value the tensor's own name, or, when another value has that, a name derived from it.
void name_value(Importer *importer, Value *value, const char *name);

// ---- inputs that the user makes constants (given.c)

bool take_constants(Importer *importer, const Onnx__GraphProto *graph, const ImportOptions *options);
// The options that would make `value` constant; NULL when none of use would.
const char *constant_advice(const Importer *importer, const Value *value);

// ---- operators of the user (custom.c)

// What --custom says of such a node; NULL when nothing.
const CustomOption *custom_find_option(const Importer *importer, const Onnx__NodeProto *proto);
bool convert_custom(Node *node, const CustomOption *custom);
// Ties what a graph says of its tensors' types to their names (import.c).
void note_types(Importer *importer, const Onnx__GraphProto *graph);
// The type that the model states for a tensor; NULL when it states none, or not all of it (import.c).
const Type *stated_type(Importer *importer, const Symbol *symbol);

// ---- floats other than f32 (floats.c)

// Whether the node sees its inputs of other floats as f32: it does more than move them.
bool node_computes_f32(const Node *node);
bool op_takes_f64(OpKind kind); // it has kernels for f64
Symbol *symbol_as_f32(const Node *node, Symbol *symbol);
const Dense *dense_to_f32(Arena *arena, const Dense *dense);
// What the graph's output `name` is, in its float type.
Value *output_of_type(Importer *importer, Value *value, Elem elem, const char *name);

// ---- integers with a scale (scaled.c)

void node_choose_forms(Node *node);
bool scale_is_plain(float scale);
// nn's i8 for a tensor of one constant scale and zero point, inputs of the node; NULL where there is none.
const Quant *tensor_quant(const Node *node, int scale_index, int zero_index, Elem elem);
// A constant of at most 8 bits, or a bias of 32, in nn's i8 (i32) with one scale or one an index of `axis`; NULL where there
// is no such type for it. `zero` may be NULL.
const Dense *stored_constant(const Node *node, const Dense *input, const Dense *scale, const Dense *zero, int axis);
const Dense *stored_transpose(Importer *importer, const Dense *stored, const int *perm);
const Dense *stored_to_f32(Arena *arena, const Dense *stored);
Value *emit_stored(Importer *importer, const Dense *stored, const char *name); // in f32, by nn.dequantize
Symbol *symbol_dequantized(Importer *importer, Symbol *symbol);
void symbol_set_quantized(Importer *importer, Symbol *symbol, Value *value, Elem elem);
Value *symbol_plain(Importer *importer, const Symbol *symbol); // integers without a scale
// nn's i8 as the caller sees it: u8 where the model has that; and back.
Value *emit_edge(Importer *importer, Value *value, Elem elem);
// The type of an input: with its scale, where one DequantizeLinear is all that reads it.
const Type *input_type(Importer *importer, const Onnx__GraphProto *graph, const Type *plain, const char *name);

// ---- graphs (graph.c)

bool import_error(const Importer *importer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool is_onnx_domain(const char *domain);
// What the user calls a node: its name, or that of its first result.
const char *proto_name(const Onnx__NodeProto *proto);
bool node_is_supported(const Importer *importer, const Onnx__NodeProto *proto);
// Reports the nodes of operators that are not imported (unsupported.c).
void report_unsupported(Importer *importer, size_t count, Onnx__NodeProto *const *nodes);
// Nodes in order. One that fails is reported and its results are marked.
void convert_nodes(Importer *importer, size_t count, Onnx__NodeProto *const *nodes);
// Converts a part of what `node` stands for, by the row of its operator in domain ai.onnx.
bool convert_as(const Node *node, const Onnx__NodeProto *proto);
// Scales, zero points and bias of QLinearConv and QLinearMatMul are constant (qoperator.c).
bool has_constant_scales(const Node *node);
// A stand-in of the type that the model states for the result of a node that failed; may be NULL.
Value *stand_in(Importer *importer, const Symbol *symbol);
// What an attribute of a function's node that refers to `name` stands for; NULL when absent.
const Onnx__AttributeProto *call_attr(const Importer *importer, const char *name);

// What goes into and comes out of a graph within another: one of both.
typedef struct {
    Value *value;
    const Dense *dense;
} Binding;
bool binding_of_input(const Node *node, int index, Binding *binding);
bool node_bind_binding(const Node *node, int index, Binding binding);
Value *binding_value(const Node *node, Binding binding);
// Converts the nodes of `graph` for `node`. False after a message.
bool convert_graph(const Node *node, const Onnx__GraphProto *graph, int input_count,
                   const Binding *inputs, int output_count, Binding *outputs);

// ---- a node's inputs, attributes and outputs (node.c)

bool node_error(const Node *node, const char *format, ...) __attribute__((format(printf, 2, 3)));
int node_input_count(const Node *node);
bool node_has_input(const Node *node, int index);
// Reports an absent input.
Value *node_input(const Node *node, int index);
Value *node_input_or_null(const Node *node, int index);
const Type *node_input_type(const Node *node, int index); // NULL if absent
const Dense *node_dense(const Node *node, int index);     // NULL if absent or not constant
const Type *node_constant_type(const Node *node, int index); // NULL if absent or not constant
const Dense *node_stored(const Node *node, int index);    // of a dequantized constant its integers; else NULL
// Of which type of integers DequantizeLinear makes the input, where it does.
Elem node_origin(const Node *node, int index);
// The one element of a constant input; `fallback` if absent. Reports one that is not constant.
bool node_scalar(const Node *node, int index, double fallback, double *value);
// Reports that input `index` (what the operator calls it, or NULL) must be constant, and what makes it so.
bool node_not_constant(const Node *node, int index, const char *what);

const Onnx__AttributeProto *node_attr(const Node *node, const char *name);
int64_t node_int(const Node *node, const char *name, int64_t fallback);
double node_float(const Node *node, const char *name, double fallback);
const char *node_string(const Node *node, const char *name, const char *fallback);
// A list of integers, clamped to ±2^31: what lies beyond is no size of a tensor, and sums stay
// within 64 bits.
typedef struct {
    bool present;
    int count;
    int64_t *data;
} Ints;
bool node_ints(const Node *node, const char *name, Ints *ints);
// A list that old opsets give as an attribute and newer ones as a constant input (index; -1:
// attribute only).
bool node_ints_or_input(const Node *node, const char *name, int index, Ints *ints);
// Makes a possibly negative axis count from the front, of a tensor of that rank (which may itself
// be allowed).
bool node_axis(const Node *node, int64_t axis, int rank, int *out);
bool node_axes(const Node *node, Ints axes, int rank, int *out);
// Constant indices, taken `depth` at a time, lie within sizes[0 .. depth - 1] counted from either
// end; others are only known when the network runs (indexing.c).
bool node_check_indices(const Node *node, int index, int64_t depth, const int64_t *sizes);

// Binds output `index`; an output that is not named is dropped.
bool node_bind(const Node *node, int index, Value *value);
bool node_bind_dense(const Node *node, int index, const Dense *dense);
bool node_bind_stored(const Node *node, int index, const Dense *stored);
bool node_bind_quantized(const Node *node, int index, Value *value, Elem elem); // nn's i8 for a tensor of `elem`
// Is it the name of an output that is used?
bool node_has_output(const Node *node, int index);
// The last op of a node and what of it is the named tensor: `inner` is the op that computes,
// `outer` the same data in ONNX's layout, bound to output 0.
bool node_bind_layout(const Node *node, Value *inner, Value *outer);

// ---- opsets 1 to 6 (old.c)

// The right operand of a function of two tensors, in a shape that broadcasts to `left`.
Value *node_right(const Node *node, const Value *left);
// The slope of PRelu, likewise.
Value *node_slope(const Node *node, const Value *input);
bool old_tile_repeats(const Node *node, const Type *type, Ints *repeats);
bool old_batch_normalization(Node *node);

// ---- tensors of a size that depends on data (counted.c)

// A new result of operands of such a size has one too. False after a message: the op can't take them.
bool node_pass_counted(const Node *node, const Value *result);
// False after a message: what the size of this input is, is asked.
bool node_has_fixed_size(const Node *node, int index);
// Adds the counts of outputs to `values`, behind the first `count`; how many.
int emit_counts(Importer *importer, const Onnx__GraphProto *graph, int count, Value **values);

// ---- emitting (node.c)

// One op with one inferred result; computed at once when its operands are small constants. NULL
// after a message.
Value *emit(const Node *node, OpKind kind, int count, Value *const *operands, Attr *attrs);
Value *emit_unary(const Node *node, OpKind kind, Value *input, Attr *attrs);
Value *emit_binary(const Node *node, OpKind kind, Value *a, Value *b);
Value *emit_reshape(const Node *node, Value *input, int rank,
                    const int64_t *dims); // none if it changes nothing
Value *emit_transpose(const Node *node, Value *input, const int *perm);
Value *emit_cast(const Node *node, Value *input, Elem elem); // none if it changes nothing
Value *node_bias(const Node *node, int index); // of a product: in f32, of dequantized integers as nn.dequantize
Value *emit_scalar(const Node *node, double value); // f32, rank 0
Value *emit_ints(const Node *node, int count, const int64_t *values);
// 0 .. count - 1 in i64 along dimension `dim` of `rank`, the others of 1 (indexing.c).
Value *emit_iota(const Node *node, int rank, int dim, int64_t count);
// Of the input's rank, as nn.slice; none if it takes all.
Value *emit_slice(const Node *node, Value *input, const int64_t *starts, const int64_t *ends,
                  const int64_t *steps);
Value *emit_broadcast(const Node *node, Value *input, int rank,
                      const int64_t *dims); // none if it changes nothing
Value *emit_concat(const Node *node, int count, Value *const *inputs, int axis);
Value *emit_without_dim(const Node *node, Value *input, int axis); // a dimension of 1 dropped
Value *emit_floats(const Node *node, int rank, const int64_t *shape, const float *values); // f32
// Between ONNX's N C spatial and nn's channels last, for rank 3 to 5 (rank 3 gets a height of 1).
Value *emit_to_nhwc(const Node *node, Value *input);
Value *emit_from_nhwc(const Node *node, Value *input, int rank);
