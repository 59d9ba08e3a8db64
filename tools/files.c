// Output files (written beside, then renamed), temporary folders, and the progress bar.
#include "tools/files.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "codegen/unfinished.h"

bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool stat_folder(const char *path, struct stat *info) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    const bool is = folder && stat(folder, info) == 0;
    free(folder);
    return is;
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool same_place(const char *a, const char *b) {
    struct stat x, y;
    if (!strcmp(a, b) || same_file(a, b))
        return true;
    return !strcmp(last_part(a), last_part(b)) && stat_folder(a, &x) && stat_folder(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

void files_remove_unfinished(void) { unfinished_delete(); }

bool output_open(OutputFile *output, const char *path, Diag *diag) {
    *output = (OutputFile){.path = path};
    if (strcmp(path, "-") == 0) {
        output->file = stdout;
        return true;
    }
    struct stat info;
    // A device such as /dev/null is written in place: there is nothing to rename onto.
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
        if (S_ISDIR(info.st_mode))
            return diag_error(diag, loc_file(path), "can't be written: it is a folder");
        output->file = fopen(path, "wb");
        return output->file || diag_error(diag, loc_file(path), "can't be written: %s", strerror(errno));
    }
    size_t length = strlen(path) + 32;
    output->temporary = malloc(length);
    if (!output->temporary)
        return diag_error(diag, loc_file(path), "out of memory");
    snprintf(output->temporary, length, "%s.%ld.part", path, (long)getpid());
    unfinished_add(output->temporary);
    output->file = fopen(output->temporary, "wb");
    if (!output->file) {
        int error = errno;
        unfinished_remove(output->temporary);
        free(output->temporary);
        return diag_error(diag, loc_file(path), "can't be written: %s", strerror(error));
    }
    return true;
}

// Ends writing. False: errno says why it failed.
static bool output_finish(OutputFile *output, bool sync) {
    bool written = fflush(output->file) == 0 && !ferror(output->file) && (!sync || !output->temporary || fsync(fileno(output->file)) == 0);
    int error = errno;
    if (output->file != stdout && fclose(output->file) != 0)
        written = false, error = errno;
    errno = error;
    return written;
}

static void keep_replaced(OutputFile *output) {
    struct stat info;
    output->existed = stat(output->path, &info) == 0;
    const size_t length = strlen(output->path) + 32;
    char *name = output->existed ? malloc(length) : NULL;
    if (!name)
        return;
    snprintf(name, length, "%s.%ld.old", output->path, (long)getpid());
    unfinished_add(name);
    if (link(output->path, name) == 0) {
        output->replaced = name;
    } else {
        unfinished_remove(name);
        free(name);
    }
}

static void forget_replaced(OutputFile *output) {
    if (!output->replaced)
        return;
    unlink(output->replaced);
    unfinished_remove(output->replaced);
    free(output->replaced);
    output->replaced = NULL;
}

// What was placed goes, and what was there comes back.
static void output_undo(OutputFile *output) {
    if (output->temporary && !output->existed)
        unlink(output->path);
    else if (output->replaced)
        rename(output->replaced, output->path);
}

// Moves files to their places; how many of them are there, and errno where it's not all.
static int place_all(OutputFile *outputs, int count) {
    for (int i = 0; i < count; i++) {
        if (!outputs[i].temporary)
            continue;
        if (count > 1)
            keep_replaced(&outputs[i]);
        if (rename(outputs[i].temporary, outputs[i].path) == 0)
            continue;
        const int error = errno;
        for (int k = 0; k < i; k++)
            output_undo(&outputs[k]);
        errno = error;
        return i;
    }
    return count;
}

static void forget(OutputFile *output) {
    forget_replaced(output);
    if (!output->temporary)
        return;
    unlink(output->temporary); // where it wasn't renamed
    unfinished_remove(output->temporary);
    free(output->temporary);
}

bool outputs_close(OutputFile *outputs, int count, bool keep, Diag *diag) {
    bool fine = true;
    for (int i = 0; i < count; i++)
        if (!output_finish(&outputs[i], keep && count > 1)) {
            fine = false;
            if (keep)
                diag_error(diag, loc_file(outputs[i].path), "can't be written: %s", strerror(errno));
        }
    unfinished_hold(); // nor does Ctrl-C leave some in their places
    const int placed = keep && fine ? place_all(outputs, count) : count;
    unfinished_release();
    if (placed < count)
        fine = diag_error(diag, loc_file(outputs[placed].path), "can't be written: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        forget(&outputs[i]);
    return fine;
}

bool output_close(OutputFile *output, bool keep, Diag *diag) { return outputs_close(output, 1, keep, diag); }

char *temp_dir_new(Arena *arena, Diag *diag) {
    const char *base = getenv("TMPDIR");
    char *dir = arena_printf(arena, "%s/qanat-XXXXXX", base && *base ? base : "/tmp");
    unfinished_hold();
    bool made = mkdtemp(dir) != NULL;
    int cause = errno;
    if (made) unfinished_add(dir);
    unfinished_release();
    if (!made) {
        diag_error(diag, loc_file(dir), "no temporary folder can be made: %s", strerror(cause));
        return NULL;
    }
    return dir;
}

void temp_dir_remove(const char *dir) {
    DIR *handle = opendir(dir);
    if (handle) {
        for (struct dirent *entry; (entry = readdir(handle));)
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                unlinkat(dirfd(handle), entry->d_name, 0);
        closedir(handle);
    }
    rmdir(dir);
    unfinished_remove(dir);
}

// ---- progress

struct Progress {
    const char *what;
    int total, done, shown_percent;
    bool visible;
    double start;
    pthread_mutex_t lock;
};

static double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

Progress *progress_new(Arena *arena, const char *what, int total) {
    Progress *progress = ARENA_NEW(arena, Progress);
    progress->what = what;
    progress->total = total;
    progress->shown_percent = -1;
    progress->visible = isatty(STDERR_FILENO) == 1;
    progress->start = now_seconds();
    pthread_mutex_init(&progress->lock, NULL);
    return progress;
}

static void draw(const Progress *progress, int percent) {
    enum { WIDTH = 40 };
    char bar[WIDTH + 1];
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i * 100 < percent * WIDTH ? '#' : ' ';
    bar[WIDTH] = 0;
    double elapsed = now_seconds() - progress->start;
    double left = progress->done ? elapsed * (progress->total - progress->done) / progress->done : 0;
    fprintf(stderr, "\r%s [%s] %d/%d, %.0f s left\033[K", progress->what, bar, progress->done,
            progress->total, left);
    fflush(stderr);
}

void progress_step(Progress *progress) {
    pthread_mutex_lock(&progress->lock);
    progress->done++;
    int percent = progress->total ? (int)(100LL * progress->done / progress->total) : 100;
    if (progress->visible && percent != progress->shown_percent) {
        progress->shown_percent = percent;
        draw(progress, percent);
    }
    pthread_mutex_unlock(&progress->lock);
}

void progress_share(Progress *progress, double share) {
    enum { PARTS = 1000 };
    progress->total = PARTS;
    progress->done = (int)(share * PARTS) - 1;
    progress_step(progress);
}

void progress_end(Progress *progress) {
    if (progress->visible)
        fprintf(stderr, "\r\033[K");
    pthread_mutex_destroy(&progress->lock);
}
