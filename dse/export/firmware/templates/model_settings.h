// $title
#ifndef MODEL_SETTINGS_H_
#define MODEL_SETTINGS_H_

// The tensor arena of a 32-bit target, in bytes, activations $plan:
$arenas
// The largest of them, and $margin more.
// $how
#ifndef MODEL_ARENA_BYTES
#define MODEL_ARENA_BYTES $arena
#endif
constexpr int kArenaBytes = MODEL_ARENA_BYTES;

// The input: one image, row by row, red, green and blue of each pixel. A value is (pixel - 128) for a pixel of 0 to 255:
// real = kInputScale * (value - kInputZeroPoint), from 0 to 1.
constexpr int kInputHeight = $height;
constexpr int kInputWidth = $width;
constexpr int kInputChannels = $channels;
constexpr int kInputBytes = kInputHeight * kInputWidth * kInputChannels;
constexpr float kInputScale = ${input_scale}f;
constexpr int kInputZeroPoint = $input_zero_point;

// The output: one score (logit) per class; the class is the largest.
// real = kOutputScale * (value - kOutputZeroPoint).
constexpr int kNumClasses = $num_classes;
constexpr float kOutputScale = ${output_scale}f;
constexpr int kOutputZeroPoint = $output_zero_point;
constexpr const char* kClassNames[kNumClasses] = {
$class_names
};

#endif  // MODEL_SETTINGS_H_
