"""What tests of searches share: Qanat's commands, and what networks give for samples, one run each. Of sys.argv the first is qanat."""
import subprocess
import sys

import numpy as np


def call(*arguments, status=0):
    """What the command prints; of one that fails, its messages."""
    done = subprocess.run([sys.argv[1], *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == status, (arguments, done.returncode, done.stderr)
    return done.stdout if status == 0 else done.stderr


def outputs_of(model, name, samples, output, *options):
    """By sample the model's `output` for its input `name`."""
    results = []
    for i in range(len(samples)):
        np.savez("one.npz", **{name: samples[i:i + 1]})
        call("run", model, "--input", "one.npz", "-o", "out.npz", *options)
        with np.load("out.npz") as out:
            results.append(out[output].astype(np.float64).ravel())
    return results
