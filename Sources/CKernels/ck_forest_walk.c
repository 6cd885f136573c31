#include "ck_forest.h"

#define INLINE static inline __attribute__((always_inline))

// Levels that a row goes before it is asked whether it has arrived.
enum { LEVELS = 4 };
// Trees no deeper than this are walked to their depth without asking.
enum { STRAIGHT = 8 };
// Rows or trees side by side, to hide what loads take.
enum { TOGETHER = 12 };
// Fewer rows than these walk many trees at once, for want of rows to go side by side.
enum { FEW_ROWS = 64 };

#define FORM(name) narrow_##name
#define NODE ck_forest_narrow_node
#define CODE int8_t
#define STEP(node, x) ((uint32_t)node.child + (x[node.view] > node.cut))
#include "ck_forest_walk_form.h"

#define FORM(name) float_##name
#define NODE ck_forest_float_node
#define CODE float
#define STEP(node, x) ((uint32_t)node.child + (x[node.view] > node.threshold))
#include "ck_forest_walk_form.h"

INLINE uint32_t wide_step(const uint32_t *sets, ck_forest_wide_node node, const uint16_t *x) {
  uint32_t code = x[node.view];
  return node.child + ((code > node.cut) | (sets[node.set + code / 32] >> code % 32 & 1));
}

#define FORM(name) wide_##name
#define NODE ck_forest_wide_node
#define CODE uint16_t
#define STEP(node, x) wide_step(forest->sets, node, x)
#include "ck_forest_walk_form.h"

typedef void find_rows(
    const ck_forest_walk *forest, const ck_forest_tree *tree, const void *codes, size_t rows,
    uint32_t *leaf);
typedef void find_pairs(
    const ck_forest_walk *forest, const ck_forest_tree *trees, size_t tree_count,
    const void *codes, size_t rows, uint32_t *leaf);

#define ADD(T)                                                                                     \
  INLINE void keep_##T(ck_forest_aggregate aggregate, T value, T *sum) {                           \
    switch (aggregate) {                                                                           \
    case CK_FOREST_SUM: *sum += value; break;                                                      \
    case CK_FOREST_MIN: *sum = value < *sum ? value : *sum; break;                                 \
    case CK_FOREST_MAX: *sum = value > *sum ? value : *sum; break;                                 \
    }                                                                                              \
  }                                                                                                \
                                                                                                   \
  INLINE void add_leaf_##T(                                                                        \
      const ck_forest_walk *forest, const ck_forest_tree *tree, uint32_t leaf, T *sums) {          \
    const T *values = (const T *)forest->values + leaf;                                            \
    if (tree->output >= 0) {                                                                       \
      keep_##T(forest->aggregate, *values, sums + tree->output);                                   \
      return;                                                                                      \
    }                                                                                              \
    for (size_t k = 0; k < forest->sum_stride; k++)                                                \
      keep_##T(forest->aggregate, values[k], sums + k);                                            \
  }                                                                                                \
                                                                                                   \
  static void add_rows_##T(                                                                        \
      const ck_forest_walk *forest, const ck_forest_tree *tree, const uint32_t *leaf, size_t rows, \
      T *sums) {                                                                                   \
    const T *values = forest->values;                                                              \
    size_t stride = forest->sum_stride;                                                            \
    if (forest->aggregate != CK_FOREST_SUM) {                                                      \
      for (size_t r = 0; r < rows; r++) add_leaf_##T(forest, tree, leaf[r], sums + r * stride);    \
    } else if (tree->output >= 0) {                                                                \
      T *sum = sums + tree->output;                                                                \
      for (size_t r = 0; r < rows; r++) sum[r * stride] += values[leaf[r]];                        \
    } else {                                                                                       \
      /* Vectors are filled up to whole fours. */                                                  \
      for (size_t r = 0; r < rows; r++) {                                                          \
        const T *value = values + leaf[r];                                                         \
        T *sum = sums + r * stride;                                                                \
        for (size_t k = 0; k < stride; k += 4)                                                     \
          for (size_t i = k; i < k + 4; i++) sum[i] += value[i];                                   \
      }                                                                                            \
    }                                                                                              \
  }                                                                                                \
                                                                                                   \
  static void walk_##T(                                                                            \
      const ck_forest_walk *forest, const char *codes, size_t size, size_t rows, T *sums,          \
      find_rows find_rows, find_pairs find_pairs) {                                                \
    uint32_t leaf[CK_FOREST_WALK_ROWS];                                                            \
    if (rows == 0) return;                                                                         \
    if (rows < FEW_ROWS) {                                                                         \
      size_t most = CK_FOREST_WALK_ROWS / rows;                                                    \
      for (size_t t = 0; t < forest->tree_count; t += most) {                                      \
        size_t count = forest->tree_count - t < most ? forest->tree_count - t : most;              \
        find_pairs(forest, forest->trees + t, count, codes, rows, leaf);                           \
        for (size_t i = 0; i < count; i++)                                                         \
          add_rows_##T(forest, forest->trees + t + i, leaf + i * rows, rows, sums);                \
      }                                                                                            \
      return;                                                                                      \
    }                                                                                              \
    for (size_t first = 0; first < rows; first += CK_FOREST_WALK_ROWS) {                           \
      size_t left = rows - first;                                                                  \
      size_t count = left < CK_FOREST_WALK_ROWS ? left : CK_FOREST_WALK_ROWS;                      \
      for (size_t t = 0; t < forest->tree_count; t++) {                                            \
        const ck_forest_tree *tree = forest->trees + t;                                            \
        find_rows(forest, tree, codes + first * forest->stride * size, count, leaf);               \
        add_rows_##T(forest, tree, leaf, count, sums + first * forest->sum_stride);                \
      }                                                                                            \
    }                                                                                              \
  }

ADD(float)
ADD(double)

#define WALK(NAME, KIND, CODE, T)                                                                  \
  void NAME(const ck_forest_walk *forest, const CODE *codes, size_t rows, T *sums) {               \
    walk_##T(                                                                                      \
        forest, (const char *)codes, sizeof(CODE), rows, sums, KIND##_rows, KIND##_pairs);         \
  }

WALK(ck_forest_walk_narrow_f32, narrow, int8_t, float)
WALK(ck_forest_walk_narrow_f64, narrow, int8_t, double)
WALK(ck_forest_walk_float_f32, float, float, float)
WALK(ck_forest_walk_float_f64, float, float, double)
WALK(ck_forest_walk_wide_f32, wide, uint16_t, float)
WALK(ck_forest_walk_wide_f64, wide, uint16_t, double)
