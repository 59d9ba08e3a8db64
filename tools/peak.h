// The most multiply-adds a second that one core can do, measured.
#pragma once
#include <stdbool.h>

// Of the widest instructions (wide: 512 bits); 0: not known.
double peak_rate(bool is_f32, bool wide);
