#!/usr/bin/env python3
"""What compiling a large f32 network takes: peak memory and time, for .onnx, .onnx with external data, and binary .qir.

usage: memory.py [--megabytes N] [--qanat FILE]
The bound is 3 x the weights + 200 MB."""
import argparse
import os
import subprocess
import sys
import tempfile
import time

MAKE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "large_model.py")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QANAT = os.path.join(os.environ.get("QANAT_BUILD", os.path.join(ROOT, "build")), "bin", "qanat")


def measure(command):
    """Peak resident memory in bytes, and seconds. A child starts with the peak of its parent: this one stays small."""
    start = time.monotonic()
    child = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: status {status}")
    return usage.ru_maxrss * 1024, time.monotonic() - start


def write_models(folder, megabytes, qanat):
    """Paths by kind, and the bytes of the weights."""
    paths = {kind: os.path.join(folder, kind + ending)
             for kind, ending in (("onnx", ".onnx"), ("external", ".onnx"), ("binary", ".qir"))}
    for kind, more in (("onnx", []), ("external", ["--external"])):
        printed = subprocess.check_output([sys.executable, MAKE, str(megabytes), paths[kind], *more], text=True)
    weights = int(printed.split()[0])
    measure([qanat, "import", paths["onnx"], "-o", paths["binary"]])
    return paths, weights


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--megabytes", type=float, default=500)
    parser.add_argument("--qanat", default=QANAT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths, weights = write_models(folder, options.megabytes, options.qanat)
        print(f"weights {weights / 1e6:.0f} MB, bound {(3 * weights + 200e6) / 1e6:.0f} MB")
        for kind, path in paths.items():
            for output in ("o", "a", "so"):
                peak, seconds = measure([options.qanat, "compile", "--target", "x86-64-v3", path, "-o",
                                         os.path.join(folder, "out." + output)])
                print(f"{kind:9} .{output:3} {peak / 1e6:6.0f} MB {peak / weights:5.2f} x weights {seconds:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
