#ifndef CK_ROWS_H
#define CK_ROWS_H

#include "ck_common.h"

// Each of `rows` rows of `width`: (x - mean) / sqrt(variance + epsilon), times scale plus shift where
// they are not NULL; without `centers` the mean counts as 0. Sums are kept in double, in eight parts,
// i % 8, that are added in order. `means` and `deviations` take a row's mean and 1 / sqrt(variance +
// epsilon) where they are not NULL.
void ck_normalize_f32(
    const float *in, size_t rows, size_t width, int centers, double epsilon, const float *scale,
    const float *shift, float *out, float *means, float *deviations);
void ck_normalize_f32_scalar(
    const float *in, size_t rows, size_t width, int centers, double epsilon, const float *scale,
    const float *shift, float *out, float *means, float *deviations);

// Elements of `size` bytes (1, 2, 4 or 8) in another order: `out` has axes of `dims`, and from one
// place of axis i to the next it is `steps[i]` elements in `in`.
enum { CK_MAX_AXES = 64 };
void ck_permute(
    const void *in, size_t size, size_t rank, const int64_t *dims, const int64_t *steps, void *out);

#endif
