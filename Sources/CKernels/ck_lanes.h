#ifndef CK_LANES_H
#define CK_LANES_H

#include <stdint.h>
#include <string.h>

#include "ck_twins.h"

// Sixteen floats that are computed with together, whatever the width of the machine's registers.
//
// Each lane does the same operations in the same order everywhere, and a fused multiply-add is asked
// for by name, so that the twins of a kernel agree bit for bit: where the CPU has no such instruction
// the C library's exact `fmaf` stands in for it, slowly.
enum { CK_LANES = 16 };

typedef float ck_lanes __attribute__((ext_vector_type(16)));
typedef int32_t ck_mask __attribute__((ext_vector_type(16)));

// One body compiled for the baseline (`…_scalar`), for AVX2 with FMA, and for AVX-512. The last is told
// that all lanes are in one register, as the first parameter of the body: it keeps more sums under way.
#if defined(__x86_64__)
#define CK_FUSED_TWINS(name, parameters, arguments)                                                \
  void name##_scalar parameters { name##_body(0, CK_LIST arguments); }                             \
  __attribute__((target("avx2,fma"))) static void name##_avx2 parameters {                         \
    name##_body(0, CK_LIST arguments);                                                             \
  }                                                                                                \
  __attribute__((target("avx512f,avx512dq,avx512vl,fma"))) static void name##_avx512 parameters {  \
    name##_body(1, CK_LIST arguments);                                                             \
  }                                                                                                \
  void name parameters {                                                                           \
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&                 \
        __builtin_cpu_supports("avx512vl")) {                                                      \
      name##_avx512 arguments;                                                                     \
    } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {                  \
      name##_avx2 arguments;                                                                       \
    } else {                                                                                       \
      name##_scalar arguments;                                                                     \
    }                                                                                              \
  }
#else
#define CK_FUSED_TWINS(name, parameters, arguments)                                                \
  void name##_scalar parameters { name##_body(0, CK_LIST arguments); }                             \
  void name parameters { name##_body(0, CK_LIST arguments); }
#endif
#define CK_LIST(...) __VA_ARGS__

CK_INLINE void ck_load(const float *from, ck_lanes *to) { memcpy(to, from, sizeof *to); }
CK_INLINE void ck_store(const ck_lanes *from, float *to) { memcpy(to, from, sizeof *from); }

// Zero where a lane is below zero; -0 and NaN stay.
CK_INLINE void ck_relu(ck_lanes *x) {
  ck_mask below = *x < (ck_lanes)0.0f;
  *x = (ck_lanes)((ck_mask)*x & ~below);
}

// 2^(x * scale) where the exponent is not above 0, within 2 ulp; 0 where it is below -125. NaN stays.
//
// The polynomial has the least error, 2^-28.9, among those of degree 6 that are 1 at 0.
CK_INLINE void ck_exp2_scaled(ck_lanes *x, float scale) {
  const ck_lanes factor = (ck_lanes)scale, round = (ck_lanes)0x1.8p23f;
  // The exponent's whole part is in the low bits of `shifted`.
  ck_lanes shifted = __builtin_elementwise_fma(*x, factor, round);
  ck_lanes n = shifted - round;
  ck_mask gone = n < (ck_lanes)-125.0f;
  ck_lanes r = __builtin_elementwise_fma(*x, factor, -n);
  ck_lanes p = (ck_lanes)0x1.41fbbcp-13f;
  p = __builtin_elementwise_fma(p, r, (ck_lanes)0x1.5f3e54p-10f);
  p = __builtin_elementwise_fma(p, r, (ck_lanes)0x1.3b2d4cp-7f);
  p = __builtin_elementwise_fma(p, r, (ck_lanes)0x1.c6aee8p-5f);
  p = __builtin_elementwise_fma(p, r, (ck_lanes)0x1.ebfbdcp-3f);
  p = __builtin_elementwise_fma(p, r, (ck_lanes)0x1.62e430p-1f);
  p = __builtin_elementwise_fma(p, r, (ck_lanes)1.0f);
  // 2^n joins the exponent: p is in 0.7...1.5 and n at least -125, so nothing becomes subnormal.
  ck_mask scaled = (ck_mask)p + ((ck_mask)shifted << 23);
  *x = (ck_lanes)(scaled & ~gone);
}

#endif
