// See unfinished.h. Fixed storage, because a signal handler walks it.
#include "codegen/unfinished.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { MAX_UNFINISHED = 64, MAX_PATH_BYTES = 4096 };
static struct {
    volatile sig_atomic_t used;
    char path[MAX_PATH_BYTES];
} unfinished[MAX_UNFINISHED];

void unfinished_add(const char *path) {
    for (int i = 0; i < MAX_UNFINISHED; i++)
        if (!unfinished[i].used && strlen(path) < MAX_PATH_BYTES) {
            strcpy(unfinished[i].path, path);
            unfinished[i].used = 1;
            return;
        }
}

void unfinished_remove(const char *path) {
    size_t length = strlen(path);
    for (int i = 0; i < MAX_UNFINISHED; i++) {
        const char *own = unfinished[i].path;
        if (unfinished[i].used && !strncmp(own, path, length) && (!own[length] || own[length] == '/')) unfinished[i].used = 0;
    }
}

static void mask(int how) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(how, &set, NULL);
}

void unfinished_hold(void) { mask(SIG_BLOCK); }
void unfinished_release(void) { mask(SIG_UNBLOCK); }

void unfinished_delete(void) {
    for (int i = MAX_UNFINISHED - 1; i >= 0; i--)
        if (unfinished[i].used) {
            unlink(unfinished[i].path);
            rmdir(unfinished[i].path);
        }
}
