// When a candidate's loss is known well enough: the rules by which a search stops measuring it. They look at what was measured up
// to fixed numbers of samples, so they are the same for any number of threads.
#pragma once
#include <stdbool.h>

// Numbers of samples after which the rules are asked: 8, 16, 32 …; `count` is the last. Returns how many there are.
enum { MAX_STAGES = 32 };
int race_stages(int count, int stages[MAX_STAGES]);

typedef struct { double mean, error; } Mean; // and its standard error
Mean mean_of(const double *values, int count);
// Of the pairs' differences a - b.
Mean mean_of_differences(const double *a, const double *b, int count);

// Student's t of the 95 % interval of a mean over `count` samples: so many standard errors to either side.
double race_bound(int count);
// The whole interval is positive.
bool race_is_clear(Mean difference, int count);
