// $title
// The bytes of model_int8.tflite, for flash. Written by dse; make them anew with `dse export`.
#ifndef MODEL_DATA_H_
#define MODEL_DATA_H_

constexpr unsigned int kModelBytes = $model_bytes;
extern const unsigned char kModelData[kModelBytes];

#endif  // MODEL_DATA_H_
