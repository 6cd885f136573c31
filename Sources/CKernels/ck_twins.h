#ifndef CK_TWINS_H
#define CK_TWINS_H

// One body, compiled twice: for the baseline of the platform (`…_scalar`) and, on x86-64, for AVX2.
//
// Both do the same operations in the same order, and contraction is off, so they agree bit for bit;
// only the width of the registers differs. On arm64 the baseline has NEON already.

#define CK_INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define CK_TWINS(name, parameters, arguments)                                                      \
  void name##_scalar parameters { name##_body arguments; }                                         \
  __attribute__((target("avx2"))) static void name##_avx2 parameters { name##_body arguments; }    \
  void name parameters {                                                                           \
    if (__builtin_cpu_supports("avx2")) {                                                          \
      name##_avx2 arguments;                                                                       \
    } else {                                                                                       \
      name##_scalar arguments;                                                                     \
    }                                                                                              \
  }
// The same for a function with a result.
#define CK_TWINS_RETURNING(T, name, parameters, arguments)                                         \
  T name##_scalar parameters { return name##_body arguments; }                                     \
  __attribute__((target("avx2"))) static T name##_avx2 parameters {                                \
    return name##_body arguments;                                                                  \
  }                                                                                                \
  T name parameters {                                                                              \
    return __builtin_cpu_supports("avx2") ? name##_avx2 arguments : name##_scalar arguments;       \
  }
#else
#define CK_TWINS(name, parameters, arguments)                                                      \
  void name##_scalar parameters { name##_body arguments; }                                         \
  void name parameters { name##_body arguments; }
#define CK_TWINS_RETURNING(T, name, parameters, arguments)                                         \
  T name##_scalar parameters { return name##_body arguments; }                                     \
  T name parameters { return name##_body arguments; }
#endif

#endif
