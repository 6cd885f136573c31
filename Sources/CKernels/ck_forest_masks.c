#include "ck_forest.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,popcnt")))
#define INLINE static inline __attribute__((always_inline))

int ck_forest_has_masks(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
}

// How many of sixteen are below v: sixteen bits of comparison packed to pairs of mask bits.
AVX2 INLINE unsigned below16(const float *cuts, __m256 v) {
  __m256 low = _mm256_cmp_ps(_mm256_loadu_ps(cuts), v, _CMP_LT_OQ);
  __m256 high = _mm256_cmp_ps(_mm256_loadu_ps(cuts + 8), v, _CMP_LT_OQ);
  __m256i both = _mm256_packs_epi32(_mm256_castps_si256(low), _mm256_castps_si256(high));
  return (unsigned)_mm_popcnt_u32((unsigned)_mm256_movemask_epi8(both)) / 2;
}

AVX2 static void rank_avx2(
    const float *x, ptrdiff_t stride, size_t n, const float *cuts, const uint32_t *levels,
    uint32_t level_count, uint32_t nan_rank, uint32_t *rank) {
  for (size_t i = 0; i < n; i++) {
    float value = x[(ptrdiff_t)i * stride];
    __m256 v = _mm256_set1_ps(value);
    uint32_t at = 0;
    for (uint32_t level = 0; level < level_count; level++)
      at = 16 * at + below16(cuts + levels[level] + 16 * (size_t)at, v);
    rank[i] = value != value ? nan_rank : at;
  }
}

void ck_forest_rank_f32(
    const float *x, ptrdiff_t stride, size_t n, const float *cuts, const uint32_t *levels,
    uint32_t level_count, uint32_t nan_rank, uint32_t *rank) {
  if (ck_forest_has_masks())
    rank_avx2(x, stride, n, cuts, levels, level_count, nan_rank, rank);
  else
    ck_forest_rank_f32_scalar(x, stride, n, cuts, levels, level_count, nan_rank, rank);
}

AVX2 static void rank8_avx2(
    const float *x, ptrdiff_t stride, size_t n, const float *grid, uint8_t nan_rank, uint8_t flip,
    uint8_t *rank) {
  for (size_t i = 0; i < n; i++) {
    float value = x[(ptrdiff_t)i * stride];
    __m256 v = _mm256_set1_ps(value);
    unsigned block = below16(grid, v);
    uint8_t at = (uint8_t)(16 * block + below16(grid + 16 + 16 * block, v));
    rank[i] = flip ^ (value != value ? nan_rank : at);
  }
}

void ck_forest_rank8_f32(
    const float *x, ptrdiff_t stride, size_t n, const float *grid, uint8_t nan_rank, uint8_t flip,
    uint8_t *rank) {
  if (ck_forest_has_masks())
    rank8_avx2(x, stride, n, grid, nan_rank, flip, rank);
  else
    ck_forest_rank8_f32_scalar(x, stride, n, grid, nan_rank, flip, rank);
}

// The leaves of one tree for 32 * VECTORS rows.
//
// Each entry costs a comparison, an or and an and for 32 rows; its two broadcasts are shared by the
// vectors.
AVX2 INLINE void leaves(
    const ck_forest_masks *forest, const ck_forest_mask_tree *tree, const uint8_t *ranks,
    const int vectors, uint8_t *leaf) {
  const __m256i nibble = _mm256_set1_epi8(15);
  // The place of the lowest bit of a nibble; 255 where there is none.
  const __m256i low_place = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(-1, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0));
  const __m256i high_place = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(-1, 4, 5, 4, 6, 4, 5, 4, 7, 4, 5, 4, 6, 4, 5, 4));
  __m256i first[4];
  for (int v = 0; v < vectors; v++) first[v] = _mm256_set1_epi8(-1);
  const uint32_t *ends = forest->ends + tree->first_slice;
  for (uint32_t slice = 0; slice < tree->slice_count; slice++) {
    __m256i left[4];
    for (int v = 0; v < vectors; v++) left[v] = _mm256_set1_epi8(-1);
    const ck_forest_mask *end = forest->masks + ends[slice + 1];
    for (const ck_forest_mask *mask = forest->masks + ends[slice]; mask < end; mask++) {
      const __m256i *rank =
          (const __m256i *)(const void *)(ranks + (size_t)mask->view * CK_FOREST_ROWS);
      __m256i bound = _mm256_set1_epi8(mask->bound);
      __m256i keep = _mm256_set1_epi8((char)mask->keep);
      for (int v = 0; v < vectors; v++) {
        __m256i stays = _mm256_cmpgt_epi8(bound, _mm256_loadu_si256(rank + v));
        left[v] = _mm256_and_si256(left[v], _mm256_or_si256(stays, keep));
      }
    }
    __m256i base = _mm256_set1_epi8((char)(8 * slice));
    for (int v = 0; v < vectors; v++) {
      __m256i low = _mm256_shuffle_epi8(low_place, _mm256_and_si256(left[v], nibble));
      __m256i high = _mm256_shuffle_epi8(
          high_place, _mm256_and_si256(_mm256_srli_epi16(left[v], 4), nibble));
      // Adding saturates, so that "none" stays the largest.
      first[v] = _mm256_min_epu8(first[v], _mm256_adds_epu8(_mm256_min_epu8(low, high), base));
    }
  }
  for (int v = 0; v < vectors; v++)
    _mm256_storeu_si256((__m256i *)(void *)leaf + v, first[v]);
}

// Trees whose leaves are added together, so that sums are loaded and stored once for them.
enum { TOGETHER = 4 };

#define MASKS(NAME, T)                                                                             \
  AVX2 INLINE void NAME##_rows(                                                                    \
      const ck_forest_masks *forest, const uint8_t *ranks, const int vectors, T *sums) {           \
    const T *values = forest->values;                                                              \
    uint8_t leaf[TOGETHER][CK_FOREST_ROWS];                                                        \
    const int rows = 32 * vectors;                                                                 \
    size_t t = 0;                                                                                  \
    while (t < forest->tree_count) {                                                               \
      const ck_forest_mask_tree *tree = &forest->trees[t];                                         \
      if (t + TOGETHER <= forest->tree_count && tree[0].output >= 0 &&                             \
          tree[0].output == tree[1].output && tree[0].output == tree[2].output &&                  \
          tree[0].output == tree[3].output) {                                                      \
        for (int k = 0; k < TOGETHER; k++) leaves(forest, tree + k, ranks, vectors, leaf[k]);      \
        T *sum = sums + (size_t)tree->output * CK_FOREST_ROWS;                                     \
        const T *v0 = values + tree[0].values, *v1 = values + tree[1].values;                      \
        const T *v2 = values + tree[2].values, *v3 = values + tree[3].values;                      \
        for (int r = 0; r < rows; r++)                                                             \
          sum[r] = (((sum[r] + v0[leaf[0][r]]) + v1[leaf[1][r]]) + v2[leaf[2][r]]) +               \
                   v3[leaf[3][r]];                                                                 \
        t += TOGETHER;                                                                             \
        continue;                                                                                  \
      }                                                                                            \
      leaves(forest, tree, ranks, vectors, leaf[0]);                                               \
      if (tree->output >= 0) {                                                                     \
        T *sum = sums + (size_t)tree->output * CK_FOREST_ROWS;                                     \
        const T *v = values + tree->values;                                                        \
        for (int r = 0; r < rows; r++) sum[r] += v[leaf[0][r]];                                    \
      } else {                                                                                     \
        for (size_t k = 0; k < forest->output_count; k++) {                                        \
          T *sum = sums + k * CK_FOREST_ROWS;                                                      \
          const T *v = values + tree->values + k;                                                  \
          for (int r = 0; r < rows; r++) sum[r] += v[leaf[0][r] * forest->output_count];           \
        }                                                                                          \
      }                                                                                            \
      t++;                                                                                         \
    }                                                                                              \
  }                                                                                                \
                                                                                                   \
  AVX2 void NAME(                                                                                  \
      const ck_forest_masks *forest, const uint8_t *ranks, size_t rows, T *sums) {                 \
    if (rows > 64)                                                                                 \
      NAME##_rows(forest, ranks, 4, sums);                                                         \
    else if (rows > 32)                                                                            \
      NAME##_rows(forest, ranks, 2, sums);                                                         \
    else                                                                                           \
      NAME##_rows(forest, ranks, 1, sums);                                                         \
  }

MASKS(ck_forest_masks_f32, float)
MASKS(ck_forest_masks_f64, double)

#else

int ck_forest_has_masks(void) { return 0; }

void ck_forest_rank_f32(
    const float *x, ptrdiff_t stride, size_t n, const float *cuts, const uint32_t *levels,
    uint32_t level_count, uint32_t nan_rank, uint32_t *rank) {
  ck_forest_rank_f32_scalar(x, stride, n, cuts, levels, level_count, nan_rank, rank);
}

void ck_forest_rank8_f32(
    const float *x, ptrdiff_t stride, size_t n, const float *grid, uint8_t nan_rank, uint8_t flip,
    uint8_t *rank) {
  ck_forest_rank8_f32_scalar(x, stride, n, grid, nan_rank, flip, rank);
}

void ck_forest_masks_f32(
    const ck_forest_masks *forest, const uint8_t *ranks, size_t rows, float *sums) {
  (void)forest, (void)ranks, (void)rows, (void)sums;
  __builtin_trap();
}

void ck_forest_masks_f64(
    const ck_forest_masks *forest, const uint8_t *ranks, size_t rows, double *sums) {
  (void)forest, (void)ranks, (void)rows, (void)sums;
  __builtin_trap();
}

#endif
