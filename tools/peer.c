// Talks to a Python process over two pipes: "N\n" asks for N timed runs of the model under ONNX Runtime, on random
// input; the answer is a line a run, in milliseconds.
#include "tools/peer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct Peer {
    pid_t process;
    FILE *to, *from;
};

static const char script[] =
    "import sys, time\n"
    "import numpy\n"
    "import onnxruntime\n"
    "options = onnxruntime.SessionOptions()\n"
    "options.intra_op_num_threads = int(sys.argv[2])\n"
    "options.log_severity_level = 3\n"
    "session = onnxruntime.InferenceSession(sys.argv[1], options, providers=['CPUExecutionProvider'])\n"
    "types = {'tensor(float)': numpy.float32, 'tensor(uint8)': numpy.uint8, 'tensor(int8)': numpy.int8,\n"
    "         'tensor(int64)': numpy.int64, 'tensor(int32)': numpy.int32}\n"
    "feed = {}\n"
    "for i in session.get_inputs():\n"
    "    shape = [d if isinstance(d, int) and d > 0 else 1 for d in i.shape]\n"
    "    feed[i.name] = numpy.random.default_rng(0).standard_normal(shape).astype(types[i.type])\n"
    "print('ready', flush=True)\n"
    "for line in sys.stdin:\n"
    "    for _ in range(int(line)):\n"
    "        start = time.perf_counter()\n"
    "        session.run(None, feed)\n"
    "        print((time.perf_counter() - start) * 1e3)\n"
    "    sys.stdout.flush()\n";

static void start_python(int in, int out, const char *model, int threads) {
    const char *python = getenv("QANAT_PYTHON") ? getenv("QANAT_PYTHON") : "python3";
    char count[16];
    snprintf(count, sizeof count, "%d", threads);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    // argv[0] is the path, too: Python finds its packages by it.
    execlp(python, python, "-c", script, model, count, (char *)NULL);
    _exit(127);
}

Peer *peer_open(Arena *arena, Diag *diag, const char *model, int threads) {
    int to[2], from[2];
    Peer *peer = ARENA_NEW(arena, Peer);
    char line[64];
    if (pipe(to) != 0 || pipe(from) != 0 || (peer->process = fork()) < 0) {
        diag_error(diag, loc_file(NULL), "no process can be started for --peer");
        return NULL;
    }
    if (peer->process == 0) {
        close(to[1]);
        close(from[0]);
        start_python(to[0], from[1], model, threads);
    }
    close(to[0]);
    close(from[1]);
    peer->to = fdopen(to[1], "w");
    peer->from = fdopen(from[0], "r");
    if (fgets(line, sizeof line, peer->from) && strcmp(line, "ready\n") == 0)
        return peer;
    diag_error(diag, loc_file(NULL),
               "--peer: Python's onnxruntime can't run the model; QANAT_PYTHON names an interpreter that has it");
    peer_close(peer);
    return NULL;
}

bool peer_time(Peer *peer, int runs, double *ms) {
    char line[64];
    fprintf(peer->to, "%d\n", runs);
    if (fflush(peer->to) != 0)
        return false;
    for (int i = 0; i < runs; i++) {
        if (!fgets(line, sizeof line, peer->from))
            return false;
        ms[i] = strtod(line, NULL);
    }
    return true;
}

void peer_close(Peer *peer) {
    if (!peer)
        return;
    fclose(peer->to); // the process ends with its input
    fclose(peer->from);
    waitpid(peer->process, NULL, 0);
}
