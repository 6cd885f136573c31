#include "ck_forest.h"

#define INLINE static inline __attribute__((always_inline))

// Ranks worked out before the tables of a feature's views are applied to them.
enum { CHUNK = 256 };

// Ranks one by one. BELOW16 counts which of sixteen cuts are below a value.
#define RANKS(NAME, TARGET, T, BELOW16)                                                            \
  TARGET INLINE void NAME(                                                                         \
      const ck_forest_feature *feature, const T *cuts, const T *x, ptrdiff_t stride, size_t n,     \
      uint32_t *rank) {                                                                            \
    for (size_t i = 0; i < n; i++) {                                                               \
      T value = x[(ptrdiff_t)i * stride];                                                          \
      uint32_t at = BELOW16(cuts, value);                                                          \
      for (uint32_t level = 1; level < feature->level_count; level++)                              \
        at = 16 * at + BELOW16(cuts + feature->levels[level] + 16 * (size_t)at, value);            \
      rank[i] = value != value ? feature->nan_rank : at;                                           \
    }                                                                                              \
  }

// A form of the encoders.
#define ENCODE(NAME, LINKAGE, TARGET, T, CUTS, CODE, RANKS)                                        \
  TARGET LINKAGE void NAME(                                                                        \
      const ck_forest_feature *feature, const T *x, ptrdiff_t stride, size_t n, CODE *codes,       \
      size_t view_step, size_t row_step) {                                                         \
    codes += feature->first_view * view_step;                                                      \
    for (size_t first = 0; first < n; first += CHUNK) {                                            \
      uint32_t rank[CHUNK];                                                                        \
      size_t count = n - first < CHUNK ? n - first : CHUNK;                                        \
      RANKS(feature, feature->CUTS, x + (ptrdiff_t)first * stride, stride, count, rank);           \
      CODE *target = codes + first * row_step;                                                     \
      if (feature->tables == 0) {                                                                  \
        uint32_t nan_rank = feature->nan_rank, nan_code = feature->nan_code;                       \
        uint32_t flip = feature->flip;                                                             \
        for (size_t i = 0; i < count; i++)                                                         \
          target[i * row_step] = (CODE)(rank[i] == nan_rank ? nan_code : rank[i] ^ flip);          \
        continue;                                                                                  \
      }                                                                                            \
      const CODE *table = feature->tables;                                                         \
      for (uint32_t view = 0; view < feature->view_count; view++) {                                \
        for (size_t i = 0; i < count; i++) target[i * row_step] = table[rank[i]];                  \
        target += view_step;                                                                       \
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

RANKS(ranks_f32_scalar, , float, below16_float)
RANKS(ranks_f64_scalar, , double, below16_double)

ENCODE(ck_forest_encode_u8_f32_scalar, , , float, cuts_f32, uint8_t, ranks_f32_scalar)
ENCODE(ck_forest_encode_u8_f64_scalar, , , double, cuts_f64, uint8_t, ranks_f64_scalar)
ENCODE(encode_u16_f32_scalar, static, , float, cuts_f32, uint16_t, ranks_f32_scalar)
ENCODE(encode_u16_f64_scalar, static, , double, cuts_f64, uint16_t, ranks_f64_scalar)

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

RANKS(single_ranks_f32_avx2, AVX2, float, below16_float_avx2)
RANKS(exact_ranks_f64_avx2, AVX2, double, below16_double_avx2)

// Cuts that are counted one by one for eight values at once, rather than searched.
enum { FEW_CUTS = 32 };

// Which block of sixteen cuts is looked into is found for eight values at once, the place in it
// for each.
AVX2 INLINE void ranks_f32_avx2(
    const ck_forest_feature *feature, const float *cuts, const float *x, ptrdiff_t stride,
    size_t n, uint32_t *rank) {
  uint32_t cut_count = feature->nan_rank - 1;
  if (n < 8 || (feature->level_count > 2 && cut_count > FEW_CUTS)) {
    single_ranks_f32_avx2(feature, cuts, x, stride, n, rank);
    return;
  }
  int is_counted = cut_count <= FEW_CUTS;
  const float *sorted = cuts + feature->levels[feature->level_count - 1];
  const float *counted = is_counted ? sorted : cuts;
  // The last block's pivot is infinite.
  uint32_t count = is_counted ? cut_count : cut_count / 16;
  for (size_t i = 0; i < n; i += 8) {
    // The last eight overlap those before.
    if (n - i < 8) i = n - 8;
    float value[8];
    for (int g = 0; g < 8; g++) value[g] = x[((ptrdiff_t)i + g) * stride];
    __m256 v = _mm256_loadu_ps(value);
    __m256i below = _mm256_setzero_si256();
    for (uint32_t k = 0; k < count; k++) {
      __m256 is_below = _mm256_cmp_ps(_mm256_set1_ps(counted[k]), v, _CMP_LT_OQ);
      below = _mm256_sub_epi32(below, _mm256_castps_si256(is_below));
    }
    _mm256_storeu_si256((void *)(rank + i), below);
    if (!is_counted) {
      for (int g = 0; g < 8; g++) {
        uint32_t block = rank[i + (size_t)g];
        rank[i + (size_t)g] = 16 * block + below16_float_avx2(sorted + 16 * block, value[g]);
      }
    }
    int nan = _mm256_movemask_ps(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    for (; nan != 0; nan &= nan - 1)
      rank[i + (size_t)__builtin_ctz((unsigned)nan)] = feature->nan_rank;
  }
}

// The largest floats that are not above four values; NaN for NaN.
AVX2 INLINE __m128 rounded_down(__m256d values) {
  __m128 nearest = _mm256_cvtpd_ps(values);
  __m256d above = _mm256_cmp_pd(_mm256_cvtps_pd(nearest), values, _CMP_GT_OQ);
  // The lower halves of the comparisons, side by side.
  __m128 is_above = _mm_shuffle_ps(
      _mm_castpd_ps(_mm256_castpd256_pd128(above)), _mm_castpd_ps(_mm256_extractf128_pd(above, 1)),
      _MM_SHUFFLE(2, 0, 2, 0));
  // One step down: towards zero above it, away from it below.
  __m128i bits = _mm_castps_si128(nearest);
  __m128i sign = _mm_srai_epi32(bits, 31);
  __m128i step = _mm_or_si128(_mm_xor_si128(sign, _mm_set1_epi32(-1)), _mm_set1_epi32(1));
  step = _mm_and_si128(step, _mm_castps_si128(is_above));
  return _mm_castsi128_ps(_mm_add_epi32(bits, step));
}

// Doubles are searched as floats, which halves what is read. Both the cuts and the values are
// rounded down, so that a cut below the value stays at most it: only where the next cut's float
// equals the value's is the order open, and the doubles decide.
INLINE int is_open(const ck_forest_feature *feature, const float *sorted, uint32_t rank, float x) {
  return rank < feature->nan_rank - 1 && sorted[rank] == x;
}

AVX2 INLINE void ranks_f64_avx2(
    const ck_forest_feature *feature, const double *cuts, const double *x, ptrdiff_t stride,
    size_t n, uint32_t *rank) {
  const float *sorted = feature->cuts_f32 + feature->levels[feature->level_count - 1];
  float floats[CHUNK];
  size_t whole = stride == 1 ? n & ~(size_t)3 : 0;
  for (size_t i = 0; i < whole; i += 4)
    _mm_storeu_ps(floats + i, rounded_down(_mm256_loadu_pd(x + i)));
  for (size_t i = whole; i < n; i++)
    floats[i] = _mm_cvtss_f32(rounded_down(_mm256_set1_pd(x[(ptrdiff_t)i * stride])));
  ranks_f32_avx2(feature, feature->cuts_f32, floats, 1, n, rank);
  for (size_t i = 0; i < n; i++) {
    if (is_open(feature, sorted, rank[i], floats[i]))
      exact_ranks_f64_avx2(feature, cuts, x + (ptrdiff_t)i * stride, 1, 1, rank + i);
  }
}

// The rank of a float, or of a double that was rounded down to it.
AVX2 INLINE uint32_t rank_of_float(
    const ck_forest_feature *feature, const float *row, const float *floats, size_t column) {
  (void)row;
  uint32_t rank;
  single_ranks_f32_avx2(feature, feature->cuts_f32, floats + column, 1, 1, &rank);
  return rank;
}

AVX2 INLINE uint32_t rank_of_double(
    const ck_forest_feature *feature, const double *row, const float *floats, size_t column) {
  const float *sorted = feature->cuts_f32 + feature->levels[feature->level_count - 1];
  uint32_t rank;
  single_ranks_f32_avx2(feature, feature->cuts_f32, floats + column, 1, 1, &rank);
  if (__builtin_expect(is_open(feature, sorted, rank, floats[column]), 0))
    exact_ranks_f64_avx2(feature, feature->cuts_f64, row + column, 1, 1, &rank);
  return rank;
}

// Columns of a row that are rounded down together.
enum { LONG_ROW = 1024 };

INLINE const float *floats_of_float(const float *row, size_t width, float *floats) {
  (void)width, (void)floats;
  return row;
}

AVX2 INLINE const float *floats_of_double(const double *row, size_t width, float *floats) {
  size_t i = 0;
  for (; i + 4 <= width; i += 4)
    _mm_storeu_ps(floats + i, rounded_down(_mm256_loadu_pd(row + i)));
  for (; i < width; i++) floats[i] = _mm_cvtss_f32(rounded_down(_mm256_set1_pd(row[i])));
  return floats;
}

// A row's codes of all features: for few rows, most of the time goes into getting from one feature
// to the next. `width` columns are read, at most LONG_ROW.
#define ROW(NAME, T, CODE)                                                                         \
  AVX2 static void NAME(                                                                           \
      const ck_forest_codes *forest, const T *row, size_t width, CODE *codes) {                    \
    float space[LONG_ROW];                                                                         \
    const float *floats = floats_of_##T(row, width, space);                                        \
    size_t view_step = forest->view_step;                                                          \
    for (size_t f = 0; f < forest->feature_count; f++) {                                           \
      const ck_forest_feature *feature = &forest->features[f];                                     \
      uint32_t rank = rank_of_##T(feature, row, floats, feature->column);                          \
      CODE *target = codes + feature->first_view * view_step;                                      \
      if (feature->tables == 0) {                                                                  \
        uint32_t code = rank ^ feature->flip;                                                      \
        *target = (CODE)(rank == feature->nan_rank ? feature->nan_code : code);                    \
        continue;                                                                                  \
      }                                                                                            \
      const CODE *table = feature->tables;                                                         \
      for (uint32_t view = 0; view < feature->view_count; view++) {                                \
        *target = table[rank];                                                                     \
        target += view_step;                                                                       \
        table += feature->nan_rank + 1;                                                            \
      }                                                                                            \
    }                                                                                              \
  }

ROW(row_u8_float_avx2, float, uint8_t)
ROW(row_u8_double_avx2, double, uint8_t)
ROW(row_u16_float_avx2, float, uint16_t)
ROW(row_u16_double_avx2, double, uint16_t)

ENCODE(encode_u8_f32_avx2, static, AVX2, float, cuts_f32, uint8_t, ranks_f32_avx2)
ENCODE(encode_u8_f64_avx2, static, AVX2, double, cuts_f64, uint8_t, ranks_f64_avx2)
ENCODE(encode_u16_f32_avx2, static, AVX2, float, cuts_f32, uint16_t, ranks_f32_avx2)
ENCODE(encode_u16_f64_avx2, static, AVX2, double, cuts_f64, uint16_t, ranks_f64_avx2)

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

#define FLOATS(CONDITION, REPLACEMENT)                                                             \
  for (size_t i = 0; i < n; i++) {                                                                 \
    float value = x[(ptrdiff_t)i * stride];                                                        \
    codes[i * row_step] = (CONDITION) ? (REPLACEMENT) : value;                                     \
  }

static void encode_float(
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

#define ENCODE_FEATURE(NAME, SUFFIX, T, FLOAT)                                                     \
  void NAME(                                                                                       \
      const ck_forest_codes *forest, size_t index, const T *x, ptrdiff_t stride, size_t n,         \
      void *codes) {                                                                               \
    const ck_forest_feature *feature = &forest->features[index];                                   \
    switch (forest->kind) {                                                                        \
    case CK_FOREST_BYTES:                                                                          \
      ck_forest_encode_u8_##SUFFIX(                                                                \
          feature, x, stride, n, codes, forest->view_step, forest->row_step);                      \
      break;                                                                                       \
    case CK_FOREST_WORDS:                                                                          \
      ck_forest_encode_u16_##SUFFIX(                                                               \
          feature, x, stride, n, codes, forest->view_step, forest->row_step);                      \
      break;                                                                                       \
    case CK_FOREST_FLOATS:                                                                         \
      for (uint32_t view = feature->first_view;                                                    \
           view < feature->first_view + feature->view_count; view++)                               \
        FLOAT(forest->rules[view], x, stride, n, (float *)codes + view, forest->row_step);         \
      break;                                                                                       \
    }                                                                                              \
  }

// Kernels of floats are not chosen where values are doubles.
static void refuse_float(
    ck_forest_missing missing, const double *x, ptrdiff_t stride, size_t n, float *codes,
    size_t row_step) {
  (void)missing, (void)x, (void)stride, (void)n, (void)codes, (void)row_step;
  __builtin_trap();
}

ENCODE_FEATURE(ck_forest_encode_f32, f32, float, encode_float)
ENCODE_FEATURE(ck_forest_encode_f64, f64, double, refuse_float)

// Up to so many rows are encoded row by row.
enum { FEW_ROWS = 7 };

#if defined(__x86_64__)
#define FEW(T)                                                                                     \
  size_t read = forest->feature_count ? forest->features[forest->feature_count - 1].column + 1 : 0; \
  if (n <= FEW_ROWS && read <= LONG_ROW && forest->kind != CK_FOREST_FLOATS && has_avx2()) {       \
    for (size_t r = 0; r < n; r++) {                                                               \
      const T *row = rows + r * width;                                                             \
      if (forest->kind == CK_FOREST_BYTES)                                                         \
        row_u8_##T##_avx2(forest, row, read, (uint8_t *)codes + r * forest->row_step);             \
      else                                                                                         \
        row_u16_##T##_avx2(forest, row, read, (uint16_t *)codes + r * forest->row_step);           \
    }                                                                                              \
    return;                                                                                        \
  }
#else
#define FEW(T)
#endif

#define ENCODE_ROWS(NAME, FEATURE, T)                                                              \
  void NAME(                                                                                       \
      const ck_forest_codes *forest, const T *rows, size_t width, size_t n, void *codes) {         \
    FEW(T)                                                                                         \
    for (size_t f = 0; f < forest->feature_count; f++)                                             \
      FEATURE(forest, f, rows + forest->features[f].column, (ptrdiff_t)width, n, codes);           \
  }

ENCODE_ROWS(ck_forest_encode_rows_f32, ck_forest_encode_f32, float)
ENCODE_ROWS(ck_forest_encode_rows_f64, ck_forest_encode_f64, double)
