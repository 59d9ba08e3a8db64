// Files that are written: beside their final place, then renamed, so that no partial file is ever left under its name.
#pragma once
#include <stdbool.h>
#include <stdio.h>

#include "ir/diag.h"

typedef struct {
    FILE *file;
    const char *path;
    char *temporary; // NULL: standard output
    char *replaced;  // another name of the file that was there, until all of several are in their places; NULL
    bool existed;
} OutputFile;

// `path` "-": standard output. False after a message.
bool output_open(OutputFile *output, const char *path, Diag *diag);
// Closes and, where everything went well and `keep`, renames. False after a message.
bool output_close(OutputFile *output, bool keep, Diag *diag);
// Several files that belong together: none is renamed unless all are on the disk, and where one can't be, those before it are as
// they were (without a file system's links: those that were new are gone).
bool outputs_close(OutputFile *outputs, int count, bool keep, Diag *diag);

// A folder of our own for intermediate files; NULL with a message. temp_dir_remove deletes it and the files in it.
char *temp_dir_new(Arena *arena, Diag *diag);
void temp_dir_remove(const char *dir);

// Both name one regular file that exists.
bool same_file(const char *a, const char *b);
// What is written to both would be one file, whether it exists or not.
bool same_place(const char *a, const char *b);

// Removes what is still being written and temporary folders; callable from a signal handler.
void files_remove_unfinished(void);

// Progress of `total` steps on a terminal's standard error; nothing elsewhere. Callable from several threads.
typedef struct Progress Progress;
Progress *progress_new(Arena *arena, const char *what, int total);
void progress_step(Progress *progress);
// Where the total isn't known beforehand: the share that is done, 0 to 1, which may fall. Called by one thread at a time.
void progress_share(Progress *progress, double share);
void progress_end(Progress *progress);
