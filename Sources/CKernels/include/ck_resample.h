#ifndef CK_RESAMPLE_H
#define CK_RESAMPLE_H

#include "ck_common.h"

// Images brought to another size as Pillow does it, to the last bit.
//
// After Pillow's src/libImaging/Resample.c: a filter as wide as the image is made smaller, weights of 22 bits
// after the point that are rounded once, a pass over rows and one over columns, 8 bits a value between them.

typedef enum {
  CK_NEAREST = 0,
  CK_BOX = 1,
  CK_BILINEAR = 2,
  CK_HAMMING = 3,
  CK_BICUBIC = 4,
  CK_LANCZOS = 5,
} ck_filter;

// What each of some neighbouring outputs of an axis is made of.
typedef struct {
  // Outputs, and room for weights of each.
  uint32_t count, room;
  // First input of each output, and how many there are; `room` weights each.
  uint32_t *first, *size;
  int32_t *weights;
} ck_taps;

// Bytes that the taps of `count` outputs need, where `inputs` become `outputs`; 0 where they are too many.
size_t ck_taps_bytes(uint32_t inputs, uint32_t outputs, uint32_t count, ck_filter filter);

// Computes taps for the outputs from `start` on, of all `outputs`, in memory of at least the bytes above,
// aligned to 8. Not for CK_NEAREST.
void ck_taps_make(
    uint32_t inputs, uint32_t outputs, uint32_t start, uint32_t count, ck_filter filter, void *memory,
    ck_taps *taps);

// For CK_NEAREST: the input that each output from `start` on is.
void ck_nearest_make(
    uint32_t inputs, uint32_t outputs, uint32_t start, uint32_t count, uint32_t *places);

// One pass along rows: `rows` rows of `width` pixels become rows of `taps->count` pixels. `channels` is 1 or 3.
void ck_resample_rows(
    const uint8_t *from, size_t width, size_t rows, size_t channels, const ck_taps *taps, uint8_t *to);
void ck_resample_rows_scalar(
    const uint8_t *from, size_t width, size_t rows, size_t channels, const ck_taps *taps, uint8_t *to);

// One pass along columns: rows of `bytes` values each, the first of which is input row `top`.
void ck_resample_columns(
    const uint8_t *from, size_t bytes, uint32_t top, const ck_taps *taps, uint8_t *to);
void ck_resample_columns_scalar(
    const uint8_t *from, size_t bytes, uint32_t top, const ck_taps *taps, uint8_t *to);

// The lightness of pixels, as Pillow's convert('L') has it; in place is allowed.
void ck_grey(const uint8_t *rgb, size_t count, uint8_t *grey);

#endif
