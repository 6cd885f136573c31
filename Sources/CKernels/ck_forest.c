#include "ck_forest.h"

#define INLINE static inline __attribute__((always_inline))

// Rows that walk one tree together. Each step of a row waits for the last one's load; eight rows
// keep the load ports busy meanwhile.
enum { GROUP = 8 };

#define BELOW16(T)                                                                                 \
  INLINE uint32_t below16_##T(const T *cuts, T v) {                                                \
    uint32_t below = 0;                                                                            \
    for (int k = 0; k < 16; k++) below += cuts[k] < v;                                             \
    return below;                                                                                  \
  }

BELOW16(float)
BELOW16(double)

#define RANK(NAME, T)                                                                              \
  void NAME(                                                                                       \
      const T *x, ptrdiff_t stride, size_t n, const T *cuts, const uint32_t *levels,               \
      uint32_t level_count, uint32_t nan_rank, uint32_t *rank) {                                   \
    for (size_t i = 0; i < n; i++) {                                                               \
      T v = x[(ptrdiff_t)i * stride];                                                              \
      uint32_t at = 0;                                                                             \
      for (uint32_t level = 0; level < level_count; level++)                                       \
        at = 16 * at + below16_##T(cuts + levels[level] + 16 * (size_t)at, v);                     \
      rank[i] = v != v ? nan_rank : at;                                                            \
    }                                                                                              \
  }

RANK(ck_forest_rank_f32_scalar, float)
RANK(ck_forest_rank_f64, double)

#define RANK8(NAME, T)                                                                             \
  void NAME(                                                                                       \
      const T *x, ptrdiff_t stride, size_t n, const T *grid, uint8_t nan_rank, uint8_t flip,       \
      uint8_t *rank) {                                                                             \
    for (size_t i = 0; i < n; i++) {                                                               \
      T v = x[(ptrdiff_t)i * stride];                                                              \
      uint32_t block = below16_##T(grid, v);                                                       \
      uint32_t at = 16 * block + below16_##T(grid + 16 + 16 * block, v);                           \
      rank[i] = flip ^ (v != v ? nan_rank : (uint8_t)at);                                          \
    }                                                                                              \
  }

RANK8(ck_forest_rank8_f32_scalar, float)
RANK8(ck_forest_rank8_f64, double)

size_t ck_forest_infinite_f32(const float *x, size_t n) {
  uint32_t count = 0;
  for (size_t i = 0; i < n; i++) count += __builtin_fabsf(x[i]) == __builtin_inff();
  return count;
}

void ck_forest_view_u8(const uint32_t *rank, size_t n, const uint8_t *table, uint8_t *out) {
  for (size_t i = 0; i < n; i++) out[i] = table[rank[i]];
}

void ck_forest_view_u16(const uint32_t *rank, size_t n, const uint16_t *table, uint16_t *out) {
  for (size_t i = 0; i < n; i++) out[i] = table[rank[i]];
}

void ck_forest_view8(const uint8_t *rank, size_t n, const uint8_t *table, uint8_t *out) {
  for (size_t i = 0; i < n; i++) out[i] = table[rank[i]];
}

#define WALK(NAME, STORED_T, RANK_T, CUT_T, SUM_T)                                                 \
  INLINE void NAME##_leaves(                                                                       \
      const ck_forest_node *nodes, const ck_forest_tree *tree, const RANK_T *ranks,                \
      uint32_t *at) {                                                                              \
    for (int g = 0; g < GROUP; g++) at[g] = tree->root;                                            \
    uint32_t depth = 0;                                                                            \
    for (; depth < tree->min_depth; depth++) {                                                     \
      for (int g = 0; g < GROUP; g++) {                                                            \
        ck_forest_node node = nodes[at[g]];                                                        \
        at[g] = node.child + (ranks[(size_t)node.view * CK_FOREST_ROWS + g] > (CUT_T)node.cut);    \
      }                                                                                            \
    }                                                                                              \
    for (; depth < tree->max_depth; depth++) {                                                     \
      uint32_t moved = 0;                                                                          \
      for (int g = 0; g < GROUP; g++) {                                                            \
        ck_forest_node node = nodes[at[g]];                                                        \
        uint32_t next = node.child + (ranks[(size_t)node.view * CK_FOREST_ROWS + g] > (CUT_T)node.cut);\
        moved |= next ^ at[g];                                                                     \
        at[g] = next;                                                                              \
      }                                                                                            \
      if (moved == 0) break;                                                                       \
    }                                                                                              \
  }                                                                                                \
                                                                                                   \
  INLINE void NAME##_add(                                                                          \
      ck_forest_aggregate aggregate, const SUM_T *values, const uint32_t *leaf, size_t rows,       \
      SUM_T *sums) {                                                                               \
    for (size_t g = 0; g < rows; g++) {                                                            \
      SUM_T value = values[leaf[g]];                                                               \
      switch (aggregate) {                                                                         \
      case CK_FOREST_SUM: sums[g] += value; break;                                                 \
      case CK_FOREST_MIN: sums[g] = value < sums[g] ? value : sums[g]; break;                      \
      case CK_FOREST_MAX: sums[g] = value > sums[g] ? value : sums[g]; break;                      \
      }                                                                                            \
    }                                                                                              \
  }                                                                                                \
                                                                                                   \
  INLINE void NAME##_add_tree(                                                                     \
      const ck_forest_walk *forest, const ck_forest_tree *tree, const uint32_t *leaf,              \
      size_t rows, SUM_T *sums) {                                                                  \
    const SUM_T *values = forest->values;                                                          \
    if (tree->output >= 0) {                                                                       \
      NAME##_add(                                                                                  \
          forest->aggregate, values, leaf, rows, sums + (size_t)tree->output * CK_FOREST_ROWS);    \
      return;                                                                                      \
    }                                                                                              \
    for (size_t k = 0; k < forest->output_count; k++)                                              \
      NAME##_add(forest->aggregate, values + k, leaf, rows, sums + k * CK_FOREST_ROWS);            \
  }                                                                                                \
                                                                                                   \
  /* One row, GROUP trees side by side; `trees` may be fewer. */                                   \
  INLINE void NAME##_row(                                                                          \
      const ck_forest_walk *forest, const ck_forest_tree *tree, size_t trees,                      \
      const RANK_T *ranks, SUM_T *sums) {                                                          \
    uint32_t at[GROUP], moved;                                                                     \
    for (size_t g = 0; g < trees; g++) at[g] = tree[g].root;                                       \
    do {                                                                                           \
      moved = 0;                                                                                   \
      for (size_t g = 0; g < trees; g++) {                                                         \
        ck_forest_node node = forest->nodes[at[g]];                                                \
        uint32_t next =                                                                            \
            node.child + (ranks[(size_t)node.view * CK_FOREST_ROWS] > (CUT_T)node.cut);            \
        moved |= next ^ at[g];                                                                     \
        at[g] = next;                                                                              \
      }                                                                                            \
    } while (moved != 0);                                                                          \
    for (size_t g = 0; g < trees; g++)                                                             \
      NAME##_add_tree(forest, tree + g, &forest->leaves[at[g]], 1, sums);                          \
  }                                                                                                \
                                                                                                   \
  void NAME(                                                                                       \
      const ck_forest_walk *forest, const STORED_T *stored, size_t rows, SUM_T *sums) {            \
    const RANK_T *ranks = (const RANK_T *)stored;                                                  \
    if (rows < GROUP / 2) {                                                                        \
      for (size_t row = 0; row < rows; row++) {                                                    \
        size_t t = 0;                                                                              \
        for (; t + GROUP <= forest->tree_count; t += GROUP)                                        \
          NAME##_row(forest, forest->trees + t, GROUP, ranks + row, sums + row);                   \
        NAME##_row(forest, forest->trees + t, forest->tree_count - t, ranks + row, sums + row);    \
      }                                                                                            \
      return;                                                                                      \
    }                                                                                              \
    for (size_t t = 0; t < forest->tree_count; t++) {                                              \
      const ck_forest_tree *tree = &forest->trees[t];                                              \
      for (size_t row = 0; row < rows; row += GROUP) {                                             \
        uint32_t at[GROUP], leaf[GROUP];                                                           \
        NAME##_leaves(forest->nodes, tree, ranks + row, at);                                       \
        for (int g = 0; g < GROUP; g++) leaf[g] = forest->leaves[at[g]];                           \
        NAME##_add_tree(forest, tree, leaf, GROUP, sums + row);                                    \
      }                                                                                            \
    }                                                                                              \
  }

WALK(ck_forest_walk_u8_f32, uint8_t, int8_t, int16_t, float)
WALK(ck_forest_walk_u8_f64, uint8_t, int8_t, int16_t, double)
WALK(ck_forest_walk_u16_f32, uint16_t, uint16_t, uint16_t, float)
WALK(ck_forest_walk_u16_f64, uint16_t, uint16_t, uint16_t, double)
