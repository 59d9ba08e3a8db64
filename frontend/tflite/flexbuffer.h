// Options of custom operators: a map from texts to numbers, of a file that may be damaged.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The number of `key`; false if there is none, or it lies outside of the data.
bool flex_number(const uint8_t *data, size_t bytes, const char *key, double *value);
