#include "ck_layer.h"

#include "ck_lanes.h"

// A sum over more elements than these is made of parts, so that it stays exact enough.
enum { PART = 512 };
// Rows that share a pass over the panels; with a part of the depth they stay in the caches.
enum { ROWS = 96 };

typedef struct {
  const float *bias;
  float *out;
  size_t columns;
  int relu, is_first, is_last;
} layer_target;

// Adds sums to those of the parts before, and finishes them after the last part.
CK_INLINE void layer_finish(
    const layer_target *target, size_t row, size_t column, const ck_lanes *own) {
  if (column >= target->columns) return;
  size_t width = target->columns - column < CK_LANES ? target->columns - column : CK_LANES;
  float *out = target->out + row * target->columns + column;
  ck_lanes sum = *own;
  if (!target->is_first) {
    ck_lanes before = (ck_lanes)0.0f;
    memcpy(&before, out, width * sizeof *out);
    sum = before + sum;
  }
  if (target->is_last) {
    ck_lanes bias;
    ck_load(target->bias + column, &bias);
    sum = sum + bias;
    if (target->relu) ck_relu(&sum);
  }
  if (width == CK_LANES) {
    ck_store(&sum, out);
  } else {
    memcpy(out, &sum, width * sizeof *out);
  }
}

// The greatest tile: so many rows by so many panels.
enum { TILE_ROWS = 12, TILE_PANELS = 6 };

// Sums of `R` rows by `P` panels over `depth` elements; both are constants where it is called.
CK_INLINE void layer_tile(
    size_t R, size_t P, const layer_target *target, const float *a, size_t stride, size_t depth,
    const float *panel, size_t panel_step, size_t row, size_t column) {
  ck_lanes sum[TILE_ROWS][TILE_PANELS];
  for (size_t i = 0; i < R; i++) {
    for (size_t p = 0; p < P; p++) sum[i][p] = (ck_lanes)0.0f;
  }
  for (size_t k = 0; k < depth; k++) {
    ck_lanes weight[TILE_PANELS];
    for (size_t p = 0; p < P; p++) ck_load(panel + p * panel_step + k * CK_LANES, &weight[p]);
    for (size_t i = 0; i < R; i++) {
      ck_lanes x = (ck_lanes)a[i * stride + k];
      for (size_t p = 0; p < P; p++) {
        sum[i][p] = __builtin_elementwise_fma(x, weight[p], sum[i][p]);
      }
    }
  }
  for (size_t i = 0; i < R; i++) {
    for (size_t p = 0; p < P; p++) {
      layer_finish(target, row + i, column + p * CK_LANES, &sum[i][p]);
    }
  }
}

// Runs tiles of R rows by P panels over the rows first ..< last and all panels.
CK_INLINE void layer_rows(
    size_t R, size_t P, const layer_target *target, const float *a, size_t stride, size_t depth,
    const float *panels, size_t panel_step, size_t first, size_t last) {
  size_t count = (target->columns + CK_LANES - 1) / CK_LANES, panel = 0;
  for (; panel + P <= count; panel += P) {
    for (size_t row = first; row + R <= last; row += R) {
      layer_tile(
          R, P, target, a + row * stride, stride, depth, panels + panel * panel_step, panel_step,
          row, panel * CK_LANES);
    }
  }
  for (; panel < count; panel++) {
    for (size_t row = first; row + R <= last; row += R) {
      layer_tile(
          R, 1, target, a + row * stride, stride, depth, panels + panel * panel_step, panel_step,
          row, panel * CK_LANES);
    }
  }
}

CK_INLINE void ck_layer_f32_body(
    int is_wide, const float *a, size_t rows, size_t depth, const float *panels, size_t columns,
    const float *bias, int relu, float *out) {
  layer_target target = {bias, out, columns, relu, 1, 1};
  size_t step = depth * CK_LANES;
  for (size_t start = 0; start < rows; start += ROWS) {
    size_t end = rows - start < ROWS ? rows : start + ROWS;
    size_t k = 0;
    do {
      size_t part = depth - k < PART ? depth - k : PART;
      const float *first = panels + k * CK_LANES, *x = a + k;
      target.is_first = k == 0;
      target.is_last = k + part == depth;
      // Enough sums are under way at once to hide the latency of a multiply-add, and few enough to
      // stay in the registers: sixteen of eight floats, or thirty-two of sixteen.
      size_t row = start;
      if (is_wide) {
        size_t whole = row + (end - row) / 12 * 12;
        layer_rows(12, 1, &target, x, depth, part, first, step, row, whole);
        row = whole;
      }
      size_t whole = row + (end - row) / 6 * 6;
      layer_rows(6, is_wide ? 2 : 1, &target, x, depth, part, first, step, row, whole);
      switch (end - whole) {
        case 5: layer_rows(5, 1, &target, x, depth, part, first, step, whole, end); break;
        case 4: layer_rows(4, 1, &target, x, depth, part, first, step, whole, end); break;
        case 3: layer_rows(3, 2, &target, x, depth, part, first, step, whole, end); break;
        case 2: layer_rows(2, 2, &target, x, depth, part, first, step, whole, end); break;
        case 1: layer_rows(1, 4, &target, x, depth, part, first, step, whole, end); break;
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
