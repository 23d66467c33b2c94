// $title
#include "classifier.h"

#include <string.h>

#include "model_data.h"
#include "model_settings.h"
#include "op_resolver.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

// Where the arena lies decides the speed: see README.md for your board. Define MODEL_ARENA_SECTION to place it.
#ifdef MODEL_ARENA_SECTION
__attribute__((section(MODEL_ARENA_SECTION)))
#endif
alignas(16) uint8_t arena[kArenaBytes];

ModelOpResolver resolver;
tflite::MicroInterpreter* interpreter = nullptr;
bool begun = false;

}  // namespace

bool ClassifierBegin() {
  if (begun) return interpreter != nullptr;
  begun = true;
  if (RegisterOperators(resolver) != kTfLiteOk) {
    MicroPrintf("the operators cannot be registered");
    return false;
  }
  static tflite::MicroInterpreter instance(tflite::GetModel(kModelData), resolver, arena, kArenaBytes);
  if (instance.AllocateTensors() != kTfLiteOk) {
    MicroPrintf("an arena of %d bytes is too small, or an operator is missing", kArenaBytes);
    return false;
  }
  interpreter = &instance;
  return true;
}

const int8_t* ClassifierRun(const int8_t* image) {
  if (interpreter == nullptr) return nullptr;
  // The input's place is taken by other tensors while the model runs, so it is filled for every image.
  memcpy(interpreter->input(0)->data.int8, image, kInputBytes);
  if (interpreter->Invoke() != kTfLiteOk) return nullptr;
  return interpreter->output(0)->data.int8;
}

int TopClass(const int8_t* scores) {
  int top = 0;
  for (int i = 1; i < kNumClasses; ++i) {
    if (scores[i] > scores[top]) top = i;
  }
  return top;
}

size_t ClassifierArenaUsed() { return interpreter == nullptr ? 0 : interpreter->arena_used_bytes(); }
