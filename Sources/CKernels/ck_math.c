#include "ck_math.h"

#include "ck_math_inline.h"

#define MAP(name, T, function)                                                                     \
  CK_INLINE void name##_body(const T *in, size_t count, T *out) {                                  \
    for (size_t i = 0; i < count; i++) out[i] = (T)function((double)in[i]);                        \
  }                                                                                                \
  CK_TWINS(name, (const T *in, size_t count, T *out), (in, count, out))

MAP(ck_exp_f32, float, ck_exp_inline)
MAP(ck_exp_f64, double, ck_exp_inline)
MAP(ck_log_f32, float, ck_log_inline)
MAP(ck_log_f64, double, ck_log_inline)
MAP(ck_tanh_f32, float, ck_tanh_inline)
MAP(ck_tanh_f64, double, ck_tanh_inline)
MAP(ck_logistic_f32, float, ck_logistic_inline)
MAP(ck_logistic_f64, double, ck_logistic_inline)

double ck_exp(double x) { return ck_exp_inline(x); }
double ck_log(double x) { return ck_log_inline(x); }
double ck_tanh(double x) { return ck_tanh_inline(x); }
double ck_logistic(double x) { return ck_logistic_inline(x); }

double ck_erf(double x) {
  double a = fabs(x);
  if (x != x) return x;
  if (a > 6.0) return copysign(1.0, x);
  if (a < 2.5) {
    // Abramowitz and Stegun 7.1.6: all terms have one sign, so nothing cancels.
    double term = a, sum = a;
    for (int n = 1; n < 80 && term > sum * 0x1p-55; n++) {
      term *= 2.0 * a * a / (2.0 * n + 1.0);
      sum += term;
    }
    return copysign(sum * ck_exp_inline(-a * a) * 1.1283791670955125739, x);
  }
  // Continued fraction of erfc (Abramowitz and Stegun 7.1.14), from its far end.
  double fraction = a;
  for (int n = 60; n >= 1; n--) fraction = a + (n * 0.5) / fraction;
  return copysign(1.0 - ck_exp_inline(-a * a) / (fraction * 1.7724538509055160273), x);
}

double ck_pow(double x, double y) {
  if (y == 0.0 || x == 1.0) return 1.0;
  if (x != x || y != y) return NAN;
  int whole = floor(y) == y;
  int odd = whole && fabs(y) < 0x1p53 && fmod(fabs(y), 2.0) == 1.0;
  if (whole && fabs(y) <= 64.0) {
    double base = x, result = 1.0;
    for (unsigned n = (unsigned)fabs(y); n != 0; n >>= 1) {
      if (n & 1) result *= base;
      base *= base;
    }
    return y < 0.0 ? 1.0 / result : result;
  }
  if (x == 0.0) return y < 0.0 ? (odd ? copysign(INFINITY, x) : INFINITY) : (odd ? x : 0.0);
  if (y == 0.5) return x == -INFINITY ? INFINITY : sqrt(x);
  double a = fabs(x);
  if (a == 1.0) return x < 0.0 && !whole && !isinf(y) ? NAN : (odd ? x : 1.0);
  if (isinf(y)) return (a > 1.0) == (y > 0.0) ? INFINITY : 0.0;
  if (x < 0.0 && !whole && !isinf(x)) return NAN;
  if (isinf(a)) return y > 0.0 ? (odd ? x : INFINITY) : (odd ? copysign(0.0, x) : 0.0);
  double result = ck_exp_inline(y * ck_log_inline(a));
  return odd ? copysign(result, x) : result;
}

// Elements whose exponentials are taken together, those of several rows where these are short.
enum { SOFTMAX_BLOCK = 256 };

#define SOFTMAX(name, T)                                                                           \
  CK_INLINE double greatest_##name(const T *in, size_t width) {                                    \
    double greatest = -INFINITY;                                                                   \
    for (size_t i = 0; i < width; i++) greatest = in[i] > greatest ? in[i] : greatest;             \
    return greatest;                                                                               \
  }                                                                                                \
  CK_INLINE void softmax_long_##name(const T *in, size_t width, int log, T *out) {                 \
    double greatest = greatest_##name(in, width), sum = 0.0;                                       \
    for (size_t i = 0; i < width; i++) sum += ck_exp_inline(in[i] - greatest);                     \
    double under = log ? ck_log_inline(sum) : 0.0;                                                 \
    for (size_t i = 0; i < width; i++) {                                                           \
      double difference = in[i] - greatest;                                                        \
      out[i] = (T)(log ? difference - under : ck_exp_inline(difference) / sum);                    \
    }                                                                                              \
  }                                                                                                \
  CK_INLINE void softmax_##name##_body(                                                            \
      const T *in, size_t rows, size_t width, int log, T *out) {                                   \
    if (width > SOFTMAX_BLOCK) {                                                                   \
      for (size_t row = 0; row < rows; row++, in += width, out += width) {                         \
        softmax_long_##name(in, width, log, out);                                                  \
      }                                                                                            \
      return;                                                                                      \
    }                                                                                              \
    double differences[SOFTMAX_BLOCK], powers[SOFTMAX_BLOCK];                                      \
    size_t most = width == 0 ? 0 : SOFTMAX_BLOCK / width, count = 0;                               \
    for (size_t first = 0; most > 0 && first < rows; first += count) {                             \
      count = rows - first < most ? rows - first : most;                                           \
      for (size_t row = 0; row < count; row++) {                                                   \
        double greatest = greatest_##name(in + row * width, width);                                \
        for (size_t i = row * width; i < (row + 1) * width; i++) differences[i] = in[i] - greatest; \
      }                                                                                            \
      for (size_t i = 0; i < count * width; i++) powers[i] = ck_exp_inline(differences[i]);        \
      for (size_t row = 0; row < count; row++) {                                                   \
        size_t start = row * width, end = start + width;                                           \
        double sum = 0.0;                                                                          \
        for (size_t i = start; i < end; i++) sum += powers[i];                                     \
        double under = log ? ck_log_inline(sum) : 0.0;                                             \
        for (size_t i = start; i < end; i++) {                                                     \
          out[i] = (T)(log ? differences[i] - under : powers[i] / sum);                            \
        }                                                                                          \
      }                                                                                            \
      in += count * width;                                                                         \
      out += count * width;                                                                        \
    }                                                                                              \
  }                                                                                                \
  CK_INLINE void ck_softmax_##name##_body(const T *in, size_t rows, size_t width, T *out) {        \
    softmax_##name##_body(in, rows, width, 0, out);                                                \
  }                                                                                                \
  CK_INLINE void ck_log_softmax_##name##_body(const T *in, size_t rows, size_t width, T *out) {    \
    softmax_##name##_body(in, rows, width, 1, out);                                                \
  }                                                                                                \
  CK_TWINS(                                                                                        \
      ck_softmax_##name, (const T *in, size_t rows, size_t width, T *out),                         \
      (in, rows, width, out))                                                                      \
  CK_TWINS(                                                                                        \
      ck_log_softmax_##name, (const T *in, size_t rows, size_t width, T *out),                     \
      (in, rows, width, out))

SOFTMAX(f32, float)
SOFTMAX(f64, double)
