"""Converts the two MediaPipe nets from TFLite (NHWC, fp16 weights) to ONNX (NCHW, fp16 weights).

The operators are few, so this walks the flatbuffer itself: no converter, and nothing is guessed. PReLU becomes two
depthwise 1x1 convolutions, x*a + relu(x)*(1-a): the runtime's own PRelu is about three times slower.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from common import Graph

OPERATOR = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
TYPES = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16, schema.TensorType.INT32: np.int32}
SAME, NO_ACTIVATION, RELU = schema.Padding.SAME, schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU


def convert(source, target, name, outputs, note):
    """`outputs` maps the source's output names to (our name, shape)."""
    with open(source, "rb") as file:
        model = schema.ModelT.InitFromPackedBuf(file.read(), 0)
    Converter(model, name).run(outputs).write(target, note)


class Converter:
    def __init__(self, model, name):
        self.model, self.net = model, model.subgraphs[0]
        self.tensors = self.net.tensors
        (entry,) = self.net.inputs
        _, height, width, channels = self.tensors[entry].shape
        self.graph = Graph(name, [1, int(channels), int(height), int(width)])
        self.names = {int(entry): "image"}  # activations, by tensor number
        self.constants = {}  # weights, by tensor number

    def run(self, outputs):
        self.renamed = {}
        for number in self.net.outputs:
            tensor = self.tensors[number]
            self.renamed[int(number)], shape = outputs[tensor.name.decode()]
            assert int(np.prod(tensor.shape)) == int(np.prod(shape)), "an output has another size than expected"
            self.graph.output(self.renamed[int(number)], shape)
            if list(tensor.shape) != shape:
                self.renamed[int(number)] += ".raw"
        for operator in self.net.operators:
            code = self.model.operatorCodes[operator.opcodeIndex]
            kind = OPERATOR[max(code.builtinCode, code.deprecatedBuiltinCode)]
            getattr(self, kind.lower())(operator, operator.builtinOptions)
        for number in self.net.outputs:
            name = self.renamed[int(number)]
            if name.endswith(".raw"):
                self.graph.node("Flatten", [name], name[: -len(".raw")])
        return self.graph

    def constant(self, number):
        if number not in self.constants:
            tensor = self.tensors[number]
            data = self.model.buffers[tensor.buffer].data
            assert data is not None and tensor.sparsity is None, "expected a dense constant"
            self.constants[number] = np.frombuffer(data.tobytes(), TYPES[tensor.type]).reshape(tensor.shape)
        return self.constants[number]

    def emit(self, kind, inputs, operator, activation=NO_ACTIVATION, **attributes):
        number = int(operator.outputs[0])
        name = self.names[number] = self.renamed.get(number, f"t{number}")
        if activation == NO_ACTIVATION:
            return self.graph.node(kind, inputs, name, **attributes)
        assert activation == RELU
        return self.graph.node("Relu", [self.graph.node(kind, inputs, name + ".linear", **attributes)], name)

    def window(self, source, kernel, options):
        """TFLite's SAME puts the odd pixel of padding at the end."""
        strides, pads = [options.strideH, options.strideW], []
        for size, length, stride in zip(self.tensors[source].shape[1:3], kernel, strides):
            total = max((-(-int(size) // stride) - 1) * stride + length - int(size), 0) if options.padding == SAME else 0
            pads.append((total // 2, total - total // 2))
        return {"kernel_shape": list(kernel), "strides": strides, "pads": [pads[0][0], pads[1][0], pads[0][1], pads[1][1]]}

    def dequantize(self, operator, _):
        self.constants[int(operator.outputs[0])] = self.constant(int(operator.inputs[0])).astype(np.float32)

    def convolve(self, operator, options, weights, group):
        source, _, bias = (int(i) for i in operator.inputs)
        assert options.dilationHFactor == options.dilationWFactor == 1
        name = f"t{int(operator.outputs[0])}"
        inputs = [self.names[source], self.graph.weight(name + ".w", weights), self.graph.weight(name + ".b", self.constant(bias))]
        window = self.window(source, weights.shape[2:], options)
        self.emit("Conv", inputs, operator, options.fusedActivationFunction, group=group, **window)

    def conv_2d(self, operator, options):
        self.convolve(operator, options, self.constant(int(operator.inputs[1])).transpose(0, 3, 1, 2), 1)

    def depthwise_conv_2d(self, operator, options):
        assert options.depthMultiplier == 1
        weights = self.constant(int(operator.inputs[1])).transpose(3, 0, 1, 2)
        self.convolve(operator, options, weights, weights.shape[0])

    def prelu(self, operator, _):
        source, slope = self.names[int(operator.inputs[0])], self.constant(int(operator.inputs[1]))
        assert slope.shape[:2] == (1, 1)
        slope = slope.reshape(-1, 1, 1, 1)
        name, attributes = f"t{int(operator.outputs[0])}", {"group": slope.shape[0], "kernel_shape": [1, 1]}
        if (slope == slope[0]).all():
            return self.emit("LeakyRelu", [source], operator, alpha=float(slope.flat[0]))
        positive = self.graph.node("Relu", [source], name + ".relu")
        all_part = self.graph.node("Conv", [source, self.graph.weight(name + ".a", slope)], name + ".all", **attributes)
        rest = self.graph.weight(name + ".r", np.float32(1) - slope)
        positive_part = self.graph.node("Conv", [positive, rest], name + ".positive", **attributes)
        return self.emit("Add", [all_part, positive_part], operator)

    def add(self, operator, options):
        self.emit("Add", [self.names[int(i)] for i in operator.inputs], operator, options.fusedActivationFunction)

    def relu(self, operator, _):
        self.emit("Relu", [self.names[int(operator.inputs[0])]], operator)

    def max_pool_2d(self, operator, options):
        window = self.window(int(operator.inputs[0]), (options.filterHeight, options.filterWidth), options)
        self.emit("MaxPool", [self.names[int(operator.inputs[0])]], operator, options.fusedActivationFunction, **window)

    def pad(self, operator, _):
        begin, end = self.constant(int(operator.inputs[1])).T
        pads = [int(amounts[axis]) for amounts in (begin, end) for axis in (0, 3, 1, 2)]
        name = f"t{int(operator.outputs[0])}.pads"
        self.emit("Pad", [self.names[int(operator.inputs[0])], self.graph.constant(name, np.array(pads, np.int64))], operator)

    def reshape(self, operator, _):
        """The anchors are numbered row by row, so channels go last before the flattening."""
        source, target = int(operator.inputs[0]), int(operator.outputs[0])
        last = self.graph.node("Transpose", [self.names[source]], f"t{target}.nhwc", perm=[0, 2, 3, 1])
        shape = np.array(self.tensors[target].shape, np.int64)
        self.emit("Reshape", [last, self.graph.constant(f"t{target}.shape", shape)], operator)

    def concatenation(self, operator, options):
        assert options.axis == 1 and len(self.tensors[int(operator.outputs[0])].shape) == 3
        self.emit("Concat", [self.names[int(i)] for i in operator.inputs], operator, options.fusedActivationFunction, axis=1)
