#include "ck_profile.h"

#include "ck_twins.h"

#include <math.h>
#include <string.h>

void ck_moments_merge(ck_moments *into, const ck_moments *other) {
  into->missing += other->missing;
  if (other->count == 0) return;
  double all = (double)(into->count + other->count);
  double distance = other->mean - into->mean;
  into->m2 += other->m2 + distance * distance * ((double)into->count * (double)other->count / all);
  into->mean += distance * ((double)other->count / all);
  into->count += other->count;
  if (other->minimum < into->minimum) into->minimum = other->minimum;
  if (other->maximum > into->maximum) into->maximum = other->maximum;
}

// Sums in so many lanes, so that both twins add in the same order.
enum { LANES = 8 };

// The values of a block that are there and finite, packed; how many.
#define PACK(name, T, IS_FINITE)                                                                   \
  CK_INLINE size_t name(const T *x, const uint64_t *nulls, size_t first, size_t count, T *packed) { \
    size_t kept = 0;                                                                               \
    for (size_t i = 0; i < count; i++) {                                                           \
      size_t row = first + i;                                                                      \
      size_t is_there = nulls ? ~nulls[row >> 6] >> (row & 63) & 1 : 1;                            \
      packed[kept] = x[row];                                                                       \
      kept += is_there & (size_t)IS_FINITE(x[row]);                                                 \
    }                                                                                              \
    return kept;                                                                                   \
  }

#define FINITE_F32(v) (fabsf(v) <= __FLT_MAX__)
#define FINITE_F64(v) (fabs(v) <= __DBL_MAX__)
#define FINITE_INT(v) ((void)(v), 1)

// Moments of a packed block: the mean first, then the distances from it.
#define MOMENTS(name, T)                                                                           \
  CK_INLINE void name(const T *x, size_t count, ck_moments *moments) {                             \
    double sums[LANES] = {0}, squares[LANES] = {0};                                                \
    T low[LANES], high[LANES];                                                                     \
    for (int l = 0; l < LANES; l++) low[l] = high[l] = x[0];                                       \
    size_t whole = count - count % LANES;                                                          \
    for (size_t i = 0; i < whole; i += LANES) {                                                    \
      for (int l = 0; l < LANES; l++) {                                                            \
        T value = x[i + l];                                                                        \
        sums[l] += (double)value;                                                                  \
        low[l] = value < low[l] ? value : low[l];                                                  \
        high[l] = value > high[l] ? value : high[l];                                               \
      }                                                                                            \
    }                                                                                              \
    for (size_t i = whole; i < count; i++) {                                                       \
      T value = x[i];                                                                              \
      sums[i - whole] += (double)value;                                                            \
      low[0] = value < low[0] ? value : low[0];                                                    \
      high[0] = value > high[0] ? value : high[0];                                                 \
    }                                                                                              \
    double sum = 0;                                                                                \
    for (int l = 0; l < LANES; l++) {                                                              \
      sum += sums[l];                                                                              \
      low[0] = low[l] < low[0] ? low[l] : low[0];                                                  \
      high[0] = high[l] > high[0] ? high[l] : high[0];                                             \
    }                                                                                              \
    /* Dividing first keeps the largest doubles finite; it is only taken where it must be. */      \
    double mean = sum / (double)count;                                                             \
    if (!(fabs(mean) <= __DBL_MAX__)) {                                                            \
      mean = 0;                                                                                    \
      for (size_t i = 0; i < count; i++) mean += (double)x[i] / (double)count;                     \
    }                                                                                              \
    for (size_t i = 0; i < whole; i += LANES) {                                                    \
      for (int l = 0; l < LANES; l++) {                                                            \
        double distance = (double)x[i + l] - mean;                                                 \
        squares[l] += distance * distance;                                                         \
      }                                                                                            \
    }                                                                                              \
    for (size_t i = whole; i < count; i++) {                                                       \
      double distance = (double)x[i] - mean;                                                       \
      squares[i - whole] += distance * distance;                                                   \
    }                                                                                              \
    double square = 0;                                                                             \
    for (int l = 0; l < LANES; l++) square += squares[l];                                          \
    *moments = (ck_moments){count, 0, mean, square, (double)low[0], (double)high[0]};              \
  }

// How many values are at or above an edge. No value is stored, so it stays in registers.
#define AT_LEAST(name, T, COUNT)                                                                   \
  CK_INLINE int64_t name(const T *x, size_t count, T edge) {                                       \
    COUNT reached = 0;                                                                             \
    for (size_t i = 0; i < count; i++) reached += (COUNT)(x[i] >= edge);                           \
    return (int64_t)reached;                                                                       \
  }

// The least float at or above an edge: a float reaches the one where it reaches the other.
CK_INLINE float float_edge(double edge) {
  float rounded = (float)edge;
  return (double)rounded < edge ? nextafterf(rounded, INFINITY) : rounded;
}
#define DOUBLE_EDGE(edge) (edge)

#define PROFILE(suffix, T, P, IS_FINITE, EDGE, CONVERT)                                            \
  PACK(pack_##suffix, T, IS_FINITE)                                                                \
  CK_INLINE void ck_profile_##suffix##_body(                                                       \
      const T *x, const uint64_t *nulls, size_t count, const double *edges, size_t edge_count,     \
      ck_moments *moments, int64_t *bins) {                                                        \
    T packed[CK_PROFILE_BLOCK];                                                                    \
    for (size_t first = 0; first < count; first += CK_PROFILE_BLOCK) {                             \
      size_t rows = count - first < CK_PROFILE_BLOCK ? count - first : CK_PROFILE_BLOCK;           \
      int whole = nulls == NULL;                                                                   \
      if (whole) {                                                                                 \
        int odd = 0;                                                                               \
        for (size_t i = 0; i < rows; i++) odd |= !IS_FINITE(x[first + i]);                         \
        whole = !odd;                                                                              \
      }                                                                                            \
      const T *block = x + first;                                                                  \
      size_t kept = rows;                                                                          \
      if (!whole) {                                                                                \
        kept = pack_##suffix(x, nulls, first, rows, packed);                                       \
        block = packed;                                                                            \
      }                                                                                            \
      moments->missing += rows - kept;                                                             \
      if (kept == 0) continue;                                                                     \
      CONVERT(T, P)                                                                                \
      ck_moments own;                                                                              \
      moments_##P(values, kept, &own);                                                             \
      ck_moments_merge(moments, &own);                                                             \
      int64_t below = (int64_t)kept;                                                               \
      for (size_t e = 0; e < edge_count; e++) {                                                    \
        int64_t reached = at_least_##P(values, kept, EDGE(edges[e]));                              \
        bins[e] += below - reached;                                                                \
        below = reached;                                                                           \
      }                                                                                            \
      bins[edge_count] += below;                                                                   \
    }                                                                                              \
  }                                                                                                \
  CK_TWINS(                                                                                        \
      ck_profile_##suffix,                                                                         \
      (const T *x, const uint64_t *nulls, size_t count, const double *edges, size_t edge_count,    \
       ck_moments *moments, int64_t *bins),                                                        \
      (x, nulls, count, edges, edge_count, moments, bins))

#define AS_IT_IS(T, P) const P *values = block;
#define AS_DOUBLES(T, P)                                                                           \
  P values[CK_PROFILE_BLOCK];                                                                      \
  for (size_t i = 0; i < kept; i++) values[i] = (P)block[i];

MOMENTS(moments_float, float)
MOMENTS(moments_double, double)
AT_LEAST(at_least_float, float, int32_t)
AT_LEAST(at_least_double, double, int64_t)

PROFILE(f32, float, float, FINITE_F32, float_edge, AS_IT_IS)
PROFILE(f64, double, double, FINITE_F64, DOUBLE_EDGE, AS_IT_IS)
PROFILE(i16, int16_t, double, FINITE_INT, DOUBLE_EDGE, AS_DOUBLES)
PROFILE(i32, int32_t, double, FINITE_INT, DOUBLE_EDGE, AS_DOUBLES)
PROFILE(i64, int64_t, double, FINITE_INT, DOUBLE_EDGE, AS_DOUBLES)
PROFILE(bool, uint8_t, double, FINITE_INT, DOUBLE_EDGE, AS_DOUBLES)
