#!/usr/bin/env python3
"""Times Qanat against LiteRT (XNNPACK) on TFLite files: both in this process, in turn, one thread, pinned.

usage: tflite_speed.py [--rounds N] [--markdown] FILE.tflite...

Needs numpy and ai-edge-litert (`peers.py --install` makes build/peers/run with both; this program goes there by itself). Inputs are random;
both engines take and give the types of the file. Reported are medians over all rounds, and how far the outputs are apart: of integers the
mean difference in quanta, of floats the largest by the largest output."""
import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("QANAT_BUILD", os.path.join(ROOT, "build"))
PYTHON = os.path.join(BUILD, "peers", "run", "bin", "python")
DTYPES = {"f32": "float32", "i8": "int8", "u8": "uint8", "i16": "int16", "i32": "int32", "i64": "int64", "i1": "bool"}
ROUND_S = 0.05 # how long an engine runs in a round, at least once, after a run that is not timed


def pointers(arrays):
    return (ctypes.c_void_p * len(arrays))(*[x.ctypes.data for x in arrays])


class Qanat:
    def __init__(self, path, folder):
        import numpy as np
        qanat, library = os.path.join(BUILD, "bin", "qanat"), os.path.join(folder, "m.so")
        subprocess.run([qanat, "compile", path, "--name", "m", "--emit", "shared", "-o", library], check=True, capture_output=True, text=True)
        info = json.loads(subprocess.run([qanat, "info", path, "--json"], check=True, capture_output=True, text=True).stdout)
        lib = ctypes.CDLL(library)
        lib.m_arena_bytes.restype = ctypes.c_size_t
        self.memory, self.call = ctypes.create_string_buffer(lib.m_arena_bytes(1) + 64), lib.m_run
        self.arena = ctypes.c_void_p((ctypes.addressof(self.memory) + 63) // 64 * 64)
        if lib.m_init(self.arena, (ctypes.c_int64 * 2)(1)):
            raise RuntimeError("init failed")
        self.inputs = [np.zeros(x["shape"], DTYPES[x["type"]]) for x in info["inputs"]]
        self.outputs = [np.zeros(x["shape"], DTYPES[x["type"]]) for x in info["outputs"]]
        self.ins, self.outs = pointers(self.inputs), pointers(self.outputs)

    def run(self):
        self.call(self.arena, self.ins, self.outs, None)


class LiteRT:
    def __init__(self, path):
        from ai_edge_litert.interpreter import Interpreter
        self.interpreter = Interpreter(model_path=path, num_threads=1)
        self.interpreter.allocate_tensors()
        self.run = self.interpreter.invoke

    def bind(self, arrays):
        for detail, x in zip(self.interpreter.get_input_details(), arrays):
            self.interpreter.set_tensor(detail["index"], x)

    def outputs(self):
        return [self.interpreter.get_tensor(detail["index"]) for detail in self.interpreter.get_output_details()]


def fill(arrays):
    import numpy as np
    random = np.random.RandomState(0)
    for x in arrays:
        if x.dtype.kind == "f":
            x[...] = random.randn(*x.shape)
        elif x.dtype.itemsize <= 2 and x.dtype.kind != "b":
            x[...] = random.randint(np.iinfo(x.dtype).min, np.iinfo(x.dtype).max + 1, x.shape)


def apart(ours, theirs):
    import numpy as np
    worst = 0.0
    for x, y in zip(ours, theirs):
        difference = np.abs(x.astype(np.float64) - y.reshape(x.shape))
        distance = difference.mean() if x.dtype.kind != "f" else difference.max() / max(np.abs(y).max(), 1e-30)
        worst = max(worst, distance if np.isfinite(distance) else np.inf)
    return worst


def timed(engine, times):
    engine.run()
    end = time.perf_counter() + ROUND_S
    while True:
        start = time.perf_counter()
        engine.run()
        now = time.perf_counter()
        times.append((now - start) * 1e3)
        if now > end:
            return


def compare(path, rounds):
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Qanat(path, folder), LiteRT(path)
        fill(ours.inputs)
        theirs.bind(ours.inputs)
        ours.run(), theirs.run()
        distance = apart(ours.outputs, theirs.outputs())
        times = {ours: [], theirs: []}
        for _ in range(rounds):
            for engine, found in times.items():
                timed(engine, found)
        return statistics.median(times[ours]), statistics.median(times[theirs]), distance


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--markdown", action="store_true", help="lines of a table")
    parser.add_argument("files", nargs="+", metavar="FILE.tflite")
    args = parser.parse_args()
    if not os.path.exists(PYTHON):
        sys.exit("tflite_speed.py: no engines are installed: run test/bench/peers.py --install")
    if not os.path.samefile(os.path.dirname(os.path.dirname(PYTHON)), sys.prefix):
        sys.exit(subprocess.run([PYTHON, os.path.abspath(__file__), *sys.argv[1:]], check=False).returncode)
    os.sched_setaffinity(0, {os.cpu_count() - 1})
    for path in args.files:
        name = os.path.splitext(os.path.basename(path))[0]
        try:
            ours, theirs, distance = compare(path, args.rounds)
        except (RuntimeError, ValueError, subprocess.CalledProcessError) as error:
            print(f"{name}: {(getattr(error, 'stderr', None) or str(error)).strip()}", flush=True)
            continue
        columns = (name, f"{ours:.4g}", f"{theirs:.4g}", f"{theirs / ours:.2f} ×", f"{distance:.2g}")
        print("| " + " | ".join(columns) + " |" if args.markdown else "{:50} {:>9} ms {:>9} ms {:>8}  apart {}".format(*columns), flush=True)


if __name__ == "__main__":
    main()
