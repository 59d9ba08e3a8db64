// The binary form of a module (.qir): a header, the textual form, and the bytes of its resources, each aligned, so that a
// mapped file is read in place. Little-endian. In the text a resource is "@offset:bytes", counted from blobs_offset.
#pragma once
#include <stddef.h>
#include <stdint.h>

// As PNG's: the high bit, both line ends and the end-of-file character show what a transfer as text would do.
#define QIR_MAGIC {0x89, 'Q', 'I', 'R', '\r', '\n', 0x1a, '\n'}
enum { QIR_VERSION = 1, QIR_ALIGNMENT = 64 };
#define QIR_CHECKSUM_SEED UINT64_C(0x9E3779B97F4A7C15)

typedef struct {
    unsigned char magic[8];
    uint32_t version, header_bytes;
    uint64_t text_bytes, blobs_offset, blobs_bytes; // the text follows the header
    uint64_t text_checksum, blobs_checksum;         // of the text; of each resource, in the text's order
    uint64_t reserved;
} QirHeader;

// Sums `bytes` of data onto `sum`: multiply and mix, 8 bytes at a time. Finds damage; it is no defence against intent.
uint64_t qir_checksum(uint64_t sum, const void *data, size_t bytes);
