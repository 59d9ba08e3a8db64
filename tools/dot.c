// See dot.h. Nodes are numbered; names stand in labels only, escaped.
#include "tools/dot.h"

#include <stdint.h>
#include <stdio.h>

#include "ir/map.h"

typedef struct {
    Arena *arena;
    Map *numbers; // of ops and arguments, by the address of their (first) value
    int count;
} Graph;

static void print_text(const char *text) {
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            putchar('\\');
        putchar(c < 0x20 || c == 0x7f ? '?' : c);
    }
}

static int number_of(Graph *graph, const void *key) {
    void **number = map_get(graph->numbers, key);
    if (!*number)
        *number = (void *)(uintptr_t)++graph->count;
    return (int)(uintptr_t)*number;
}

static int source_of(Graph *graph, const Value *value) {
    return number_of(graph, value->def ? (const void *)value->def : (const void *)value);
}

static void print_edge(Graph *graph, const Value *value, int to) {
    printf("  n%d -> n%d [label=\"", source_of(graph, value), to);
    print_text(type_text(graph->arena, value->type));
    printf("\"]\n");
}

static void print_op(Graph *graph, const Op *op) {
    int number = number_of(graph, op);
    const char *name = op->result_count && op->results[0].name ? op->results[0].name : "";
    printf("  n%d [label=\"", number);
    print_text(op_info(op->kind)->name);
    printf("\\n");
    print_text(name);
    printf("\"]\n");
    for (int i = 0; i < op->operand_count; i++) {
        const Value *value = op_operand(op, i);
        if (value && !(value->def && value->def->kind == OP_constant))
            print_edge(graph, value, number);
    }
}

static void print_end(Graph *graph, const void *key, const char *name) {
    printf("  n%d [shape=ellipse, label=\"", number_of(graph, key));
    print_text(name ? name : "");
    printf("\"]\n");
}

void print_dot(const Func *func) {
    Graph graph = {.arena = arena_new()};
    graph.numbers = map_new_pointers(graph.arena);
    printf("digraph \"");
    print_text(func->module->name);
    printf("\" {\n  node [shape=box]\n");
    for (int i = 0; i < func->arg_count; i++)
        print_end(&graph, &func->args[i], func->args[i].name);
    FOR_EACH_OP(func, op) {
        if (op->kind == OP_constant)
            continue;
        if (op->kind != OP_return) {
            print_op(&graph, op);
            continue;
        }
        for (int i = 0; i < op->operand_count; i++) { // a node for each output
            const Value *value = op_operand(op, i);
            print_end(&graph, &op->operands[i], value->name);
            if (!value_constant(value))
                print_edge(&graph, value, number_of(&graph, &op->operands[i]));
        }
    }
    printf("}\n");
    arena_free(graph.arena);
}
