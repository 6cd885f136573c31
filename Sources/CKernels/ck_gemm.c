#include "ck_gemm.h"

#include "ck_twins.h"

// Rows that share one pass over a panel: 4 rows of 8 doubles fill eight AVX2 registers.
enum { TILE = 4 };

// One tile: `count` rows (a constant where it is called) by one panel.
#define TILE_BODY(name, IN, STEP)                                                                  \
  CK_INLINE void name(const IN *a, size_t count, size_t depth, const double *panel, double *sums) { \
    double sum[TILE][CK_PANEL];                                                                    \
    for (size_t i = 0; i < count; i++) {                                                           \
      for (size_t j = 0; j < CK_PANEL; j++) sum[i][j] = 0.0;                                       \
    }                                                                                              \
    for (size_t k = 0; k < depth; k++) {                                                           \
      for (size_t i = 0; i < count; i++) {                                                         \
        double x = (double)a[i * depth + k];                                                       \
        for (size_t j = 0; j < CK_PANEL; j++) {                                                    \
          double y = panel[k * CK_PANEL + j];                                                      \
          sum[i][j] += STEP;                                                                       \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
    for (size_t i = 0; i < count; i++) {                                                           \
      for (size_t j = 0; j < CK_PANEL; j++) sums[i * CK_PANEL + j] = sum[i][j];                    \
    }                                                                                              \
  }

TILE_BODY(dot_tile_f32, float, x *y)
TILE_BODY(dot_tile_f64, double, x *y)
TILE_BODY(distance_tile_f32, float, (x - y) * (x - y))

#define PRODUCT(name, tile, IN, OUT)                                                               \
  CK_INLINE void name##_body(                                                                      \
      const IN *a, size_t rows, size_t depth, const double *panels, size_t columns,                \
      const double *bias, OUT *out) {                                                              \
    for (size_t first = 0; first < columns; first += CK_PANEL, panels += CK_PANEL * depth) {       \
      size_t width = columns - first < CK_PANEL ? columns - first : CK_PANEL;                      \
      for (size_t row = 0; row < rows; row += TILE) {                                              \
        double sums[TILE * CK_PANEL];                                                              \
        size_t height = rows - row < TILE ? rows - row : TILE;                                     \
        if (height == TILE) {                                                                      \
          tile(a + row * depth, TILE, depth, panels, sums);                                        \
        } else {                                                                                   \
          for (size_t i = 0; i < height; i++) {                                                    \
            tile(a + (row + i) * depth, 1, depth, panels, sums + i * CK_PANEL);                    \
          }                                                                                        \
        }                                                                                          \
        for (size_t i = 0; i < height; i++) {                                                      \
          for (size_t j = 0; j < width; j++) {                                                     \
            double sum = sums[i * CK_PANEL + j];                                                   \
            if (bias != NULL) sum += bias[first + j];                                              \
            out[(row + i) * columns + first + j] = (OUT)sum;                                       \
          }                                                                                        \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }

#define WITH_BIAS(name, IN, OUT)                                                                   \
  CK_TWINS(                                                                                        \
      name,                                                                                        \
      (const IN *a, size_t rows, size_t depth, const double *panels, size_t columns,               \
       const double *bias, OUT *out),                                                              \
      (a, rows, depth, panels, columns, bias, out))

PRODUCT(ck_gemm_f32, dot_tile_f32, float, float)
PRODUCT(ck_gemm_f64, dot_tile_f64, double, double)
PRODUCT(dot, dot_tile_f32, float, double)
PRODUCT(distance, distance_tile_f32, float, double)
WITH_BIAS(ck_gemm_f32, float, float)
WITH_BIAS(ck_gemm_f64, double, double)

#define WITHOUT_BIAS(name, product)                                                                \
  CK_INLINE void name##_body(                                                                      \
      const float *a, size_t rows, size_t depth, const double *panels, size_t columns,             \
      double *out) {                                                                               \
    product##_body(a, rows, depth, panels, columns, NULL, out);                                    \
  }                                                                                                \
  CK_TWINS(                                                                                        \
      name,                                                                                        \
      (const float *a, size_t rows, size_t depth, const double *panels, size_t columns,            \
       double *out),                                                                               \
      (a, rows, depth, panels, columns, out))

WITHOUT_BIAS(ck_dot_f32, dot)
WITHOUT_BIAS(ck_distance_f32, distance)
