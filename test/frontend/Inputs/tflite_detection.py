"""Cases of tflite_cases.py: TFLite_Detection_PostProcess by both of its suppressions."""
import struct

import numpy as np

from tflite_cases import case


def flex_map(values):
    """A FlexBuffers map of floats, integers and booleans."""
    out, places, values = bytearray(), [], sorted(values.items())
    for key, _ in values:
        places.append(len(out))
        out += key.encode() + b"\0"
    out += bytes(-len(out) % 4) + struct.pack("<I", len(values))
    keys = len(out)
    for place in places:
        out += struct.pack("<I", len(out) - place)
    out += struct.pack("<III", len(out) - keys, 4, len(values))
    start = len(out)
    for _, value in values:
        out += struct.pack("<f" if isinstance(value, float) else "<i", value)
    for _, value in values:
        out.append((3 if isinstance(value, float) else 26 if isinstance(value, bool) else 1) << 2 | 2)
    out += bytes(-len(out) % 4)
    return bytes(out + struct.pack("<I", len(out) - start) + bytes([9 << 2 | 2, 4]))


def detection(c, most, **more):
    boxes, classes = 40, 4
    grid = np.array([[(i % 8 + 0.5) / 8, (i // 8 + 0.5) / 5, 0.3, 0.3] for i in range(boxes)], "float32")
    codes = c.given(c.random.draw([1, boxes, 4], -64, 64) / 64, "float32")
    order = np.argsort(c.random.draw([boxes * classes], 0, 1 << 20), kind="stable")  # no two scores are equal
    scores = c.given(order.reshape(1, boxes, classes) / (boxes * classes), "float32")
    outputs = [c.result(shape, name=name) for name, shape in (("boxes", [1, most, 4]), ("classes", [1, most]), ("scores", [1, most]), ("count", [1]))]
    options = {"max_detections": most, "max_classes_per_detection": 1, "nms_score_threshold": 0.6, "nms_iou_threshold": 0.4, "num_classes": 3,
               "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0, **more}
    c.m.op("TFLite_Detection_PostProcess", [codes, scores, c.constant(grid, "float32")], outputs, custom=flex_map(options))
    return outputs


@case("f")
def detection_fast(c):
    return detection(c, 20, use_regular_nms=False)


@case("f")
def detection_regular(c):
    return detection(c, 10, use_regular_nms=True, detections_per_class=6)


@case("f")
def detection_regular_unfilled(c):
    return detection(c, 30, use_regular_nms=True, detections_per_class=12, nms_score_threshold=0.93)
