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
// trees in order, so it depends neither on its place in the block nor on the kernel: the walk is
// the scalar twin of the masks, and both give the same bits.
//
// One-byte ranks are stored less 128, as signed bytes, because AVX2 compares only those.

enum { CK_FOREST_ROWS = 128 };

// Ranks

// rank[i] = how many of the cuts are below x[i * stride]; nan_rank where x is NaN.
//
// The cuts are the leaves of a tree of sixteens, searched by counting in one block a level. Level
// `level_count - 1` holds the cuts in ascending order, filled up with infinity (once at least) to
// whole blocks; the level above holds the last cut of each of its blocks, and so on up to a single
// block. `levels` says where each starts in `cuts`, the single block first.
void ck_forest_rank_f32(
    const float *x, ptrdiff_t stride, size_t n, const float *cuts, const uint32_t *levels,
    uint32_t level_count, uint32_t nan_rank, uint32_t *rank);
void ck_forest_rank_f32_scalar(
    const float *x, ptrdiff_t stride, size_t n, const float *cuts, const uint32_t *levels,
    uint32_t level_count, uint32_t nan_rank, uint32_t *rank);
void ck_forest_rank_f64(
    const double *x, ptrdiff_t stride, size_t n, const double *cuts, const uint32_t *levels,
    uint32_t level_count, uint32_t nan_rank, uint32_t *rank);

// The same for two levels of 16 and 256 places. Each rank is exclusive-ored with `flip`.
void ck_forest_rank8_f32(
    const float *x, ptrdiff_t stride, size_t n, const float *grid, uint8_t nan_rank, uint8_t flip,
    uint8_t *rank);
void ck_forest_rank8_f32_scalar(
    const float *x, ptrdiff_t stride, size_t n, const float *grid, uint8_t nan_rank, uint8_t flip,
    uint8_t *rank);
void ck_forest_rank8_f64(
    const double *x, ptrdiff_t stride, size_t n, const double *grid, uint8_t nan_rank,
    uint8_t flip, uint8_t *rank);

// How many values are infinite.
size_t ck_forest_infinite_f32(const float *x, size_t n);

// out[i] = table[rank[i]].
void ck_forest_view_u8(const uint32_t *rank, size_t n, const uint8_t *table, uint8_t *out);
void ck_forest_view_u16(const uint32_t *rank, size_t n, const uint16_t *table, uint16_t *out);
void ck_forest_view8(const uint8_t *rank, size_t n, const uint8_t *table, uint8_t *out);

// The walk: from node to node, rows side by side

// A row at a split goes to `child` while its rank is at most `cut`, else to `child + 1`. A leaf is
// its own child, with the largest cut, so that a walk may go on without moving. `cut` is an int16_t
// for one-byte ranks (less 128, as they are), a uint16_t for two-byte ranks.
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

// Masks: every split of a tree at once, 32 rows a register
//
// After QuickScorer (Lucchese and others, SIGIR 2015), cut into bytes. A tree's leaves are numbered
// from left to right; a split that sends a row right rules out the leaves of its left subtree; the
// row's leaf is the first that is left. Leaves are ruled out eight at a time (a "slice"): for each
// slice there is a list of the splits that have some of its leaves on their left.

typedef struct {
  // One more than the largest rank that goes left, less 128.
  int8_t bound;
  // The slice's leaves that remain when a row goes right.
  uint8_t keep;
  uint16_t view;
} ck_forest_mask;

typedef struct {
  // Where the masks of the tree's first slice end is in `ends`; those of slice s lie from
  // ends[first_slice + s] to ends[first_slice + s + 1].
  uint32_t first_slice;
  uint32_t slice_count;
  // The first of its leaves' values, left to right.
  uint32_t values;
  int32_t output;
} ck_forest_mask_tree;

typedef struct {
  const ck_forest_mask_tree *trees;
  size_t tree_count;
  const uint32_t *ends;
  const ck_forest_mask *masks;
  // float or double, as the kernel's name says.
  const void *values;
  size_t output_count;
} ck_forest_masks;

// Whether this CPU has a vector form of the masks (AVX2).
int ck_forest_has_masks(void);
// For sums, one-byte ranks, trees of at most 256 leaves. Do not call without `ck_forest_has_masks`.
void ck_forest_masks_f32(
    const ck_forest_masks *forest, const uint8_t *ranks, size_t rows, float *sums);
void ck_forest_masks_f64(
    const ck_forest_masks *forest, const uint8_t *ranks, size_t rows, double *sums);

#endif
