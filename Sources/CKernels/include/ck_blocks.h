#ifndef CK_BLOCKS_H
#define CK_BLOCKS_H

#include "ck_common.h"

// `space` places of one block of `block` channels (8 or 16): out = in * factors + shifts, each rounded.
// `in` and `out` may be the same.
void ck_blocks_affine_f32(
    const float *in, size_t space, size_t block, const float *factors, const float *shifts,
    float *out);
void ck_blocks_affine_f32_scalar(
    const float *in, size_t space, size_t block, const float *factors, const float *shifts,
    float *out);

#endif
