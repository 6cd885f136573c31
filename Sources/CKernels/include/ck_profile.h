#ifndef CK_PROFILE_H
#define CK_PROFILE_H

#include "ck_common.h"

// What a column of numbers looks like: how many there are, their spread, and a histogram.

typedef struct {
  size_t count;
  // Without a value, or with one that is not finite.
  size_t missing;
  double mean;
  // Sum of squared distances from the mean.
  double m2;
  // Infinite, the wrong way round, where there are none.
  double minimum, maximum;
} ck_moments;

// Adds what `other` has seen, by the pairwise update of Chan, Golub and LeVeque (1979).
void ck_moments_merge(ck_moments *into, const ck_moments *other);

// Adds `count` values to the moments, and to the histogram: bins[b] counts the finite values with exactly b of the
// ascending edges at or below them, so there is a bin more than there are edges. Bit i % 64 of word i / 64 of
// `nulls`, which may be null, is set where value i is none. In blocks of CK_PROFILE_BLOCK, each by two passes.
enum { CK_PROFILE_BLOCK = 1024 };
#define CK_PROFILE(suffix, T)                                                                      \
  void ck_profile_##suffix(                                                                        \
      const T *x, const uint64_t *nulls, size_t count, const double *edges, size_t edge_count,     \
      ck_moments *moments, int64_t *bins);                                                         \
  void ck_profile_##suffix##_scalar(                                                               \
      const T *x, const uint64_t *nulls, size_t count, const double *edges, size_t edge_count,     \
      ck_moments *moments, int64_t *bins);
CK_PROFILE(f32, float)
CK_PROFILE(f64, double)
CK_PROFILE(i16, int16_t)
CK_PROFILE(i32, int32_t)
CK_PROFILE(i64, int64_t)
CK_PROFILE(bool, uint8_t)
#undef CK_PROFILE

#endif
