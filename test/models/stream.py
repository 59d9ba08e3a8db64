# REQUIRES: assets, numpy, onnxruntime
# RUN: %python %s %qanat %assets %t
"""A voice detector that takes its state as an input and gives it as an output, with both tied: a stream of frames against ONNX
Runtime, which is handed the state from frame to frame."""
import os
import subprocess
import sys

import numpy as np
import onnxruntime

qanat, assets, work = sys.argv[1:4]
MODEL = os.path.join(assets, "models", "onnx", "silero_vad_16k_op15.onnx")
FRAMES = 24
os.makedirs(work, exist_ok=True)
time = np.arange(FRAMES * 576).reshape(FRAMES, 576)
sound = (np.sin(time * 0.07) * np.sin(time * 0.0011) * 0.5 + np.random.default_rng(1).normal(0, 0.02, time.shape)).astype("float32")
np.save(os.path.join(work, "sound.npy"), sound)
session, state, expected = onnxruntime.InferenceSession(MODEL), np.zeros([2, 1, 128], "float32"), []
for frame in sound:
    output, state = session.run(None, {"input": frame[None], "state": state, "sr": np.array(16000, "int64")})
    expected.append(float(output[0, 0]))
out = os.path.join(work, "out.npz")
subprocess.run([qanat, "run", MODEL, "--shape", "input:1,576", "--constant", "sr=16000", "--state", "state=stateN", "--keep-state",
                "-i", os.path.join(work, "sound.npy"), "-o", out], check=True)
with np.load(out) as file:
    assert list(file) == ["output"] and file["output"].shape == (FRAMES, 1)
    apart = np.abs(file["output"][:, 0] - expected).max()
assert np.ptp(expected) > 0.01 and apart < 1e-4, (apart, expected)
print("%d frames, at most %g apart" % (FRAMES, apart))
