// A stress test of runtime/pool.h.
#pragma once
#include <stdbool.h>

#include "runtime/pool.h"

bool pool_is_sound(void);
