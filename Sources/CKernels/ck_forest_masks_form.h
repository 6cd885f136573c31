// One form of the masks. The includer defines FORM(name), TARGET, WIDTH (rows, and bytes, of a
// vector), VECTORS (of a block), and in terms of `bytes`, a vector of signed bytes:
// SPLAT(byte), MEMBERS(set, numbers, bits) (-1 where the row's bit is set in its byte of the set)
// and EARLIER(first, left, base) (the lesser of `first` and `base` + the place of the lowest bit of
// `left`, as unsigned bytes, where there is one).

// The leaves of one tree for WIDTH * vectors rows.
//
// Each entry costs a comparison, an or and an and for a vector; its two broadcasts are shared by
// the vectors.
TARGET INLINE void FORM(leaves)(
    const ck_forest_masks *forest, const ck_forest_mask_tree *tree, const uint8_t *codes,
    const int vectors, uint8_t *leaf) {
  FORM(bytes) first[VECTORS];
  for (int v = 0; v < vectors; v++) first[v] = SPLAT(-1);
  const ck_forest_mask_ends *ends = forest->ends + tree->first_slice;
  for (uint32_t slice = 0; slice < tree->slice_count; slice++) {
    FORM(bytes) left[VECTORS];
    for (int v = 0; v < vectors; v++) left[v] = SPLAT(-1);
    const ck_forest_mask *mask = forest->masks + ends[slice].right;
    const ck_forest_mask *end = forest->masks + ends[slice + 1].left;
    for (; mask < end; mask++) {
      const FORM(bytes) *rank = (const void *)(codes + (size_t)mask->view * CK_FOREST_ROWS);
      FORM(bytes) bound = SPLAT(mask->bound), keep = SPLAT((int8_t)mask->keep);
      for (int v = 0; v < vectors; v++) left[v] &= (bound > rank[v]) | keep;
    }
    end = forest->masks + ends[slice + 1].right;
    for (; mask < end; mask++) {
      const FORM(bytes) *rank = (const void *)(codes + (size_t)mask->view * CK_FOREST_ROWS);
      FORM(bytes) bound = SPLAT(mask->bound), gone = SPLAT((int8_t)~mask->keep);
      for (int v = 0; v < vectors; v++) left[v] &= ~((bound > rank[v]) & gone);
    }
    const ck_forest_set_mask *set = forest->set_masks + ends[slice].sets;
    const ck_forest_set_mask *set_end = forest->set_masks + ends[slice + 1].sets;
    for (; set < set_end; set++) {
      const FORM(bytes) *numbers = (const void *)(codes + (size_t)set->view * CK_FOREST_ROWS);
      const FORM(bytes) *bits = (const void *)(codes + ((size_t)set->view + 1) * CK_FOREST_ROWS);
      FORM(bytes) keep = SPLAT((int8_t)set->keep);
      for (int v = 0; v < vectors; v++)
        left[v] &= MEMBERS(forest->sets + set->set, numbers[v], bits[v]) | keep;
    }
    FORM(bytes) base = SPLAT((int8_t)(8 * slice));
    for (int v = 0; v < vectors; v++) first[v] = EARLIER(first[v], left[v], base);
  }
  for (int v = 0; v < vectors; v++) ((FORM(bytes) *)(void *)leaf)[v] = first[v];
}

#define MASKS(BLOCK, NAME, T)                                                                      \
  TARGET INLINE void BLOCK(                                                                        \
      const ck_forest_masks *forest, const uint8_t *codes, const int vectors, size_t rows,         \
      T *sums) {                                                                                   \
    const T *values = forest->values;                                                              \
    uint8_t leaf[TOGETHER][CK_FOREST_ROWS] __attribute__((aligned(64)));                           \
    size_t stride = forest->sum_stride;                                                            \
    size_t t = 0;                                                                                  \
    while (t < forest->tree_count) {                                                               \
      const ck_forest_mask_tree *tree = &forest->trees[t];                                         \
      if (t + TOGETHER <= forest->tree_count && tree[0].output >= 0 &&                             \
          tree[0].output == tree[1].output && tree[0].output == tree[2].output &&                  \
          tree[0].output == tree[3].output) {                                                      \
        for (int k = 0; k < TOGETHER; k++)                                                         \
          FORM(leaves)(forest, tree + k, codes, vectors, leaf[k]);                                 \
        T *sum = sums + tree->output;                                                              \
        const T *v0 = values + tree[0].values, *v1 = values + tree[1].values;                      \
        const T *v2 = values + tree[2].values, *v3 = values + tree[3].values;                      \
        for (size_t r = 0; r < rows; r++)                                                          \
          sum[r * stride] =                                                                        \
              (((sum[r * stride] + v0[leaf[0][r]]) + v1[leaf[1][r]]) + v2[leaf[2][r]]) +           \
              v3[leaf[3][r]];                                                                      \
        t += TOGETHER;                                                                             \
      } else {                                                                                     \
        FORM(leaves)(forest, tree, codes, vectors, leaf[0]);                                       \
        if (tree->output >= 0) {                                                                   \
          T *sum = sums + tree->output;                                                            \
          const T *v = values + tree->values;                                                      \
          for (size_t r = 0; r < rows; r++) sum[r * stride] += v[leaf[0][r]];                      \
        } else {                                                                                   \
          for (size_t r = 0; r < rows; r++) {                                                      \
            T *sum = sums + r * stride;                                                            \
            const T *v = values + tree->values + leaf[0][r] * stride;                              \
            for (size_t k = 0; k < stride; k += 4)                                                 \
              for (size_t i = k; i < k + 4; i++) sum[i] += v[i];                                   \
          }                                                                                        \
        }                                                                                          \
        t++;                                                                                       \
      }                                                                                            \
    }                                                                                              \
  }                                                                                                \
                                                                                                   \
  TARGET static void NAME(                                                                         \
      const ck_forest_masks *forest, const uint8_t *codes, size_t rows, T *sums) {                 \
    if (rows > CK_FOREST_ROWS / 2)                                                                 \
      BLOCK(forest, codes, VECTORS, rows, sums);                                                   \
    else if (rows > CK_FOREST_ROWS / 4)                                                            \
      BLOCK(forest, codes, VECTORS / 2, rows, sums);                                               \
    else                                                                                           \
      BLOCK(forest, codes, VECTORS / 4, rows, sums);                                               \
  }

MASKS(FORM(block_f32), FORM(f32), float)
MASKS(FORM(block_f64), FORM(f64), double)

#undef MASKS
#undef FORM
#undef TARGET
#undef WIDTH
#undef VECTORS
#undef SPLAT
#undef MEMBERS
#undef EARLIER
