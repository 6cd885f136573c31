#ifndef CK_COLUMNS_H
#define CK_COLUMNS_H

#include "ck_common.h"

// Columns of a batch, each in memory of its own, on their way into a model.

// Which numbers are not finite: CK_HAS_NAN, CK_HAS_INFINITY, both or neither (0).
enum { CK_HAS_NAN = 1, CK_HAS_INFINITY = 2 };
int ck_exceptions_f32(const float *x, size_t count);
int ck_exceptions_f32_scalar(const float *x, size_t count);
int ck_exceptions_f64(const double *x, size_t count);
int ck_exceptions_f64_scalar(const double *x, size_t count);

// out[row * stride + j] = columns[j][row]: columns become rows.
void ck_interleave_f32(
    const float *const *columns, size_t count, size_t rows, size_t stride, float *out);
void ck_interleave_f64(
    const double *const *columns, size_t count, size_t rows, size_t stride, double *out);

// Adds a weighted sum of columns to each row's sums, column by column:
// sums[row * width + c] += sum over j of x * weights[j * width + c], where x is columns[j][row * steps[j]], or
// replacements[j] if that is NaN. Sums and products are rounded to double one by one.
void ck_weigh_columns_f32(
    const float *const *columns, const size_t *steps, const float *replacements, size_t count,
    size_t rows, const double *weights, size_t width, double *sums);
void ck_weigh_columns_f32_scalar(
    const float *const *columns, const size_t *steps, const float *replacements, size_t count,
    size_t rows, const double *weights, size_t width, double *sums);

#endif
