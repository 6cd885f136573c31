#ifndef CK_POINTWISE_H
#define CK_POINTWISE_H

#include "ck_common.h"

// Convolutions of one tap without padding: at each place of the output a row of channels times
// weights. Images are in blocks of 8 channels, innermost; weights in panels of `ck_layer_f32`.
//
// An element is summed in the order of channels by fused multiply-adds, in parts of 128 that are then
// added up: it depends on neither the tile nor the CPU.

enum { CK_POINTWISE_BLOCK = 8 };

typedef struct {
  // Of the source and the target; filters and channels are multiples of CK_POINTWISE_BLOCK.
  int64_t channels, height, width;
  int64_t filters, out_height, out_width;
  int64_t stride_y, stride_x;
} ck_pointwise;

// Places `first` ..< `last` of one image, row by row, of the filters of panels `panel` ..< `end`: the
// products plus the bias and, with `adds`, what the target holds before; then max(x, 0) with `relu`.
// `bias` has as many elements as the panels have columns.
void ck_pointwise_f32(
    const ck_pointwise *w, const float *source, int64_t first, int64_t last, const float *panels,
    int64_t panel, int64_t end, const float *bias, int adds, int relu, float *target);
void ck_pointwise_f32_scalar(
    const ck_pointwise *w, const float *source, int64_t first, int64_t last, const float *panels,
    int64_t panel, int64_t end, const float *bias, int adds, int relu, float *target);

#endif
