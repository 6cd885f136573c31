#include "ck_lanes.h"
#include "ck_layer.h"

typedef double ck_wide __attribute__((ext_vector_type(16)));

// Kernel values of R rows and P panels, both constants where it is called.
CK_INLINE void rbf_tile(
    size_t R, size_t P, const float *rows, size_t depth, const float *panel, float gamma,
    ck_lanes values[4][4]) {
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
    for (size_t p = 0; p < P; p++) {
      values[i][p] *= (ck_lanes)-gamma;
      ck_exp_below_zero(&values[i][p]);
    }
  }
}

CK_INLINE void rbf_store(
    size_t R, size_t P, ck_lanes values[4][4], size_t first, size_t vectors, float *out) {
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

// Calls `DO` for R rows with each panel, P at a time while there are as many.
#define RBF_PANELS(R, P, DO)                                                                       \
  {                                                                                                \
    size_t panel = 0;                                                                              \
    for (; panel + P <= count_of_panels; panel += P) {                                             \
      rbf_tile(R, P, own, depth, panels + panel * depth * CK_LANES, gamma, values);                \
      DO(R, P)                                                                                     \
    }                                                                                              \
    for (; panel < count_of_panels; panel++) {                                                     \
      rbf_tile(R, 1, own, depth, panels + panel * depth * CK_LANES, gamma, values);                \
      DO(R, 1)                                                                                     \
    }                                                                                              \
  }

CK_INLINE void ck_rbf_f32_body(
    int is_wide, const float *rows, size_t count, size_t depth, const float *panels, size_t vectors, float gamma,
    float *out) {
  size_t count_of_panels = (vectors + CK_LANES - 1) / CK_LANES;
  ck_lanes values[4][4];
#define STORE(R, P) rbf_store(R, P, values, panel * CK_LANES, vectors, out + row * vectors);
  size_t row = 0;
  for (; row + 4 <= count; row += 4) {
    const float *own = rows + row * depth;
    if (is_wide) {
      RBF_PANELS(4, 3, STORE)
    } else {
      RBF_PANELS(4, 1, STORE)
    }
  }
  for (; row < count; row++) {
    const float *own = rows + row * depth;
    RBF_PANELS(1, 4, STORE)
  }
#undef STORE
}
CK_FUSED_TWINS(
    ck_rbf_f32,
    (const float *rows, size_t count, size_t depth, const float *panels, size_t vectors,
     float gamma, float *out),
    (rows, count, depth, panels, vectors, gamma, out))

CK_INLINE void rbf_add(
    size_t R, size_t P, ck_lanes values[4][4], const double *weights, ck_wide sums[4]) {
  for (size_t p = 0; p < P; p++) {
    ck_wide weight;
    memcpy(&weight, weights + p * CK_LANES, sizeof weight);
    for (size_t i = 0; i < R; i++) {
      ck_wide value = __builtin_convertvector(values[i][p], ck_wide);
      sums[i] = __builtin_elementwise_fma(weight, value, sums[i]);
    }
  }
}

CK_INLINE double rbf_total(const ck_wide *sum) {
  double total = 0.0;
  for (size_t j = 0; j < CK_LANES; j++) total += (*sum)[j];
  return total;
}

CK_INLINE void ck_rbf_sum_f32_body(
    int is_wide, const float *rows, size_t count, size_t depth, const float *panels, size_t vectors, float gamma,
    const double *weights, double *out) {
  size_t count_of_panels = (vectors + CK_LANES - 1) / CK_LANES;
  ck_lanes values[4][4];
  ck_wide sums[4];
#define ADD(R, P) rbf_add(R, P, values, weights + panel * CK_LANES, sums);
  size_t row = 0;
  for (; row + 4 <= count; row += 4) {
    const float *own = rows + row * depth;
    for (size_t i = 0; i < 4; i++) sums[i] = (ck_wide)0.0;
    if (is_wide) {
      RBF_PANELS(4, 3, ADD)
    } else {
      RBF_PANELS(4, 1, ADD)
    }
    for (size_t i = 0; i < 4; i++) out[row + i] = rbf_total(&sums[i]);
  }
  for (; row < count; row++) {
    const float *own = rows + row * depth;
    sums[0] = (ck_wide)0.0;
    RBF_PANELS(1, 4, ADD)
    out[row] = rbf_total(&sums[0]);
  }
#undef ADD
}
CK_FUSED_TWINS(
    ck_rbf_sum_f32,
    (const float *rows, size_t count, size_t depth, const float *panels, size_t vectors,
     float gamma, const double *weights, double *out),
    (rows, count, depth, panels, vectors, gamma, weights, out))
