// $title
#include "model_data.h"

// TensorFlow Lite Micro reads words straight from it, so it has to begin at a multiple of 16.
alignas(16) const unsigned char kModelData[kModelBytes] = {
$model_data
};
