/* The grammar of tables: lines of words, and comments. */
%define api.pure full
%define api.prefix {tables_}
%define api.location.type {TablePlace}
%locations
%param {TableState *state}
%param {void *scanner}

%code requires {
#include "frontend/tables/tables.h"
}
%code provides {
int tables_lex(TABLES_STYPE *value, TablePlace *place, TableState *state, void *scanner);
void *tables_scan_begin(const char *text, size_t bytes);
void tables_scan_end(void *scanner);
}
%code {
#define YYLLOC_DEFAULT(current, rhs, n) ((current) = (n) ? YYRHSLOC(rhs, 1) : YYRHSLOC(rhs, 0))

static void tables_error(TablePlace *place, TableState *state, void *scanner, const char *message) {
    (void)scanner;
    table_fault(state, *place, message);
}

static void add_word(TableState *state, const char *text, bool quoted, TablePlace place) {
    TableWord *word = ARENA_NEW(state->scratch, TableWord);
    *word = (TableWord){text, quoted, place, NULL};
    if (state->last) state->last->next = word;
    else state->first = word;
    state->last = word;
}

static void end_line(TableState *state, bool take) {
    if (state->first && take) state->take_line(state, state->first);
    state->first = state->last = NULL;
}
}

%union { const char *text; }
%token NEWLINE "the end of the line"
%token <text> WORD "a word" QUOTED "a word in quotes" COMMENT "a comment"

%%

table: lines rest { end_line(state, true); }
    ;
lines: %empty
    | lines rest NEWLINE { end_line(state, true); if (state->faults >= MAX_TABLE_FAULTS) YYABORT; }
    | lines error NEWLINE { end_line(state, false); yyerrok; if (state->faults >= MAX_TABLE_FAULTS) YYABORT; }
    ;
rest: words
    | words COMMENT { state->take_comment(state, $2); }
    ;
words: %empty
    | words WORD { add_word(state, $2, false, @2); }
    | words QUOTED { add_word(state, $2, true, @2); }
    ;
