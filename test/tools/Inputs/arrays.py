"""numpy's files, read and written by ours: element types, shapes, deflated and stored.

usage: arrays.py TOOL_TEST QANAT DIGITS_FOLDER FOLDER
"""
import os
import subprocess
import sys

import numpy as np

tool, qanat, digits, folder = sys.argv[1:5]
os.makedirs(folder, exist_ok=True)
os.chdir(folder)
rng = np.random.default_rng(0)

arrays = {"scalar": np.array(2.5, np.float32), "empty": np.zeros((0, 3), np.float32), "a/b c": np.arange(5)}
for kind in ("float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool"):
    arrays[kind] = (rng.normal(size=(3, 4, 5)) * 50).astype(kind)
for save in (np.savez, np.savez_compressed):
    save("in.npz", **arrays)
    subprocess.run([tool, "copy", "in.npz", "out.npz"], check=True)
    copied = np.load("out.npz")
    assert copied.files == list(arrays), copied.files
    for name, array in arrays.items():
        assert copied[name].dtype == array.dtype and (copied[name] == array).all(), name
        assert copied[name].shape == array.shape, name


def run(path):
    subprocess.run([qanat, "run", os.path.join(digits, "digits.onnx"), "--input", path, "-o", "result.npz"], check=True)
    return np.load("result.npz")["logits"]


image = np.load(os.path.join(digits, "test.npz"))["image"][7:8]
want = run(os.path.join(digits, "test.npz"))
np.save("one.npy", image)
logits = run("one.npy")
assert logits.shape == want.shape == (1, 10)
for name, array in (("double.npy", image.astype(np.float64)), ("no_batch.npy", image[0])):
    np.save(name, array)
    assert (run(name) == logits).all(), name
np.savez("named.npz", other=image[0], image=image)
assert (run("named.npz") == logits).all()
np.save("bytes.npy", np.ones((1, 1, 8, 8), np.uint8))
np.save("ones.npy", np.ones((1, 1, 8, 8), np.float32))
assert (run("bytes.npy") == run("ones.npy")).all()


def refused(path, text):
    result = subprocess.run([qanat, "run", os.path.join(digits, "digits.onnx"), "--input", path], check=False,
                            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert result.returncode == 1 and text in result.stderr, (path, result)


np.save("wide.npy", np.zeros((1, 1, 8, 9), np.float32))
refused("wide.npy", "the array f32[1,1,8,9] does not fit input 'image', which is f32[1,1,8,8]")
np.save("fortran.npy", np.asfortranarray(np.zeros((1, 1, 8, 8), np.float32) + np.arange(8)))
refused("fortran.npy", "Fortran order")
np.save("text.npy", np.array(["a"]))
refused("text.npy", "elements of type '<U1' are not supported")
np.save("big.npy", image.astype(">f4"))
refused("big.npy", "are not supported")
data = bytearray(open("named.npz", "rb").read())
data[-200] ^= 1
open("flipped.npz", "wb").write(data)
refused("flipped.npz", "broken .npz")
