#include "ck_pointwise.h"

#include "ck_lanes.h"

enum {
  BLOCK = CK_POINTWISE_BLOCK,
  // Channels whose weights of a panel stay in the first-level cache, times places whose channels stay
  // in the second.
  PART = 128,
  PLACES = 256,
  // The same where a stride leaves places out, which are collected first.
  COLLECTED = 64,
  // Sums of a tile: with two registers of weights and one of the source they fill those of AVX2.
  TILE = 6
};

typedef struct {
  const float *bias;
  float *out;
  // Floats from a block of filters to the next, and whether there is a second one in the panel.
  size_t plane;
  int has_second, adds, is_first, relu;
} point_target;

CK_INLINE void point_finish(
    size_t R, const point_target *target, const ck_lanes sum[TILE]) {
  for (size_t i = 0; i < R; i++) {
    float *low = target->out + i * BLOCK, *high = low + target->plane;
    ck_lanes x = sum[i], before = (ck_lanes)0.0f;
    if (target->adds) {
      memcpy(&before, low, BLOCK * sizeof(float));
      if (target->has_second) memcpy((float *)&before + BLOCK, high, BLOCK * sizeof(float));
      x = x + before;
    }
    if (target->is_first) {
      ck_lanes bias;
      ck_load(target->bias, &bias);
      x = x + bias;
    }
    if (target->relu) ck_relu(&x);
    memcpy(low, &x, BLOCK * sizeof(float));
    if (target->has_second) memcpy(high, (const float *)&x + BLOCK, BLOCK * sizeof(float));
  }
}

// `R` places, one after the other, by one panel; R is a constant where it is called.
CK_INLINE void point_tile(
    size_t R, const float *source, size_t plane, size_t blocks, const float *panel,
    const point_target *target) {
  ck_lanes sum[TILE];
  for (size_t i = 0; i < R; i++) sum[i] = (ck_lanes)0.0f;
  for (size_t block = 0; block < blocks; block++, source += plane) {
    for (size_t k = 0; k < BLOCK; k++, panel += CK_LANES) {
      ck_lanes weight;
      ck_load(panel, &weight);
      for (size_t i = 0; i < R; i++) {
        sum[i] = __builtin_elementwise_fma((ck_lanes)source[i * BLOCK + k], weight, sum[i]);
      }
    }
  }
  point_finish(R, target, sum);
}

// `count` places from `at` on by one panel, in tiles of five and six rather than of six and a rest.
CK_INLINE void point_tiles(
    const float *source, size_t plane, int64_t count, size_t blocks, const float *panel,
    point_target target) {
  int64_t tiles = (count + TILE - 1) / TILE;
  float *out = target.out;
  for (int64_t tile = 0; tile < tiles; tile++) {
    int64_t at = count * tile / tiles;
    const float *from = source + at * BLOCK;
    target.out = out + at * BLOCK;
    switch (count * (tile + 1) / tiles - at) {
#define CASE(R)                                                                                    \
  case R: point_tile(R, from, plane, blocks, panel, &target); break;
      CASE(1)
      CASE(2)
      CASE(3)
      CASE(4)
      CASE(5)
      CASE(6)
#undef CASE
      default: break;
    }
  }
}

// The places that a stride leaves, one after the other: `blocks` planes of `count` from `at` on.
static void point_collect(
    const ck_pointwise *w, const float *source, int64_t at, int64_t count, int64_t blocks,
    float *own) {
  int64_t plane = w->height * w->width * BLOCK;
  for (int64_t i = 0; i < count; i++) {
    int64_t y = (at + i) / w->out_width * w->stride_y, x = (at + i) % w->out_width * w->stride_x;
    const float *from = source + (y * w->width + x) * BLOCK;
    for (int64_t block = 0; block < blocks; block++) {
      memcpy(own + (block * count + i) * BLOCK, from + block * plane, BLOCK * sizeof(float));
    }
  }
}

CK_INLINE void ck_pointwise_f32_body(
    int is_wide, const ck_pointwise *w, const float *source, int64_t first, int64_t last,
    const float *panels, int64_t panel, int64_t end, const float *bias, int adds, int relu,
    float *target) {
  (void)is_wide;
  int is_dense = w->stride_y == 1 && w->stride_x == 1;
  int64_t most = is_dense ? PLACES : COLLECTED, chunks = (last - first + most - 1) / most;
  int64_t in_plane = w->height * w->width * BLOCK, plane = w->out_height * w->out_width * BLOCK;
  for (int64_t chunk = 0; chunk < chunks; chunk++) {
    int64_t at = first + (last - first) * chunk / chunks;
    int64_t count = first + (last - first) * (chunk + 1) / chunks - at;
    for (int64_t channel = 0; channel < w->channels; channel += PART) {
      int64_t depth = w->channels - channel < PART ? w->channels - channel : PART;
      const float *from = source + channel / BLOCK * in_plane;
      float own[PART * COLLECTED];
      if (!is_dense) point_collect(w, from, at, count, depth / BLOCK, own);
      for (int64_t p = panel; p < end; p++) {
        point_target out = {
            bias + p * CK_LANES, target + p * 2 * plane + at * BLOCK, (size_t)plane,
            (p * 2 + 1) * BLOCK < w->filters, adds || channel > 0, channel == 0,
            relu && channel + depth == w->channels};
        point_tiles(
            is_dense ? from + at * BLOCK : own, (size_t)(is_dense ? in_plane : count * BLOCK),
            count, (size_t)(depth / BLOCK), panels + (p * w->channels + channel) * CK_LANES, out);
      }
    }
  }
}
CK_FUSED_TWINS(
    ck_pointwise_f32,
    (const ck_pointwise *w, const float *source, int64_t first, int64_t last, const float *panels,
     int64_t panel, int64_t end, const float *bias, int adds, int relu, float *target),
    (w, source, first, last, panels, panel, end, bias, adds, relu, target))
