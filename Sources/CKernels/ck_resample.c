#include "ck_resample.h"

#include "ck_twins.h"

#include <math.h>

// Bits after the point of a weight: 32 less 8 of a value and 2 for sums beyond it.
enum { PRECISION = 32 - 8 - 2 };

static double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double bilinear(double x) {
  x = fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

static double hamming(double x) {
  x = fabs(x);
  if (x == 0.0) return 1.0;
  if (x >= 1.0) return 0.0;
  x *= M_PI;
  return sin(x) / x * (0.54 + 0.46 * cos(x));
}

static double bicubic(double x) {
  static const double a = -0.5;
  x = fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

static double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= M_PI;
  return sin(x) / x;
}

static double lanczos(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

typedef struct {
  double (*weight)(double);
  double support;
} shape;

static shape shape_of(ck_filter filter) {
  switch (filter) {
  case CK_BOX: return (shape){box, 0.5};
  case CK_HAMMING: return (shape){hamming, 1.0};
  case CK_BICUBIC: return (shape){bicubic, 2.0};
  case CK_LANCZOS: return (shape){lanczos, 3.0};
  default: return (shape){bilinear, 1.0};
  }
}

static double scale_of(uint32_t inputs, uint32_t outputs) { return (double)inputs / outputs; }

// How many inputs one output may be made of.
static double room_of(uint32_t inputs, uint32_t outputs, ck_filter filter) {
  double scale = scale_of(inputs, outputs);
  return ceil(shape_of(filter).support * (scale < 1.0 ? 1.0 : scale)) * 2 + 1;
}

size_t ck_taps_bytes(uint32_t inputs, uint32_t outputs, uint32_t count, ck_filter filter) {
  double bytes = (double)count * (2 * sizeof(uint32_t) + room_of(inputs, outputs, filter) * sizeof(int32_t));
  // The widest output's weights are computed in doubles first.
  bytes += room_of(inputs, outputs, filter) * sizeof(double);
  return bytes < (double)(1 << 30) ? (size_t)bytes : 0;
}

void ck_taps_make(
    uint32_t inputs, uint32_t outputs, uint32_t start, uint32_t count, ck_filter filter, void *memory,
    ck_taps *taps) {
  shape own = shape_of(filter);
  double scale = scale_of(inputs, outputs);
  double stretch = scale < 1.0 ? 1.0 : scale;
  double support = own.support * stretch;
  uint32_t room = (uint32_t)room_of(inputs, outputs, filter);
  double *exact = memory;
  taps->count = count;
  taps->room = room;
  taps->weights = (int32_t *)(exact + room);
  taps->first = (uint32_t *)(taps->weights + (size_t)count * room);
  taps->size = taps->first + count;
  for (uint32_t i = 0; i < count; i++) {
    double center = ((double)(start + i) + 0.5) * scale;
    double step = 1.0 / stretch;
    int first = (int)(center - support + 0.5);
    if (first < 0) first = 0;
    int end = (int)(center + support + 0.5);
    if (end > (int)inputs) end = (int)inputs;
    int size = end - first;
    double sum = 0.0;
    for (int k = 0; k < size; k++) {
      exact[k] = own.weight((k + first - center + 0.5) * step);
      sum += exact[k];
    }
    int32_t *weights = taps->weights + (size_t)i * room;
    for (int k = 0; k < size; k++) {
      double weight = (sum != 0.0 ? exact[k] / sum : exact[k]) * (1 << PRECISION);
      weights[k] = (int32_t)(weight < 0 ? -0.5 + weight : 0.5 + weight);
    }
    taps->first[i] = (uint32_t)first;
    taps->size[i] = (uint32_t)size;
  }
}

void ck_nearest_make(
    uint32_t inputs, uint32_t outputs, uint32_t start, uint32_t count, uint32_t *places) {
  // Added up from the first output on, as Pillow's Geometry.c does, with the rounding that this has.
  double scale = scale_of(inputs, outputs);
  double place = scale * 0.5;
  for (uint32_t i = 0; i < start + count; i++, place += scale) {
    if (i < start) continue;
    uint32_t whole = (uint32_t)place;
    places[i - start] = whole < inputs ? whole : inputs - 1;
  }
}

CK_INLINE uint8_t clipped(int32_t sum) {
  int32_t value = sum >> PRECISION;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

CK_INLINE void ck_resample_rows_body(
    const uint8_t *from, size_t width, size_t rows, size_t channels, const ck_taps *taps, uint8_t *to) {
  enum { HALF = 1 << (PRECISION - 1) };
  for (size_t row = 0; row < rows; row++, from += width * channels, to += taps->count * channels) {
    for (uint32_t i = 0; i < taps->count; i++) {
      const int32_t *weights = taps->weights + (size_t)i * taps->room;
      uint32_t size = taps->size[i];
      const uint8_t *pixel = from + taps->first[i] * channels;
      if (channels == 3) {
        int32_t red = HALF, green = HALF, blue = HALF;
        for (uint32_t k = 0; k < size; k++, pixel += 3) {
          red += pixel[0] * weights[k];
          green += pixel[1] * weights[k];
          blue += pixel[2] * weights[k];
        }
        to[i * 3] = clipped(red);
        to[i * 3 + 1] = clipped(green);
        to[i * 3 + 2] = clipped(blue);
      } else {
        int32_t sum = HALF;
        for (uint32_t k = 0; k < size; k++) sum += pixel[k] * weights[k];
        to[i] = clipped(sum);
      }
    }
  }
}

CK_TWINS(
    ck_resample_rows,
    (const uint8_t *from, size_t width, size_t rows, size_t channels, const ck_taps *taps, uint8_t *to),
    (from, width, rows, channels, taps, to))

CK_INLINE void ck_resample_columns_body(
    const uint8_t *from, size_t bytes, uint32_t top, const ck_taps *taps, uint8_t *to) {
  enum { HALF = 1 << (PRECISION - 1), BLOCK = 256 };
  int32_t sums[BLOCK];
  for (uint32_t i = 0; i < taps->count; i++, to += bytes) {
    const int32_t *weights = taps->weights + (size_t)i * taps->room;
    const uint8_t *first = from + (size_t)(taps->first[i] - top) * bytes;
    for (size_t start = 0; start < bytes; start += BLOCK) {
      size_t count = bytes - start < BLOCK ? bytes - start : BLOCK;
      for (size_t j = 0; j < count; j++) sums[j] = HALF;
      const uint8_t *line = first + start;
      for (uint32_t k = 0; k < taps->size[i]; k++, line += bytes) {
        int32_t weight = weights[k];
        for (size_t j = 0; j < count; j++) sums[j] += line[j] * weight;
      }
      for (size_t j = 0; j < count; j++) to[start + j] = clipped(sums[j]);
    }
  }
}

CK_TWINS(
    ck_resample_columns,
    (const uint8_t *from, size_t bytes, uint32_t top, const ck_taps *taps, uint8_t *to),
    (from, bytes, top, taps, to))

void ck_grey(const uint8_t *rgb, size_t count, uint8_t *grey) {
  for (size_t i = 0; i < count; i++, rgb += 3) {
    grey[i] = (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
  }
}
