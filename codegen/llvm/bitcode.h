// LLVM's side of one emission, shared by the files of this folder.
#pragma once
#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

#include "codegen/emit.h"

// The section of the weights: as LLVM emits it, without contents, and as it is called in the object. Of the same length,
// and the first is the end of no other section's name, which would share its text.
#define EMPTY_SECTION ".bss.weights_"
#define WEIGHTS_SECTION ".rodata.qanat"

typedef struct { char *bytes; size_t size; } Object;

// One part of a program: the functions of some layers. The first part has all else besides, and that of the first program what
// there is once in a model.
typedef struct {
    Arena *arena;
    int program, part;
    const int *part_of; // by step: the part that has the function of its layer; -1: a custom operator
    const Target *target;
    const Steps *steps;
    const Interface *interface;
    const EmitOptions *options;
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMTargetMachineRef machine;
    LLVMTypeRef ptr, i8, i32, i64, f32;
    Object output;      // of options->kind
    int64_t code_bytes; // of its machine code
} Emitter;

// Links the bitcode of the entry and of the kernels that the part's layers call into the module: all of it internal, and set to
// the target's instruction sets (the entry to the architecture's baseline).
void bitcode_link(Emitter *e);
// Whether the weights are written behind the object, instead of passing through LLVM as a constant.
bool weights_are_apart(const Emitter *e);
// One object of the objects of a program's parts, in `arena`.
Object elf_join(Arena *arena, int count, const Object *objects);
// The contents of the section of the weights stand `at` bytes from the object's start. False if it has no such section.
bool elf_place_weights(char *object, size_t at);
// Adds the functions of the part's layers; and to the first part the weights, the tables and the public symbols.
void build_part(Emitter *e);
// Gives a new function the attributes that code must agree on with `model`, a function from bitcode.
void copy_attributes(Emitter *e, LLVMValueRef function, LLVMValueRef model);
void add_attribute(Emitter *e, LLVMValueRef function, unsigned index, const char *name, uint64_t value);
