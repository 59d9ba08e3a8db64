# REQUIRES: numpy
# RUN: rm -rf %t && %python %s %qanat %S/models %t
"""Operators that the import makes of many ops: what they compute, worked out by hand, by every route."""
import os
import subprocess
import sys

import numpy as np

qanat, models, work = sys.argv[1:4]
os.makedirs(work)


def f32(*values):
    return np.array(values, np.float32)


def one(value):
    """A number as an array of no dimensions."""
    return value.reshape(())


def u8(*values):
    return np.array(values, np.uint8)


def check(model, inputs, outputs):
    command = [qanat, "run", os.path.join(models, model + ".onnx"), "--output", os.path.join(work, "y.npz")]
    for name, array in inputs.items():
        np.save(os.path.join(work, name + ".npy"), array)
        command += ["--input", f"{name}={os.path.join(work, name)}.npy"]
    for via in ("interp", "process", "llvm"):
        done = subprocess.run([*command, "--via", via], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (model, via, done.stderr)
        got = np.load(os.path.join(work, "y.npz"))
        for name, want in outputs.items():
            assert got[name].dtype == want.dtype and got[name].shape == want.shape, (model, via, name, got[name])
            exact = want.dtype.kind in "iu"
            assert np.allclose(got[name], want, rtol=0 if exact else 1e-6, atol=0 if exact else 1e-6), (model, via, name, got[name])


# ---- quantized, on plain integers

check("quantize_linear", {"x": f32([1.25, 0.75, -100, 1e9], [3, 5, -7, 9.1])},
      {"y": u8([130, 130, 0, 255], [5, 5, 0, 8]), "t": np.array([[2, 2, -128, 127], [6, 10, -14, 18]], np.int8)})
check("dequantize_linear", {"x": np.array([[1, 2, 3, 4], [-128, 127, 0, 5]], np.int8)},
      {"y": f32([0.5, 1, 1.5, 6], [-127, 128, 1, 12])})
check("dequantize_weight", {"x": f32([[[1, 2]]])}, {"y": f32([[[1, 2]], [[-6, -12]]])})
check("dynamic_quantize_linear", {"x": f32(-51, 0, 102, 204)}, {"y": u8(0, 51, 153, 255), "s": one(f32(1)), "z": one(u8(51))})
check("dynamic_quantize_linear", {"x": f32(0, 0, 0, 0)}, {"y": u8(0, 0, 0, 0), "s": one(f32(1)), "z": one(u8(0))})
check("qlinear_matmul", {"x": u8([10, 12], [14, 8])}, {"y": u8([101, 68], [100, 133])})
check("qlinear_conv", {"x": u8([[[12, 14, 9]]])}, {"y": u8([[[100, 100, 101]]])})
# More than f32 sums exactly: 300 * 255 * 255, 5000 * 255 * 255.
check("conv_integer", {"x": np.full((1, 300, 1, 1), 255, np.uint8)}, {"y": np.array([[[[-19507500]], [[0]]]], np.int32)})
check("matmul_integer", {"x": np.full((1, 5000), 255, np.uint8), "w": np.full((5000, 1), 255, np.uint8)},
      {"y": np.array([[325125000]], np.int32)})
check("int4_weight", {"x": f32([2, 1])}, {"y": f32([2.5, -6])}) # [[0.5, -1], [1.5, -4]]
# Integers wrap.
check("matmul_whole", {"x": np.array([[65536, 3], [1, 2]], np.int32)}, {"y": np.array([[15, 65515], [65546, -13]], np.int32)})
check("max_pool_whole", {"x": np.array([[[[-128, -5, 127]]]], np.int8)}, {"y": np.array([[[[-128, -5, 127]]]], np.int8)})

# ---- attention: two heads of queries, one of keys

still, asking = f32([0, 0], [0, 0]), f32([0, 0], [np.log(3), 0])
keys = {"k": f32([[[1, 0], [0, 0]]]), "v": f32([[[4, 0], [0, 8]]])}
check("attention", {"q": np.stack([still, asking])[None], **keys},
      {"y": f32([[[4, 0], [2, 4]], [[4, 0], [3, 2]]]), "w": f32([[[1, 0], [0.5, 0.5]], [[1, 0], [0.75, 0.25]]])})
# The first query has no key. The second head's second is capped at 0.5: 1 / (1 + exp(-0.5)) of the first value.
check("attention_masked", {"q": f32([still, [[0, 0], [1e4, 0]]]), **keys, "m": np.array([[0, 0], [1, 1]], bool)},
      {"y": f32([[[0, 0], [2, 4]], [[0, 0], [2.4898373, 3.0203254]]])})
# Each query sees its own place and the one before.
check("attention_past", {"q": np.stack([still, still])[None], **keys, "kp": f32([[[7, 7]]]), "vp": f32([[[6, 2]]])},
      {"y": f32([[[5, 1], [2, 4]], [[5, 1], [2, 4]]]), "kn": f32([[[7, 7], [1, 0], [0, 0]]]), "vn": f32([[[6, 2], [4, 0], [0, 8]]])})
# One key of two is there: the first of two queries stands before it.
check("attention_counted", {"q": np.stack([still, still])[None], **keys, "m": f32([1], [1]), "n": np.array([1], np.int64)},
      {"y": f32([[[0, 0], [4, 0]], [[0, 0], [4, 0]]])})
check("attention_packed", {"q": np.zeros((1, 2, 4), np.float32), "k": keys["k"][0], "v": keys["v"][0]},
      {"y": f32([[2, 4, 2, 4], [2, 4, 2, 4]])})
# Scores forgotten, weights doubled.
check("flex_attention", {"q": np.stack([asking, asking])[None], **keys}, {"y": f32([[[4, 8], [4, 8]], [[4, 8], [4, 8]]])})

# ---- sequences

check("swiglu", {"x": f32(0, 1)}, {"y": f32(0, 4.4039854)})
x = {"x": f32([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])}
check("rotary_embedding", x, {"y": f32([[-3, -2, 1, -4, 5], [6, -9, 8, 7, 10]])})
check("rotary_interleaved", x, {"y": f32([[-2, 1, -3, -4, 5], [6, 7, -9, 8, 10]])})
check("causal_conv_with_state", {"x": f32([[1, 2, 3], [4, 5, 6]]), "p": f32([[9], [0]])},
      {"y": f32([[19, 21, 32], [112, 123, 128]]), "n": f32([[3], [6]])})
check("linear_attention", {"q": f32([[1, 10], [1, -1]]), "k": f32([[2], [3]]), "v": f32([[4], [5]]),
                           "g": f32([[0], [np.log(0.5)]]), "b": f32([[1], [0.5]])},
      {"y": f32([[16, 160], [-13, 13]]), "n": f32([[[-6.5]]])})

for model, message in (("attention_odd", "node 'look' (Attention): input 0 of 3 dimensions, with q_num_heads 3, is not one of heads"),
                       ("quantize_wide", "node 'wide' (QuantizeLinear): quantized elements of type i32 are not supported")):
    done = subprocess.run([qanat, "import", os.path.join(models, model + ".onnx"), "-o", os.path.join(work, "no.qir")],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1 and message in done.stderr, done.stderr
