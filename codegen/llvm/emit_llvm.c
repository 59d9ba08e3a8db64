// The LLVM route: kernels' bitcode, specialised by the constants of each layer, optimised, and written as an object,
// assembly or LLVM IR. LLVM is started here and nowhere else. The same program gives the same bytes.
#include <llvm-c/Analysis.h>
#include <llvm-c/Object.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/llvm/bitcode.h"

// Kernels come simplified from Qanat's own build (codegen/embed.cmake); they are inlined into the layers before anything
// is optimised, so that only their specialised forms are.
static const char *const passes = "globaldce,always-inline,globaldce,default<O2>";

static LLVMTargetMachineRef new_machine(const Target *target, Diag *diag) {
    char *message = NULL;
    LLVMTargetRef backend;
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser(); // the entry asks the processor by inline assembly
    if (LLVMGetTargetFromTriple(target->triple, &backend, &message)) {
        diag_error(diag, (Loc){0}, "target '%s': %s", target->name, message);
        LLVMDisposeMessage(message);
        return NULL;
    }
    return LLVMCreateTargetMachine(backend, target->triple, target->cpu, target->features, LLVMCodeGenLevelDefault,
                                   LLVMRelocPIC, LLVMCodeModelDefault);
}

// Loops that a kernel asks to be unrolled stay loops where their length is known at run time only: no news to the user.
static void hear(LLVMDiagnosticInfoRef info, void *context) {
    (void)context;
    if (LLVMGetDiagInfoSeverity(info) == LLVMDSError) BUG("LLVM: %s", LLVMGetDiagInfoDescription(info));
}

static void open_module(Emitter *e) {
    e->context = LLVMContextCreate();
    LLVMContextSetDiagnosticHandler(e->context, hear, NULL);
    e->module = LLVMModuleCreateWithNameInContext(e->options->name, e->context);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(e->machine);
    LLVMSetTarget(e->module, e->options->target->triple);
    LLVMSetModuleDataLayout(e->module, layout);
    LLVMDisposeTargetData(layout);
    e->ptr = LLVMPointerTypeInContext(e->context, 0);
    e->i8 = LLVMInt8TypeInContext(e->context);
    e->i32 = LLVMInt32TypeInContext(e->context);
    e->i64 = LLVMInt64TypeInContext(e->context);
    e->f32 = LLVMFloatTypeInContext(e->context);
}

static void verify(Emitter *e) {
    char *message = NULL;
    if (LLVMVerifyModule(e->module, LLVMReturnStatusAction, &message)) BUG("invalid LLVM IR: %s", message);
    LLVMDisposeMessage(message);
}

static void optimise(Emitter *e) {
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(e->module, passes, e->machine, options);
    if (error) BUG("LLVM passes: %s", LLVMGetErrorMessage(error));
    LLVMDisposePassBuilderOptions(options);
}

// The size of the sections that hold instructions.
static int64_t text_bytes(LLVMMemoryBufferRef buffer) {
    char *message = NULL;
    LLVMBinaryRef binary = LLVMCreateBinary(buffer, NULL, &message);
    if (!binary) BUG("the object just written: %s", message);
    int64_t bytes = 0;
    LLVMSectionIteratorRef section = LLVMObjectFileCopySectionIterator(binary);
    for (; !LLVMObjectFileIsSectionIteratorAtEnd(binary, section); LLVMMoveToNextSection(section)) {
        const char *name = LLVMGetSectionName(section);
        if (name && !strncmp(name, ".text", 5)) bytes += (int64_t)LLVMGetSectionSize(section);
    }
    LLVMDisposeSectionIterator(section);
    LLVMDisposeBinary(binary);
    return bytes;
}

static void write_code(Emitter *e, Code *code) {
    char *message = NULL;
    if (e->options->kind == EMIT_LLVM) {
        message = LLVMPrintModuleToString(e->module);
        code_add(e->arena, code, arena_strdup(e->arena, message), strlen(message));
        LLVMDisposeMessage(message);
        return;
    }
    LLVMCodeGenFileType type = e->options->kind == EMIT_ASM ? LLVMAssemblyFile : LLVMObjectFile;
    LLVMMemoryBufferRef buffer;
    if (LLVMTargetMachineEmitToMemoryBuffer(e->machine, e->module, type, &message, &buffer)) BUG("LLVM: %s", message);
    size_t bytes = LLVMGetBufferSize(buffer), start = (bytes + 63) / 64 * 64;
    char *object = arena_alloc(e->arena, start);
    memcpy(object, LLVMGetBufferStart(buffer), bytes);
    if (type == LLVMObjectFile) code->code_bytes = text_bytes(buffer);
    LLVMDisposeMemoryBuffer(buffer);
    bool apart = weights_are_apart(e) && elf_place_weights(object, start);
    code_add(e->arena, code, object, apart ? start : bytes);
    if (apart) code_add_weights(e->arena, code, e->steps);
}

bool emit_llvm(Arena *arena, const Steps *steps, const Interface *interface, const EmitOptions *options, Diag *diag,
               Code *code) {
    Emitter e = {.arena = arena, .steps = steps, .interface = interface, .options = options};
    e.machine = new_machine(options->target, diag);
    if (!e.machine) return false;
    open_module(&e);
    bitcode_link(&e);
    build_program(&e);
    verify(&e);
    optimise(&e);
    write_code(&e, code);
    LLVMDisposeModule(e.module);
    LLVMContextDispose(e.context);
    LLVMDisposeTargetMachine(e.machine);
    return true;
}
