// $title
// $golden_source
#ifndef GOLDEN_H_
#define GOLDEN_H_

#include <stdint.h>

#include "model_settings.h"

// The first of them once more: a program that takes only this one is linked without the others.
extern const int8_t kExampleImage[kInputBytes];

constexpr int kNumGolden = $num_golden;
extern const int8_t kGoldenInputs[kNumGolden][kInputBytes];
extern const int8_t kGoldenOutputs[kNumGolden][kNumClasses];

#endif  // GOLDEN_H_
