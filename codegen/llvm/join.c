// Joins the objects of one program's parts, x86-64 ELF as LLVM writes it, to one object: all sections side by side, and one table
// of symbols. Hidden symbols, by which parts call each other, become local ones.
#include <elf.h>
#include <string.h>

#include "codegen/llvm/bitcode.h"
#include "ir/map.h"

typedef struct {
    const char *bytes;
    const Elf64_Shdr *sections;
    const Elf64_Sym *symbols;
    int section_count, symbol_count, symbols_index;
    const char *names;     // of sections and symbols
    size_t names_bytes;
    uint32_t names_at;     // where they stand in the joined object's
    uint32_t *section_at;  // each section's index there; 0: left out
    uint32_t *symbol_at;   // each symbol's
} Input;

typedef struct {
    Arena *arena;
    int input_count;
    Input *inputs;
    Elf64_Shdr *sections;
    Elf64_Sym *symbols;
    uint32_t section_count, symbol_count, local_count, names_bytes;
    Map *named; // index + 1 in symbols of those that other parts may mean
    char *bytes;
    size_t size;
} Joined;

static Input input_open(Arena *arena, const Object *object) {
    Input input = {.bytes = object->bytes, .symbols_index = -1};
    const Elf64_Ehdr *file = (const Elf64_Ehdr *)object->bytes;
    BUG_UNLESS(!memcmp(file, ELFMAG, SELFMAG) && file->e_ident[EI_CLASS] == ELFCLASS64 && file->e_type == ET_REL &&
                   file->e_machine == EM_X86_64, "not an object of x86-64");
    input.sections = (const Elf64_Shdr *)(object->bytes + file->e_shoff);
    input.section_count = file->e_shnum;
    for (int i = 0; i < input.section_count; i++)
        if (input.sections[i].sh_type == SHT_SYMTAB) input.symbols_index = i;
    BUG_UNLESS(input.symbols_index >= 0 && input.sections[input.symbols_index].sh_link == file->e_shstrndx, "an object with two tables of names");
    const Elf64_Shdr *symbols = &input.sections[input.symbols_index], *names = &input.sections[file->e_shstrndx];
    input.symbols = (const Elf64_Sym *)(object->bytes + symbols->sh_offset);
    input.symbol_count = (int)(symbols->sh_size / sizeof *input.symbols);
    input.names = object->bytes + names->sh_offset;
    input.names_bytes = names->sh_size;
    input.section_at = ARENA_ARRAY(arena, uint32_t, input.section_count);
    input.symbol_at = ARENA_ARRAY(arena, uint32_t, input.symbol_count);
    return input;
}

// ---- sections

// The first object's mark that no code needs an executable stack is enough.
static bool is_kept(const Input *input, const Elf64_Shdr *section, bool first) {
    const char *name = input->names + section->sh_name;
    switch (section->sh_type) {
    case SHT_NULL: case SHT_SYMTAB: case SHT_STRTAB: return false;
    case SHT_PROGBITS: return first || strcmp(name, ".note.GNU-stack");
    case SHT_NOBITS: case SHT_RELA: case SHT_X86_64_UNWIND: return true;
    }
    BUG("a section '%s' of type %u", name, section->sh_type);
}

static void number_sections(Joined *joined) {
    joined->section_count = 1;
    for (int k = 0; k < joined->input_count; k++) {
        Input *input = &joined->inputs[k];
        input->names_at = joined->names_bytes;
        joined->names_bytes += (uint32_t)input->names_bytes;
        for (int i = 0; i < input->section_count; i++)
            input->section_at[i] = is_kept(input, &input->sections[i], !k) ? joined->section_count++ : 0;
    }
    joined->sections = ARENA_ARRAY(joined->arena, Elf64_Shdr, joined->section_count + 2);
}

static Elf64_Shdr section_header(const Joined *joined, const Input *input, const Elf64_Shdr *section) {
    Elf64_Shdr header = *section;
    BUG_UNLESS(!(section->sh_flags & (SHF_LINK_ORDER | SHF_GROUP)), "a section that belongs to another");
    header.sh_name += input->names_at;
    header.sh_link = section->sh_type == SHT_RELA ? joined->section_count : 0;
    header.sh_info = section->sh_type == SHT_RELA ? input->section_at[section->sh_info] : 0;
    return header;
}

// ---- symbols

static bool is_local(const Elf64_Sym *symbol) { return ELF64_ST_BIND(symbol->st_info) == STB_LOCAL; }
static bool is_between_parts(const Elf64_Sym *symbol) { return !is_local(symbol) && ELF64_ST_VISIBILITY(symbol->st_other) == STV_HIDDEN; }
static const char *symbol_name(const Input *input, const Elf64_Sym *symbol) { return input->names + symbol->st_name; }

static uint32_t add_symbol(Joined *joined, const Input *input, const Elf64_Sym *symbol) {
    Elf64_Sym own = *symbol;
    own.st_name += input->names_at;
    if (own.st_shndx != SHN_UNDEF && own.st_shndx < SHN_LORESERVE) own.st_shndx = (Elf64_Section)input->section_at[symbol->st_shndx];
    joined->symbols[joined->symbol_count] = own;
    return joined->symbol_count++;
}

// Local symbols stand before all others.
static void add_local_symbols(Joined *joined, Input *input, bool first) {
    for (int i = 1; i < input->symbol_count; i++) {
        const Elf64_Sym *symbol = &input->symbols[i];
        bool named = is_between_parts(symbol) && symbol->st_shndx != SHN_UNDEF;
        if (!named && (!is_local(symbol) || (!first && ELF64_ST_TYPE(symbol->st_info) == STT_FILE))) continue;
        uint32_t at = input->symbol_at[i] = add_symbol(joined, input, symbol);
        if (!named) continue;
        joined->symbols[at].st_info = ELF64_ST_INFO(STB_LOCAL, ELF64_ST_TYPE(symbol->st_info));
        joined->symbols[at].st_other = STV_DEFAULT;
        *map_get(joined->named, symbol_name(input, symbol)) = (void *)(uintptr_t)(at + 1);
    }
}

static void add_other_symbols(Joined *joined, Input *input) {
    for (int i = 1; i < input->symbol_count; i++) {
        const Elf64_Sym *symbol = &input->symbols[i];
        bool defined = symbol->st_shndx != SHN_UNDEF;
        if (is_local(symbol) || (defined && is_between_parts(symbol))) continue;
        void **slot = map_get(joined->named, symbol_name(input, symbol));
        BUG_UNLESS(*slot || !is_between_parts(symbol), "no part has '%s'", symbol_name(input, symbol));
        BUG_UNLESS(!*slot || !defined, "two parts have '%s'", symbol_name(input, symbol));
        if (!*slot) *slot = (void *)(uintptr_t)(add_symbol(joined, input, symbol) + 1);
        input->symbol_at[i] = (uint32_t)(uintptr_t)*slot - 1;
    }
}

static void join_symbols(Joined *joined) {
    int most = 1;
    for (int k = 0; k < joined->input_count; k++) most += joined->inputs[k].symbol_count;
    joined->symbols = ARENA_ARRAY(joined->arena, Elf64_Sym, most);
    memset(joined->symbols, 0, sizeof *joined->symbols);
    joined->named = map_new_texts(joined->arena);
    joined->symbol_count = 1;
    for (int k = 0; k < joined->input_count; k++) add_local_symbols(joined, &joined->inputs[k], !k);
    joined->local_count = joined->symbol_count;
    for (int k = 0; k < joined->input_count; k++) add_other_symbols(joined, &joined->inputs[k]);
}

// ---- contents

static size_t align_to(size_t at, size_t align) { return align > 1 ? (at + align - 1) / align * align : at; }

static size_t place(Elf64_Shdr *header, size_t at) {
    header->sh_offset = align_to(at, header->sh_addralign);
    return header->sh_offset + (header->sh_type == SHT_NOBITS ? 0 : header->sh_size);
}

static size_t lay_out(Joined *joined) {
    uint32_t symbols = joined->section_count, names = symbols + 1;
    const Input *first = &joined->inputs[0];
    const Elf64_Ehdr *file = (const Elf64_Ehdr *)first->bytes;
    size_t at = sizeof(Elf64_Ehdr);
    memset(joined->sections, 0, sizeof *joined->sections);
    for (int k = 0; k < joined->input_count; k++)
        for (int i = 0; i < joined->inputs[k].section_count; i++) {
            Elf64_Shdr *own = &joined->sections[joined->inputs[k].section_at[i]];
            if (!joined->inputs[k].section_at[i]) continue;
            *own = section_header(joined, &joined->inputs[k], &joined->inputs[k].sections[i]);
            at = place(own, at);
        }
    joined->sections[symbols] = first->sections[first->symbols_index];
    joined->sections[symbols].sh_size = joined->symbol_count * sizeof *joined->symbols;
    joined->sections[symbols].sh_link = names;
    joined->sections[symbols].sh_info = joined->local_count;
    joined->sections[names] = first->sections[file->e_shstrndx];
    joined->sections[names].sh_size = joined->names_bytes;
    at = place(&joined->sections[names], place(&joined->sections[symbols], at));
    return align_to(at, 8);
}

static void write_section(const Joined *joined, const Input *input, int index) {
    const Elf64_Shdr *from = &input->sections[index], *own = &joined->sections[input->section_at[index]];
    if (!input->section_at[index] || from->sh_type == SHT_NOBITS) return;
    memcpy(joined->bytes + own->sh_offset, input->bytes + from->sh_offset, from->sh_size);
    if (from->sh_type != SHT_RELA) return;
    Elf64_Rela *relocations = (Elf64_Rela *)(joined->bytes + own->sh_offset);
    for (size_t i = 0; i < from->sh_size / sizeof *relocations; i++) {
        uint64_t info = relocations[i].r_info;
        relocations[i].r_info = ELF64_R_INFO((uint64_t)input->symbol_at[ELF64_R_SYM(info)], ELF64_R_TYPE(info));
    }
}

static void write_joined(Joined *joined, size_t headers_at) {
    uint32_t symbols = joined->section_count, names = symbols + 1;
    joined->size = headers_at + (names + 1) * sizeof *joined->sections;
    joined->bytes = arena_alloc(joined->arena, joined->size);
    memset(joined->bytes, 0, joined->size);
    Elf64_Ehdr *file = (Elf64_Ehdr *)joined->bytes;
    *file = *(const Elf64_Ehdr *)joined->inputs[0].bytes;
    file->e_shoff = headers_at, file->e_shnum = (Elf64_Half)(names + 1), file->e_shstrndx = (Elf64_Half)names;
    for (int k = 0; k < joined->input_count; k++) {
        const Input *input = &joined->inputs[k];
        for (int i = 0; i < input->section_count; i++) write_section(joined, input, i);
        memcpy(joined->bytes + joined->sections[names].sh_offset + input->names_at, input->names, input->names_bytes);
    }
    memcpy(joined->bytes + joined->sections[symbols].sh_offset, joined->symbols, joined->symbol_count * sizeof *joined->symbols);
    memcpy(joined->bytes + headers_at, joined->sections, (names + 1) * sizeof *joined->sections);
}

Object elf_join(Arena *arena, int count, const Object *objects) {
    if (count == 1) return objects[0];
    Joined joined = {.arena = arena, .input_count = count, .inputs = ARENA_ARRAY(arena, Input, count)};
    for (int k = 0; k < count; k++) joined.inputs[k] = input_open(arena, &objects[k]);
    number_sections(&joined);
    join_symbols(&joined);
    write_joined(&joined, lay_out(&joined));
    return (Object){joined.bytes, joined.size};
}
