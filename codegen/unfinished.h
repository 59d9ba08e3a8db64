// What must not be left behind when the process is stopped in the middle: files being written, temporary folders.
#pragma once

// Lists a path; at most 64, longer than 4 kB none.
void unfinished_add(const char *path);
// Takes a path off the list, and what lies below it.
void unfinished_remove(const char *path);
// Puts off signals that end the process, in this thread, while what is listed and what there is are not the same.
void unfinished_hold(void);
void unfinished_release(void);
// Deletes what is listed, the latest first. May be called from a signal handler.
void unfinished_delete(void);
