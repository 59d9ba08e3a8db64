# REQUIRES: onnx, numpy
# RUN: %python %s %qanat %root/test/bench
"""Memory that compiling takes: at most 200 MB, and 3 bytes for each byte of weights. usage: memory.py QANAT BENCH"""
import os
import sys
import tempfile

qanat, bench = sys.argv[1:]
sys.path.insert(0, bench)
import memory

SMALL, LARGE = 4, 84  # MB
with open(qanat, "rb") as file:
    if b"__asan_init" in file.read():
        print("skipped: the sanitizer has a memory of its own")
        sys.exit()


def peaks(megabytes):
    with tempfile.TemporaryDirectory() as folder:
        paths, weights = memory.write_models(folder, megabytes, qanat)
        compiled = os.path.join(folder, "compiled.o")
        return weights, {kind: memory.measure([qanat, "compile", "--target", "x86-64", path, "-o", compiled])[0]
                         for kind, path in paths.items()}


(small_weights, small), (large_weights, large) = peaks(SMALL), peaks(LARGE)
for kind in small:
    slope = (large[kind] - small[kind]) / (large_weights - small_weights)
    print(f"{kind}: {small[kind] / 1e6:.0f} MB with {small_weights / 1e6:.0f} MB of weights, {slope:.2f} x more weights")
    assert small[kind] <= 200e6
    assert 1 <= slope <= 3
