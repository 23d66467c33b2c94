// $title
#ifndef CLASSIFIER_H_
#define CLASSIFIER_H_

#include <stddef.h>
#include <stdint.h>

// Sets up the interpreter, once. False when a message says why.
bool ClassifierBegin();

// The scores of one image, kNumClasses of them, valid until the next call; null when the model failed.
// `image` has kInputBytes values, see model_settings.h.
const int8_t* ClassifierRun(const int8_t* image);

// The class with the highest score.
int TopClass(const int8_t* scores);

// Bytes of the arena that are taken, after ClassifierBegin.
size_t ClassifierArenaUsed();

#endif  // CLASSIFIER_H_
