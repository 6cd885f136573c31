#include "ck_forest.h"

#define INLINE static inline __attribute__((always_inline))

// Trees whose leaves are added together, so that sums are loaded and stored once for them.
enum { TOGETHER = 4 };

// The portable form: vectors of 16 bytes, which every compiler makes something of.

typedef int8_t portable_bytes __attribute__((vector_size(16)));
typedef uint8_t portable_unsigned __attribute__((vector_size(16)));

INLINE portable_bytes portable_splat(int8_t byte) { return byte - (portable_bytes){0}; }

INLINE portable_bytes portable_members(
    const uint8_t *set, portable_bytes numbers, portable_bytes bits) {
  portable_bytes words;
  for (int i = 0; i < 16; i++) words[i] = (int8_t)set[numbers[i]];
  return (words & bits) == bits;
}

INLINE portable_bytes portable_earlier(
    portable_bytes first, portable_bytes left, portable_bytes base) {
  portable_bytes lowest = left & -left;
  portable_bytes place = ((lowest & portable_splat((int8_t)0xAA)) != 0) & 1;
  place |= ((lowest & portable_splat((int8_t)0xCC)) != 0) & 2;
  place |= ((lowest & portable_splat((int8_t)0xF0)) != 0) & 4;
  portable_bytes found = (base + place) | (left == 0);
  portable_bytes sooner = (portable_unsigned)found < (portable_unsigned)first;
  return (found & sooner) | (first & ~sooner);
}

#define FORM(name) portable_##name
#define TARGET
#define WIDTH 16
#define VECTORS 8
#define SPLAT portable_splat
#define MEMBERS portable_members
#define EARLIER portable_earlier
#include "ck_forest_masks_form.h"

void ck_forest_masks_f32_portable(
    const ck_forest_masks *forest, const uint8_t *codes, size_t rows, float *sums) {
  portable_f32(forest, codes, rows, sums);
}

void ck_forest_masks_f64_portable(
    const ck_forest_masks *forest, const uint8_t *codes, size_t rows, double *sums) {
  portable_f64(forest, codes, rows, sums);
}

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,popcnt")))

typedef int8_t avx2_bytes __attribute__((vector_size(32)));

AVX2 INLINE avx2_bytes avx2_splat(int8_t byte) { return (avx2_bytes)_mm256_set1_epi8(byte); }

AVX2 INLINE avx2_bytes avx2_members(const uint8_t *set, avx2_bytes numbers, avx2_bytes bits) {
  __m256i words = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)set));
  return ((avx2_bytes)_mm256_shuffle_epi8(words, (__m256i)numbers) & bits) == bits;
}

AVX2 INLINE avx2_bytes avx2_earlier(avx2_bytes first, avx2_bytes left, avx2_bytes base) {
  const __m256i nibble = _mm256_set1_epi8(15);
  // The place of the lowest bit of a nibble; 255 where there is none.
  const __m256i low_place = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(-1, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0));
  const __m256i high_place = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(-1, 4, 5, 4, 6, 4, 5, 4, 7, 4, 5, 4, 6, 4, 5, 4));
  __m256i low = _mm256_shuffle_epi8(low_place, _mm256_and_si256((__m256i)left, nibble));
  __m256i high = _mm256_shuffle_epi8(
      high_place, _mm256_and_si256(_mm256_srli_epi16((__m256i)left, 4), nibble));
  // Adding saturates, so that "none" stays the largest.
  __m256i found = _mm256_adds_epu8(_mm256_min_epu8(low, high), (__m256i)base);
  return (avx2_bytes)_mm256_min_epu8((__m256i)first, found);
}

#define FORM(name) avx2_##name
#define TARGET AVX2
#define WIDTH 32
#define VECTORS 4
#define SPLAT avx2_splat
#define MEMBERS avx2_members
#define EARLIER avx2_earlier
#include "ck_forest_masks_form.h"

static int has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
}

void ck_forest_masks_f32(
    const ck_forest_masks *forest, const uint8_t *codes, size_t rows, float *sums) {
  if (has_avx2())
    avx2_f32(forest, codes, rows, sums);
  else
    portable_f32(forest, codes, rows, sums);
}

void ck_forest_masks_f64(
    const ck_forest_masks *forest, const uint8_t *codes, size_t rows, double *sums) {
  if (has_avx2())
    avx2_f64(forest, codes, rows, sums);
  else
    portable_f64(forest, codes, rows, sums);
}

#else

void ck_forest_masks_f32(
    const ck_forest_masks *forest, const uint8_t *codes, size_t rows, float *sums) {
  portable_f32(forest, codes, rows, sums);
}

void ck_forest_masks_f64(
    const ck_forest_masks *forest, const uint8_t *codes, size_t rows, double *sums) {
  portable_f64(forest, codes, rows, sums);
}

#endif
