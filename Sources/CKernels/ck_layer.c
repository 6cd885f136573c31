#include "ck_layer.h"

#include "ck_lanes.h"

// A sum over more elements than these is made of parts, so that it stays exact enough.
enum { PART = 512 };
// Rows that share a pass over the panels; with a part of the depth they stay in the caches.
enum { ROWS = 96 };

// Sums of `R` rows by `P` panels over `depth` elements; both are constants where it is called.
CK_INLINE void layer_tile(
    size_t R, size_t P, const float *a, size_t stride, size_t depth, const float *panel,
    size_t panel_step, float *sums) {
  ck_lanes sum[6][6];
  for (size_t i = 0; i < R; i++) {
    for (size_t p = 0; p < P; p++) sum[i][p] = (ck_lanes)0.0f;
  }
  for (size_t k = 0; k < depth; k++) {
    ck_lanes weight[6];
    for (size_t p = 0; p < P; p++) ck_load(panel + p * panel_step + k * CK_LANES, &weight[p]);
    for (size_t i = 0; i < R; i++) {
      ck_lanes x = (ck_lanes)a[i * stride + k];
      for (size_t p = 0; p < P; p++) {
        sum[i][p] = __builtin_elementwise_fma(x, weight[p], sum[i][p]);
      }
    }
  }
  for (size_t i = 0; i < R; i++) {
    for (size_t p = 0; p < P; p++) ck_store(&sum[i][p], sums + (i * P + p) * CK_LANES);
  }
}

typedef struct {
  const float *bias;
  float *out;
  size_t columns;
  int relu, is_first, is_last;
} layer_target;

// Adds a tile's sums to those of the parts before, and finishes them after the last part.
CK_INLINE void layer_finish(
    const layer_target *target, size_t R, size_t P, size_t row, size_t column, float *sums) {
  for (size_t i = 0; i < R; i++) {
    for (size_t p = 0; p < P; p++) {
      size_t first = column + p * CK_LANES;
      if (first >= target->columns) continue;
      size_t width = target->columns - first < CK_LANES ? target->columns - first : CK_LANES;
      float *out = target->out + (row + i) * target->columns + first;
      float *own = sums + (i * P + p) * CK_LANES;
      ck_lanes sum;
      ck_load(own, &sum);
      if (!target->is_first) {
        float before[CK_LANES] = {0};
        for (size_t j = 0; j < width; j++) before[j] = out[j];
        ck_lanes earlier;
        ck_load(before, &earlier);
        sum = earlier + sum;
      }
      if (target->is_last) {
        ck_lanes bias;
        ck_load(target->bias + first, &bias);
        sum = sum + bias;
        if (target->relu) ck_relu(&sum);
      }
      if (width == CK_LANES) {
        ck_store(&sum, out);
      } else {
        ck_store(&sum, own);
        for (size_t j = 0; j < width; j++) out[j] = own[j];
      }
    }
  }
}

// Runs tiles of R rows by P panels over the rows first ..< last and all panels.
CK_INLINE void layer_rows(
    size_t R, size_t P, const layer_target *target, const float *a, size_t stride, size_t depth,
    const float *panels, size_t panel_step, size_t first, size_t last) {
  float sums[6 * 6 * CK_LANES];
  size_t count = (target->columns + CK_LANES - 1) / CK_LANES;
  for (size_t panel = 0; panel < count; panel += P) {
    const float *weights = panels + panel * panel_step;
    if (panel + P <= count) {
      for (size_t row = first; row + R <= last; row += R) {
        layer_tile(R, P, a + row * stride, stride, depth, weights, panel_step, sums);
        layer_finish(target, R, P, row, panel * CK_LANES, sums);
      }
    } else {
      for (size_t rest = panel; rest < count; rest++) {
        for (size_t row = first; row + R <= last; row += R) {
          layer_tile(
              R, 1, a + row * stride, stride, depth, panels + rest * panel_step, panel_step, sums);
          layer_finish(target, R, 1, row, rest * CK_LANES, sums);
        }
      }
    }
  }
}

CK_INLINE void ck_layer_f32_body(
    const float *a, size_t rows, size_t depth, const float *panels, size_t columns,
    const float *bias, int relu, float *out) {
  layer_target target = {bias, out, columns, relu, 1, 1};
  for (size_t start = 0; start < rows; start += ROWS) {
    size_t end = rows - start < ROWS ? rows : start + ROWS;
    size_t k = 0;
    do {
      size_t part = depth - k < PART ? depth - k : PART;
      const float *first = panels + k * CK_LANES;
      target.is_first = k == 0;
      target.is_last = k + part == depth;
      // Enough sums are under way at once to hide the latency of a multiply-add, and few enough to
      // stay in sixteen registers of eight floats.
      size_t whole = start + (end - start) / 6 * 6;
      layer_rows(6, 1, &target, a + k, depth, part, first, depth * CK_LANES, start, whole);
      switch (end - whole) {
        case 5:
          layer_rows(5, 1, &target, a + k, depth, part, first, depth * CK_LANES, whole, end);
          break;
        case 4:
          layer_rows(4, 1, &target, a + k, depth, part, first, depth * CK_LANES, whole, end);
          break;
        case 3:
          layer_rows(3, 2, &target, a + k, depth, part, first, depth * CK_LANES, whole, end);
          break;
        case 2:
          layer_rows(2, 2, &target, a + k, depth, part, first, depth * CK_LANES, whole, end);
          break;
        case 1:
          layer_rows(1, 4, &target, a + k, depth, part, first, depth * CK_LANES, whole, end);
          break;
        default: break;
      }
      k += part;
    } while (k < depth);
  }
}
CK_FUSED_TWINS(
    ck_layer_f32,
    (const float *a, size_t rows, size_t depth, const float *panels, size_t columns,
     const float *bias, int relu, float *out),
    (a, rows, depth, panels, columns, bias, relu, out))
