#ifndef CK_GEMM_H
#define CK_GEMM_H

#include "ck_common.h"

// Dense products of rows with a matrix of weights.
//
// Sums are kept in double, in the order of `depth`, whatever the tile: an element depends on its row
// and column alone. A product of two floats is exact in double, so a float result is rounded once.
//
// Weights are packed into panels of CK_PANEL columns: panel p holds `depth` times the columns
// p * CK_PANEL ..., zeros beyond the last. `ck_panel_size` is the number of doubles that takes.
enum { CK_PANEL = 8 };

static inline size_t ck_panel_size(size_t depth, size_t columns) {
  return (columns + CK_PANEL - 1) / CK_PANEL * CK_PANEL * depth;
}

// out[i * columns + j] = sum over k of a[i * depth + k] * b[k][j], + bias[j] unless bias is null.
void ck_gemm_f32(
    const float *a, size_t rows, size_t depth, const double *panels, size_t columns,
    const double *bias, float *out);
void ck_gemm_f32_scalar(
    const float *a, size_t rows, size_t depth, const double *panels, size_t columns,
    const double *bias, float *out);
void ck_gemm_f64(
    const double *a, size_t rows, size_t depth, const double *panels, size_t columns,
    const double *bias, double *out);
void ck_gemm_f64_scalar(
    const double *a, size_t rows, size_t depth, const double *panels, size_t columns,
    const double *bias, double *out);

// out[i * columns + j] = sum over k of (a[i * depth + k] - b[k][j])^2, as doubles.
void ck_distance_f32(
    const float *a, size_t rows, size_t depth, const double *panels, size_t columns, double *out);
void ck_distance_f32_scalar(
    const float *a, size_t rows, size_t depth, const double *panels, size_t columns, double *out);
// out[i * columns + j] = sum over k of a[i * depth + k] * b[k][j], as doubles.
void ck_dot_f32(
    const float *a, size_t rows, size_t depth, const double *panels, size_t columns, double *out);
void ck_dot_f32_scalar(
    const float *a, size_t rows, size_t depth, const double *panels, size_t columns, double *out);

#endif
