#include "ck_integer.h"

#include "ck_twins.h"

// Sums wrap: they are kept in unsigned numbers, products of which are those of the signed ones.
CK_INLINE uint32_t product(int16_t a, int16_t b) { return (uint32_t)((int32_t)a * (int32_t)b); }

CK_INLINE void ck_product_i16_body(
    const int16_t *a, size_t rows, size_t depth, const int16_t *b, size_t columns, int32_t *out) {
  for (size_t i = 0; i < rows; i++, a += depth, out += columns) {
    size_t j = 0;
    for (; j + 4 <= columns; j += 4) {
      const int16_t *b0 = b + j * depth, *b1 = b0 + depth, *b2 = b1 + depth, *b3 = b2 + depth;
      uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      for (size_t k = 0; k < depth; k++) {
        s0 += product(a[k], b0[k]);
        s1 += product(a[k], b1[k]);
        s2 += product(a[k], b2[k]);
        s3 += product(a[k], b3[k]);
      }
      out[j] = (int32_t)s0;
      out[j + 1] = (int32_t)s1;
      out[j + 2] = (int32_t)s2;
      out[j + 3] = (int32_t)s3;
    }
    for (; j < columns; j++) {
      uint32_t sum = 0;
      for (size_t k = 0; k < depth; k++) sum += product(a[k], b[j * depth + k]);
      out[j] = (int32_t)sum;
    }
  }
}
CK_TWINS(
    ck_product_i16,
    (const int16_t *a, size_t rows, size_t depth, const int16_t *b, size_t columns, int32_t *out),
    (a, rows, depth, b, columns, out))

void ck_widen_u8(const uint8_t *in, size_t count, int32_t zero, int16_t *out) {
  for (size_t i = 0; i < count; i++) out[i] = (int16_t)((int32_t)in[i] - zero);
}

void ck_widen_i8(const int8_t *in, size_t count, int32_t zero, int16_t *out) {
  for (size_t i = 0; i < count; i++) out[i] = (int16_t)((int32_t)in[i] - zero);
}

void ck_unroll_i16(
    const ck_window *w, const int16_t *in, size_t channels, size_t first, size_t count,
    int16_t *rows) {
  int64_t plane = w->in[0] * w->in[1] * w->in[2];
  for (size_t place = first; place < first + count; place++) {
    int64_t rest = (int64_t)place;
    int64_t x0 = rest % w->out[2] * w->stride[2] - w->pad[2];
    rest /= w->out[2];
    int64_t y0 = rest % w->out[1] * w->stride[1] - w->pad[1];
    int64_t z0 = rest / w->out[1] * w->stride[0] - w->pad[0];
    for (size_t channel = 0; channel < channels; channel++) {
      const int16_t *image = in + (int64_t)channel * plane;
      for (int64_t i = 0; i < w->kernel[0]; i++) {
        int64_t z = z0 + i * w->dilation[0];
        for (int64_t j = 0; j < w->kernel[1]; j++) {
          int64_t y = y0 + j * w->dilation[1];
          int is_inside = z >= 0 && z < w->in[0] && y >= 0 && y < w->in[1];
          for (int64_t k = 0; k < w->kernel[2]; k++) {
            int64_t x = x0 + k * w->dilation[2];
            *rows++ = is_inside && x >= 0 && x < w->in[2]
                          ? image[(z * w->in[1] + y) * w->in[2] + x]
                          : 0;
          }
        }
      }
    }
  }
}

CK_INLINE void ck_quantize_u8_body(
    const float *in, size_t count, float scale, float zero, float least, float greatest,
    uint8_t *out) {
  // Bounds are whole numbers, so that it makes no difference to be kept between them first. A number
  // of at most 2^22 plus this one has no fraction: it is rounded to even.
  const float whole = 12582912.0f;
  float first = least - zero, last = greatest - zero;
  for (size_t i = 0; i < count; i++) {
    float x = in[i] / scale;
    x = x == x ? x : -zero;
    x = x < first ? first : x;
    x = x > last ? last : x;
    x = (x + whole) - whole + zero;
    out[i] = (uint8_t)(int32_t)x;
  }
}
CK_TWINS(
    ck_quantize_u8,
    (const float *in, size_t count, float scale, float zero, float least, float greatest,
     uint8_t *out),
    (in, count, scale, zero, least, greatest, out))

CK_INLINE void ck_dequantize_u8_body(
    const uint8_t *in, size_t count, float scale, int32_t zero, float *out) {
  for (size_t i = 0; i < count; i++) out[i] = (float)((int32_t)in[i] - zero) * scale;
}
CK_TWINS(
    ck_dequantize_u8, (const uint8_t *in, size_t count, float scale, int32_t zero, float *out),
    (in, count, scale, zero, out))

CK_INLINE void ck_dequantize_i8_body(
    const int8_t *in, size_t count, float scale, int32_t zero, float *out) {
  for (size_t i = 0; i < count; i++) out[i] = (float)((int32_t)in[i] - zero) * scale;
}
CK_TWINS(
    ck_dequantize_i8, (const int8_t *in, size_t count, float scale, int32_t zero, float *out),
    (in, count, scale, zero, out))
