#include "ck_forest.h"

#define INLINE static inline __attribute__((always_inline))

// Ranks worked out before the tables of a feature's views are applied to them.
enum { CHUNK = 256 };

// A form of the encoders. BELOW16 counts which of sixteen cuts are below a value.
#define ENCODE(NAME, LINKAGE, TARGET, T, CUTS, CODE, BELOW16)                                      \
  TARGET INLINE uint32_t NAME##_rank(const ck_forest_feature *feature, const T *cuts, T value) {   \
    uint32_t at = BELOW16(cuts, value);                                                            \
    for (uint32_t level = 1; level < feature->level_count; level++)                                \
      at = 16 * at + BELOW16(cuts + feature->levels[level] + 16 * (size_t)at, value);              \
    return value != value ? feature->nan_rank : at;                                                \
  }                                                                                                \
                                                                                                   \
  TARGET LINKAGE void NAME(                                                                        \
      const ck_forest_feature *feature, const T *x, ptrdiff_t stride, size_t n, CODE *codes,       \
      size_t view_step, size_t row_step) {                                                         \
    const T *cuts = feature->CUTS;                                                                 \
    codes += feature->first_view * view_step;                                                      \
    if (feature->tables == 0) {                                                                    \
      CODE flip = (CODE)feature->flip, nan_code = (CODE)feature->nan_code;                         \
      for (size_t i = 0; i < n; i++) {                                                             \
        T value = x[(ptrdiff_t)i * stride];                                                        \
        uint32_t rank = NAME##_rank(feature, cuts, value);                                         \
        codes[i * row_step] = value != value ? nan_code : (CODE)rank ^ flip;                       \
      }                                                                                            \
      return;                                                                                      \
    }                                                                                              \
    for (size_t first = 0; first < n; first += CHUNK) {                                            \
      uint32_t rank[CHUNK];                                                                        \
      size_t count = n - first < CHUNK ? n - first : CHUNK;                                        \
      for (size_t i = 0; i < count; i++)                                                           \
        rank[i] = NAME##_rank(feature, cuts, x[(ptrdiff_t)(first + i) * stride]);                  \
      const CODE *table = feature->tables;                                                         \
      for (uint32_t view = 0; view < feature->view_count; view++) {                                \
        CODE *target = codes + view * view_step + first * row_step;                                \
        for (size_t i = 0; i < count; i++) target[i * row_step] = table[rank[i]];                  \
        table += feature->nan_rank + 1;                                                            \
      }                                                                                            \
    }                                                                                              \
  }

#define BELOW16(T)                                                                                 \
  INLINE uint32_t below16_##T(const T *cuts, T v) {                                                \
    uint32_t below = 0;                                                                            \
    for (int k = 0; k < 16; k++) below += cuts[k] < v;                                             \
    return below;                                                                                  \
  }

BELOW16(float)
BELOW16(double)

ENCODE(ck_forest_encode_u8_f32_scalar, , , float, cuts_f32, uint8_t, below16_float)
ENCODE(ck_forest_encode_u8_f64_scalar, , , double, cuts_f64, uint8_t, below16_double)
ENCODE(encode_u16_f32_scalar, static, , float, cuts_f32, uint16_t, below16_float)
ENCODE(encode_u16_f64_scalar, static, , double, cuts_f64, uint16_t, below16_double)

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,popcnt")))

// Sixteen comparisons are packed to pairs of mask bits.
AVX2 INLINE uint32_t below16_float_avx2(const float *cuts, float value) {
  __m256 v = _mm256_set1_ps(value);
  __m256 low = _mm256_cmp_ps(_mm256_loadu_ps(cuts), v, _CMP_LT_OQ);
  __m256 high = _mm256_cmp_ps(_mm256_loadu_ps(cuts + 8), v, _CMP_LT_OQ);
  __m256i both = _mm256_packs_epi32(_mm256_castps_si256(low), _mm256_castps_si256(high));
  return (uint32_t)_mm_popcnt_u32((unsigned)_mm256_movemask_epi8(both)) / 2;
}

AVX2 INLINE uint32_t below16_double_avx2(const double *cuts, double value) {
  __m256d v = _mm256_set1_pd(value);
  __m256i a = _mm256_castpd_si256(_mm256_cmp_pd(_mm256_loadu_pd(cuts), v, _CMP_LT_OQ));
  __m256i b = _mm256_castpd_si256(_mm256_cmp_pd(_mm256_loadu_pd(cuts + 4), v, _CMP_LT_OQ));
  __m256i c = _mm256_castpd_si256(_mm256_cmp_pd(_mm256_loadu_pd(cuts + 8), v, _CMP_LT_OQ));
  __m256i d = _mm256_castpd_si256(_mm256_cmp_pd(_mm256_loadu_pd(cuts + 12), v, _CMP_LT_OQ));
  __m256i all = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
  return (uint32_t)_mm_popcnt_u32((unsigned)_mm256_movemask_epi8(all)) / 2;
}

ENCODE(encode_u8_f32_avx2, static, AVX2, float, cuts_f32, uint8_t, below16_float_avx2)
ENCODE(encode_u8_f64_avx2, static, AVX2, double, cuts_f64, uint8_t, below16_double_avx2)
ENCODE(encode_u16_f32_avx2, static, AVX2, float, cuts_f32, uint16_t, below16_float_avx2)
ENCODE(encode_u16_f64_avx2, static, AVX2, double, cuts_f64, uint16_t, below16_double_avx2)

static int has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
}

#define CHOOSE(VECTOR, SCALAR) (has_avx2() ? VECTOR : SCALAR)

#else

#define CHOOSE(VECTOR, SCALAR) SCALAR

#endif

#define DISPATCH(NAME, T, CODE, VECTOR, SCALAR)                                                    \
  void NAME(                                                                                       \
      const ck_forest_feature *feature, const T *x, ptrdiff_t stride, size_t n, CODE *codes,       \
      size_t view_step, size_t row_step) {                                                         \
    CHOOSE(VECTOR, SCALAR)(feature, x, stride, n, codes, view_step, row_step);                     \
  }

DISPATCH(
    ck_forest_encode_u8_f32, float, uint8_t, encode_u8_f32_avx2, ck_forest_encode_u8_f32_scalar)
DISPATCH(
    ck_forest_encode_u8_f64, double, uint8_t, encode_u8_f64_avx2, ck_forest_encode_u8_f64_scalar)
DISPATCH(ck_forest_encode_u16_f32, float, uint16_t, encode_u16_f32_avx2, encode_u16_f32_scalar)
DISPATCH(ck_forest_encode_u16_f64, double, uint16_t, encode_u16_f64_avx2, encode_u16_f64_scalar)

#define ENCODE_ALL(NAME, T, VECTOR, SCALAR)                                                        \
  void NAME(                                                                                       \
      const ck_forest_feature *features, size_t feature_count, const T *const *columns,            \
      const T *rows, size_t width, size_t n, uint8_t *codes, size_t view_step, size_t row_step) {  \
    void (*encode)(                                                                                \
        const ck_forest_feature *, const T *, ptrdiff_t, size_t, uint8_t *, size_t, size_t) =      \
        CHOOSE(VECTOR, SCALAR);                                                                    \
    for (size_t f = 0; f < feature_count; f++) {                                                   \
      if (columns)                                                                                 \
        encode(&features[f], columns[f], 1, n, codes, view_step, row_step);                        \
      else                                                                                         \
        encode(                                                                                    \
            &features[f], rows + features[f].column, (ptrdiff_t)width, n, codes, view_step,        \
            row_step);                                                                             \
    }                                                                                              \
  }

ENCODE_ALL(ck_forest_encode_all_u8_f32, float, encode_u8_f32_avx2, ck_forest_encode_u8_f32_scalar)
ENCODE_ALL(ck_forest_encode_all_u8_f64, double, encode_u8_f64_avx2, ck_forest_encode_u8_f64_scalar)

#define FLOATS(CONDITION, REPLACEMENT)                                                             \
  for (size_t i = 0; i < n; i++) {                                                                 \
    float value = x[(ptrdiff_t)i * stride];                                                        \
    codes[i * row_step] = (CONDITION) ? (REPLACEMENT) : value;                                     \
  }

void ck_forest_encode_float(
    ck_forest_missing missing, const float *x, ptrdiff_t stride, size_t n, float *codes,
    size_t row_step) {
  const float infinity = __builtin_inff();
  const float zero = 1e-35f;
  switch (missing) {
  case CK_FOREST_NAN_ZERO: FLOATS(value != value, 0) break;
  case CK_FOREST_NAN_LEFT: FLOATS(value != value, -infinity) break;
  case CK_FOREST_NAN_RIGHT: FLOATS(value != value, infinity) break;
  case CK_FOREST_ZERO_LEFT: FLOATS(!(__builtin_fabsf(value) > zero), -infinity) break;
  case CK_FOREST_ZERO_RIGHT: FLOATS(!(__builtin_fabsf(value) > zero), infinity) break;
  }
}

size_t ck_forest_infinite_f32(const float *x, size_t n) {
  uint32_t count = 0;
  for (size_t i = 0; i < n; i++) count += __builtin_fabsf(x[i]) == __builtin_inff();
  return count;
}

size_t ck_forest_infinite_columns_f32(const float *const *columns, size_t count, size_t n) {
  size_t found = 0;
  for (size_t c = 0; c < count; c++) found += ck_forest_infinite_f32(columns[c], n);
  return found;
}
