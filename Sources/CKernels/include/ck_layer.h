#ifndef CK_LAYER_H
#define CK_LAYER_H

#include "ck_common.h"

// A layer of a neural network: rows times weights, plus a bias, through an activation; in float.
//
// An element is summed in the order of `depth` by fused multiply-adds, in parts of 512 that are then
// added up: it depends on its row and column alone, not on the tile or the CPU.
//
// Weights are packed into panels of CK_LAYER_PANEL columns: panel p holds `depth` times the columns
// p * CK_LAYER_PANEL ..., zeros beyond the last; `bias` has as many elements as the panels have
// columns. `ck_layer_panel_size` is the number of floats that the panels take.
enum { CK_LAYER_PANEL = 16 };

// The result is max(x, 0); it is added to what `out` holds before.
enum { CK_LAYER_RELU = 1, CK_LAYER_ADDS = 2 };

static inline size_t ck_layer_panel_size(size_t depth, size_t columns) {
  return (columns + CK_LAYER_PANEL - 1) / CK_LAYER_PANEL * CK_LAYER_PANEL * depth;
}

// out[i * columns + j] = activation(sum over k of a[i * depth + k] * w[k][j] + bias[j]), as `flags` say.
// `out` may not overlap `a`.
void ck_layer_f32(
    const float *a, size_t rows, size_t depth, const float *panels, size_t columns,
    const float *bias, int flags, float *out);
void ck_layer_f32_scalar(
    const float *a, size_t rows, size_t depth, const float *panels, size_t columns,
    const float *bias, int flags, float *out);

// Squared distances to `vectors` points through exp(-gamma * d), for support vector machines.
//
// Points are packed like weights. Differences are taken before they are squared, so a large common
// offset costs no precision. Kernel values are floats; those of the float distances are met within
// 1e-7, and within 1e-6 of themselves.
//
// out[i * vectors + j] = exp(-gamma * |row i - point j|^2)
void ck_rbf_f32(
    const float *rows, size_t count, size_t depth, const float *panels, size_t vectors, float gamma,
    float *out);
void ck_rbf_f32_scalar(
    const float *rows, size_t count, size_t depth, const float *panels, size_t vectors, float gamma,
    float *out);
// out[i] = sum over j of weights[j] * exp(-gamma * |row i - point j|^2); `weights` has zeros for the
// points that fill the last panel. There are sixteen parts, j % 16, that are added in order; in each,
// four values are added up in float, and these sums in double.
void ck_rbf_sum_f32(
    const float *rows, size_t count, size_t depth, const float *panels, size_t vectors, float gamma,
    const float *weights, double *out);
void ck_rbf_sum_f32_scalar(
    const float *rows, size_t count, size_t depth, const float *panels, size_t vectors, float gamma,
    const float *weights, double *out);

#endif
