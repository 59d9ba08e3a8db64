# REQUIRES: assets, numpy
# RUN: %python %s %qanat %assets %t
"""EfficientDet-Lite0, by its shapes, on a photograph: the heads' integers by the fastest kernels are those by generic ones, and what the
post-processing finds is what a plain computation finds in them."""
import os
import subprocess
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import efficientdet  # noqa: E402

qanat, assets, work = sys.argv[1:4]
os.makedirs(work, exist_ok=True)
os.chdir(work)


def run(model, *options):
    subprocess.run([qanat, "run", model, "-i", os.path.join(assets, "samples", "pets.jpg"), "--preprocess", "resize=320x320,layout=nhwc",
                    "-o", "out.npz", *options], check=True, capture_output=True)
    with np.load("out.npz") as file:
        return dict(file)


def corners(codes):
    a = efficientdet.anchors()
    center, half = codes[:, :2] * a[:, 2:] + a[:, :2], 0.5 * np.exp(codes[:, 2:]) * a[:, 2:]
    return np.concatenate([center - half, center + half], 1).astype("float32")


def overlap(a, b):
    inner = np.prod(np.maximum(0, np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])))
    return inner / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inner)


def find(codes, likely):
    boxes, best, kept = corners(codes), likely.max(1), []
    for i in np.argsort(-best, kind="stable"):
        if best[i] < efficientdet.OPTIONS["nms_score_threshold"] or len(kept) == efficientdet.OPTIONS["max_detections"]:
            break
        if all(overlap(boxes[i], boxes[k]) <= efficientdet.OPTIONS["nms_iou_threshold"] for k in kept):
            kept.append(i)
    return boxes[kept], likely[kept].argmax(1), best[kept]


assert efficientdet.write("heads.tflite", True) == efficientdet.write("whole.tflite") == 19206
heads, generic, found = run("heads.tflite"), run("heads.tflite", "--isa", "generic"), run("whole.tflite")
assert all(heads[name].tobytes() == generic[name].tobytes() for name in heads) and len(heads) == 2
boxes, classes, scores = find(heads["codes"][0], heads["likely"][0])
count = int(found["count"][0])
assert 5 <= count == len(boxes), (count, len(boxes))
assert (found["classes"][0, :count] == classes).all() and (found["scores"][0, :count] == scores).all()
assert np.abs(found["boxes"][0, :count] - boxes).max() < 1e-5 and not found["scores"][0, count:].any()
print(count, "boxes")
