#include "ck_lanes.h"
#include "ck_layer.h"

typedef double ck_wide __attribute__((ext_vector_type(16)));

// The greatest tile: so many rows by so many panels.
enum { TILE_ROWS = 4, TILE_PANELS = 4 };
// Panels whose weighted values are added up in float, before they join the sums in double: the
// rounding of four values together is small beside those of the values themselves.
enum { GROUP = 4 };

// What all tiles of a call share.
typedef struct {
  const float *panels;
  size_t depth, count;
  // Distances times this are exponents of two.
  float scale;
} rbf_points;

CK_INLINE rbf_points rbf_of(const float *panels, size_t depth, size_t vectors, float gamma) {
  rbf_points points = {panels, depth, (vectors + CK_LANES - 1) / CK_LANES, 0.0f};
  points.scale = (float)((double)gamma * -1.4426950408889634);
  return points;
}

// Kernel values of R rows and P panels, both constants where it is called.
CK_INLINE void rbf_tile(
    size_t R, size_t P, const float *rows, const rbf_points *points, size_t first,
    ck_lanes values[TILE_ROWS][TILE_PANELS]) {
  size_t depth = points->depth;
  const float *panel = points->panels + first * depth * CK_LANES;
  for (size_t i = 0; i < R; i++) {
    for (size_t p = 0; p < P; p++) values[i][p] = (ck_lanes)0.0f;
  }
  for (size_t k = 0; k < depth; k++) {
    for (size_t p = 0; p < P; p++) {
      ck_lanes point;
      ck_load(panel + (p * depth + k) * CK_LANES, &point);
      for (size_t i = 0; i < R; i++) {
        ck_lanes difference = (ck_lanes)rows[i * depth + k] - point;
        values[i][p] = __builtin_elementwise_fma(difference, difference, values[i][p]);
      }
    }
  }
  for (size_t i = 0; i < R; i++) {
    for (size_t p = 0; p < P; p++) ck_exp2_scaled(&values[i][p], points->scale);
  }
}

// Calls `DO` for R rows with each of the panels first ..< last, P at a time while there are as many.
#define RBF_PANELS(R, P, first, last, DO)                                                          \
  {                                                                                                \
    size_t panel = first;                                                                          \
    for (; panel + P <= last; panel += P) {                                                        \
      rbf_tile(R, P, rows, points, panel, values);                                                 \
      DO(R, P)                                                                                     \
    }                                                                                              \
    for (; panel < last; panel++) {                                                                \
      rbf_tile(R, 1, rows, points, panel, values);                                                 \
      DO(R, 1)                                                                                     \
    }                                                                                              \
  }

CK_INLINE void rbf_store(
    size_t R, size_t P, ck_lanes values[TILE_ROWS][TILE_PANELS], size_t first, size_t vectors,
    float *out) {
  for (size_t i = 0; i < R; i++) {
    for (size_t p = 0; p < P; p++) {
      size_t column = first + p * CK_LANES;
      float *own = out + i * vectors + column;
      if (column + CK_LANES <= vectors) {
        ck_store(&values[i][p], own);
      } else {
        for (size_t j = 0; column + j < vectors; j++) own[j] = values[i][p][j];
      }
    }
  }
}

CK_INLINE void rbf_values(
    size_t R, size_t P, const float *rows, const rbf_points *points, size_t vectors, float *out) {
  ck_lanes values[TILE_ROWS][TILE_PANELS];
#define STORE(R, P) rbf_store(R, P, values, panel * CK_LANES, vectors, out);
  RBF_PANELS(R, P, 0, points->count, STORE)
#undef STORE
}

CK_INLINE void ck_rbf_f32_body(
    int is_wide, const float *rows, size_t count, size_t depth, const float *panels, size_t vectors,
    float gamma, float *out) {
  rbf_points points = rbf_of(panels, depth, vectors, gamma);
  size_t row = 0;
  for (; row + 4 <= count; row += 4, rows += 4 * depth, out += 4 * vectors) {
    if (is_wide) {
      rbf_values(4, 4, rows, &points, vectors, out);
    } else {
      rbf_values(4, 1, rows, &points, vectors, out);
    }
  }
  for (; row < count; row++, rows += depth, out += vectors) {
    rbf_values(1, 4, rows, &points, vectors, out);
  }
}
CK_FUSED_TWINS(
    ck_rbf_f32,
    (const float *rows, size_t count, size_t depth, const float *panels, size_t vectors,
     float gamma, float *out),
    (rows, count, depth, panels, vectors, gamma, out))

CK_INLINE void rbf_add(
    size_t R, size_t P, ck_lanes values[TILE_ROWS][TILE_PANELS], const float *weights,
    ck_lanes *sums) {
  for (size_t p = 0; p < P; p++) {
    ck_lanes weight;
    ck_load(weights + p * CK_LANES, &weight);
    for (size_t i = 0; i < R; i++) {
      sums[i] = __builtin_elementwise_fma(weight, values[i][p], sums[i]);
    }
  }
}

CK_INLINE void rbf_sum(
    size_t R, size_t P, const float *rows, const rbf_points *points, const float *weights,
    double *out) {
  ck_lanes values[TILE_ROWS][TILE_PANELS];
  ck_wide totals[TILE_ROWS];
  for (size_t i = 0; i < R; i++) totals[i] = (ck_wide)0.0;
  for (size_t first = 0; first < points->count; first += GROUP) {
    size_t last = points->count - first < GROUP ? points->count : first + GROUP;
    ck_lanes sums[TILE_ROWS];
    for (size_t i = 0; i < R; i++) sums[i] = (ck_lanes)0.0f;
#define ADD(R, P) rbf_add(R, P, values, weights + panel * CK_LANES, sums);
    RBF_PANELS(R, P, first, last, ADD)
#undef ADD
    for (size_t i = 0; i < R; i++) totals[i] += __builtin_convertvector(sums[i], ck_wide);
  }
  for (size_t i = 0; i < R; i++) {
    double total = 0.0;
    for (size_t j = 0; j < CK_LANES; j++) total += totals[i][j];
    out[i] = total;
  }
}

CK_INLINE void ck_rbf_sum_f32_body(
    int is_wide, const float *rows, size_t count, size_t depth, const float *panels, size_t vectors,
    float gamma, const float *weights, double *out) {
  rbf_points points = rbf_of(panels, depth, vectors, gamma);
  size_t row = 0;
  for (; row + 4 <= count; row += 4, rows += 4 * depth, out += 4) {
    if (is_wide) {
      rbf_sum(4, 4, rows, &points, weights, out);
    } else {
      rbf_sum(4, 1, rows, &points, weights, out);
    }
  }
  for (; row < count; row++, rows += depth, out++) {
    rbf_sum(1, 4, rows, &points, weights, out);
  }
}
CK_FUSED_TWINS(
    ck_rbf_sum_f32,
    (const float *rows, size_t count, size_t depth, const float *panels, size_t vectors,
     float gamma, const float *weights, double *out),
    (rows, count, depth, panels, vectors, gamma, weights, out))
