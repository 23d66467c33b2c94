// $title
#ifndef SELF_TEST_H_
#define SELF_TEST_H_

// Compares the model on this target with TensorFlow Lite Micro on the host, score by score, for every golden image, and
// prints what differs. Returns the number of images that do. Call it after ClassifierBegin.
int SelfTest();

#endif  // SELF_TEST_H_
