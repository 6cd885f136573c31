#include "ck_forest.h"

#define INLINE static inline __attribute__((always_inline))

// What the leaves of trees `t` to `end` add to a row's sums, tree after tree.
#define ADD(NAME, T)                                                                               \
  INLINE void NAME(                                                                                \
      const ck_forest_lanes *forest, const uint8_t *leaf, size_t t, size_t end, T *sums) {         \
    const T *values = forest->values;                                                              \
    size_t stride = forest->sum_stride;                                                            \
    while (t < end) {                                                                              \
      int32_t output = forest->trees[t].output;                                                    \
      if (output < 0) {                                                                            \
        ck_forest_lane_tree tree = forest->trees[t++];                                             \
        const T *value = values + tree.values + leaf[tree.lane] * stride;                          \
        for (size_t k = 0; k < stride; k += 4)                                                     \
          for (size_t i = k; i < k + 4; i++) sums[i] += value[i];                                  \
        continue;                                                                                  \
      }                                                                                            \
      /* Trees of one output in a row: their sum stays in a register. */                           \
      T sum = sums[output];                                                                        \
      do {                                                                                         \
        sum += values[forest->trees[t].values + leaf[forest->trees[t].lane]];                      \
        t++;                                                                                       \
      } while (t < end && forest->trees[t].output == output);                                      \
      sums[output] = sum;                                                                          \
    }                                                                                              \
  }

ADD(add_f32, float)
ADD(add_f64, double)

// Trees that a group ends with; those of all lanes where they are out of order.
INLINE size_t group_end(const ck_forest_lanes *forest, size_t group) {
  size_t end = (group + 1) * CK_FOREST_LANES;
  return end < forest->tree_count ? end : forest->tree_count;
}

// All groups of a row. Where the lanes hold the trees in order each group's leaves are added at
// once, while the next group's are found: a sum's additions wait for each other.
#define ROW(T, ADD, LEAVES)                                                                        \
  for (size_t g = 0; g < forest->group_count; g++) {                                               \
    LEAVES;                                                                                        \
    if (forest->is_in_order) ADD(forest, leaf, g * CK_FOREST_LANES, group_end(forest, g), sums);   \
  }                                                                                                \
  if (!forest->is_in_order) ADD(forest, leaf, 0, forest->tree_count, sums);

static void portable_leaves(
    const ck_forest_lanes *forest, const uint8_t *codes, size_t g, uint8_t *leaf) {
  const ck_forest_lane_group *group = &forest->groups[g];
  const uint32_t *ends = forest->ends + group->first_slice;
  for (int lane = 0; lane < CK_FOREST_LANES; lane++) {
    uint8_t first = 255;
    for (uint32_t slice = 0; slice < group->slice_count && first == 255; slice++) {
      uint8_t left = 255;
      for (size_t k = 0; k < forest->category_view_count; k++) {
        const ck_forest_lane_categories *view = &forest->category_views[k];
        size_t place = (size_t)codes[view->view] * forest->slice_count + group->first_slice + slice;
        left &= view->left[place * CK_FOREST_LANES + (size_t)lane];
      }
      for (uint32_t s = ends[slice]; s < ends[slice + 1]; s++) {
        const ck_forest_lane_step *step = &forest->steps[s];
        int8_t rank = (int8_t)codes[step->view[lane]] ^ step->flip[lane];
        if (!(step->bound[lane] > rank)) left &= step->keep[lane];
      }
      if (left != 0) first = (uint8_t)(8 * slice + (uint32_t)__builtin_ctz(left));
    }
    leaf[g * CK_FOREST_LANES + (size_t)lane] = first;
  }
}

#define PORTABLE(NAME, T, ADD)                                                                     \
  void NAME(                                                                                       \
      const ck_forest_lanes *forest, const uint8_t *codes, size_t rows, uint8_t *leaf, T *sums) {  \
    for (size_t row = 0; row < rows; row++) {                                                      \
      ROW(T, ADD, portable_leaves(forest, codes, g, leaf))                                         \
      codes += forest->stride;                                                                     \
      sums += forest->sum_stride;                                                                  \
    }                                                                                              \
  }

PORTABLE(ck_forest_lanes_f32_portable, float, add_f32)
PORTABLE(ck_forest_lanes_f64_portable, double, add_f64)

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,popcnt")))

enum { MOST_PARTS = CK_FOREST_LANE_VIEWS / 16 };

// Rows whose masks are taken together: what is read of a step serves both.
enum { PAIR = 2 };

// The first leaf that is left in each lane of a group, for the codes of one or two rows in 16 * parts
// views.
//
// Codes are looked up sixteen at a time. Part k of a row is kept as its difference (exclusive or)
// from part k - 1, and looked up at view - 16 k: a shuffle gives 0 for negative places, so that
// for a view in part k just the differences 0 to k add up, which is part k. A view past part 0 sees
// its own place first, which a shuffle takes modulo 16: part 0's place for it must not be negative.
// Hence views are below 128.
AVX2 INLINE void group_leaves(
    const ck_forest_lanes *forest, size_t g, const int rows, __m256i (*part)[MOST_PARTS],
    const int parts, const uint8_t *(*categories)[CK_FOREST_LANE_CATEGORY_VIEWS], __m256i *first) {
  const __m256i nibble = _mm256_set1_epi8(15), sixteen = _mm256_set1_epi8(16);
  const __m256i low_place = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(-1, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0));
  const __m256i high_place = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(-1, 4, 5, 4, 6, 4, 5, 4, 7, 4, 5, 4, 6, 4, 5, 4));
  const ck_forest_lane_group *group = &forest->groups[g];
  const uint32_t *ends = forest->ends + group->first_slice;
  const ck_forest_lane_step *step = forest->steps + ends[0];
  for (int r = 0; r < rows; r++) first[r] = _mm256_set1_epi8(-1);
  for (uint32_t slice = 0; slice < group->slice_count; slice++) {
    __m256i left[PAIR];
    size_t place = (size_t)(group->first_slice + slice) * CK_FOREST_LANES;
    for (int r = 0; r < rows; r++) {
      left[r] = _mm256_set1_epi8(-1);
      for (size_t k = 0; k < forest->category_view_count; k++)
        left[r] =
            _mm256_and_si256(left[r], _mm256_load_si256((const void *)(categories[r][k] + place)));
    }
    const ck_forest_lane_step *end = forest->steps + ends[slice + 1];
    for (; step < end; step++) {
      __m256i view = _mm256_load_si256((const void *)step->view);
      __m256i rank[PAIR];
      for (int r = 0; r < rows; r++) rank[r] = _mm256_shuffle_epi8(part[r][0], view);
      for (int k = 1; k < parts; k++) {
        view = _mm256_sub_epi8(view, sixteen);
        for (int r = 0; r < rows; r++)
          rank[r] = _mm256_xor_si256(rank[r], _mm256_shuffle_epi8(part[r][k], view));
      }
      __m256i flip = _mm256_load_si256((const void *)step->flip);
      __m256i bound = _mm256_load_si256((const void *)step->bound);
      __m256i keep = _mm256_load_si256((const void *)step->keep);
      for (int r = 0; r < rows; r++) {
        __m256i near = _mm256_cmpgt_epi8(bound, _mm256_xor_si256(rank[r], flip));
        left[r] = _mm256_and_si256(left[r], _mm256_or_si256(near, keep));
      }
    }
    __m256i base = _mm256_set1_epi8((char)(8 * slice));
    for (int r = 0; r < rows; r++) {
      __m256i low = _mm256_shuffle_epi8(low_place, _mm256_and_si256(left[r], nibble));
      __m256i high =
          _mm256_shuffle_epi8(high_place, _mm256_and_si256(_mm256_srli_epi16(left[r], 4), nibble));
      first[r] =
          _mm256_min_epu8(first[r], _mm256_adds_epu8(_mm256_min_epu8(low, high), base));
    }
  }
}

// Where what categories leave is, for a row.
AVX2 INLINE void find_categories(
    const ck_forest_lanes *forest, const uint8_t *codes, const uint8_t **categories) {
  size_t row_bytes = (size_t)forest->slice_count * CK_FOREST_LANES;
  for (size_t k = 0; k < forest->category_view_count; k++) {
    const ck_forest_lane_categories *view = &forest->category_views[k];
    categories[k] = view->left + codes[view->view] * row_bytes;
  }
}

AVX2 INLINE void load_parts(const uint8_t *codes, const int parts, __m256i *part) {
  __m128i last = _mm_setzero_si128();
  for (int k = 0; k < parts; k++) {
    __m128i now = _mm_loadu_si128((const void *)(codes + 16 * k));
    part[k] = _mm256_broadcastsi128_si256(_mm_xor_si128(now, last));
    last = now;
  }
}

// A single row, then a few rows: those take a group together, so that its steps stay near.
#define AVX2_ROW(NAME, T, ADD)                                                                     \
  AVX2 INLINE void NAME(                                                                           \
      const ck_forest_lanes *forest, const uint8_t *codes, const int parts, uint8_t *leaf,         \
      T *sums) {                                                                                   \
    __m256i part[1][MOST_PARTS], first[1];                                                         \
    load_parts(codes, parts, part[0]);                                                             \
    const uint8_t *categories[1][CK_FOREST_LANE_CATEGORY_VIEWS];                                   \
    find_categories(forest, codes, categories[0]);                                                 \
    ROW(T, ADD, group_leaves(forest, g, 1, part, parts, categories, first);                        \
        _mm256_storeu_si256((void *)(leaf + g * CK_FOREST_LANES), first[0]))                       \
  }                                                                                                \
  AVX2 INLINE void NAME##s(                                                                        \
      const ck_forest_lanes *forest, const uint8_t *codes, size_t rows, const int parts,           \
      uint8_t *leaf, T *sums) {                                                                    \
    size_t row_leaves = forest->group_count * CK_FOREST_LANES;                                     \
    for (size_t g = 0; g < forest->group_count; g++) {                                             \
      for (size_t row = 0; row < rows; row += PAIR) {                                              \
        /* The last of an odd number is its own pair. */                                           \
        size_t other = row + 1 < rows ? row + 1 : row;                                             \
        __m256i part[PAIR][MOST_PARTS], first[PAIR];                                               \
        const uint8_t *categories[PAIR][CK_FOREST_LANE_CATEGORY_VIEWS];                            \
        load_parts(codes + row * forest->stride, parts, part[0]);                                  \
        load_parts(codes + other * forest->stride, parts, part[1]);                                \
        find_categories(forest, codes + row * forest->stride, categories[0]);                      \
        find_categories(forest, codes + other * forest->stride, categories[1]);                    \
        group_leaves(forest, g, PAIR, part, parts, categories, first);                             \
        for (size_t r = row; r <= other; r++) {                                                    \
          uint8_t *mine = leaf + r * row_leaves;                                                   \
          _mm256_storeu_si256((void *)(mine + g * CK_FOREST_LANES), first[r - row]);               \
          if (forest->is_in_order)                                                                 \
            ADD(forest, mine, g * CK_FOREST_LANES, group_end(forest, g),                           \
                sums + r * forest->sum_stride);                                                    \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
    if (!forest->is_in_order)                                                                      \
      for (size_t row = 0; row < rows; row++)                                                      \
        ADD(forest, leaf + row * row_leaves, 0, forest->tree_count,                                \
            sums + row * forest->sum_stride);                                                      \
  }

AVX2_ROW(avx2_row_f32, float, add_f32)
AVX2_ROW(avx2_row_f64, double, add_f64)

#define AVX2_ROWS(NAME, PARTS, T, ROW)                                                             \
  AVX2 static void NAME(                                                                           \
      const ck_forest_lanes *forest, const uint8_t *codes, size_t rows, uint8_t *leaf, T *sums) {  \
    for (size_t row = 0; row < rows; row += CK_FOREST_LANE_ROWS) {                                 \
      size_t left = rows - row;                                                                    \
      const uint8_t *mine = codes + row * forest->stride;                                          \
      T *sum = sums + row * forest->sum_stride;                                                    \
      if (left == 1)                                                                               \
        ROW(forest, mine, PARTS, leaf, sum);                                                       \
      else                                                                                         \
        ROW##s(forest, mine, left < CK_FOREST_LANE_ROWS ? left : CK_FOREST_LANE_ROWS, PARTS, leaf, \
               sum);                                                                               \
    }                                                                                              \
  }

#define AVX2_FORMS(T, SUFFIX)                                                                      \
  AVX2_ROWS(avx2_rows_1_##SUFFIX, 1, T, avx2_row_##SUFFIX)                                         \
  AVX2_ROWS(avx2_rows_2_##SUFFIX, 2, T, avx2_row_##SUFFIX)                                         \
  AVX2_ROWS(avx2_rows_3_##SUFFIX, 3, T, avx2_row_##SUFFIX)                                         \
  AVX2_ROWS(avx2_rows_4_##SUFFIX, 4, T, avx2_row_##SUFFIX)                                         \
  AVX2_ROWS(avx2_rows_5_##SUFFIX, 5, T, avx2_row_##SUFFIX)                                         \
  AVX2_ROWS(avx2_rows_6_##SUFFIX, 6, T, avx2_row_##SUFFIX)                                         \
  AVX2_ROWS(avx2_rows_7_##SUFFIX, 7, T, avx2_row_##SUFFIX)                                         \
  AVX2_ROWS(avx2_rows_8_##SUFFIX, 8, T, avx2_row_##SUFFIX)

AVX2_FORMS(float, f32)
AVX2_FORMS(double, f64)

#define LANES(NAME, T, SUFFIX)                                                                     \
  void NAME(                                                                                       \
      const ck_forest_lanes *forest, const uint8_t *codes, size_t rows, uint8_t *leaf, T *sums) {  \
    if (!__builtin_cpu_supports("avx2")) {                                                         \
      NAME##_portable(forest, codes, rows, leaf, sums);                                            \
      return;                                                                                      \
    }                                                                                              \
    switch ((forest->threshold_views + 15) / 16) {                                                 \
    case 0:                                                                                        \
    case 1: avx2_rows_1_##SUFFIX(forest, codes, rows, leaf, sums); break;                          \
    case 2: avx2_rows_2_##SUFFIX(forest, codes, rows, leaf, sums); break;                          \
    case 3: avx2_rows_3_##SUFFIX(forest, codes, rows, leaf, sums); break;                          \
    case 4: avx2_rows_4_##SUFFIX(forest, codes, rows, leaf, sums); break;                          \
    case 5: avx2_rows_5_##SUFFIX(forest, codes, rows, leaf, sums); break;                          \
    case 6: avx2_rows_6_##SUFFIX(forest, codes, rows, leaf, sums); break;                          \
    case 7: avx2_rows_7_##SUFFIX(forest, codes, rows, leaf, sums); break;                          \
    default: avx2_rows_8_##SUFFIX(forest, codes, rows, leaf, sums); break;                         \
    }                                                                                              \
  }

#else

#define LANES(NAME, T, SUFFIX)                                                                     \
  void NAME(                                                                                       \
      const ck_forest_lanes *forest, const uint8_t *codes, size_t rows, uint8_t *leaf, T *sums) {  \
    NAME##_portable(forest, codes, rows, leaf, sums);                                              \
  }

#endif

LANES(ck_forest_lanes_f32, float, f32)
LANES(ck_forest_lanes_f64, double, f64)
