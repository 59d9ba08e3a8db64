# Kernels as bitcode, and as text, inside the compiler: for each file a label in an assembler file that includes its
# bytes, and a row of the table in codegen/embedded.h. Sets EMBEDDED_SOURCES.
set(embed_dir ${CMAKE_BINARY_DIR}/generated/embedded)
find_program(LLVM_OPT NAMES opt-19 REQUIRED)
set(bitcode_flags --target=x86_64-unknown-linux-gnu -std=c17 -O3 -ffreestanding -nostdlibinc -fPIC -fno-ident
    -fno-stack-protector -fno-strict-aliasing -ffp-contract=off -DQN_INLINE_KERNELS -DQN_KERNEL_LINKAGE=extern
    -Xclang -disable-llvm-passes -emit-llvm -c)

set(embed_paths "")
set(embed_files "")
file(GLOB embed_texts RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS
     runtime/*.h runtime/*.def runtime/*.c runtime/kernels/*.h runtime/kernels/*.def runtime/kernels/*/*.h runtime/kernels/*/*.c)
foreach(path ${embed_texts})
  list(APPEND embed_paths ${path})
  list(APPEND embed_files ${CMAKE_SOURCE_DIR}/${path})
endforeach()
# Not a depfile: its relative paths would be looked for in the build folder, and all bitcode be rebuilt each time.
set(embed_headers ${embed_files})
list(FILTER embed_headers EXCLUDE REGEX "\\.c$")

foreach(path ${embed_texts})
  if(path MATCHES "^runtime/(kernels/[a-z0-9_]+/([a-z0-9]+)|entry|fused|state)\\.c$")
    separate_arguments(isa_flags UNIX_COMMAND "${ISA_FLAGS_${CMAKE_MATCH_2}}")
    string(REGEX REPLACE "\\.c$" ".bc" bitcode ${path})
    get_filename_component(folder ${embed_dir}/${bitcode} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(
      OUTPUT ${embed_dir}/${bitcode}
      COMMAND ${CLANG} ${bitcode_flags} ${isa_flags} -I. ${path} -o ${embed_dir}/${bitcode}.plain
      # Simplified here, once, as a linker's optimiser expects its inputs (loops still whole): compiling a model takes a
      # third of the time.
      COMMAND ${LLVM_OPT} "-passes=thinlto-pre-link<O2>" ${embed_dir}/${bitcode}.plain -o ${embed_dir}/${bitcode}
      WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
      DEPENDS ${CMAKE_SOURCE_DIR}/${path} ${embed_headers}
      VERBATIM
      COMMENT "Bitcode of ${path}")
    list(APPEND embed_paths ${bitcode})
    list(APPEND embed_files ${embed_dir}/${bitcode})
  endif()
endforeach()

set(assembly ".section .rodata\n")
set(declarations "")
set(rows "")
set(index 0)
foreach(path file IN ZIP_LISTS embed_paths embed_files)
  string(APPEND assembly ".balign 16\n.globl qn_embedded_${index}, qn_embedded_${index}_end\n"
         "qn_embedded_${index}:\n.incbin \"${file}\"\nqn_embedded_${index}_end:\n.byte 0\n")
  string(APPEND declarations "extern const char qn_embedded_${index}[], qn_embedded_${index}_end[];\n")
  string(APPEND rows "    {\"${path}\", qn_embedded_${index}, qn_embedded_${index}_end},\n")
  math(EXPR index "${index} + 1")
endforeach()
string(APPEND assembly ".section .note.GNU-stack,\"\",@progbits\n")
file(CONFIGURE OUTPUT ${embed_dir}/embedded.S CONTENT "${assembly}" @ONLY)
file(CONFIGURE OUTPUT ${embed_dir}/embedded.c CONTENT "#include \"codegen/embedded.h\"\n#include <string.h>\n
${declarations}
const Embedded embedded_files[] = {
${rows}};
const int embedded_count = ${index};

const Embedded *embedded_find(const char *path) {
    for (int i = 0; i < embedded_count; i++)
        if (!strcmp(embedded_files[i].path, path)) return &embedded_files[i];
    return NULL;
}
" @ONLY)
set_source_files_properties(${embed_dir}/embedded.S PROPERTIES OBJECT_DEPENDS "${embed_files}")
set(EMBEDDED_SOURCES ${embed_dir}/embedded.S ${embed_dir}/embedded.c)
