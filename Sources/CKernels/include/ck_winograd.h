#ifndef CK_WINOGRAD_H
#define CK_WINOGRAD_H

#include "ck_common.h"

// Convolutions of 3 x 3 taps, a place of the output for each of the padded image, by the minimal
// filtering F(2 x 2, 3 x 3) of Winograd (Lavin and Gray, 2015): a tile of 2 x 2 outputs takes 16
// products a channel instead of 36. All factors of its transforms are 1 and 1/2, so that it differs
// from the plain sum by a few roundings only.
//
// Images are in blocks of 8 channels, innermost. In between are 16 matrices of a row a tile: what
// `ck_winograd_source_f32` makes, by the weights, is what `ck_winograd_target_f32` takes.

enum { CK_WINOGRAD_BLOCK = 8, CK_WINOGRAD_MATRICES = 16 };

typedef struct {
  // Of the source and the target; filters and channels are multiples of CK_WINOGRAD_BLOCK.
  int64_t channels, height, width;
  int64_t filters, out_height, out_width;
  int64_t pad_top, pad_left;
} ck_winograd;

// Tiles of a row of tiles, and of all rows.
static inline int64_t ck_winograd_columns(const ck_winograd *w) { return (w->out_width + 1) / 2; }
static inline int64_t ck_winograd_tiles(const ck_winograd *w) {
  return ck_winograd_columns(w) * ((w->out_height + 1) / 2);
}

// Floats that the packed weights take: panels of `ck_layer_f32`, one matrix after the other.
size_t ck_winograd_weight_size(size_t channels, size_t filters);
// Packs weights [filters, channels, 3, 3].
void ck_winograd_pack(const float *weights, size_t channels, size_t filters, float *packed);

// `count` tiles of one image from `tile` on, row by row: matrix m has them from matrices + m * step on,
// a row of all channels each.
void ck_winograd_source_f32(
    const ck_winograd *w, const float *image, int64_t tile, int64_t count, float *matrices,
    size_t step);
void ck_winograd_source_f32_scalar(
    const ck_winograd *w, const float *image, int64_t tile, int64_t count, float *matrices,
    size_t step);

// The other way for blocks `first` ..< `last` of filters, which alone the matrices' rows have: plus
// the bias and, with `adds`, what the image holds before; then max(x, 0) with `relu`.
void ck_winograd_target_f32(
    const ck_winograd *w, const float *matrices, size_t step, int64_t tile, int64_t count,
    int64_t first, int64_t last, const float *bias, int adds, int relu, float *image);
void ck_winograd_target_f32_scalar(
    const ck_winograd *w, const float *matrices, size_t step, int64_t tile, int64_t count,
    int64_t first, int64_t last, const float *bias, int adds, int relu, float *image);

#endif
