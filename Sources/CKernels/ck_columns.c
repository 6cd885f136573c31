#include "ck_columns.h"

#include "ck_twins.h"

#include <string.h>

#define EXCEPTIONS(name, T, BITS, INFINITE)                                                        \
  CK_INLINE int name##_body(const T *x, size_t count) {                                            \
    BITS nan = 0, infinite = 0;                                                                    \
    for (size_t i = 0; i < count; i++) {                                                           \
      BITS bits;                                                                                   \
      memcpy(&bits, x + i, sizeof bits);                                                           \
      bits &= ((BITS)1 << (sizeof bits * 8 - 1)) - 1;                                              \
      nan |= (BITS)(bits > INFINITE);                                                              \
      infinite |= (BITS)(bits == INFINITE);                                                        \
    }                                                                                              \
    return (nan ? CK_HAS_NAN : 0) | (infinite ? CK_HAS_INFINITY : 0);                              \
  }

EXCEPTIONS(ck_exceptions_f32, float, uint32_t, 0x7f800000u)
EXCEPTIONS(ck_exceptions_f64, double, uint64_t, 0x7ff0000000000000u)
CK_TWINS_RETURNING(int, ck_exceptions_f32, (const float *x, size_t count), (x, count))
CK_TWINS_RETURNING(int, ck_exceptions_f64, (const double *x, size_t count), (x, count))

// Rows whose elements are written while they are in the nearest cache.
enum { ROWS = 16 };

#define INTERLEAVE(name, T)                                                                        \
  void name(const T *const *columns, size_t count, size_t rows, size_t stride, T *out) {           \
    size_t start = 0;                                                                              \
    for (; start + ROWS <= rows; start += ROWS) {                                                  \
      for (size_t j = 0; j < count; j++) {                                                         \
        const T *from = columns[j] + start;                                                        \
        T *to = out + start * stride + j;                                                          \
        for (size_t i = 0; i < ROWS; i++) to[i * stride] = from[i];                                \
      }                                                                                            \
    }                                                                                              \
    for (; start < rows; start++) {                                                                \
      for (size_t j = 0; j < count; j++) out[start * stride + j] = columns[j][start];              \
    }                                                                                              \
  }

INTERLEAVE(ck_interleave_f32, float)
INTERLEAVE(ck_interleave_f64, double)

CK_INLINE void weigh_one(
    const float *const *columns, const size_t *steps, const float *replacements, size_t count,
    size_t first, size_t rows, const double *weights, double *sums) {
  for (size_t j = 0; j < count; j++) {
    size_t step = steps[j];
    const float *x = columns[j] + first * step;
    float replacement = replacements[j];
    double weight = weights[j];
    if (step == 1) {
      for (size_t i = 0; i < rows; i++) {
        float value = x[i] == x[i] ? x[i] : replacement;
        sums[i] += (double)value * weight;
      }
    } else {
      for (size_t i = 0; i < rows; i++) {
        float value = x[i * step] == x[i * step] ? x[i * step] : replacement;
        sums[i] += (double)value * weight;
      }
    }
  }
}

// For few sums: each has a column of its own while the weights are added, so that rows lie together.
CK_INLINE void weigh_few(
    const float *const *columns, const size_t *steps, const float *replacements, size_t count,
    size_t rows, const double *weights, size_t width, double *sums) {
  enum { BLOCK = 256, FEW = 4 };
  double own[FEW][BLOCK];
  for (size_t start = 0; start < rows; start += BLOCK) {
    size_t size = rows - start < BLOCK ? rows - start : BLOCK;
    double *block = sums + start * width;
    for (size_t c = 0; c < width; c++) {
      for (size_t i = 0; i < size; i++) own[c][i] = block[i * width + c];
    }
    for (size_t j = 0; j < count; j++) {
      size_t step = steps[j];
      const float *x = columns[j] + start * step;
      float replacement = replacements[j], gathered[BLOCK];
      if (step == 1) {
        for (size_t i = 0; i < size; i++) gathered[i] = x[i] == x[i] ? x[i] : replacement;
      } else {
        for (size_t i = 0; i < size; i++) {
          float value = x[i * step];
          gathered[i] = value == value ? value : replacement;
        }
      }
      for (size_t c = 0; c < width; c++) {
        double weight = weights[j * width + c];
        for (size_t i = 0; i < size; i++) own[c][i] += (double)gathered[i] * weight;
      }
    }
    for (size_t c = 0; c < width; c++) {
      for (size_t i = 0; i < size; i++) block[i * width + c] = own[c][i];
    }
  }
}

CK_INLINE void ck_weigh_columns_f32_body(
    const float *const *columns, const size_t *steps, const float *replacements, size_t count,
    size_t rows, const double *weights, size_t width, double *sums) {
  if (width == 1) {
    // Sums of these rows stay in the nearest cache for all columns.
    enum { BLOCK = 256 };
    for (size_t start = 0; start < rows; start += BLOCK) {
      size_t size = rows - start < BLOCK ? rows - start : BLOCK;
      weigh_one(columns, steps, replacements, count, start, size, weights, sums + start);
    }
    return;
  }
  if (width <= 4 && rows >= 8) {
    weigh_few(columns, steps, replacements, count, rows, weights, width, sums);
    return;
  }
  for (size_t i = 0; i < rows; i++) {
    double *own = sums + i * width;
    for (size_t j = 0; j < count; j++) {
      float value = columns[j][i * steps[j]];
      double x = (double)(value == value ? value : replacements[j]);
      for (size_t c = 0; c < width; c++) own[c] += x * weights[j * width + c];
    }
  }
}
CK_TWINS(
    ck_weigh_columns_f32,
    (const float *const *columns, const size_t *steps, const float *replacements, size_t count,
     size_t rows, const double *weights, size_t width, double *sums),
    (columns, steps, replacements, count, rows, weights, width, sums))
