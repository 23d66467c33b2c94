// $title
// The operators of the model, and no others: what is not registered is not linked.
#ifndef OP_RESOLVER_H_
#define OP_RESOLVER_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

using ModelOpResolver = tflite::MicroMutableOpResolver<$num_operators>;

inline TfLiteStatus RegisterOperators(ModelOpResolver& resolver) {
$registrations
  return kTfLiteOk;
}

#endif  // OP_RESOLVER_H_
