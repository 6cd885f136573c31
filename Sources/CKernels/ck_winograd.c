#include "ck_winograd.h"

#include <string.h>

#include "ck_layer.h"
#include "ck_twins.h"

enum { BLOCK = CK_WINOGRAD_BLOCK, MATRICES = CK_WINOGRAD_MATRICES };

typedef float block __attribute__((ext_vector_type(8)));
typedef int32_t block_mask __attribute__((ext_vector_type(8)));

CK_INLINE void load(const float *from, block *to) { memcpy(to, from, sizeof *to); }
CK_INLINE void store(const block *from, float *to) { memcpy(to, from, sizeof *from); }

size_t ck_winograd_weight_size(size_t channels, size_t filters) {
  return ck_layer_panel_size(channels, filters) * MATRICES;
}

void ck_winograd_pack(const float *weights, size_t channels, size_t filters, float *packed) {
  size_t size = ck_layer_panel_size(channels, filters);
  memset(packed, 0, size * MATRICES * sizeof *packed);
  for (size_t filter = 0; filter < filters; filter++) {
    for (size_t channel = 0; channel < channels; channel++) {
      const float *g = weights + (filter * channels + channel) * 9;
      // G g G^T, with G = (1, 0, 0), (1, 1, 1) / 2, (1, -1, 1) / 2, (0, 0, 1).
      double half[4][3];
      for (int j = 0; j < 3; j++) {
        double a = g[j], b = g[3 + j], c = g[6 + j];
        half[0][j] = a, half[1][j] = (a + b + c) / 2, half[2][j] = (a - b + c) / 2, half[3][j] = c;
      }
      float *to = packed + filter / CK_LAYER_PANEL * CK_LAYER_PANEL * channels +
                  channel * CK_LAYER_PANEL + filter % CK_LAYER_PANEL;
      for (int i = 0; i < 4; i++) {
        double a = half[i][0], b = half[i][1], c = half[i][2];
        double all[4] = {a, (a + b + c) / 2, (a - b + c) / 2, c};
        for (int j = 0; j < 4; j++) to[(size_t)(i * 4 + j) * size] = (float)all[j];
      }
    }
  }
}

// B^T d B of one tile and block, with B^T = (1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1).
CK_INLINE void spread(block d[4][4], float *to, size_t step) {
  for (int j = 0; j < 4; j++) {
    block a = d[0][j], b = d[1][j], c = d[2][j], e = d[3][j];
    d[0][j] = a - c, d[1][j] = b + c, d[2][j] = c - b, d[3][j] = b - e;
  }
  for (int i = 0; i < 4; i++) {
    block all[4] = {d[i][0] - d[i][2], d[i][1] + d[i][2], d[i][2] - d[i][1], d[i][1] - d[i][3]};
    for (int j = 0; j < 4; j++) store(&all[j], to + (size_t)(i * 4 + j) * step);
  }
}

CK_INLINE void ck_winograd_source_f32_body(
    const ck_winograd *w, const float *image, int64_t tile, int64_t count, float *matrices,
    size_t step) {
  int64_t columns = ck_winograd_columns(w), plane = w->height * w->width * BLOCK;
  for (int64_t i = 0; i < count; i++) {
    int64_t y = (tile + i) / columns * 2 - w->pad_top;
    int64_t x = (tile + i) % columns * 2 - w->pad_left;
    int is_within = y >= 0 && y + 4 <= w->height && x >= 0 && x + 4 <= w->width;
    const float *from = image + (y * w->width + x) * BLOCK;
    float *to = matrices + (size_t)(i * w->channels);
    for (int64_t at = 0; at < w->channels; at += BLOCK, from += plane, to += BLOCK) {
      block d[4][4];
      for (int64_t v = 0; v < 4; v++) {
        for (int64_t u = 0; u < 4; u++) {
          int is_inside = is_within || (y + v >= 0 && y + v < w->height && x + u >= 0 &&
                                        x + u < w->width);
          d[v][u] = (block)0.0f;
          if (is_inside) load(from + (v * w->width + u) * BLOCK, &d[v][u]);
        }
      }
      spread(d, to, step);
    }
  }
}
CK_TWINS(
    ck_winograd_source_f32,
    (const ck_winograd *w, const float *image, int64_t tile, int64_t count, float *matrices,
     size_t step),
    (w, image, tile, count, matrices, step))

// A^T m A of one tile and block, with A^T = (1, 1, 1, 0), (0, 1, -1, -1).
CK_INLINE void gather(const float *from, size_t step, block out[2][2]) {
  block half[2][4];
  for (int j = 0; j < 4; j++) {
    block m[4];
    for (int i = 0; i < 4; i++) load(from + (size_t)(i * 4 + j) * step, &m[i]);
    half[0][j] = m[0] + m[1] + m[2], half[1][j] = m[1] - m[2] - m[3];
  }
  for (int i = 0; i < 2; i++) {
    out[i][0] = half[i][0] + half[i][1] + half[i][2];
    out[i][1] = half[i][1] - half[i][2] - half[i][3];
  }
}

CK_INLINE void finish(const block *sum, const block *bias, int adds, int relu, float *to) {
  block x = *sum + *bias;
  if (adds) {
    block before;
    load(to, &before);
    x = x + before;
  }
  if (relu) {
    // -0 and NaN stay.
    block_mask below = x < (block)0.0f;
    x = (block)((block_mask)x & ~below);
  }
  store(&x, to);
}

CK_INLINE void ck_winograd_target_f32_body(
    const ck_winograd *w, const float *matrices, size_t step, int64_t tile, int64_t count,
    int64_t first, int64_t last, const float *bias, int adds, int relu, float *image) {
  int64_t columns = ck_winograd_columns(w), plane = w->out_height * w->out_width * BLOCK;
  for (int64_t i = 0; i < count; i++) {
    int64_t y = (tile + i) / columns * 2, x = (tile + i) % columns * 2;
    int64_t rows = w->out_height - y < 2 ? 1 : 2, width = w->out_width - x < 2 ? 1 : 2;
    const float *from = matrices + (size_t)(i * (last - first) * BLOCK);
    float *to = image + first * plane + (y * w->out_width + x) * BLOCK;
    for (int64_t at = first; at < last; at++, from += BLOCK, to += plane) {
      block own, out[2][2];
      load(bias + at * BLOCK, &own);
      gather(from, step, out);
      for (int64_t v = 0; v < rows; v++) {
        for (int64_t u = 0; u < width; u++) {
          finish(&out[v][u], &own, adds, relu, to + (v * w->out_width + u) * BLOCK);
        }
      }
    }
  }
}
CK_TWINS(
    ck_winograd_target_f32,
    (const ck_winograd *w, const float *matrices, size_t step, int64_t tile, int64_t count,
     int64_t first, int64_t last, const float *bias, int adds, int relu, float *image),
    (w, matrices, step, tile, count, first, last, bias, adds, relu, image))
