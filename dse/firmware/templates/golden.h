// $title
// $golden_source
#ifndef GOLDEN_H_
#define GOLDEN_H_

#include <stdint.h>

#include "model_settings.h"

constexpr int kNumGolden = $num_golden;
extern const int8_t kGoldenInputs[kNumGolden][kInputBytes];
extern const int8_t kGoldenOutputs[kNumGolden][kNumClasses];

#endif  // GOLDEN_H_
