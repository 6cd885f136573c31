#ifndef CK_MATH_INLINE_H
#define CK_MATH_INLINE_H

#include <math.h>
#include <string.h>

#include "ck_twins.h"

// Elementary functions that give the same bits on every machine; the C library's do not, because it
// picks a version with fused multiply-add where the CPU has it. All are free of branches that a
// compiler could not turn into selections, so they vectorise.
//
// The methods are those of fdlibm (Sun Microsystems, 1993): reduction by ln 2 in two parts, then a
// minimax polynomial. Errors are below 1 ulp where not said otherwise.

CK_INLINE double ck_from_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

CK_INLINE uint64_t ck_to_bits(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

// 2^k for a whole k in -1022...1023.
CK_INLINE double ck_power_of_two(double k) {
  // The sum's low bits hold k + 1023.
  return ck_from_bits(ck_to_bits(k + (0x1.8p52 + 1023.0)) << 52);
}

CK_INLINE double ck_exp_inline(double x) {
  // Beyond these the result is infinite or zero anyway; NaN stays.
  double y = x > 710.0 ? 710.0 : x;
  y = y < -746.0 ? -746.0 : y;
  double k = (y * 0x1.71547652b82fep0 + 0x1.8p52) - 0x1.8p52;
  double high = y - k * 6.93147180369123816490e-01;
  double low = k * 1.90821492927058770002e-10;
  double r = high - low;
  double t = r * r;
  double c = r -
             t * (1.66666666666666019037e-01 +
                  t * (-2.77777777770155933842e-03 +
                       t * (6.61375632143793436117e-05 +
                            t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))));
  double e = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
  // Two factors reach subnormal results and the edge of infinity.
  double half = (k * 0.5 + 0x1.8p52) - 0x1.8p52;
  return e * ck_power_of_two(half) * ck_power_of_two(k - half);
}

CK_INLINE double ck_log_inline(double x) {
  // Subnormal numbers are scaled up first.
  int small = x < 0x1p-1022;
  double y = small ? x * 0x1p54 : x;
  uint64_t bits = ck_to_bits(y);
  // The fraction is brought into sqrt(1/2)...sqrt(2).
  uint64_t shifted = bits - 0x3fe6a09e00000000u;
  double m = ck_from_bits(bits - (shifted & 0xfff0000000000000u));
  // The top 12 bits of the difference are the exponent, signed.
  double k = (double)((int32_t)((uint32_t)(shifted >> 52) ^ 0x800u) - 0x800) - (small ? 54.0 : 0.0);
  double f = m - 1.0;
  double s = f / (2.0 + f);
  double z = s * s;
  double w = z * z;
  double r = z * (6.666666666666735130e-01 +
                  w * (2.857142874366239149e-01 +
                       w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01))) +
             w * (3.999999999940941908e-01 +
                  w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  double hfsq = 0.5 * f * f;
  double result = k * 6.93147180369123816490e-01 -
                  ((hfsq - (s * (hfsq + r) + k * 1.90821492927058770002e-10)) - f);
  result = x > 0x1.fffffffffffffp1023 ? x : result;
  result = x == 0.0 ? -INFINITY : result;
  return x < 0.0 || x != x ? NAN : result;
}

// Within 16 ulp (the worst is close to 0.1).
CK_INLINE double ck_tanh_inline(double x) {
  double a = fabs(x);
  double t = x * x;
  double near = x + x * t *
                        (-1.0 / 3.0 +
                         t * (2.0 / 15.0 +
                              t * (-17.0 / 315.0 +
                                   t * (62.0 / 2835.0 +
                                        t * (-1382.0 / 155925.0 + t * (21844.0 / 6081075.0))))));
  double far = 1.0 - 2.0 / (ck_exp_inline(2.0 * a) + 1.0);
  return a < 0.1 ? near : copysign(far, x);
}

// 1 / (1 + exp(-x)); within 2 ulp, also where the result is close to zero.
CK_INLINE double ck_logistic_inline(double x) {
  double e = ck_exp_inline(-fabs(x));
  return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

#endif
