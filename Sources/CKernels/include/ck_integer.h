#ifndef CK_INTEGER_H
#define CK_INTEGER_H

#include "ck_window.h"

// Small integers that stand for numbers: products of them, exact, and the way to and from floats.

// out[i * columns + j] = sum over k of a[i * depth + k] * b[j * depth + k], in 32 bits that wrap as
// ONNX's do. Exact, so the order of the sum is nobody's business.
void ck_product_i16(
    const int16_t *a, size_t rows, size_t depth, const int16_t *b, size_t columns, int32_t *out);
void ck_product_i16_scalar(
    const int16_t *a, size_t rows, size_t depth, const int16_t *b, size_t columns, int32_t *out);

// out[i] = in[i] - zero
void ck_widen_u8(const uint8_t *in, size_t count, int32_t zero, int16_t *out);
void ck_widen_i8(const int8_t *in, size_t count, int32_t zero, int16_t *out);

// What the windows of the places first ..< first + count take in of `channels` planes: for each place
// the taps of the first channel, then those of the next; zeros beyond the image.
void ck_unroll_i16(
    const ck_window *window, const int16_t *in, size_t channels, size_t first, size_t count,
    int16_t *rows);

// out[i] = in[i] / scale, rounded to even, plus zero, kept between two whole numbers of at most 2^17;
// what is not a number becomes 0. The low bits of the result are stored.
void ck_quantize_u8(
    const float *in, size_t count, float scale, float zero, float least, float greatest,
    uint8_t *out);
void ck_quantize_u8_scalar(
    const float *in, size_t count, float scale, float zero, float least, float greatest,
    uint8_t *out);

// out[i] = (in[i] - zero) * scale
void ck_dequantize_u8(const uint8_t *in, size_t count, float scale, int32_t zero, float *out);
void ck_dequantize_u8_scalar(const uint8_t *in, size_t count, float scale, int32_t zero, float *out);
void ck_dequantize_i8(const int8_t *in, size_t count, float scale, int32_t zero, float *out);
void ck_dequantize_i8_scalar(const int8_t *in, size_t count, float scale, int32_t zero, float *out);

#endif
