// Loading and linking of the kernels' bitcode. Only functions that are used are read: the files are parsed lazily, and
// what is not asked for is made internal before linking, so the linker leaves it out.
#include "codegen/llvm/bitcode.h"

#include <llvm-c/BitReader.h>
#include <llvm-c/Linker.h>
#include <string.h>

#include "codegen/embedded.h"

static LLVMModuleRef load(Emitter *e, const char *path) {
    const Embedded *file = embedded_find(path);
    BUG_UNLESS(file, "%s is not in the compiler", path);
    LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRange(file->begin, embedded_bytes(file), path, 0);
    LLVMModuleRef module;
    BUG_UNLESS(!LLVMGetBitcodeModuleInContext2(e->context, buffer, &module), "%s: bad bitcode", path);
    // Linking what was built for another machine only warns, and aborts later.
    BUG_UNLESS(!strcmp(LLVMGetTarget(module), LLVMGetTarget(e->module)), "%s: triple %s", path, LLVMGetTarget(module));
    BUG_UNLESS(!strcmp(LLVMGetDataLayoutStr(module), LLVMGetDataLayoutStr(e->module)), "%s: data layout", path);
    return module;
}

static bool is_needed(const Emitter *e, const char *name) {
    if (!strncmp(name, "qn_entry_", 9) || !strncmp(name, "qn_fused_", 9) || !strncmp(name, "qn_states_", 10)) return true;
    for (int i = 0; i < e->steps->step_count; i++)
        if (e->part_of[i] == e->part && !strcmp(e->steps->steps[i].kernel->symbol, name)) return true;
    return false;
}

static void link_file(Emitter *e, const char *path) {
    LLVMModuleRef module = load(e, path);
    for (LLVMValueRef f = LLVMGetFirstFunction(module); f; f = LLVMGetNextFunction(f)) {
        size_t length;
        if (!LLVMIsDeclaration(f) && !is_needed(e, LLVMGetValueName2(f, &length))) LLVMSetLinkage(f, LLVMInternalLinkage);
    }
    BUG_UNLESS(!LLVMLinkModules2(e->module, module), "%s: cannot link", path);
}

static void set_string_attribute(Emitter *e, LLVMValueRef function, const char *name, const char *value) {
    unsigned length = (unsigned)strlen(name);
    LLVMRemoveStringAttributeAtIndex(function, (unsigned)LLVMAttributeFunctionIndex, name, length);
    LLVMAttributeRef attribute = LLVMCreateStringAttribute(e->context, name, length, value, (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(function, (unsigned)LLVMAttributeFunctionIndex, attribute);
}

// One instruction set for all that may be inlined into each other; without this LLVM refuses to inline, silently.
static void set_target(Emitter *e) {
    const Target *target = e->target;
    for (LLVMValueRef f = LLVMGetFirstFunction(e->module); f; f = LLVMGetNextFunction(f)) {
        size_t length;
        const char *name = LLVMGetValueName2(f, &length);
        if (LLVMIsDeclaration(f)) continue;
        LLVMSetLinkage(f, LLVMInternalLinkage);
        if (!strncmp(name, "qn_entry_", 9) || !strncmp(name, "qn_cpu", 6) || !strncmp(name, "qn_states_", 10)) continue;
        set_string_attribute(e, f, "target-cpu", target->cpu);
        set_string_attribute(e, f, "target-features", target->features);
        set_string_attribute(e, f, "tune-cpu", "generic");
    }
}

void bitcode_link(Emitter *e) {
    if (!e->part) {
        link_file(e, "runtime/entry.bc");
        link_file(e, "runtime/fused.bc");
        link_file(e, "runtime/state.bc");
    }
    for (int i = 0; i < e->steps->step_count; i++) {
        const KernelInfo *kernel = e->steps->steps[i].kernel;
        bool loaded = e->part_of[i] != e->part;
        for (int k = 0; k < i && !loaded; k++) {
            const KernelInfo *other = e->steps->steps[k].kernel;
            loaded = e->part_of[k] == e->part && !strcmp(other->family, kernel->family) && !strcmp(other->isa, kernel->isa);
        }
        if (!loaded) link_file(e, arena_printf(e->arena, "runtime/kernels/%s/%s.bc", kernel->family, kernel->isa));
    }
    set_target(e);
}

void add_attribute(Emitter *e, LLVMValueRef function, unsigned index, const char *name, uint64_t value) {
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(function, index, LLVMCreateEnumAttribute(e->context, kind, value));
}

void copy_attributes(Emitter *e, LLVMValueRef function, LLVMValueRef model) {
    static const char *const names[] = {"target-cpu",  "target-features", "tune-cpu", "prefer-vector-width",
                                        "no-builtins", "frame-pointer",   "no-trapping-math"};
    unsigned index = (unsigned)LLVMAttributeFunctionIndex;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        LLVMAttributeRef attribute = LLVMGetStringAttributeAtIndex(model, index, names[i], (unsigned)strlen(names[i]));
        if (attribute) LLVMAddAttributeAtIndex(function, index, attribute);
    }
    add_attribute(e, function, index, "nounwind", 0);
    add_attribute(e, function, index, "uwtable", 2);
}
