// Candidate d52dca7a89cc
#ifndef MODEL_SETTINGS_H_
#define MODEL_SETTINGS_H_

// The tensor arena of a 32-bit target, in bytes, activations planned by TensorFlow Lite Micro:
//   91264 with build tflm: 88368 of activations, 2884 kept for good
//   91392 with build tflm-cmsis-nn: 88368 of activations, 3012 kept for good
// The largest of them, and 32 more.
// Found by TensorFlow Lite Micro's own rules for this file; the margin is for compilers whose enums have four bytes, and for sources from October 2026 on.
#ifndef MODEL_ARENA_BYTES
#define MODEL_ARENA_BYTES 91424
#endif
constexpr int kArenaBytes = MODEL_ARENA_BYTES;

// The input: one image, row by row, red, green and blue of each pixel. A value is (pixel - 128) for a pixel of 0 to 255:
// real = kInputScale * (value - kInputZeroPoint), from 0 to 1.
constexpr int kInputHeight = 96;
constexpr int kInputWidth = 96;
constexpr int kInputChannels = 1;
constexpr int kInputBytes = kInputHeight * kInputWidth * kInputChannels;
constexpr float kInputScale = 0.00392156886f;
constexpr int kInputZeroPoint = -128;

// The output: one score (logit) per class; the class is the largest.
// real = kOutputScale * (value - kOutputZeroPoint).
constexpr int kNumClasses = 2;
constexpr float kOutputScale = 0.0283680707f;
constexpr int kOutputZeroPoint = -4;
constexpr const char* kClassNames[kNumClasses] = {
    "no_person",
    "person",
};

#endif  // MODEL_SETTINGS_H_
