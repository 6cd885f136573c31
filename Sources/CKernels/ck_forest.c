#include "ck_forest.h"

// Ranks by a branchless binary search: the number of steps depends on `count` alone, so several
// rows are in flight at once.
#define RANK(NAME, T)                                                                              \
  void NAME(                                                                                       \
      const T *x, ptrdiff_t stride, size_t n, const T *cuts, uint32_t count, uint32_t *rank) {     \
    for (size_t i = 0; i < n; i++) {                                                               \
      T v = x[(ptrdiff_t)i * stride];                                                              \
      const T *base = cuts;                                                                        \
      uint32_t left = count;                                                                       \
      while (left > 1) {                                                                           \
        uint32_t half = left / 2;                                                                  \
        base += base[half - 1] < v ? half : 0;                                                     \
        left -= half;                                                                              \
      }                                                                                            \
      uint32_t r = (uint32_t)(base - cuts) + (count != 0 && base[0] < v);                          \
      rank[i] = v != v ? count + 1 : r;                                                            \
    }                                                                                              \
  }

RANK(ck_forest_rank_f32, float)
RANK(ck_forest_rank_f64, double)

void ck_forest_view_u8(const uint32_t *rank, size_t n, const uint8_t *table, uint8_t *out) {
  for (size_t i = 0; i < n; i++) out[i] = table[rank[i]];
}

void ck_forest_view_u16(const uint32_t *rank, size_t n, const uint16_t *table, uint16_t *out) {
  for (size_t i = 0; i < n; i++) out[i] = table[rank[i]];
}

#define INLINE static inline __attribute__((always_inline))

// Rows that walk one tree together. Each step of a row waits for the last one's load; eight rows
// keep the load ports busy meanwhile.
enum { GROUP = 8 };

#define WALK(NAME, RANK_T, SUM_T)                                                                  \
  INLINE void NAME##_leaves(                                                                       \
      const ck_forest_node *nodes, const ck_forest_tree *tree, const RANK_T *ranks,                \
      uint32_t *at) {                                                                              \
    for (int g = 0; g < GROUP; g++) at[g] = tree->root;                                            \
    uint32_t depth = 0;                                                                            \
    for (; depth < tree->min_depth; depth++) {                                                     \
      for (int g = 0; g < GROUP; g++) {                                                            \
        ck_forest_node node = nodes[at[g]];                                                        \
        at[g] = node.child + (ranks[(size_t)node.view * CK_FOREST_ROWS + g] > node.cut);           \
      }                                                                                            \
    }                                                                                              \
    for (; depth < tree->max_depth; depth++) {                                                     \
      uint32_t moved = 0;                                                                          \
      for (int g = 0; g < GROUP; g++) {                                                            \
        ck_forest_node node = nodes[at[g]];                                                        \
        uint32_t next = node.child + (ranks[(size_t)node.view * CK_FOREST_ROWS + g] > node.cut);   \
        moved |= next ^ at[g];                                                                     \
        at[g] = next;                                                                              \
      }                                                                                            \
      if (moved == 0) break;                                                                       \
    }                                                                                              \
  }                                                                                                \
                                                                                                   \
  INLINE void NAME##_add(                                                                          \
      ck_forest_aggregate aggregate, const SUM_T *values, const uint32_t *leaf, SUM_T *sums) {     \
    for (int g = 0; g < GROUP; g++) {                                                              \
      SUM_T value = values[leaf[g]];                                                               \
      switch (aggregate) {                                                                         \
      case CK_FOREST_SUM: sums[g] += value; break;                                                 \
      case CK_FOREST_MIN: sums[g] = value < sums[g] ? value : sums[g]; break;                      \
      case CK_FOREST_MAX: sums[g] = value > sums[g] ? value : sums[g]; break;                      \
      }                                                                                            \
    }                                                                                              \
  }                                                                                                \
                                                                                                   \
  void NAME(const ck_forest_walk *forest, const RANK_T *ranks, size_t rows, SUM_T *sums) {         \
    for (size_t t = 0; t < forest->tree_count; t++) {                                              \
      const ck_forest_tree *tree = &forest->trees[t];                                              \
      for (size_t row = 0; row < rows; row += GROUP) {                                             \
        uint32_t at[GROUP], leaf[GROUP];                                                           \
        NAME##_leaves(forest->nodes, tree, ranks + row, at);                                       \
        for (int g = 0; g < GROUP; g++) leaf[g] = forest->leaves[at[g]];                           \
        if (tree->output >= 0) {                                                                   \
          NAME##_add(                                                                              \
              forest->aggregate, forest->values, leaf,                                             \
              sums + (size_t)tree->output * CK_FOREST_ROWS + row);                                 \
          continue;                                                                                \
        }                                                                                          \
        for (size_t k = 0; k < forest->output_count; k++) {                                        \
          NAME##_add(                                                                              \
              forest->aggregate, (const SUM_T *)forest->values + k, leaf,                          \
              sums + k * CK_FOREST_ROWS + row);                                                    \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }

WALK(ck_forest_walk_u8_f32, uint8_t, float)
WALK(ck_forest_walk_u8_f64, uint8_t, double)
WALK(ck_forest_walk_u16_f32, uint16_t, float)
WALK(ck_forest_walk_u16_f64, uint16_t, double)
