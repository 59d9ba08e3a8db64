// The only C++ of the project: lld, called as a library, makes a shared object of one object file. Nothing is searched
// for on this machine: no libc, no start files, no paths.
#include <cstdio>
#include <string>

#include "lld/Common/Driver.h"

LLD_HAS_DRIVER(elf)

extern "C" bool link_shared(const char *object_path, const char *output_path, char *message, size_t message_bytes) {
    const char *arguments[] = {"ld.lld",       "-shared",  "-nostdlib", "--hash-style=gnu", "-z",          "noexecstack",
                               "--build-id=none", "--threads=1", object_path, "-o", output_path};
    std::string words;
    llvm::raw_string_ostream out(words);
    lld::Result result = lld::lldMain(arguments, out, out, {{lld::Gnu, &lld::elf::link}});
    std::snprintf(message, message_bytes, "%s", out.str().c_str());
    return result.retCode == 0;
}
