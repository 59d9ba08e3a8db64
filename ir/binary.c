// The checksum of binary .qir files.
#include "ir/binary.h"

#include <string.h>

static uint64_t mix(uint64_t sum, uint64_t word) {
    sum = (sum ^ word) * UINT64_C(0xD6E8FEB86659FD93);
    return sum ^ sum >> 32;
}

uint64_t qir_checksum(uint64_t sum, const void *data, size_t bytes) {
    const unsigned char *at = data;
    uint64_t word;
    sum = mix(sum, bytes);
    for (; bytes >= sizeof word; at += sizeof word, bytes -= sizeof word) {
        memcpy(&word, at, sizeof word);
        sum = mix(sum, word);
    }
    word = 0;
    if (bytes) memcpy(&word, at, bytes);
    return mix(sum, word);
}
