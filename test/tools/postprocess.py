# RUN: %python %s %qanat %t
# REQUIRES: numpy, gcc
"""What --postprocess makes of outputs, by every route: networks that give back their inputs, and answers worked out by hand."""
import os
import shutil
import subprocess
import sys

import numpy as np

QANAT, OUT = sys.argv[1:]
ALL = ("process", "interp", "llvm", "c")


def network(inputs, returned, constants=""):
    """inputs: (name, shape); an image whose size boxes may depend on comes first where one is needed."""
    path = os.path.join(OUT, "net.qir")
    types = {name: f"tensor<{'x'.join(map(str, shape))}x{'u8' if name == 'image' else 'f32'}>" for name, shape in inputs}
    with open(path, "w") as file:
        arguments = ", ".join(f"%{name}: {text}" for name, text in types.items())
        results = ", ".join(types.get(name, "tensor<1x2x4xf32>" if name == "fixed" else "tensor<1x2x1xf32>") for name in returned)
        file.write(f"func @main({arguments}) -> ({results}) {{\n{constants}  return {', '.join('%' + name for name in returned)}\n}}\n")
    return path


def run(model, spec, arrays, *options, via="process"):
    given, path = os.path.join(OUT, "x.npz"), os.path.join(OUT, "y.npz")
    np.savez(given, **arrays)
    done = subprocess.run([QANAT, "run", model, "--postprocess", spec, "--input", given, "--via", via, "-o", path, *options],
                          capture_output=True, text=True)
    if done.returncode:
        return done.stderr
    with np.load(path) as file:
        return dict(file)


def check(arrays, spec, expected, image=None, **options):
    """arrays: what the network returns; expected: the results, in order."""
    inputs = ([("image", image)] if image else []) + [(name, array.shape) for name, array in arrays.items()]
    model = network(inputs, list(arrays))
    given = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    if image:
        given["image"] = np.zeros(image, np.uint8)
    for via in ALL:
        got = run(model, spec, given, via=via, **options)
        assert isinstance(got, dict), got
        assert list(got) == list(expected), (spec, list(got))
        for name, value in expected.items():
            value = np.asarray(value)
            assert got[name].shape == value.shape and got[name].dtype == value.dtype, (spec, name, got[name].shape, got[name].dtype)
            assert np.allclose(got[name], value, rtol=1e-5, atol=1e-5), (spec, via, name, got[name])


def f32(*values):
    return np.array(values, np.float32)


def i32(*values):
    return np.array(values, np.int32)


def listed(boxes, scores, classes, most, points=None):
    """A list of `most` boxes, the rest of it 0."""
    lists = {"boxes": np.zeros((1, most, 4), np.float32), "scores": np.zeros((1, most), np.float32), "classes": np.zeros((1, most), np.int32)}
    if points is not None:
        lists["points"] = np.zeros((1, most, 10), np.float32)
        lists["points"][0, :len(points)] = points
    count = len(boxes)
    for name, values in (("boxes", boxes), ("scores", scores), ("classes", classes)):
        lists[name][0, :count] = values
    return lists | {"count": i32(count)}


def check_classes():
    logits = {"y": np.log(f32([1, 3, 6]))}
    check(logits, "softmax", {"scores": f32([0.1, 0.3, 0.6])})
    check(logits, "softmax,top-k=2", {"scores": f32([0.6, 0.3]), "classes": i32([2, 1])})
    check({"y": f32([5, 1, 5, 7])}, "top-k=3", {"scores": f32([7, 5, 5]), "classes": i32([3, 0, 2])})
    check({"a": f32([0.0]), "b": f32([1, 2])}, "top-k=1,output=b", {"scores": f32([2]), "classes": i32([1])})
    pixels = np.zeros((1, 3, 4, 5), np.float32)  # channels first: fewer than rows and columns
    pixels[0, 1, 2, 3] = pixels[0, 2, 0, 4] = 1
    classes = np.zeros((1, 4, 5), np.uint8)
    classes[0, 2, 3], classes[0, 0, 4] = 1, 2
    check({"y": pixels}, "argmax", {"classes": classes})
    check({"y": np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))}, "argmax", {"classes": classes})
    check({"y": np.ascontiguousarray(pixels.transpose(0, 2, 1, 3))}, "argmax,axis=2", {"classes": classes})
    many = np.zeros((1, 300), np.float32)
    many[0, 299] = 1
    check({"y": many}, "argmax", {"classes": i32(299)})


def check_lists():
    """The second box lies within the first, of which it is 81 %; the fourth is too unsure."""
    boxes = f32([[0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]])
    scores = f32([[0.5, 0.1], [0.3, 0.9], [0.6, 0.2], [0.1, 0.2]])
    found = listed([boxes[0, 1], boxes[0, 2]], [0.9, 0.6], [1, 0], 3)
    check({"b": boxes, "s": scores}, "boxes=corners,most=3", found, image=(1, 80, 80, 3))
    check({"s": scores, "b": boxes}, "boxes=corners,most=3", found, image=(1, 3, 80, 80))
    everything = listed([boxes[0, 1], boxes[0, 2], boxes[0, 0], boxes[0, 3]], [0.9, 0.6, 0.5, 0.2], [1, 0, 0, 1], 4)
    check({"b": boxes, "s": scores}, "boxes=corners,iou=0.82,score=0", everything, image=(1, 80, 80, 3))
    check({"b": boxes, "s": scores}, "boxes=corners,background=1,most=1", listed([boxes[0, 1]], [0.9], [1], 1), image=(1, 80, 80, 3))
    # Of classes of their own: both of the first two boxes are kept.
    apart = listed([boxes[0, 1], boxes[0, 2], boxes[0, 0]], [0.9, 0.6, 0.5], [1, 0, 0], 3)
    check({"b": boxes, "s": scores}, "boxes=corners,nms=class,most=3", apart, image=(1, 80, 80, 3))
    check({"b": boxes, "s": scores[:, :, ::-1].copy()}, "boxes=corners,nms=any,most=3", listed([boxes[0, 1], boxes[0, 2]], [0.9, 0.6], [0, 1], 3), image=(1, 80, 80, 3))
    same = f32([[0.5, 0.1], [0.9, 0.3], [0.6, 0.2], [0.1, 0.2]])
    check({"b": boxes, "s": same}, "boxes=corners,nms=class,most=3", listed([boxes[0, 1], boxes[0, 2]], [0.9, 0.6], [0, 0], 3), image=(1, 80, 80, 3))
    # At the threshold a box is kept.
    check({"b": boxes, "s": scores}, "boxes=corners,score=0.6,most=2", found | listed([boxes[0, 1], boxes[0, 2]], [0.9, 0.6], [1, 0], 2), image=(1, 80, 80, 3))
    centers = np.concatenate([f32([[5, 5, 10, 10], [5.5, 5.5, 9, 9], [25, 25, 10, 10], [55, 55, 10, 10], [9, 9, 1, 1], [9, 9, 1, 1], [9, 9, 1, 1]]),
                              np.concatenate([scores, np.zeros((1, 3, 2), np.float32)], 1)], 2)
    check({"y": centers}, "boxes=centers,most=3", found, image=(1, 80, 80, 3))
    check({"y": np.ascontiguousarray(centers.transpose(0, 2, 1))}, "boxes=centers,most=3", found, image=(1, 80, 80, 3))


def check_codings():
    anchors = f32([[0.5, 0.5, 0.2, 0.4], [0.1, 0.1, 0.1, 0.1]])
    np.save(os.path.join(OUT, "anchors.npy"), anchors[0])
    codes = f32([[0, 0, 0, 0], [10, 0, np.log(2) / 0.2, 0]])  # the second one: a whole anchor to the right, twice as wide
    scores = np.log(f32([[1, 9], [1, 4]]))
    found = listed([[80, 30, 120, 70], [20, 5, 60, 15]], [0.9, 0.8], [1, 1], 2)
    for where in (os.path.join(OUT, "anchors.npy"), "a"):
        arrays = {"c": codes, "s": np.concatenate([scores, scores[..., :0]], 2)} | ({"a": anchors} if where == "a" else {})
        check(arrays, f"softmax,boxes=ssd,anchors={where},unit=image,background=1,most=2", found, image=(1, 100, 200, 3))
    moved = {"a": anchors, "c": codes, "s": scores}  # the anchors come first
    check(moved, "softmax,boxes=ssd,anchors=a,unit=image,background=1,most=2", found, image=(1, 100, 200, 3))
    cells = np.zeros((1, 21, 7), np.float32)  # 4 x 4, 2 x 2 and 1 of 32 x 32 pixels
    cells[0, 16 + 3] = [0, 0, 0, 0, 0.5, 0.2, 1]
    cells[0, 6] = [0.5, 0.25, np.log(2), 0, 1, 0.75, 0]
    found = listed([[12, 6, 28, 14], [8, 8, 24, 24]], [0.75, 0.5], [0, 1], 5)
    check({"y": cells}, "boxes=yolox,most=5", found, image=(1, 3, 32, 32))
    faces = {}
    for stride, count in ((8, 16), (16, 4), (32, 1)):
        for name, width in (("cls", 1), ("obj", 1), ("box", 4), ("kps", 10)):
            faces[f"{name}_{stride}"] = np.zeros((1, count, width), np.float32)
    faces["cls_16"][0, 3], faces["obj_16"][0, 3] = 0.9, 0.4
    faces["kps_16"][0, 3] = np.arange(10) / 16
    points = [16 + i for i in range(10)]
    check(faces, "boxes=yunet,most=2", listed([[8, 8, 24, 24]], [0.6], [0], 2, [points]), image=(1, 32, 32, 3))


def check_frames():
    """Boxes come in pixels of the frame: 20 rows of 40 turned to the right, halved, and 8 x 8 kept in the middle."""
    constants = ("  %fixed = constant dense<[[[0.0, 0.0, 4.0, 4.0], [5.0, 6.0, 7.0, 8.0]]]> : tensor<1x2x4xf32>\n"
                 "  %sure = constant dense<[[[0.9], [0.8]]]> : tensor<1x2x1xf32>\n")
    model = network([("image", (1, 8, 8, 3))], ["fixed", "sure"], constants)
    for turns, expected in (("rotate=90", [[12, 10, 20, 18], [24, 4, 28, 8]]), ("rotate=90,flip=horizontal", [[12, 2, 20, 10], [24, 12, 28, 16]]),
                            ("rotate=270", [[20, 2, 28, 10], [12, 12, 16, 16]])):
        for via in ALL:
            got = run(model, "boxes=corners", {"image": np.zeros((1, 20, 40, 3), np.uint8)}, "--frame", "rgb8:20x40", "--preprocess",
                      turns + ",resize=10x20,crop=8,layout=nhwc", via=via)
            assert isinstance(got, dict), got
            assert got["count"][0] == 2 and np.array_equal(got["boxes"][0, :2], f32(*expected)), (turns, via, got["boxes"])


def check_messages():
    two = network([("a", (1, 3)), ("b", (1, 4))], ["a", "b"])
    arrays = {"a": np.zeros((1, 3), np.float32), "b": np.zeros((1, 4), np.float32)}
    for spec, message in (("argmax", "name one with output=NAME; the outputs are a tensor<1x3xf32>, b tensor<1x4xf32>"),
                          ("top-k=4,output=a", "top-k=4 of 3 classes"), ("softmax,output=c", "there is no output 'c'"),
                          ("softmax,output=a,axis=2", "no classes along dimension 2"),
                          ("boxes=yolox", "boxes need a network whose first input is an image"),
                          ("boxes=corners", "boxes need a network whose first input is an image"),
                          ("boxes=", "boxes: expected corners, centers, ssd, yolox or yunet, found ''"), ("iou=0.5", "expected one of softmax, sigmoid"),
                          ("boxes=ssd", "boxes=ssd and anchors=FILE.npy belong together"), ("argmax,top-k=1", "expected one of softmax"),
                          ("argmax,iou=0.5,output=a", "iou= is about boxes; add boxes=CODING or leave it out"),
                          ("top-k=1,nms=class", "nms= is about boxes"), ("boxes=corners,output=a", "output= says nothing about boxes; leave it out"),
                          ("boxes=yolox,variances=1:1:1:1", "variances= is about boxes=ssd; leave it out"), ("softmax,anchors=a.npy", "anchors= is about boxes=ssd"),
                          ("boxes=corners,nms=some", "nms: expected any or class, found 'some'"),
                          ("softmax,sigmoid", "expected softmax or sigmoid, not both, found 'softmax,sigmoid'"),
                          ("top_k=1", "unknown word 'top_k'"), ("boxes=ssd,anchors=none.npy", "none.npy: error: can't be read")):
        got = run(two, spec, arrays)
        assert isinstance(got, str) and message in got, (spec, got)
    image = network([("image", (1, 32, 32, 3)), ("y", (1, 20, 7))], ["y"])
    got = run(image, "boxes=yolox", {"image": np.zeros((1, 32, 32, 3), np.uint8), "y": np.zeros((1, 20, 7), np.float32)})
    assert "expected 1 x 21 x (5 + classes), the cells of strides 8, 16 and 32 of 32 x 32 pixels; the outputs are y tensor<1x20x7xf32>" in got, got


def check_carried():
    model, carried = network([("y", (1, 3))], ["y"]), os.path.join(OUT, "carried.qir")
    subprocess.run([QANAT, "import", model, "--postprocess", "top-k=1", "-o", carried], check=True)
    np.savez(os.path.join(OUT, "x.npz"), y=f32([1, 3, 2]))
    subprocess.run([QANAT, "run", carried, "--input", os.path.join(OUT, "x.npz"), "-o", os.path.join(OUT, "y.npz")], check=True)
    with np.load(os.path.join(OUT, "y.npz")) as file:
        assert file["classes"].tolist() == [[1]]


shutil.rmtree(OUT, ignore_errors=True)
os.makedirs(OUT)
check_classes()
check_lists()
check_codings()
check_frames()
check_messages()
check_carried()
