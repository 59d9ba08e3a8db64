"""Writes the model of one operator: tflite_make.py CASE PATH [KEEP], of which only the first KEEP bytes."""
import sys

import tflite_cases
import tflite_states  # noqa: F401
from tflite_writer import Model

name, path, *keep = sys.argv[1:]
model = Model()
_, outputs = tflite_cases.make(model, name)
model.save(path, outputs)
if keep:
    with open(path, "r+b") as file:
        file.truncate(int(keep[0]))
