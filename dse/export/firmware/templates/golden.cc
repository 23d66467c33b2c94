// $title
// $golden_source
#include "golden.h"

const int8_t kExampleImage[kInputBytes] = {
$example
};

const int8_t kGoldenInputs[kNumGolden][kInputBytes] = {
$golden_inputs
};

const int8_t kGoldenOutputs[kNumGolden][kNumClasses] = {
$golden_outputs
};
