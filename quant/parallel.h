// Samples over threads: each worker takes the next sample until none is left or one failed.
#pragma once
#include <stdbool.h>

// Does sample `sample` on worker `worker` in [0, threads); false: failed, with what to say in message[MESSAGE_BYTES].
enum { MESSAGE_BYTES = 512 };
typedef bool SampleTask(void *context, int worker, int sample, char *message);

// True when all went well. Else *failed is the first sample (by number) that failed and `message` what it said: the
// same for any number of threads.
bool parallel_samples(int threads, int count, SampleTask *task, void *context, int *failed, char *message);

// Processors that this process may use.
int parallel_default_threads(void);
