// The most multiply-adds a second that one core can do, measured.
#pragma once
#include "ir/targets.h"

// By the instructions that kernels lean on: 8 bits in tiles (AMX), in dot products of 512 bits (AVX512-VNNI) and of 256 (AVX-VNNI), and by way of 16 bits in vectors of
// 512, 256 and 128; f32 in vectors of 512, 256 and, multiplied and added apart, 128.
typedef enum { PEAK_I8_TILES, PEAK_I8, PEAK_I8_DOT256, PEAK_I8_512, PEAK_I8_256, PEAK_I8_128, PEAK_F32, PEAK_F32_256, PEAK_F32_128, PEAK_COUNT } PeakKind;

// 0 where the host lacks the instruction.
double peak_rate(PeakKind kind);
PeakKind peak_kind(const KernelInfo *row);
