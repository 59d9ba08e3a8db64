// A function as a graph in Graphviz's language: ops as boxes, tensors as edges with their types; constants are left out.
#pragma once
#include "ir/ir.h"

void print_dot(const Func *func);
