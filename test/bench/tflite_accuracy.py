#!/usr/bin/env python3
"""Classifies real inputs with TFLite files, by Qanat and by LiteRT: how many of each are right, and how far the two are apart.

usage: tflite_accuracy.py [--markdown] [--reference] ASSETS [TEXT...]          models whose name holds one of the texts

Needs what tflite_speed.py needs. Images of ImageNet are squashed to 224 x 224 by PIL; 49 x 10 coefficients of speech and images of 32 x 32
are taken as they are. LiteRT runs XNNPACK, or with --reference its reference kernels (op resolver BUILTIN_REF). Reported are top-1 of
both, for how many inputs the class is the same (one of those with the best score), and the mean difference of the scores in quanta."""
import argparse
import csv
import glob
import os
import sys
import tempfile

from tflite_speed import PYTHON, LiteRT, Qanat, subprocess


def photographs(assets):
    import numpy as np
    from PIL import Image
    with open(os.path.join(assets, "images", "val", "labels.txt"), encoding="utf-8") as file:
        for line in file:
            name, label = line.split()
            image = Image.open(os.path.join(assets, "images", "val", name)).convert("RGB").resize((224, 224), Image.BILINEAR)
            yield np.asarray(image, np.uint8), int(label)


def recorded(folder, kind, shape):
    import numpy as np
    with open(os.path.join(folder, "y_labels.csv"), encoding="utf-8") as file:
        for name, _, label in csv.reader(file):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                yield np.fromfile(path, kind).reshape(shape), int(label)


def cifar(assets):
    import numpy as np
    for record in np.fromfile(os.path.join(assets, "cifar10", "test2000.bin"), np.uint8).reshape(-1, 3073):
        yield record[1:].reshape(3, 32, 32).transpose(1, 2, 0), int(record[0])


# Model, what it classifies, what its label 0 is (1: there is a class before those of the labels), what is taken from bytes.
CASES = [("mlperf_tiny_ic_resnet8_int8", "ic01", 0, 128), ("mlperf_tiny_ic_resnet8_int8", "cifar10", 0, 128),
         ("mlperf_tiny_kws_int8", "kws01", 0, 0), ("mobilenet_v1_0.25_224_quant", "val", 1, 0),
         ("mobilenet_v2_1.0_224_quant", "val", 1, 0), ("tf2_mobilenet_v2_1.0_224_ptq", "val", 1, 0)]


def samples(assets, data):
    import numpy as np
    if data == "val":
        return photographs(assets)
    if data == "cifar10":
        return cifar(assets)
    folder = os.path.join(assets, data)
    return recorded(folder, np.int8, (49, 10, 1)) if data == "kws01" else recorded(folder, np.uint8, (32, 32, 3))


class Reference(LiteRT):
    def __init__(self, path):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
        self.interpreter = Interpreter(model_path=path, num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        self.interpreter.allocate_tensors()
        self.run = self.interpreter.invoke


def compare(path, data, background, offset, litert):
    import numpy as np
    right, same, distances = [0, 0], 0, []
    with tempfile.TemporaryDirectory() as folder:
        engines = Qanat(path, folder), litert(path)
        for x, label in data:
            engines[0].inputs[0][...] = (x.astype(np.int32) - offset).reshape(engines[0].inputs[0].shape)
            engines[1].bind(engines[0].inputs)
            scores = []
            for i, engine in enumerate(engines):
                engine.run()
                output = engine.outputs if i == 0 else engine.outputs()
                scores.append(np.ravel(output[0]).astype(np.float64))
                right[i] += int(scores[i].argmax()) == label + background
            same += bool(scores[1][scores[0].argmax()] == scores[1].max())
            distances.append(np.abs(scores[0] - scores[1]).mean())
    count = len(distances)
    return count, *(100 * r / count for r in right), 100 * same / count, float(np.mean(distances))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--markdown", action="store_true", help="lines of a table")
    parser.add_argument("--reference", action="store_true", help="LiteRT's reference kernels")
    parser.add_argument("assets", metavar="ASSETS")
    parser.add_argument("texts", nargs="*", metavar="TEXT")
    args = parser.parse_args()
    if not os.path.exists(PYTHON):
        sys.exit("tflite_accuracy.py: no engines are installed: run test/bench/peers.py --install")
    if not os.path.samefile(os.path.dirname(os.path.dirname(PYTHON)), sys.prefix):
        sys.exit(subprocess.run([PYTHON, os.path.abspath(__file__), *sys.argv[1:]], check=False).returncode)
    for name, data, background, offset in CASES:
        if args.texts and not any(text in name for text in args.texts):
            continue
        path = os.path.join(args.assets, "models", "tflite", name + ".tflite")
        count, ours, theirs, same, distance = compare(path, samples(args.assets, data), background, offset, Reference if args.reference else LiteRT)
        columns = (name, f"{data} ({count})", f"{ours:.2f}", f"{theirs:.2f}", f"{same:.1f} %", f"{distance:.3f}")
        print("| " + " | ".join(columns) + " |" if args.markdown else "{:32} {:15} {:>6} {:>6} {:>8} {:>7}".format(*columns), flush=True)


if __name__ == "__main__":
    main()
