#include "ck_rows.h"

#include <math.h>
#include <string.h>

#include "ck_twins.h"

enum { PARTS = 8 };

CK_INLINE void ck_normalize_f32_body(
    const float *in, size_t rows, size_t width, int centers, double epsilon, const float *scale,
    const float *shift, float *out, float *means, float *deviations) {
  size_t whole = width / PARTS * PARTS;
  for (size_t row = 0; row < rows; row++, in += width, out += width) {
    double sums[PARTS] = {0}, mean = 0.0, variance = 0.0;
    if (centers) {
      for (size_t i = 0; i < whole; i += PARTS) {
        for (size_t j = 0; j < PARTS; j++) sums[j] += (double)in[i + j];
      }
      for (size_t i = whole; i < width; i++) sums[i - whole] += (double)in[i];
      for (size_t j = 0; j < PARTS; j++) mean += sums[j];
      mean /= (double)width;
    }
    for (size_t j = 0; j < PARTS; j++) sums[j] = 0.0;
    for (size_t i = 0; i < whole; i += PARTS) {
      for (size_t j = 0; j < PARTS; j++) {
        double x = (double)in[i + j] - mean;
        sums[j] += x * x;
      }
    }
    for (size_t i = whole; i < width; i++) {
      double x = (double)in[i] - mean;
      sums[i - whole] += x * x;
    }
    for (size_t j = 0; j < PARTS; j++) variance += sums[j];
    double factor = 1.0 / sqrt(variance / (double)width + epsilon);
    if (scale && shift) {
      for (size_t i = 0; i < width; i++) {
        out[i] = (float)(((double)in[i] - mean) * factor) * scale[i] + shift[i];
      }
    } else {
      for (size_t i = 0; i < width; i++) {
        float x = (float)(((double)in[i] - mean) * factor);
        if (scale) x *= scale[i];
        if (shift) x += shift[i];
        out[i] = x;
      }
    }
    if (means) means[row] = (float)mean;
    if (deviations) deviations[row] = (float)factor;
  }
}
CK_TWINS(
    ck_normalize_f32,
    (const float *in, size_t rows, size_t width, int centers, double epsilon, const float *scale,
     const float *shift, float *out, float *means, float *deviations),
    (in, rows, width, centers, epsilon, scale, shift, out, means, deviations))

// A tile of two axes: the one along which `in` is read and the last, along which `out` is written.
enum { TILE = 16 };

#define PERMUTE(T)                                                                                 \
  static void permute_##T(                                                                         \
      const T *in, size_t rank, const int64_t *dims, const int64_t *steps, T *out) {               \
    int64_t places[CK_MAX_AXES] = {0}, width = dims[rank - 1], step = steps[rank - 1];             \
    int64_t rows = 1;                                                                              \
    for (size_t axis = 0; axis + 1 < rank; axis++) rows *= dims[axis];                             \
    for (int64_t row = 0; row < rows; row++) {                                                     \
      if (step == 1) {                                                                             \
        memcpy(out, in, (size_t)width * sizeof(T));                                                \
      } else {                                                                                     \
        for (int64_t i = 0; i < width; i++) out[i] = in[i * step];                                 \
      }                                                                                            \
      out += width;                                                                                \
      for (size_t axis = rank - 1; axis-- > 0;) {                                                  \
        in += steps[axis];                                                                         \
        if (++places[axis] < dims[axis]) break;                                                    \
        in -= steps[axis] * dims[axis];                                                            \
        places[axis] = 0;                                                                          \
      }                                                                                            \
    }                                                                                              \
  }                                                                                                \
  /* The last two axes turned: tile by tile, so that each line of the caches is read once. */      \
  static void turn_##T(                                                                            \
      const T *in, int64_t rows, int64_t width, int64_t step, T *out) {                            \
    for (int64_t first = 0; first < rows; first += TILE) {                                         \
      int64_t last = first + TILE < rows ? first + TILE : rows;                                    \
      for (int64_t i = 0; i < width; i++) {                                                        \
        for (int64_t row = first; row < last; row++) out[row * width + i] = in[i * step + row];    \
      }                                                                                            \
    }                                                                                              \
  }                                                                                                \
  static void any_##T(                                                                             \
      const T *in, size_t rank, const int64_t *dims, const int64_t *steps, T *out) {               \
    if (rank < 2 || steps[rank - 2] != 1) return permute_##T(in, rank, dims, steps, out);          \
    int64_t places[CK_MAX_AXES] = {0}, rows = dims[rank - 2], width = dims[rank - 1], outer = 1;   \
    for (size_t axis = 0; axis + 2 < rank; axis++) outer *= dims[axis];                            \
    for (int64_t matrix = 0; matrix < outer; matrix++) {                                           \
      turn_##T(in, rows, width, steps[rank - 1], out);                                             \
      out += rows * width;                                                                         \
      for (size_t axis = rank - 2; axis-- > 0;) {                                                  \
        in += steps[axis];                                                                         \
        if (++places[axis] < dims[axis]) break;                                                    \
        in -= steps[axis] * dims[axis];                                                            \
        places[axis] = 0;                                                                          \
      }                                                                                            \
    }                                                                                              \
  }

PERMUTE(uint8_t)
PERMUTE(uint16_t)
PERMUTE(uint32_t)
PERMUTE(uint64_t)

void ck_permute(
    const void *in, size_t size, size_t rank, const int64_t *dims, const int64_t *steps, void *out) {
  if (rank == 0) {
    memcpy(out, in, size);
    return;
  }
  for (size_t axis = 0; axis < rank; axis++) {
    if (dims[axis] == 0) return;
  }
  switch (size) {
    case 1: any_uint8_t(in, rank, dims, steps, out); break;
    case 2: any_uint16_t(in, rank, dims, steps, out); break;
    case 4: any_uint32_t(in, rank, dims, steps, out); break;
    default: any_uint64_t(in, rank, dims, steps, out); break;
  }
}
