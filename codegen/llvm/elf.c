// Gives a section of an object the contents that LLVM never saw. LLVM keeps constants twice and writes an object into
// memory that grows by doubling: that is too much for weights. So it emits their section as one without contents, and
// here its header is set to bytes that follow the object.
#include <elf.h>
#include <string.h>

#include "codegen/llvm/bitcode.h"

// The header of the section of that name; `text` is its name's place.
static Elf64_Shdr *find_section(char *object, const char *name, char **text) {
    const Elf64_Ehdr *file = (const Elf64_Ehdr *)object;
    Elf64_Shdr *sections = (Elf64_Shdr *)(object + file->e_shoff);
    char *names = object + sections[file->e_shstrndx].sh_offset;
    for (int i = 0; i < file->e_shnum; i++)
        if (!strcmp(*text = names + sections[i].sh_name, name)) return &sections[i];
    return NULL;
}

bool elf_place_weights(char *object, size_t at) {
    char *text;
    BUG_UNLESS(!memcmp(object, ELFMAG, SELFMAG) && object[EI_CLASS] == ELFCLASS64, "the object is not 64-bit ELF");
    Elf64_Shdr *section = find_section(object, EMPTY_SECTION, &text);
    if (!section) return false;
    BUG_UNLESS(section->sh_type == SHT_NOBITS, "the section of the weights has contents");
    section->sh_type = SHT_PROGBITS;
    section->sh_flags = SHF_ALLOC;
    section->sh_offset = at;
    memcpy(text, WEIGHTS_SECTION, sizeof WEIGHTS_SECTION - 1);
    return true;
}
