#include "ck_forest.h"

#define INLINE static inline __attribute__((always_inline))

// What the leaves of the lanes add to a row's sums, tree after tree.
#define ADD(NAME, T)                                                                               \
  static void NAME(const ck_forest_lanes *forest, const uint8_t *leaf, T *sums) {                  \
    const T *values = forest->values;                                                              \
    size_t stride = forest->sum_stride;                                                            \
    size_t t = 0;                                                                                  \
    while (t < forest->tree_count) {                                                               \
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
      } while (t < forest->tree_count && forest->trees[t].output == output);                       \
      sums[output] = sum;                                                                          \
    }                                                                                              \
  }

ADD(add_f32, float)
ADD(add_f64, double)

static void portable_leaves(const ck_forest_lanes *forest, const uint8_t *codes, uint8_t *leaf) {
  for (size_t g = 0; g < forest->group_count; g++) {
    const ck_forest_lane_group *group = &forest->groups[g];
    const uint32_t *ends = forest->ends + group->first_slice;
    for (int lane = 0; lane < CK_FOREST_LANES; lane++) {
      uint8_t first = 255;
      for (uint32_t slice = 0; slice < group->slice_count && first == 255; slice++) {
        uint8_t left = 255;
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
}

#define PORTABLE(NAME, T, ADD)                                                                     \
  void NAME(                                                                                       \
      const ck_forest_lanes *forest, const uint8_t *codes, size_t rows, uint8_t *leaf, T *sums) {  \
    for (size_t row = 0; row < rows; row++) {                                                      \
      portable_leaves(forest, codes + row * forest->stride, leaf);                                 \
      ADD(forest, leaf, sums + row * forest->sum_stride);                                          \
    }                                                                                              \
  }

PORTABLE(ck_forest_lanes_f32_portable, float, add_f32)
PORTABLE(ck_forest_lanes_f64_portable, double, add_f64)

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,popcnt")))

// The leaves of all lanes for a row of at most 16 * parts codes.
//
// Codes are looked up sixteen at a time. Part k of the row is kept as its difference (exclusive or)
// from part k - 1, and looked up at view - 16 k: a shuffle gives 0 for negative places, so that
// for a view in part k just the differences 0 to k add up, which is part k.
AVX2 INLINE void leaves(
    const ck_forest_lanes *forest, const uint8_t *codes, const int parts, uint8_t *leaf) {
  __m256i part[CK_FOREST_LANE_VIEWS / 16];
  __m128i last = _mm_setzero_si128();
  for (int k = 0; k < parts; k++) {
    __m128i now = _mm_loadu_si128((const void *)(codes + 16 * k));
    part[k] = _mm256_broadcastsi128_si256(_mm_xor_si128(now, last));
    last = now;
  }
  const __m256i nibble = _mm256_set1_epi8(15), sixteen = _mm256_set1_epi8(16);
  const __m256i low_place = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(-1, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0));
  const __m256i high_place = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(-1, 4, 5, 4, 6, 4, 5, 4, 7, 4, 5, 4, 6, 4, 5, 4));
  for (size_t g = 0; g < forest->group_count; g++) {
    const ck_forest_lane_group *group = &forest->groups[g];
    const uint32_t *ends = forest->ends + group->first_slice;
    __m256i first = _mm256_set1_epi8(-1);
    for (uint32_t slice = 0; slice < group->slice_count; slice++) {
      __m256i left = _mm256_set1_epi8(-1);
      const ck_forest_lane_step *end = forest->steps + ends[slice + 1];
      for (const ck_forest_lane_step *step = forest->steps + ends[slice]; step < end; step++) {
        __m256i view = _mm256_load_si256((const void *)step->view);
        __m256i rank = _mm256_shuffle_epi8(part[0], view);
        for (int k = 1; k < parts; k++) {
          view = _mm256_sub_epi8(view, sixteen);
          rank = _mm256_xor_si256(rank, _mm256_shuffle_epi8(part[k], view));
        }
        rank = _mm256_xor_si256(rank, _mm256_load_si256((const void *)step->flip));
        __m256i near = _mm256_cmpgt_epi8(_mm256_load_si256((const void *)step->bound), rank);
        __m256i keep = _mm256_load_si256((const void *)step->keep);
        left = _mm256_and_si256(left, _mm256_or_si256(near, keep));
      }
      __m256i low = _mm256_shuffle_epi8(low_place, _mm256_and_si256(left, nibble));
      __m256i high = _mm256_shuffle_epi8(
          high_place, _mm256_and_si256(_mm256_srli_epi16(left, 4), nibble));
      __m256i base = _mm256_set1_epi8((char)(8 * slice));
      first = _mm256_min_epu8(first, _mm256_adds_epu8(_mm256_min_epu8(low, high), base));
    }
    _mm256_storeu_si256((void *)(leaf + g * CK_FOREST_LANES), first);
  }
}

// A view past part 0 sees its own place first, which a shuffle takes modulo 16: part 0's place for
// it must not be negative. Hence views are below 128.
AVX2 static void avx2_leaves(const ck_forest_lanes *forest, const uint8_t *codes, uint8_t *leaf) {
  switch (forest->stride / 16) {
  case 1: leaves(forest, codes, 1, leaf); break;
  case 2: leaves(forest, codes, 2, leaf); break;
  case 3: leaves(forest, codes, 3, leaf); break;
  default: leaves(forest, codes, 4, leaf); break;
  }
}

#define LANES(NAME, T, ADD)                                                                        \
  void NAME(                                                                                       \
      const ck_forest_lanes *forest, const uint8_t *codes, size_t rows, uint8_t *leaf, T *sums) {  \
    if (!__builtin_cpu_supports("avx2")) {                                                         \
      NAME##_portable(forest, codes, rows, leaf, sums);                                            \
      return;                                                                                      \
    }                                                                                              \
    for (size_t row = 0; row < rows; row++) {                                                      \
      avx2_leaves(forest, codes + row * forest->stride, leaf);                                     \
      ADD(forest, leaf, sums + row * forest->sum_stride);                                          \
    }                                                                                              \
  }

#else

#define LANES(NAME, T, ADD)                                                                        \
  void NAME(                                                                                       \
      const ck_forest_lanes *forest, const uint8_t *codes, size_t rows, uint8_t *leaf, T *sums) {  \
    NAME##_portable(forest, codes, rows, leaf, sums);                                              \
  }

#endif

LANES(ck_forest_lanes_f32, float, add_f32)
LANES(ck_forest_lanes_f64, double, add_f64)
