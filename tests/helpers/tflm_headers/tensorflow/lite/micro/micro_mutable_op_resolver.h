#include "tflm_api.h"
