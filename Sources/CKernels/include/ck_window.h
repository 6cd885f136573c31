#ifndef CK_WINDOW_H
#define CK_WINDOW_H

#include "ck_common.h"

// Windows that move over an image of up to three axes, the first ones 1 where there are fewer.
typedef struct {
  int64_t in[3], out[3];
  int64_t kernel[3], stride[3], dilation[3];
  // Places before the first along each axis; those after the last follow from the sizes.
  int64_t pad[3];
} ck_window;

// A convolution of one image and one group: `channels` images of window->in with `outputs` times
// `channels` kernels, plus a bias an output where it is not NULL.
//
// Products are those of ck_layer_f32: summed in the order of channel and place in the kernel, in
// parts of 512. `scratch` has as many floats as ck_conv_scratch says, aligned to 64 bytes.
size_t ck_conv_scratch(const ck_window *window, size_t channels, size_t outputs);
void ck_conv_f32(
    const ck_window *window, const float *in, size_t channels, const float *weights,
    size_t outputs, const float *bias, float *out, float *scratch);

// One image with one kernel, as depthwise convolutions have it.
void ck_conv_plane_f32(
    const ck_window *window, const float *in, const float *kernel, float bias, float *out);
void ck_conv_plane_f32_scalar(
    const ck_window *window, const float *in, const float *kernel, float bias, float *out);

// Adds an image spread by a kernel, as transposed convolutions do: `window` is that of the
// convolution which leads from `out` back to `in`, so window->in are the sizes of `out`.
void ck_spread_plane_f32(
    const ck_window *window, const float *in, const float *kernel, float *out);

// The greatest element of each window of one image, and where it is (in the image) where `places` is
// not NULL; -INFINITY and -1 where a window has none. NaN is greatest.
void ck_pool_max_f32(const ck_window *window, const float *in, float *out, int64_t *places);
// The mean of each window, over the places of the image, or with padding up to `end` past it.
void ck_pool_average_f32(
    const ck_window *window, const float *in, int counts_padding, const int64_t *end, float *out);

#endif
