#include "ck_layer.h"

#include "ck_lanes.h"

// A sum over more elements than these is made of parts, so that it stays exact enough.
enum { PART = 512 };
// Rows that share a pass over the panels; with a part of the depth they stay in the caches.
enum { ROWS = 132 };

// Half of the lanes: one register of AVX2, for a last panel of few columns.
typedef float layer_half __attribute__((ext_vector_type(8)));
enum { HALF = 8 };

typedef struct {
  const float *bias;
  float *out;
  size_t columns;
  int relu, is_first, is_last;
} layer_target;

// The greatest tile: so many rows by so many panels.
enum { TILE_ROWS = 12, TILE_PANELS = 6 };

// Adds sums to those of the parts before, and finishes them after the last part.
CK_INLINE void layer_finish(
    size_t R, size_t P, const layer_target *target, size_t row, size_t column,
    ck_lanes sum[TILE_ROWS][TILE_PANELS]) {
  float *out = target->out + row * target->columns + column;
  if (!target->is_first) {
    for (size_t i = 0; i < R; i++) {
      for (size_t p = 0; p < P; p++) {
        ck_lanes before;
        ck_load(out + i * target->columns + p * CK_LANES, &before);
        sum[i][p] = before + sum[i][p];
      }
    }
  }
  if (target->is_last) {
    for (size_t p = 0; p < P; p++) {
      ck_lanes bias;
      ck_load(target->bias + column + p * CK_LANES, &bias);
      for (size_t i = 0; i < R; i++) {
        sum[i][p] = sum[i][p] + bias;
        if (target->relu) ck_relu(&sum[i][p]);
      }
    }
  }
  for (size_t i = 0; i < R; i++) {
    for (size_t p = 0; p < P; p++) ck_store(&sum[i][p], out + i * target->columns + p * CK_LANES);
  }
}

// The same for one panel that has fewer columns than lanes: there is nothing beyond the last.
CK_INLINE void layer_finish_narrow(
    size_t R, const layer_target *target, size_t row, size_t column, size_t width,
    const float sum[TILE_ROWS][CK_LANES]) {
  for (size_t i = 0; i < R; i++) {
    float *out = target->out + (row + i) * target->columns + column;
    for (size_t j = 0; j < width; j++) {
      float number = sum[i][j];
      if (!target->is_first) number = out[j] + number;
      if (target->is_last) {
        number = number + target->bias[column + j];
        if (target->relu) number = number < 0.0f ? 0.0f : number;
      }
      out[j] = number;
    }
  }
}

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
  if (P == 1 && target->columns - column < CK_LANES) {
    float numbers[TILE_ROWS][CK_LANES];
    for (size_t i = 0; i < R; i++) ck_store(&sum[i][0], numbers[i]);
    layer_finish_narrow(R, target, row, column, target->columns - column, numbers);
  } else {
    layer_finish(R, P, target, row, column, sum);
  }
}

// The same for a last panel of at most HALF columns, of which the other lanes are not computed.
CK_INLINE void layer_half_tile(
    size_t R, const layer_target *target, const float *a, size_t stride, size_t depth,
    const float *panel, size_t row, size_t column) {
  layer_half half[TILE_ROWS];
  for (size_t i = 0; i < R; i++) half[i] = (layer_half)0.0f;
  for (size_t k = 0; k < depth; k++) {
    layer_half weight;
    memcpy(&weight, panel + k * CK_LANES, sizeof weight);
    for (size_t i = 0; i < R; i++) {
      half[i] = __builtin_elementwise_fma((layer_half)a[i * stride + k], weight, half[i]);
    }
  }
  float numbers[TILE_ROWS][CK_LANES];
  for (size_t i = 0; i < R; i++) memcpy(numbers[i], &half[i], sizeof half[i]);
  layer_finish_narrow(R, target, row, column, target->columns - column, numbers);
}

// Runs a last panel of at most HALF columns: eight sums of one register hide the latency;
// after these at most one tile is left.
CK_INLINE void layer_narrow_rows(
    const layer_target *target, const float *a, size_t stride, size_t depth, const float *panel,
    size_t column, size_t row, size_t last) {
#define TILES(R)                                                                                   \
  for (; row + R <= last; row += R) {                                                              \
    layer_half_tile(R, target, a + row * stride, stride, depth, panel, row, column);               \
  }
  TILES(8)
  TILES(7)
  TILES(6)
  TILES(5)
  TILES(4)
  TILES(3)
  TILES(2)
  TILES(1)
#undef TILES
}

// Runs tiles of R rows by P panels over the rows first ..< last and `count` panels: whole panels P at
// a time while there are as many.
CK_INLINE void layer_rows(
    size_t R, size_t P, const layer_target *target, const float *a, size_t stride, size_t depth,
    const float *panels, size_t panel_step, size_t count, size_t first, size_t last) {
  size_t panel = 0, whole = target->columns / CK_LANES;
  for (; panel + P <= whole; panel += P) {
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
    const float *bias, int flags, float *out) {
  layer_target target = {bias, out, columns, flags & CK_LAYER_RELU, 1, 1};
  size_t step = depth * CK_LANES, whole = columns / CK_LANES;
  int is_narrow = !is_wide && columns % CK_LANES != 0 && columns % CK_LANES <= HALF;
  size_t count = is_narrow || columns % CK_LANES == 0 ? whole : whole + 1;
  for (size_t start = 0; start < rows; start += ROWS) {
    size_t end = rows - start < ROWS ? rows : start + ROWS;
    size_t k = 0;
    do {
      size_t part = depth - k < PART ? depth - k : PART;
      const float *first = panels + k * CK_LANES, *x = a + k;
      target.is_first = k == 0 && !(flags & CK_LAYER_ADDS);
      target.is_last = k + part == depth;
#define RUN(R, P, last)                                                                            \
  layer_rows(R, P, &target, x, depth, part, first, step, count, row, last);                        \
  row = last;
      // Enough sums are under way at once to hide the latency of a multiply-add, and few enough to
      // stay in the registers: sixteen of eight floats, or thirty-two of sixteen.
      size_t row = start;
      if (is_wide) {
        RUN(12, 1, row + (end - row) / 12 * 12)
        RUN(6, 2, row + (end - row) / 6 * 6)
      } else {
        // A tile of one row or three hides little; five and two do better than six and one, five and
        // four than six and three.
        size_t rest = (end - row) % 6;
        int splits = (rest == 1 || rest == 3) && end - row > 6;
        RUN(6, 1, row + ((end - row) / 6 - (splits ? 1 : 0)) * 6)
        if (splits) {
          RUN(5, 1, row + 5)
        }
      }
      switch (end - row) {
        case 5: RUN(5, 1, end) break;
        case 4: RUN(4, 1, end) break;
        case 3: RUN(3, is_wide ? 2 : 1, end) break;
        case 2: RUN(2, 2, end) break;
        case 1: RUN(1, 4, end) break;
        default: break;
      }
#undef RUN
      if (is_narrow) {
        layer_narrow_rows(
            &target, x, depth, part, first + whole * step, whole * CK_LANES, start, end);
      }
      k += part;
    } while (k < depth);
  }
}
CK_FUSED_TWINS(
    ck_layer_f32,
    (const float *a, size_t rows, size_t depth, const float *panels, size_t columns,
     const float *bias, int flags, float *out),
    (a, rows, depth, panels, columns, bias, flags, out))
