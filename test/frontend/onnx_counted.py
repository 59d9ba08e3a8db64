# REQUIRES: numpy
# RUN: %python %s %qanat %S/models
"""Outputs whose size depends on data: of the size that counts in what `run` writes, with the count beside it; the same by
every route, and from a .qir."""
import os
import subprocess
import sys
import tempfile

import numpy as np

qanat, models = sys.argv[1:]
X = np.float32([[0, 3, 0], [1, 0, 2]])
BOXES = np.float32([[[0, 0, 2, 2], [0, 0, 2, 1.9], [3, 3, 4, 4]]])
SCORES = np.float32([[[0.5, 0.75, 0.25], [0.9, 0.1, 0.2]]])
TUPLES = np.float32([[2, 1], [1, 5], [2, 1], [1, 4], [1, 5]])
CASES = [
    ("nonzero", {"x": X}, {"rows": [[0, 1], [1, 0], [1, 2]], "rows_count": 3, "y": [[0, 1], [2, 3], [2, 3]], "y_count": 3}),
    ("nonzero", {"x": 0 * X}, {"rows": np.zeros((0, 2)), "rows_count": 0, "y": np.zeros((0, 2)), "y_count": 0}),
    ("nonzero", {"x": 1 + X}, {"rows": [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]], "rows_count": 6}),
    ("nonzero_constant", {"x": np.float32([10])}, {"y": [[10, 11], [11, 10]]}),
    ("compress", {"x": X, "c": np.array([False, True])}, {"y": [[3], [0]], "y_count": 1}),
    ("unique", {"x": TUPLES}, {"y": [[2, 1], [1, 5], [1, 4]], "first": [0, 1, 3], "group": [0, 1, 0, 2, 1], "size": [2, 2, 1],
                               "y_count": 3, "first_count": 3, "size_count": 3}),
    ("nms", {"boxes": BOXES, "scores": SCORES}, {"y": [1, 2, 0, 2], "y_count": 4}),
]


def outputs(model, inputs, via):
    for name, array in inputs.items():
        np.save(name + ".npy", array)
    given = [text for name in inputs for text in ("-i", f"{name}={name}.npy")]
    subprocess.run([qanat, "run", model, *given, "--via", via, "-o", "out.npz"], check=True)
    with np.load("out.npz") as file:
        return dict(file)


faults = 0
os.chdir(tempfile.mkdtemp())
for name, inputs, expected in CASES:
    model = os.path.join(models, name + ".onnx")
    subprocess.run([qanat, "import", model, "-o", name + ".qir"], check=True)
    for source, via in ((model, "process"), (model, "interp"), (model, "llvm"), (name + ".qir", "process")):
        actual = outputs(source, inputs, via)
        for key, value in expected.items():
            if key not in actual or not np.array_equal(actual[key], np.array(value)):
                print(f"{name} by {via}: {key} is {actual.get(key)}, expected {value}")
                faults += 1
sys.exit(1 if faults else 0)
