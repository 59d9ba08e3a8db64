// What a network keeps from one run to the next. A state is an argument of @main, its value before a run, and an operand of the
// return, its value after it: the next run begins with that. The last arguments and operands are states, as many as the module's
// attribute `qanat.states` says, in the same order; before the first run and after a reset they are what `qanat.start.N` of state N
// says, or 0. Inside the function a state is a value like any other, so that no pass needs to know of it.
#pragma once
#include "ir/eval.h"

int module_state_count(const Module *module);
// Arguments and results of @main that are none.
int module_input_count(const Module *module);
int module_output_count(const Module *module);
// The argument and the returned value of one; of modules of nn.
Value *module_state(const Module *module, int index);
Value *module_next_state(const Module *module, int index);
// What a state begins with, of the type that its argument has; NULL: 0, which is the zero point where it is quantized.
const Dense *module_state_start(const Module *module, int index);
// The same as elements of `type`, which has as many.
Tensor module_start_tensor(Arena *arena, const Module *module, int index, const Type *type);

void module_set_states(Module *module, int count);
void module_set_state_start(Module *module, int index, const Dense *start);
// Makes @main's argument `input` and its result `output` a state, the last one.
void module_tie(Module *module, int input, int output);

// Each state's argument and result are there, and of one type, as its start is.
bool module_verify_states(const Module *module, Diag *diag);
