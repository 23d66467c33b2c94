"""What an operator is called where firmware registers it."""

# Methods of MicroMutableOpResolver (tensorflow/lite/micro/micro_mutable_op_resolver.h); a test compares the operators
# with those that dse exports.
REGISTRATIONS = {
    "ADD": "AddAdd",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "FULLY_CONNECTED": "AddFullyConnected",
    "HARD_SWISH": "AddHardSwish",
    "LOGISTIC": "AddLogistic",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "MUL": "AddMul",
    "PAD": "AddPad",
    "RELU": "AddRelu",
    "RESHAPE": "AddReshape",
    "TRANSPOSE": "AddTranspose",
}
