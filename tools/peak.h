// The most multiply-adds a second that one core can do, measured.
#pragma once
#include "ir/targets.h"

// By the instructions that kernels lean on: 8 bits in tiles (AMX) and in vectors of 512 bits, f32 in vectors of 256 and 512.
typedef enum { PEAK_I8_TILES, PEAK_I8, PEAK_F32_256, PEAK_F32, PEAK_COUNT } PeakKind;

// 0 where the host lacks the instruction.
double peak_rate(PeakKind kind);
PeakKind peak_kind(const KernelInfo *row);
