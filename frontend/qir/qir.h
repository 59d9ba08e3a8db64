// Between the scanner, the grammar and the builder of the textual IR. The grammar collects the parts of one op; the
// builder checks and makes it. A fault is reported once: values of a faulty op are marked, and uses of them say nothing.
#pragma once
#include "frontend/frontend.h"
#include "ir/map.h"

// Where a token starts.
typedef struct { int line, column; const char *text; } QirPlace;

// An element as it stands in the source: numbers are converted when their type is known.
typedef enum { LITERAL_INT, LITERAL_FLOAT, LITERAL_HEX, LITERAL_BOOL } LiteralKind;
typedef struct { const char *text; int length; LiteralKind kind; } QirLiteral;

// Where a binary file's resources lie, and the checksum of those seen so far.
typedef struct { const char *data; uint64_t bytes, sum; } QirBlobs;

// A quoted string, in the source, without its quotes.
typedef struct { const char *text; size_t bytes; } QirString;

typedef struct QirName {
    const char *text;
    bool numbered; // %0: a value without a name
    QirPlace place;
    struct QirName *next;
} QirName;

// dense<…> or dense_resource<…>: literals [first, first + count) of the state's buffer under a shape.
typedef enum { DENSE_ELEMENTS, DENSE_BYTES, DENSE_RESOURCE } QirDenseKind;
typedef struct QirDense {
    QirDenseKind kind;
    bool splat, faulty;
    size_t first, count;
    int rank;
    int64_t shape[MAX_RANK];
    QirString bytes;
    const char *resource;
    QirPlace place;
} QirDense;

typedef struct QirOperand {
    QirName *name;   // NULL: dense, or `none` when that is NULL too
    QirDense *dense;
    QirPlace place;
    struct QirOperand *next;
} QirOperand;

typedef struct QirType {
    const Type *type; // NULL: faulty, reported
    QirPlace place;
    struct QirType *next;
} QirType;

typedef struct QirAttr {
    Attr attr;
    QirDense *dense; // ATTR_DENSE: made when the op is
    QirPlace place;
    struct QirAttr *next;
} QirAttr;

typedef struct { QirName *first, *last; } QirNames;
typedef struct { QirOperand *first, *last; } QirOperands;
typedef struct { QirType *first, *last; } QirTypes;
typedef struct { QirAttr *first, *last; } QirAttrs;

// After the colon: absent, `: types`, or `: (types) -> types`.
typedef struct { bool given, arrow; QirTypes operands, results; QirPlace place; } QirSignature;

typedef struct { const char *name; int alias_count; const char **aliases; } QirLoc;

typedef struct { const Quant *quant; Elem elem; bool faulty; } QirElem;
typedef struct { int rank; int64_t dims[MAX_RANK]; bool faulty; } QirShape;

// A definition, found by name.
typedef struct QirDefinition { Value *value; /* NULL: faulty */ QirPlace place; } QirDefinition;

// A use whose definition has not come (yet).
typedef struct QirUse { const QirName *name; struct QirUse *next; } QirUse;

// A constant that waits for the resources at the end of the file.
typedef struct QirPending { Dense *dense; QirPlace place; struct QirPending *next; } QirPending;

typedef struct QirState {
    Arena *arena, *scratch; // the module's, and one for what the parse needs
    Diag *diag;
    const char *path, *text;
    size_t bytes;
    Module *module;
    void *scanner;

    // scanner and recovery
    int line;
    const char *line_start;
    const char *last_start; // of the token before the lookahead's end: the lookahead itself
    bool last_starts_line, skipping;
    const char *last_error;
    int errors_before; // of diag, when the parse began

    // dense literals
    QirLiteral *literals;
    size_t literal_count, literal_capacity;
    int depth, leaf_depth;
    int64_t counts[MAX_RANK + 1], extents[MAX_RANK + 1];
    QirDense *dense;

    // quantized types: scales and zero points being read
    float *scales;
    int32_t *zero_points;
    int scale_count, scale_capacity;

    // the function being built
    Func *func;
    Map *names, *numbers; // QirDefinition *
    Map *func_names;
    QirUse *unresolved;
    QirTypes func_results;
    bool func_results_given, returned;
    QirPending *pending;
    Map *resources; // Resource *
    QirBlobs *blobs; // of a binary file; NULL: resources are hexadecimal
} QirState;

// parse_qir, with the resources' bytes beside the text; NULL: in it.
Module *parse_qir_text(Arena *arena, Diag *diag, const char *path, const char *text, size_t bytes, QirBlobs *blobs);

enum { QIR_MAX_ERRORS = 20, QIR_MAX_SCALES = 1 << 24 };

// ---- faults
static inline Loc qir_loc(const QirState *state, QirPlace place) {
    return (Loc){.file = state->path, .line = place.line, .column = place.column};
}
QirPlace qir_place_of(const QirState *state, const char *text); // of any point of the source
bool qir_too_many_errors(const QirState *state);

// ---- text
const char *qir_unescape(QirState *state, QirString string);
bool qir_int(QirState *state, QirLiteral literal, int64_t *value);
double qir_float(QirState *state, QirLiteral literal);
uint8_t *qir_hex_bytes(QirState *state, QirString string, size_t *count);

// ---- types
void qir_shape_add(QirState *state, QirShape *shape, QirLiteral dim, QirPlace place);
void qir_add_scale(QirState *state, QirLiteral scale, const QirLiteral *zero_point);
QirElem qir_elem(QirState *state, const char *name, QirPlace place);
typedef struct { const QirLiteral *min, *max, *axis; bool list; } QirQuantParts;
QirElem qir_quant(QirState *state, const char *storage, const char *expressed, const QirQuantParts *parts, QirPlace place);
QirType *qir_tensor(QirState *state, const QirShape *shape, QirElem elem, QirPlace place);
QirType *qir_buffer(QirState *state, const QirShape *shape, QirElem elem, QirAttrs params, QirPlace place);
QirType *qir_none_type(QirState *state, QirPlace place);

// ---- dense elements
void qir_push_literal(QirState *state, QirLiteral literal);
void qir_dense_begin(QirState *state, QirPlace place);
void qir_dense_literal(QirState *state, QirLiteral literal);
void qir_dense_open(QirState *state, QirPlace place);
void qir_dense_close(QirState *state, QirPlace place);
QirDense *qir_dense_end(QirState *state);
QirDense *qir_dense_bytes(QirState *state, QirString bytes, QirPlace place);
QirDense *qir_dense_resource(QirState *state, const char *name, QirPlace place);
// The elements under `type`; NULL after a reported error.
const Dense *qir_dense_make(QirState *state, const QirDense *dense, const Type *type);
// The bytes of a binary file that "@offset:bytes" names; NULL with a message.
const void *qir_blob(QirState *state, QirString string, QirPlace place, size_t *bytes);
void qir_resource(QirState *state, const char *name, QirString bytes, QirPlace place);
void qir_resolve_resources(QirState *state);

// ---- attributes
QirAttr *qir_attr_number(QirState *state, QirLiteral literal);
QirAttr *qir_attr_numbers(QirState *state, size_t first_literal);
QirAttr *qir_attr_of(QirState *state, AttrKind kind);

// ---- functions and ops
void qir_module(QirState *state, const char *name, QirAttrs attrs);
void qir_func_begin(QirState *state, const char *name, QirPlace place, QirNames names, QirTypes types);
void qir_func_end(QirState *state, QirPlace place);
typedef struct {
    QirNames results;
    const char *name;
    QirPlace place;
    QirOperands operands;
    QirAttrs attrs;
    QirSignature signature;
    QirLoc loc;
} QirOp;
void qir_op(QirState *state, const QirOp *op);

#define QIR_APPEND(list, item)                                    \
    do {                                                          \
        if ((list).last) (list).last->next = (item);              \
        else (list).first = (item);                               \
        (list).last = (item);                                     \
    } while (0)
