#include "ck_window.h"

#include <math.h>
#include <string.h>

#include "ck_layer.h"
#include "ck_twins.h"

// Elements of the image in panels at a time: what stays in a core's caches beside the weights.
enum { PANEL_FLOATS = 1 << 16, WIDTH = CK_LAYER_PANEL };

static size_t places_of(const ck_window *window) {
  return (size_t)(window->out[0] * window->out[1] * window->out[2]);
}

static size_t taps_of(const ck_window *window) {
  return (size_t)(window->kernel[0] * window->kernel[1] * window->kernel[2]);
}

// Places of the output whose windows are unrolled at a time.
static size_t block_of(const ck_window *window, size_t depth) {
  size_t most = (places_of(window) + WIDTH - 1) / WIDTH * WIDTH;
  size_t block = PANEL_FLOATS / (depth + 1) / WIDTH * WIDTH;
  if (block < WIDTH) block = WIDTH;
  return block < most ? block : most;
}

size_t ck_conv_scratch(const ck_window *window, size_t channels, size_t outputs) {
  size_t depth = channels * taps_of(window), block = block_of(window, depth);
  return depth * block + outputs * block + block;
}

// Unrolls the windows of `count` places from `first` on into panels.
static void unroll(
    const ck_window *w, const float *in, size_t channels, size_t first, size_t count,
    float *panels) {
  size_t taps = taps_of(w), depth = channels * taps;
  int64_t plane = w->in[0] * w->in[1] * w->in[2];
  for (size_t start = 0; start < count; start += WIDTH, panels += depth * WIDTH) {
    int64_t origin[3][WIDTH];
    int exists[WIDTH];
    for (size_t lane = 0; lane < WIDTH; lane++) {
      int64_t place = (int64_t)(first + start + lane);
      exists[lane] = start + lane < count;
      int64_t x = place % w->out[2], y = place / w->out[2] % w->out[1],
              z = place / (w->out[2] * w->out[1]);
      origin[0][lane] = z * w->stride[0] - w->pad[0];
      origin[1][lane] = y * w->stride[1] - w->pad[1];
      origin[2][lane] = x * w->stride[2] - w->pad[2];
    }
    size_t tap = 0;
    for (int64_t i = 0; i < w->kernel[0]; i++) {
      for (int64_t j = 0; j < w->kernel[1]; j++) {
        for (int64_t k = 0; k < w->kernel[2]; k++, tap++) {
          int64_t from[WIDTH];
          for (size_t lane = 0; lane < WIDTH; lane++) {
            int64_t z = origin[0][lane] + i * w->dilation[0];
            int64_t y = origin[1][lane] + j * w->dilation[1];
            int64_t x = origin[2][lane] + k * w->dilation[2];
            int is_inside = exists[lane] && z >= 0 && z < w->in[0] && y >= 0 && y < w->in[1] &&
                            x >= 0 && x < w->in[2];
            from[lane] = is_inside ? (z * w->in[1] + y) * w->in[2] + x : -1;
          }
          for (size_t channel = 0; channel < channels; channel++) {
            const float *image = in + (int64_t)channel * plane;
            float *to = panels + (channel * taps + tap) * WIDTH;
            for (size_t lane = 0; lane < WIDTH; lane++) {
              to[lane] = from[lane] < 0 ? 0.0f : image[from[lane]];
            }
          }
        }
      }
    }
  }
}

void ck_conv_f32(
    const ck_window *window, const float *in, size_t channels, const float *weights,
    size_t outputs, const float *bias, float *out, float *scratch) {
  size_t depth = channels * taps_of(window), places = places_of(window);
  size_t block = block_of(window, depth);
  float *panels = scratch, *products = scratch + depth * block, *zeros = products + outputs * block;
  memset(zeros, 0, block * sizeof *zeros);
  for (size_t first = 0; first < places; first += block) {
    size_t count = places - first < block ? places - first : block;
    unroll(window, in, channels, first, count, panels);
    ck_layer_f32(weights, outputs, depth, panels, count, zeros, 0, products);
    for (size_t output = 0; output < outputs; output++) {
      const float *from = products + output * count;
      float *to = out + output * places + first, add = bias ? bias[output] : 0.0f;
      for (size_t i = 0; i < count; i++) to[i] = from[i] + add;
    }
  }
}

// The first and the last but one place of an axis whose tap is in the image.
CK_INLINE void inside(
    const ck_window *w, int axis, int64_t tap, int64_t *first, int64_t *end, int64_t *shift) {
  int64_t at = tap * w->dilation[axis] - w->pad[axis], stride = w->stride[axis];
  *shift = at;
  *first = at >= 0 ? 0 : (-at + stride - 1) / stride;
  int64_t last = w->in[axis] - 1 - at;
  *end = last < 0 ? 0 : last / stride + 1;
  if (*end > w->out[axis]) *end = w->out[axis];
}

CK_INLINE void ck_conv_plane_f32_body(
    const ck_window *w, const float *in, const float *kernel, float bias, float *out) {
  size_t places = places_of(w);
  for (size_t i = 0; i < places; i++) out[i] = bias;
  for (int64_t i = 0; i < w->kernel[0]; i++) {
    int64_t z0, z1, dz, y0, y1, dy, x0, x1, dx;
    inside(w, 0, i, &z0, &z1, &dz);
    for (int64_t j = 0; j < w->kernel[1]; j++) {
      inside(w, 1, j, &y0, &y1, &dy);
      for (int64_t k = 0; k < w->kernel[2]; k++) {
        float weight = kernel[(i * w->kernel[1] + j) * w->kernel[2] + k];
        inside(w, 2, k, &x0, &x1, &dx);
        for (int64_t z = z0; z < z1; z++) {
          for (int64_t y = y0; y < y1; y++) {
            const float *from = in + ((z * w->stride[0] + dz) * w->in[1] + y * w->stride[1] + dy) *
                                         w->in[2] + dx;
            float *to = out + (z * w->out[1] + y) * w->out[2];
            if (w->stride[2] == 1) {
              for (int64_t x = x0; x < x1; x++) to[x] += weight * from[x];
            } else {
              for (int64_t x = x0; x < x1; x++) to[x] += weight * from[x * w->stride[2]];
            }
          }
        }
      }
    }
  }
}
CK_TWINS(
    ck_conv_plane_f32,
    (const ck_window *window, const float *in, const float *kernel, float bias, float *out),
    (window, in, kernel, bias, out))

void ck_spread_plane_f32(
    const ck_window *w, const float *in, const float *kernel, float *out) {
  for (int64_t i = 0; i < w->kernel[0]; i++) {
    int64_t z0, z1, dz, y0, y1, dy, x0, x1, dx;
    inside(w, 0, i, &z0, &z1, &dz);
    for (int64_t j = 0; j < w->kernel[1]; j++) {
      inside(w, 1, j, &y0, &y1, &dy);
      for (int64_t k = 0; k < w->kernel[2]; k++) {
        float weight = kernel[(i * w->kernel[1] + j) * w->kernel[2] + k];
        inside(w, 2, k, &x0, &x1, &dx);
        for (int64_t z = z0; z < z1; z++) {
          for (int64_t y = y0; y < y1; y++) {
            float *to = out + ((z * w->stride[0] + dz) * w->in[1] + y * w->stride[1] + dy) *
                                  w->in[2] + dx;
            const float *from = in + (z * w->out[1] + y) * w->out[2];
            for (int64_t x = x0; x < x1; x++) to[x * w->stride[2]] += weight * from[x];
          }
        }
      }
    }
  }
}

void ck_pool_max_f32(const ck_window *w, const float *in, float *out, int64_t *places) {
  int64_t at = 0;
  for (int64_t z = 0; z < w->out[0]; z++) {
    for (int64_t y = 0; y < w->out[1]; y++) {
      for (int64_t x = 0; x < w->out[2]; x++, at++) {
        float greatest = -INFINITY;
        int64_t place = -1;
        for (int64_t i = 0; i < w->kernel[0]; i++) {
          int64_t pz = z * w->stride[0] - w->pad[0] + i * w->dilation[0];
          if (pz < 0 || pz >= w->in[0]) continue;
          for (int64_t j = 0; j < w->kernel[1]; j++) {
            int64_t py = y * w->stride[1] - w->pad[1] + j * w->dilation[1];
            if (py < 0 || py >= w->in[1]) continue;
            for (int64_t k = 0; k < w->kernel[2]; k++) {
              int64_t px = x * w->stride[2] - w->pad[2] + k * w->dilation[2];
              if (px < 0 || px >= w->in[2]) continue;
              int64_t here = (pz * w->in[1] + py) * w->in[2] + px;
              if (in[here] > greatest || place < 0 || (in[here] != in[here] && greatest == greatest)) {
                greatest = in[here];
                place = here;
              }
            }
          }
        }
        out[at] = greatest;
        if (places) places[at] = place;
      }
    }
  }
}

void ck_pool_average_f32(
    const ck_window *w, const float *in, int counts_padding, const int64_t *end, float *out) {
  int64_t at = 0;
  for (int64_t z = 0; z < w->out[0]; z++) {
    for (int64_t y = 0; y < w->out[1]; y++) {
      for (int64_t x = 0; x < w->out[2]; x++, at++) {
        double sum = 0.0;
        int64_t count = 0;
        for (int64_t i = 0; i < w->kernel[0]; i++) {
          int64_t pz = z * w->stride[0] - w->pad[0] + i * w->dilation[0];
          for (int64_t j = 0; j < w->kernel[1]; j++) {
            int64_t py = y * w->stride[1] - w->pad[1] + j * w->dilation[1];
            for (int64_t k = 0; k < w->kernel[2]; k++) {
              int64_t px = x * w->stride[2] - w->pad[2] + k * w->dilation[2];
              int is_inside = pz >= 0 && pz < w->in[0] && py >= 0 && py < w->in[1] && px >= 0 &&
                              px < w->in[2];
              if (is_inside) sum += in[(pz * w->in[1] + py) * w->in[2] + px];
              // What rounding up adds beyond the padding does not count.
              count += is_inside || (counts_padding && pz < w->in[0] + end[0] &&
                                     py < w->in[1] + end[1] && px < w->in[2] + end[2]);
            }
          }
        }
        out[at] = count > 0 ? (float)(sum / (double)count) : 0.0f;
      }
    }
  }
}
