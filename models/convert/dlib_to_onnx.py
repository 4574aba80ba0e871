"""Converts dlib's face recognition network from dlib's own XML (see dlib_weights.cpp) to ONNX.

The XML lists the layers from the output to the input. Each affine layer is folded into the convolution before it.
dlib's `add_prev` pads the smaller of its two inputs with zeros: at the right, at the bottom and in new channels.
Subtracting the mean and dividing by 256 stays outside the network, with the caller.
"""

import xml.etree.ElementTree

import numpy as np

from common import Graph


def convert(source, target, note):
    layers = [Layer(element) for element in xml.etree.ElementTree.parse(source).getroot()]
    Converter(layers).run().write(target, note)


class Layer:
    def __init__(self, element):
        inner = element[0] if len(element) else element
        self.number = int(element.get("idx"))
        self.kind = inner.tag if len(element) else element.get("type")
        self.options = inner.attrib
        self.values = np.array((inner.text or "").split(), np.float32)

    def size(self, option):
        return int(self.options[option])


class Converter:
    def __init__(self, layers):
        self.layers = layers
        self.graph = Graph("dlib_face_recognition_resnet_v1", [1, 3, 150, 150])
        self.graph.output("embedding", [1, 128])
        self.now, self.shape = "image", (3, 150, 150)  # the activation that the next layer reads
        self.tags = {}  # tag id -> (activation, shape)

    def run(self):
        queue = list(reversed(self.layers))
        for position, layer in enumerate(queue):
            follower = queue[position + 1] if position + 1 < len(queue) else None
            step = getattr(self, LAYERS[layer.kind])
            step(layer, follower)
        assert self.now == "embedding"
        return self.graph

    def emit(self, kind, inputs, layer, shape, **attributes):
        self.now = self.graph.node(kind, inputs, f"l{layer.number}", **attributes)
        self.shape = shape

    def window(self, layer, names):
        rows, columns = (layer.size(name) for name in names)
        strides = [layer.size("stride_y"), layer.size("stride_x")]
        pads = [layer.size("padding_y"), layer.size("padding_x")]
        size = [(s + 2 * p - k) // t + 1 for s, p, k, t in zip(self.shape[1:], pads, (rows, columns), strides)]
        return size, {"kernel_shape": [rows, columns], "strides": strides, "pads": pads * 2}

    def nothing(self, _layer, _follower):
        """The input, the loss, and affine layers (folded by the convolution before them)."""

    def convolution(self, layer, follower):
        filters, rows, columns = layer.size("num_filters"), layer.size("nr"), layer.size("nc")
        count = filters * self.shape[0] * rows * columns
        weights = layer.values[:count].reshape(filters, self.shape[0], rows, columns).astype(np.float64)
        bias = layer.values[count:].astype(np.float64)
        assert len(bias) == filters and follower.kind == "affine_con" and layer.options.get("use_relu") != "true"
        gain, offset = follower.values.astype(np.float64).reshape(2, filters)
        size, window = self.window(layer, ("nr", "nc"))
        inputs = [
            self.now,
            self.graph.weight(f"l{layer.number}.w", weights * gain[:, None, None, None]),
            self.graph.weight(f"l{layer.number}.b", bias * gain + offset),
        ]
        self.emit("Conv", inputs, layer, (filters, *size), **window)

    def relu(self, layer, _follower):
        self.emit("Relu", [self.now], layer, self.shape)

    def pool(self, layer, _follower):
        if layer.kind == "avg_pool" and layer.size("nr") == 0:  # dlib's way to say: everything
            self.emit("GlobalAveragePool", [self.now], layer, (self.shape[0], 1, 1))
            return
        size, window = self.window(layer, ("nr", "nc"))
        self.emit("MaxPool" if layer.kind == "max_pool" else "AveragePool", [self.now], layer, (self.shape[0], *size), **window)

    def tag(self, layer, _follower):
        self.tags[layer.size("id")] = (self.now, self.shape)

    def skip(self, layer, _follower):
        self.now, self.shape = self.tags[layer.size("id")]

    def add_prev(self, layer, _follower):
        other, other_shape = self.tags[layer.size("tag")]
        shape = tuple(max(pair) for pair in zip(self.shape, other_shape))
        left = self.padded(self.now, self.shape, shape, f"l{layer.number}.left")
        right = self.padded(other, other_shape, shape, f"l{layer.number}.right")
        self.emit("Add", [left, right], layer, shape)

    def padded(self, name, shape, wanted, output):
        if shape == wanted:
            return name
        pads = np.array([0] * 5 + [b - a for a, b in zip(shape, wanted)], np.int64)
        return self.graph.node("Pad", [name, self.graph.constant(output + ".pads", pads)], output)

    def fully_connected(self, layer, _follower):
        assert self.shape[1:] == (1, 1)
        flat = self.graph.node("Flatten", [self.now], f"l{layer.number}.flat")
        weights = self.graph.weight(f"l{layer.number}.w", layer.values.reshape(self.shape[0], 128))
        self.now = self.graph.node("MatMul", [flat, weights], "embedding")


LAYERS = {
    "input_rgb_image_sized": "nothing",
    "input": "nothing",
    "loss": "nothing",
    "loss_metric": "nothing",
    "affine_con": "nothing",
    "con": "convolution",
    "relu": "relu",
    "max_pool": "pool",
    "avg_pool": "pool",
    "tag": "tag",
    "skip": "skip",
    "add_prev": "add_prev",
    "fc_no_bias": "fully_connected",
}
