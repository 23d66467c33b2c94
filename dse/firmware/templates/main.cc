// $title
// Runs the model once, on the first golden image, and prints the class.
#include "classifier.h"
#include "golden.h"
#include "model_settings.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/system_setup.h"

int main() {
  tflite::InitializeTarget();
  if (!ClassifierBegin()) return 1;
  const int8_t* scores = ClassifierRun(kGoldenInputs[0]);
  if (scores == nullptr) return 1;
  const int top = TopClass(scores);
  MicroPrintf("class %d: %s, score %d, arena %d of %d bytes", top, kClassNames[top], scores[top],
              static_cast<int>(ClassifierArenaUsed()), kArenaBytes);
  return 0;
}
