// $title
#include "self_test.h"

#include "classifier.h"
#include "golden.h"
#include "model_settings.h"
#include "tensorflow/lite/micro/micro_log.h"

int SelfTest() {
  int different = 0;
  for (int i = 0; i < kNumGolden; ++i) {
    const int8_t* scores = ClassifierRun(kGoldenInputs[i]);
    int largest = scores == nullptr ? 255 : 0;
    for (int c = 0; scores != nullptr && c < kNumClasses; ++c) {
      const int difference = scores[c] > kGoldenOutputs[i][c] ? scores[c] - kGoldenOutputs[i][c]
                                                              : kGoldenOutputs[i][c] - scores[c];
      if (difference > largest) largest = difference;
    }
    if (largest > 0) {
      ++different;
      MicroPrintf("golden image %d: scores differ by up to %d", i, largest);
    }
  }
  MicroPrintf("%d of %d golden images give the same scores", kNumGolden - different, kNumGolden);
  return different;
}
