# What the page of `qanat report` says, against what other subcommands say; names that try to be markup; what it refuses.
# REQUIRES: onnx, numpy
# RUN: rm -rf %t && mkdir %t && %python %s %qanat %root/docs/examples/digits %t
import html.parser
import json
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

qanat, digits, work = sys.argv[1:4]
digits = os.path.abspath(digits)
model, data = os.path.join(digits, "digits.onnx"), ["--data", os.path.join(digits, "calibration"), "--preprocess", "color=gray,mean=0,std=255"]
os.chdir(work)
EMPTY = {"meta"}


class Page(html.parser.HTMLParser):
    """Elements closed in order; tables as rows of texts; nothing that loads anything."""

    def __init__(self, path):
        super().__init__()
        with open(path, encoding="utf-8", errors="strict") as file:
            self.text = file.read()
        self.open, self.tables, self.ids, self.links, self.titles, self.tags = [], [], set(), set(), [], set()
        self.feed(self.text)
        self.close()
        assert not self.open, self.open
        assert self.links <= self.ids, self.links - self.ids

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            assert name not in ("src", "srcset", "action", "data", "background") and not name.startswith("on"), (tag, name)
            assert name != "href" or value.startswith("#"), value
            if name == "id":
                assert value not in self.ids, value
                self.ids.add(value)
            elif name == "href":
                self.links.add(value[1:])
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "title":
            self.titles.append("")
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.open)

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data
        if "title" in self.open:
            self.titles[-1] += data


def call(*arguments, status=0):
    result = subprocess.run([qanat, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == status, (arguments, result.returncode, result.stderr)
    return result.stdout if status == 0 else result.stderr


def rows(page, head):
    table = next(table for table in page.tables if head in table[0])
    return [dict(zip(table[0], row)) for row in table[1:]]


# ---- figures are those of compare, calibrate and profile

call("calibrate", model, *data, "--methods", "all", "-o", "table")
tables = {}
for name in sorted(os.listdir(".")):
    if not name.startswith("table"):
        continue
    with open(name, encoding="utf-8") as file:
        lines = file.read().splitlines()
    method = next(line.split(": ")[1] for line in lines if line.startswith("# method:"))
    tables[method] = (name, {line.split()[0]: [float(word) for word in line.split()[1:]] for line in lines if line[0] != "#" and line.split()[0] not in ("equalize:", "bias:")})
assert len(tables) >= 8, tables.keys()
used, ranges = tables["kl"]
call("report", model, *data, "--calibration", used, "--iterations", "3", "-o", "page.html")
page = Page("page.html")
compared = json.loads(call("compare", model, *data, "--calibration", used, "--json"))["layers"]
tensors = {row["tensor"]: row for row in rows(page, "own dB")}
checked = 0
for layer in compared:
    row = tensors[layer["name"]]
    kind = "i8" if layer["op"] == "nn.reshape" else layer["precision"]
    assert row["type"] == {"i8": "int8", "i32": "sums", "f32": "f32"}[kind], (row, layer)
    for key, column, text in (("sqnr_db", "SQNR dB", "{:.1f}"), ("own_sqnr_db", "own dB", "{:.1f}"), ("max_error", "max error", "{:.3g}")):
        if layer[key] is not None and (key != "own_sqnr_db" or row[column]):
            assert abs(float(row[column]) - float(text.format(layer[key]))) < 1e-6 * abs(layer[key]), (row, layer)
            checked += 1
assert checked > 30, checked
# The stem: 24 filters of 3 x 3 in f32 and 24 biases; in i8 a byte a weight.
assert (tensors["stem.relu"]["in float"], tensors["stem.relu"]["constants, bytes"]) == (str(4 * 24 * 10), str(24 * 9 + 4 * 24)), tensors["stem.relu"]
steps = json.loads(call("profile", model, "--calibration", used, "--iterations", "1", "--json"))["layers"]
shown = rows(page, "kernel")
assert [(row["step"], row["kernel"]) for row in shown] == [(step["name"], step["kernel"]) for step in steps]

# ---- a table of thresholds for each tensor

name = "head.relu"
histograms = [table for table in page.tables if "method" in table[0]]
observed = [tensor for tensor in tensors if tensors[tensor]["operator"] != "reshape"] # those share memory
assert len(histograms) == len(observed), (len(histograms), observed)
table = histograms[observed.index(name)]
clips = {row[0]: row for row in table[1:]}
assert len(clips) == len(tables) + 1, clips.keys()
for method, (_, entries) in tables.items():
    threshold, low, high = entries[name]
    assert np.isclose(float(clips[method][1]), min(0, max(low, -threshold)), rtol=1e-5), (method, clips[method], entries[name])
    assert np.isclose(float(clips[method][2]), max(0, min(high, threshold)), rtol=1e-5), (method, clips[method], entries[name])
assert clips["in use"][1:] == clips["kl"][1:]
assert float(clips["minmax"][4]) == 0 < float(clips["kl-ncnn"][4]), clips

# ---- names that a browser would take for markup

evil = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "&lt;b&gt;'\"", "a\x01\x7fb", "]]><!--", "</pre></details>"]
nodes, constants = [], [numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")]
for i, to in enumerate(evil):
    nodes += [helper.make_node("Gemm", [evil[i - 1] if i else "x", "w"], [to + "0"]), helper.make_node("Relu" if i % 2 else "Erf", [to + "0"], [to])]
graph = helper.make_graph(nodes, "<b>", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
                          [helper.make_tensor_value_info(evil[-1], TensorProto.FLOAT, [1, 4])], constants)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), "evil <i>&.onnx")
call("report", "evil <i>&.onnx", "--data", "random", "--iterations", "1", "-o", "evil.html")
page = Page("evil.html")
assert page.titles[0] == "evil <i>&.onnx – Qanat", page.titles[0]
assert not {"img", "b0", "i"} & (page.tags - {"i"}), page.tags
assert page.text.count("<script>") == 1 and page.text.count("</pre>") == 1
names = {row["tensor"] for row in rows(page, "own dB")}
assert set(evil) - {"a\x01\x7fb"} <= names and "a\ufffd\ufffdb" in names, names

# ---- other networks, and what is refused

call("report", model, *data, "--quantize", "none", "--iterations", "1", "-o", "float.html")
page = Page("float.html")
assert "no float operator was quantized" in page.text.lower()
assert all(row["type"] == "f32" for row in rows(page, "own dB"))
assert "--data DATA is missing" in call("report", model, "-o", "none.html", status=2)
assert "-o FILE is missing" in call("report", model, *data, status=2)
assert "takes one precision" in call("report", model, *data, "--calibration", used, "--quantize", "none,i8", "-o", "none.html", status=2)
os.mkdir("none.html")
call("report", model, *data, "--calibration", used, "--iterations", "1", "-o", "none.html", status=1)
assert not [name for name in os.listdir(".") if "none.html" in name and name != "none.html"], os.listdir(".")

# A search's log is one of this model, or none, and is read before the data.
for text, complaint in (("stem.relu mse 1e-3 0 4 best\nstem.reli mse 1e-4 0 4 best\n", "log:2:1: error: the model has no such operator"),
                        ("stem.relu mse 1e-3\n", "log:1:1: error: expected `name table loss error samples`"),
                        ("stem.relu mse high 0 4 best\n", "log:1:15: error: expected a loss")):
    with open("search.log", "w", encoding="utf-8") as file:
        file.write(text)
    run = subprocess.run([qanat, "report", model, "--data", "nowhere", "--search", "search.log", "-o", "refused.html"], stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode == 1 and complaint in run.stderr and not os.path.exists("refused.html"), run
