// The part of TensorFlow Lite Micro's interface that a bundle's firmware uses, as the library inside the package
// `tflite-micro` exports it: so that the firmware compiles, and runs on the host with the real interpreter and kernels, where no
// sources of TensorFlow Lite Micro are at hand. Layouts are those of dse/cost/tflm/tail.py. Ours; not a copy of its headers.
#ifndef TFLM_API_H_
#define TFLM_API_H_

#include <stddef.h>
#include <stdint.h>

#define TF_LITE_ENSURE_STATUS(call)                       \
  do {                                                    \
    const TfLiteStatus status_of_call = (call);           \
    if (status_of_call != kTfLiteOk) return status_of_call; \
  } while (0)

void MicroPrintf(const char* format, ...);

namespace tflite {

struct Model;
struct Operator;
enum BuiltinOperator : int32_t {
  BuiltinOperator_ADD = 0,
  BuiltinOperator_AVERAGE_POOL_2D = 1,
  BuiltinOperator_CONCATENATION = 2,
  BuiltinOperator_CONV_2D = 3,
  BuiltinOperator_DEPTHWISE_CONV_2D = 4,
  BuiltinOperator_FULLY_CONNECTED = 9,
  BuiltinOperator_LOGISTIC = 14,
  BuiltinOperator_MAX_POOL_2D = 17,
  BuiltinOperator_MUL = 18,
  BuiltinOperator_RELU = 19,
  BuiltinOperator_RESHAPE = 22,
  BuiltinOperator_PAD = 34,
  BuiltinOperator_TRANSPOSE = 39,
  BuiltinOperator_MEAN = 40,
  BuiltinOperator_HARD_SWISH = 117,
};

// A flatbuffer begins with the offset of its root.
inline const Model* GetModel(const void* buffer) {
  const uint8_t* bytes = static_cast<const uint8_t*>(buffer);
  const uint32_t root = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<uint32_t>(bytes[3]) << 24;
  return reinterpret_cast<const Model*>(bytes + root);
}

inline namespace micro {

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

union TfLitePtrUnion {
  int8_t* int8;
  void* data;
};

// Up to the member that is read.
struct TfLiteTensor {
  int quantization_type;
  void* quantization_params;
  float scale;
  int32_t zero_point;
  TfLitePtrUnion data;
};

struct TfLiteContext;
struct TfLiteNode;
struct TFLMRegistration {
  void* (*init)(TfLiteContext*, const char*, size_t);
  void (*free)(TfLiteContext*, void*);
  TfLiteStatus (*prepare)(TfLiteContext*, TfLiteNode*);
  TfLiteStatus (*invoke)(TfLiteContext*, TfLiteNode*);
  void (*reset)(TfLiteContext*, void*);
  int32_t builtin_code;
  const char* custom_name;
};

class BuiltinDataAllocator;
class MicroAllocator;
class MicroResourceVariables;
class MicroProfilerInterface;
using Parser = TfLiteStatus (*)(const Operator*, BuiltinDataAllocator*, void**);

class MicroOpResolver {
 public:
  virtual const TFLMRegistration* FindOp(BuiltinOperator op) const = 0;
  virtual const TFLMRegistration* FindOp(const char* op) const = 0;
  virtual Parser GetOpDataParser(BuiltinOperator op) const = 0;
  virtual ~MicroOpResolver() {}
};

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& resolver, uint8_t* arena, size_t arena_bytes,
                   MicroResourceVariables* variables = nullptr, MicroProfilerInterface* profiler = nullptr,
                   bool preserve_all_tensors = false);
  ~MicroInterpreter();
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(size_t index);
  TfLiteTensor* output(size_t index);
  // NOTE: the real one knows; here its members are not laid out.
  size_t arena_used_bytes() const { return 0; }

 private:
  alignas(16) uint8_t members_[4096];  // more than the real ones take
};

inline void InitializeTarget() {}

#define OPERATORS(X)                                     \
  X(Add, ADD, ParseAdd)                                  \
  X(AveragePool2D, AVERAGE_POOL_2D, ParsePool)           \
  X(Concatenation, CONCATENATION, ParseConcatenation)    \
  X(Conv2D, CONV_2D, ParseConv2D)                        \
  X(DepthwiseConv2D, DEPTHWISE_CONV_2D, ParseDepthwiseConv2D) \
  X(FullyConnected, FULLY_CONNECTED, ParseFullyConnected) \
  X(HardSwish, HARD_SWISH, ParseHardSwish)               \
  X(Logistic, LOGISTIC, ParseLogistic)                   \
  X(MaxPool2D, MAX_POOL_2D, ParsePool)                   \
  X(Mean, MEAN, ParseReducer)                            \
  X(Mul, MUL, ParseMul)                                  \
  X(Pad, PAD, ParsePad)                                  \
  X(Relu, RELU, ParseRelu)                               \
  X(Reshape, RESHAPE, ParseReshape)                      \
  X(Transpose, TRANSPOSE, ParseTranspose)

#define DECLARE(name, code, parser)                                     \
  TFLMRegistration Register_##code();                                   \
  TfLiteStatus parser(const Operator*, BuiltinDataAllocator*, void**);
OPERATORS(DECLARE)
#undef DECLARE

template <unsigned int kCapacity>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  const TFLMRegistration* FindOp(BuiltinOperator op) const override {
    for (unsigned int i = 0; i < count_; ++i) {
      if (registrations_[i].builtin_code == op) return &registrations_[i];
    }
    return nullptr;
  }
  const TFLMRegistration* FindOp(const char*) const override { return nullptr; }
  Parser GetOpDataParser(BuiltinOperator op) const override {
    for (unsigned int i = 0; i < count_; ++i) {
      if (registrations_[i].builtin_code == op) return parsers_[i];
    }
    return nullptr;
  }
#define ADD_METHOD(name, code, parser) \
  TfLiteStatus Add##name() { return Add(BuiltinOperator_##code, Register_##code(), parser); }
  OPERATORS(ADD_METHOD)
#undef ADD_METHOD

 private:
  TfLiteStatus Add(BuiltinOperator op, const TFLMRegistration& registration, Parser parser) {
    if (count_ >= kCapacity) return kTfLiteError;
    registrations_[count_] = registration;
    registrations_[count_].builtin_code = op;
    parsers_[count_++] = parser;
    return kTfLiteOk;
  }

  TFLMRegistration registrations_[kCapacity] = {};
  Parser parsers_[kCapacity] = {};
  unsigned int count_ = 0;
};
#undef OPERATORS

}  // namespace micro
}  // namespace tflite

using tflite::kTfLiteError;
using tflite::kTfLiteOk;
using tflite::TfLiteStatus;

#endif  // TFLM_API_H_
