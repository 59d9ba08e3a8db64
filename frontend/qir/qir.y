/* The grammar of the textual IR (docs/language.md). It knows no op: an op is a name with operands, attributes and
   types, which build.c checks against the row of ops.def. After a fault it goes on at the next line. */
%define api.pure full
%define api.prefix {qir_}
%define api.location.type {QirPlace}
%define parse.error custom
%define parse.lac full
%locations
%param {QirState *state}
%expect 2 /* an op without operands before `%x, %y =`: %x is taken for its operand */

%code requires {
#include "frontend/qir/qir.h"
}
%code provides {
int qir_lex(QIR_STYPE *value, QirPlace *place, QirState *state);
bool qir_scan_begin(QirState *state);
void qir_scan_end(QirState *state);
}
%code {
#include <string.h>

#define YYLLOC_DEFAULT(current, rhs, n) ((current) = (n) ? YYRHSLOC(rhs, 1) : YYRHSLOC(rhs, 0))
#define NEW(T) ARENA_NEW(state->scratch, T)

static void qir_error(QirPlace *place, QirState *state, const char *message) {
    diag_error(state->diag, qir_loc(state, *place), "%s", message);
}

static void expect_word(QirState *state, QirPlace place, const char *found, const char *expected) {
    if (strcmp(found, expected))
        diag_error(state->diag, qir_loc(state, place), "found '%s', expected '%s'", found, expected);
}

static const QirLiteral *kept(QirState *state, QirLiteral literal) {
    return arena_copy(state->scratch, &literal, sizeof literal);
}

static QirName *new_name(QirState *state, const char *text, bool numbered, QirPlace place) {
    QirName *name = NEW(QirName);
    *name = (QirName){text, numbered, place, NULL};
    return name;
}

// Where to go on after a fault: at the next line, unless the token at fault begins one itself.
static bool skip_to_line(QirState *state) {
    bool keep = state->last_starts_line && state->last_error != state->last_start;
    state->last_error = state->last_start;
    state->skipping = !keep;
    return !keep;
}
}

%union {
    const char *text;
    QirLiteral literal;
    QirString string;
    QirName *name;
    QirNames names;
    QirOperand *operand;
    QirOperands operands;
    QirType *type;
    QirTypes types;
    QirAttr *attr;
    QirAttrs attrs;
    QirDense *dense;
    QirSignature signature;
    QirLoc loc;
    QirElem elem;
    QirShape shape;
    QirQuantParts quant;
    size_t index;
    struct { QirNames names; QirTypes types; } args;
}

%token <text> MODULE "'module'" ATTRIBUTES "'attributes'" FUNC "'func'" LOC "'loc'" FUSED "'fused'"
%token <text> UNKNOWN "'unknown'" NONE "'none'" DENSE "'dense'" DENSE_RES "'dense_resource'"
%token TENSOR "'tensor<'" BUFFER "'!kn.buffer<'" QUANT "'!quant.uniform<'" ARROW "'->'"
%token RESOURCES "'{-#'" RESOURCES_END "'#-}'"
%token <literal> TRUE_ "'true'" FALSE_ "'false'" INTEGER "an integer" FLOAT_ "a number" HEX "a hexadecimal number"
%token <literal> DIM "a dimension"
%token <text> IDENT "a name" SYMBOL "a symbol (@name)" NAMED "a value (%name)" NUMBERED "a value (%0)"
%token <text> RESULT "a result (%name =)" RESULT_NUMBERED "a result (%0 =)"
%token <string> STRING "a string"
%token END 0 "the end of the file"

%type <text> word symbol resource_name
%type <literal> number boolean zero_point
%type <name> value result
%type <names> op_results value_list
%type <operand> operand
%type <operands> operands operand_list
%type <type> type
%type <types> types types_opt result_types func_results
%type <attr> attr attr_value param
%type <attrs> attrs attr_list attr_list_opt params module_attrs
%type <dense> dense
%type <signature> signature
%type <loc> loc loc_body loc_items
%type <elem> elem quant
%type <shape> dims
%type <quant> quant_range quant_axis quant_params
%type <index> numbers_begin
%type <args> args arg_list arg

%%

file: body resources { qir_resolve_resources(state); }
    ;
body: module_head '{' funcs '}' loc
    | implicit_module func funcs
    ;
implicit_module: %empty { qir_module(state, "main", (QirAttrs){0}); }
    ;
module_head: MODULE symbol module_attrs { qir_module(state, $symbol, $module_attrs); }
    ;
symbol: %empty { $$ = "main"; }
    | SYMBOL
    ;
module_attrs: %empty { $$ = (QirAttrs){0}; }
    | ATTRIBUTES '{' attr_list_opt '}' { $$ = $attr_list_opt; }
    ;
funcs: %empty
    | funcs func
    ;

// ---- functions
func: FUNC SYMBOL '(' args ')' func_results {
        qir_func_begin(state, $SYMBOL, @SYMBOL, $args.names, $args.types);
        state->func_results = $func_results;
    } '{' ops '}' { qir_func_end(state, @10); }
    ;
func_results: %empty { $$ = (QirTypes){0}; state->func_results_given = false; }
    | ARROW result_types { $$ = $result_types; state->func_results_given = true; }
    ;
args: %empty { $$.names = (QirNames){0}; $$.types = (QirTypes){0}; }
    | arg_list
    ;
arg_list: arg
    | arg_list ',' arg { $$ = $1; QIR_APPEND($$.names, $3.names.first); QIR_APPEND($$.types, $3.types.first); }
    ;
arg: value ':' type loc {
        $$.names = (QirNames){$value, $value};
        $$.types = (QirTypes){$type, $type};
    }
    ;
value: NAMED { $$ = new_name(state, $1, false, @1); }
    | NUMBERED { $$ = new_name(state, $1, true, @1); }
    ;

// ---- ops
ops: %empty
    | ops op { if (qir_too_many_errors(state)) YYABORT; }
    | ops error {
        if (qir_too_many_errors(state)) YYABORT;
        if (yychar != END && skip_to_line(state)) yyclearin;
        yyerrok;
    }
    ;
op: op_results IDENT operands attrs signature loc {
        QirOp op = {$op_results, $IDENT, @IDENT, $operands, $attrs, $signature, $loc};
        qir_op(state, &op);
    }
    ;
op_results: %empty { $$ = (QirNames){0}; }
    | result '=' { $$ = (QirNames){$1, $1}; }
    | value_list ',' result '=' { $$ = $1; QIR_APPEND($$, $3); }
    ;
value_list: value { $$ = (QirNames){$1, $1}; }
    | value_list ',' value { $$ = $1; QIR_APPEND($$, $3); }
    ;
result: RESULT { $$ = new_name(state, $1, false, @1); }
    | RESULT_NUMBERED { $$ = new_name(state, $1, true, @1); }
    ;
operands: %empty { $$ = (QirOperands){0}; }
    | operand_list
    ;
operand_list: operand { $$ = (QirOperands){$1, $1}; }
    | operand_list ',' operand { $$ = $1; QIR_APPEND($$, $3); }
    ;
operand: value { $$ = NEW(QirOperand); $$->name = $1; $$->place = @1; }
    | dense { $$ = NEW(QirOperand); $$->dense = $1; $$->place = @1; }
    | NONE { $$ = NEW(QirOperand); $$->place = @1; }
    ;
signature: %empty { $$ = (QirSignature){0}; }
    | ':' types { $$ = (QirSignature){.given = true, .results = $types, .place = @1}; }
    | ':' '(' types_opt ')' ARROW result_types { $$ = (QirSignature){true, true, $types_opt, $result_types, @1}; }
    ;
result_types: type { $$ = (QirTypes){$1, $1}; }
    | '(' types_opt ')' { $$ = $2; }
    ;
types_opt: %empty { $$ = (QirTypes){0}; }
    | types
    ;
types: type { $$ = (QirTypes){$1, $1}; }
    | types ',' type { $$ = $1; QIR_APPEND($$, $3); }
    ;
loc: %empty { $$ = (QirLoc){0}; }
    | LOC '(' loc_body ')' { $$ = $loc_body; }
    ;
loc_body: STRING { $$ = (QirLoc){.name = qir_unescape(state, $1)}; }
    | STRING ':' INTEGER ':' INTEGER { $$ = (QirLoc){0}; }
    | UNKNOWN { $$ = (QirLoc){0}; }
    | FUSED '[' loc_items ']' { $$ = $loc_items; }
    ;
loc_items: STRING { $$ = (QirLoc){.name = qir_unescape(state, $1)}; }
    | UNKNOWN { $$ = (QirLoc){0}; }
    | loc_items ',' STRING {
        $$ = $1;
        if (!($$.alias_count & ($$.alias_count - 1))) {
            const char **grown = ARENA_ARRAY(state->arena, const char *, 2 * $$.alias_count + 1);
            if ($$.alias_count) memcpy(grown, $$.aliases, sizeof *grown * (size_t)$$.alias_count);
            $$.aliases = grown;
        }
        $$.aliases[$$.alias_count++] = arena_strdup(state->arena, qir_unescape(state, $3));
    }
    ;

// ---- attributes
attrs: %empty { $$ = (QirAttrs){0}; }
    | '{' attr_list_opt '}' { $$ = $attr_list_opt; }
    ;
attr_list_opt: %empty { $$ = (QirAttrs){0}; }
    | attr_list
    ;
attr_list: attr { $$ = (QirAttrs){$1, $1}; }
    | attr_list ',' attr { $$ = $1; QIR_APPEND($$, $3); }
    ;
attr: word '=' attr_value { $$ = $attr_value; $$->attr.name = arena_strdup(state->arena, $word); $$->place = @word; }
    ;
word: IDENT | MODULE | ATTRIBUTES | FUNC | LOC | FUSED | UNKNOWN | NONE | DENSE | DENSE_RES
    | STRING { $$ = qir_unescape(state, $1); }
    ;
attr_value: number suffix { $$ = qir_attr_number(state, $number); }
    | boolean { $$ = qir_attr_of(state, ATTR_BOOL); $$->attr.i = $1.text[0] == 't'; }
    | STRING { $$ = qir_attr_of(state, ATTR_STRING); $$->attr.s = arena_strdup(state->arena, qir_unescape(state, $1)); }
    | '[' numbers_begin numbers ']' { $$ = qir_attr_numbers(state, $numbers_begin); }
    | type { $$ = qir_attr_of(state, ATTR_TYPE); $$->attr.type = $type->type; }
    | dense ':' type {
        $$ = qir_attr_of(state, ATTR_DENSE);
        $$->dense = $dense;
        $$->attr.type = $type->type;
    }
    ;
suffix: %empty
    | ':' IDENT
    ;
numbers_begin: %empty { $$ = state->literal_count; }
    ;
numbers: %empty
    | number_list
    ;
number_list: number { qir_push_literal(state, $1); }
    | number_list ',' number { qir_push_literal(state, $3); }
    ;
number: INTEGER | FLOAT_ | HEX
    ;
boolean: TRUE_ | FALSE_
    ;

// ---- dense elements
dense: DENSE '<' { qir_dense_begin(state, @1); } elements '>' { $$ = qir_dense_end(state); }
    | DENSE '<' STRING '>' { $$ = qir_dense_bytes(state, $3, @1); }
    | DENSE_RES '<' resource_name '>' { $$ = qir_dense_resource(state, $resource_name, @1); }
    ;
elements: %empty
    | element
    ;
element: number { qir_dense_literal(state, $1); }
    | boolean { qir_dense_literal(state, $1); }
    | '[' { qir_dense_open(state, @1); if (state->depth > MAX_RANK) YYABORT; } element_list ']' { qir_dense_close(state, @1); }
    ;
element_list: %empty
    | element_list1
    ;
element_list1: element
    | element_list1 ',' element
    ;
resource_name: word
    ;

// ---- types
type: TENSOR dims elem '>' { $$ = qir_tensor(state, &$dims, $elem, @1); }
    | BUFFER dims elem params '>' { $$ = qir_buffer(state, &$dims, $elem, $params, @1); }
    | NONE { $$ = qir_none_type(state, @1); }
    ;
dims: %empty { $$ = (QirShape){0}; }
    | dims DIM { $$ = $1; qir_shape_add(state, &$$, $2, @2); }
    ;
elem: IDENT { $$ = qir_elem(state, $1, @1); }
    | quant
    ;
params: %empty { $$ = (QirAttrs){0}; }
    | params ',' param { $$ = $1; QIR_APPEND($$, $3); }
    ;
param: word '=' '[' numbers_begin numbers ']' {
        $$ = qir_attr_numbers(state, $numbers_begin);
        $$->attr.name = $word;
        $$->place = @word;
    }
    | word '=' number {
        $$ = qir_attr_number(state, $number);
        $$->attr.name = $word;
        $$->place = @word;
    }
    | word '=' IDENT {
        $$ = qir_attr_of(state, ATTR_STRING);
        $$->attr.name = $word;
        $$->attr.s = $IDENT;
        $$->place = @word;
    }
    ;
quant: QUANT { state->scale_count = 0; } IDENT[storage] quant_range ':' IDENT[expressed] quant_axis ',' quant_params '>' {
        QirQuantParts parts = $quant_range;
        parts.axis = $quant_axis.axis;
        parts.list = $quant_params.list;
        $$ = qir_quant(state, $storage, $expressed, &parts, @1);
    }
    ;
quant_range: %empty { $$ = (QirQuantParts){0}; }
    | '<' INTEGER ':' INTEGER '>' { $$ = (QirQuantParts){.min = kept(state, $2), .max = kept(state, $4)}; }
    ;
quant_axis: %empty { $$ = (QirQuantParts){0}; }
    | ':' INTEGER { $$ = (QirQuantParts){.axis = kept(state, $2)}; }
    ;
quant_params: scale { $$ = (QirQuantParts){0}; }
    | '{' scales '}' { $$ = (QirQuantParts){.list = true}; }
    ;
scales: scale
    | scales ',' scale
    ;
scale: number { qir_add_scale(state, $1, NULL); }
    | number ':' zero_point { qir_add_scale(state, $1, &$3); }
    ;
zero_point: INTEGER
    ;

// ---- resources at the end of the file
resources: %empty
    | RESOURCES sections RESOURCES_END
    ;
sections: IDENT ':' '{' IDENT ':' '{' entries '}' '}' {
        expect_word(state, @1, $1, "dialect_resources");
        expect_word(state, @4, $4, "builtin");
    }
    ;
entries: %empty
    | entry_list
    ;
entry_list: entry
    | entry_list ',' entry
    ;
entry: resource_name ':' STRING { qir_resource(state, $1, $3, @1); }
    ;

%%

static int yyreport_syntax_error(const yypcontext_t *context, QirState *state) {
    enum { SHOWN = 5 };
    QirPlace place = *yypcontext_location(context);
    yysymbol_kind_t token = yypcontext_token(context), expected[SHOWN];
    int count = yypcontext_expected_tokens(context, expected, SHOWN);
    char text[256] = "";
    for (int i = 0; i < count; i++) {
        strncat(text, i ? (i + 1 < count ? ", " : " or ") : ", expected ", sizeof text - strlen(text) - 1);
        strncat(text, yysymbol_name(expected[i]), sizeof text - strlen(text) - 1);
    }
    diag_error(state->diag, qir_loc(state, place), "found %s%s",
               token == YYSYMBOL_YYEMPTY ? "text" : yysymbol_name(token), text);
    return 0;
}
