// See output.h. Devices and pipes are written directly: renaming over them would replace them.
#include "codegen/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codegen/unfinished.h"

static bool write_error(Diag *diag, const char *path, int error) {
    return diag_error(diag, loc_file(path), "cannot write: %s", strerror(error));
}

static bool write_all(FILE *file, int count, const Piece *pieces, bool close) {
    bool ok = true;
    for (int i = 0; ok && i < count; i++) {
        if (pieces[i].print) pieces[i].print(file, pieces[i].data);
        else ok = fwrite(pieces[i].data, 1, pieces[i].bytes, file) == pieces[i].bytes;
        ok = ok && !ferror(file);
    }
    ok = fflush(file) == 0 && ok;
    int error = errno;
    if (close) ok = fclose(file) == 0 && ok;
    if (!ok && error) errno = error;
    return ok;
}

static bool write_directly(const char *path, int count, const Piece *pieces, Diag *diag) {
    bool standard = !strcmp(path, "-");
    errno = 0;
    FILE *file = standard ? stdout : fopen(path, "wb");
    if (!file || !write_all(file, count, pieces, !standard)) return write_error(diag, standard ? "<stdout>" : path, errno);
    return true;
}

bool output_write(Output *output, Arena *arena, const char *path, int count, const Piece *pieces, Diag *diag) {
    struct stat status;
    bool exists = stat(path, &status) == 0;
    *output = (Output){.path = path};
    if (exists && S_ISDIR(status.st_mode)) return write_error(diag, path, EISDIR);
    if (!strcmp(path, "-") || (exists && !S_ISREG(status.st_mode))) return write_directly(path, count, pieces, diag);
    char *real = exists ? realpath(path, NULL) : NULL; // a link stays a link
    output->final_path = arena_strdup(arena, real ? real : path);
    free(real);
    output->temporary = arena_printf(arena, "%s.XXXXXX", output->final_path);
    unfinished_hold();
    int descriptor = mkstemp(output->temporary), cause = errno;
    if (descriptor >= 0) unfinished_add(output->temporary);
    unfinished_release();
    if (descriptor < 0) {
        output->temporary = NULL;
        return write_error(diag, path, cause);
    }
    mode_t mask = umask(0);
    umask(mask);
    fchmod(descriptor, 0666 & ~mask);
    errno = 0;
    FILE *file = fdopen(descriptor, "wb");
    if (write_all(file, count, pieces, true)) return true;
    int error = errno;
    output_abandon(output);
    return write_error(diag, path, error);
}

bool output_commit(Output *output, Diag *diag) {
    if (!output->temporary) return true;
    if (rename(output->temporary, output->final_path)) {
        int error = errno;
        output_abandon(output);
        return write_error(diag, output->path, error);
    }
    unfinished_remove(output->temporary);
    output->temporary = NULL;
    return true;
}

void output_abandon(Output *output) {
    if (output->temporary) {
        unlink(output->temporary);
        unfinished_remove(output->temporary);
    }
    output->temporary = NULL;
}
