#include "ck_blocks.h"

#include "ck_twins.h"

CK_INLINE void affine(
    const float *in, size_t space, size_t block, const float *factors, const float *shifts,
    float *out) {
  for (size_t i = 0; i < space; i++) {
    for (size_t j = 0; j < block; j++) out[i * block + j] = in[i * block + j] * factors[j] + shifts[j];
  }
}

CK_INLINE void ck_blocks_affine_f32_body(
    const float *in, size_t space, size_t block, const float *factors, const float *shifts,
    float *out) {
  float own[2][16];
  for (size_t j = 0; j < block && j < 16; j++) own[0][j] = factors[j], own[1][j] = shifts[j];
  // A constant each, so that a block is one register.
  if (block == 8) {
    affine(in, space, 8, own[0], own[1], out);
  } else {
    affine(in, space, block, own[0], own[1], out);
  }
}
CK_TWINS(
    ck_blocks_affine_f32,
    (const float *in, size_t space, size_t block, const float *factors, const float *shifts,
     float *out),
    (in, space, block, factors, shifts, out))
