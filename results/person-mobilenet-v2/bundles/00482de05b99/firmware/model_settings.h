// Candidate 00482de05b99
#ifndef MODEL_SETTINGS_H_
#define MODEL_SETTINGS_H_

// The tensor arena of a 32-bit target, in bytes:
//   138240 activations (planned by TensorFlow Lite Micro)
//   66364 persistent data of TensorFlow Lite Micro
//   4 rounding, and what it takes for the moment when it starts where that is more
//   7072 margin: scratch buffers and data of the optimised kernels of CMSIS-NN
// Found by TensorFlow Lite Micro's own rules for this file, with the sizes of its structs for 4-byte pointers.
#ifndef MODEL_ARENA_BYTES
#define MODEL_ARENA_BYTES 211680
#endif
constexpr int kArenaBytes = MODEL_ARENA_BYTES;

// The input: one image, row by row, red, green and blue of each pixel. A value is (pixel - 128) for a pixel of 0 to 255:
// real = kInputScale * (value - kInputZeroPoint), from 0 to 1.
constexpr int kInputHeight = 96;
constexpr int kInputWidth = 96;
constexpr int kInputChannels = 3;
constexpr int kInputBytes = kInputHeight * kInputWidth * kInputChannels;
constexpr float kInputScale = 0.00392156886f;
constexpr int kInputZeroPoint = -128;

// The output: one score (logit) per class; the class is the largest.
// real = kOutputScale * (value - kOutputZeroPoint).
constexpr int kNumClasses = 2;
constexpr float kOutputScale = 0.017284764f;
constexpr int kOutputZeroPoint = 51;
constexpr const char* kClassNames[kNumClasses] = {
    "no_person",
    "person",
};

#endif  // MODEL_SETTINGS_H_
