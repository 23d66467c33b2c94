// $title
// Runs the model once, on an example image, and prints the class. With -DSELF_TEST it compares the golden images instead.
#include "classifier.h"
#include "golden.h"
#include "model_settings.h"
#include "self_test.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/system_setup.h"

int main() {
  tflite::InitializeTarget();
  if (!ClassifierBegin()) return 1;
#ifdef SELF_TEST
  return SelfTest();
#else
  const int8_t* scores = ClassifierRun(kExampleImage);
  if (scores == nullptr) return 1;
  const int top = TopClass(scores);
  MicroPrintf("class %d: %s, score %d, arena %d of %d bytes", top, kClassNames[top], scores[top],
              static_cast<int>(ClassifierArenaUsed()), kArenaBytes);
  return 0;
#endif
}
