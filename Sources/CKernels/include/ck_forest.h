#ifndef CK_FOREST_H
#define CK_FOREST_H

#include "ck_common.h"

// Decision forests over ranks.
//
// Every feature value is first replaced by its rank among the thresholds that the forest holds for
// that feature (how many are smaller), so that a split is one comparison of small integers, whatever
// the source's type, comparison, missing rule or category set was: those live in a table from rank
// to what a split sees (a "view"). Ranks are exact: no value is rounded.
//
// Rows are scored in blocks. Ranks lie view by view, CK_FOREST_ROWS rows each:
// `ranks[view * CK_FOREST_ROWS + row]`; sums lie output by output likewise. A row's sum takes its
// trees in order, so it depends neither on its place in the block nor on the kernel.

enum { CK_FOREST_ROWS = 128 };

// rank[i] = how many of `cuts` (ascending) are below x[i * stride]; count + 1 where x is NaN.
void ck_forest_rank_f32(
    const float *x, ptrdiff_t stride, size_t n, const float *cuts, uint32_t count, uint32_t *rank);
void ck_forest_rank_f64(
    const double *x, ptrdiff_t stride, size_t n, const double *cuts, uint32_t count,
    uint32_t *rank);

// out[i] = table[rank[i]].
void ck_forest_view_u8(const uint32_t *rank, size_t n, const uint8_t *table, uint8_t *out);
void ck_forest_view_u16(const uint32_t *rank, size_t n, const uint16_t *table, uint16_t *out);

// A row at a split goes to `child` while its rank is at most `cut`, else to `child + 1`. A leaf is
// its own child, with the largest cut, so that a walk may go on without moving.
typedef struct {
  uint32_t child;
  uint16_t view;
  uint16_t cut;
} ck_forest_node;

typedef struct {
  uint32_t root;
  uint32_t min_depth;
  uint32_t max_depth;
  // The sum that the leaves add to; negative where each leaf holds a value for every output.
  int32_t output;
} ck_forest_tree;

typedef enum { CK_FOREST_SUM, CK_FOREST_MIN, CK_FOREST_MAX } ck_forest_aggregate;

typedef struct {
  const ck_forest_tree *trees;
  size_t tree_count;
  const ck_forest_node *nodes;
  // For each node the index of its (first) value; 0 at splits.
  const uint32_t *leaves;
  // float or double, as the kernel's name says.
  const void *values;
  size_t output_count;
  ck_forest_aggregate aggregate;
} ck_forest_walk;

void ck_forest_walk_u8_f32(
    const ck_forest_walk *forest, const uint8_t *ranks, size_t rows, float *sums);
void ck_forest_walk_u8_f64(
    const ck_forest_walk *forest, const uint8_t *ranks, size_t rows, double *sums);
void ck_forest_walk_u16_f32(
    const ck_forest_walk *forest, const uint16_t *ranks, size_t rows, float *sums);
void ck_forest_walk_u16_f64(
    const ck_forest_walk *forest, const uint16_t *ranks, size_t rows, double *sums);

#endif
