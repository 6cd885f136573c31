#ifndef CK_FOREST_H
#define CK_FOREST_H

#include "ck_common.h"

// Decision forests over codes.
//
// Every feature value is first replaced by a code, so that kernels know neither the source's type,
// nor its missing rule, nor its categories: a "view" is what a kind of split sees of a feature. The
// code is the value's rank among the view's thresholds (how many are smaller), which is exact: no
// value is rounded; or, where all values are floats, the float itself with missing values replaced.
//
// A row's sum takes its trees in order, so it depends neither on its place in a block, nor on the
// number of rows, nor on the kernel: all of them give the same bits.
//
// Sums lie row by row, `sum_stride` each.

// Rows of a block that lies view by view: `codes[view * CK_FOREST_ROWS + row]`.
enum { CK_FOREST_ROWS = 128 };
// Rows of a block that lies row by row: `codes[row * stride + view]`.
enum { CK_FOREST_WALK_ROWS = 1024 };

// Codes

// The cuts of a feature are the leaves of a tree of sixteens, searched by counting in one block a
// level. The last level holds the cuts in ascending order, filled up with infinity to whole blocks
// (once at least if it is not the only level); the level above holds the last cut of each of its
// blocks, and so on up to a single block.
enum { CK_FOREST_LEVELS = 7 };

typedef struct {
  // The same cuts twice: as floats they are rounded down, so that for any float x `cut < x` means
  // the same of both.
  const float *cuts_f32;
  const double *cuts_f64;
  // Where each level starts, the single block first.
  uint32_t levels[CK_FOREST_LEVELS];
  uint32_t level_count;
  uint32_t nan_rank;
  // The first of the feature's views; they lie side by side.
  uint32_t first_view;
  uint32_t view_count;
  // A view's table has an entry for each rank, NaN's (`nan_rank`) last: uint8_t or uint16_t, as the
  // function's name says. Null where ranks are exclusive-ored with `flip` instead, for a single
  // view and NaN as `nan_code`.
  const void *tables;
  uint16_t flip;
  uint16_t nan_code;
  // The column of the feature in rows that lie row by row.
  uint32_t column;
} ck_forest_feature;

// Codes of one feature for n values, `stride` apart: the code of view v for value i goes to
// codes[(first_view + v) * view_step + i * row_step].
void ck_forest_encode_u8_f32(
    const ck_forest_feature *feature, const float *x, ptrdiff_t stride, size_t n, uint8_t *codes,
    size_t view_step, size_t row_step);
void ck_forest_encode_u8_f32_scalar(
    const ck_forest_feature *feature, const float *x, ptrdiff_t stride, size_t n, uint8_t *codes,
    size_t view_step, size_t row_step);
void ck_forest_encode_u8_f64(
    const ck_forest_feature *feature, const double *x, ptrdiff_t stride, size_t n, uint8_t *codes,
    size_t view_step, size_t row_step);
void ck_forest_encode_u8_f64_scalar(
    const ck_forest_feature *feature, const double *x, ptrdiff_t stride, size_t n, uint8_t *codes,
    size_t view_step, size_t row_step);
void ck_forest_encode_u16_f32(
    const ck_forest_feature *feature, const float *x, ptrdiff_t stride, size_t n, uint16_t *codes,
    size_t view_step, size_t row_step);
void ck_forest_encode_u16_f64(
    const ck_forest_feature *feature, const double *x, ptrdiff_t stride, size_t n, uint16_t *codes,
    size_t view_step, size_t row_step);

// What a view of floats makes of values that are missing.
typedef enum {
  // NaN becomes 0.
  CK_FOREST_NAN_ZERO,
  // NaN becomes -infinity, which goes left.
  CK_FOREST_NAN_LEFT,
  // NaN becomes infinity, which goes right.
  CK_FOREST_NAN_RIGHT,
  // The same for NaN and what is within 1e-35 of zero.
  CK_FOREST_ZERO_LEFT,
  CK_FOREST_ZERO_RIGHT,
} ck_forest_missing;

typedef enum {
  // uint8_t and uint16_t, as the features' tables give them.
  CK_FOREST_BYTES,
  CK_FOREST_WORDS,
  // The values themselves, but for missing ones; not for doubles.
  CK_FOREST_FLOATS,
} ck_forest_code_kind;

// How a kernel wants the values of its features.
typedef struct {
  ck_forest_code_kind kind;
  // Those of floats have no cuts.
  const ck_forest_feature *features;
  size_t feature_count;
  // For each view of floats.
  const ck_forest_missing *rules;
  size_t view_step;
  size_t row_step;
} ck_forest_codes;

// The codes of n values, `stride` apart, of one feature.
void ck_forest_encode_f32(
    const ck_forest_codes *forest, size_t feature, const float *x, ptrdiff_t stride, size_t n,
    void *codes);
void ck_forest_encode_f64(
    const ck_forest_codes *forest, size_t feature, const double *x, ptrdiff_t stride, size_t n,
    void *codes);

// The codes of n rows that lie row by row, `width` values each, a feature in its column.
void ck_forest_encode_rows_f32(
    const ck_forest_codes *forest, const float *rows, size_t width, size_t n, void *codes);
void ck_forest_encode_rows_f64(
    const ck_forest_codes *forest, const double *rows, size_t width, size_t n, void *codes);

// How many values are infinite.
size_t ck_forest_infinite_f32(const float *x, size_t n);

// Walks: from node to node

// A row goes from a split to `child` while its code is at most the split's, else to `child + 1`.
// Children count from the tree's root. A leaf is its own child with the largest code, so that a
// walk may go on without moving.

// One-byte ranks, less 128 as for the masks below.
typedef struct {
  int8_t cut;
  uint8_t view;
  uint16_t child;
} ck_forest_narrow_node;

typedef struct {
  float threshold;
  uint16_t view;
  uint16_t child;
} ck_forest_float_node;

// Two-byte ranks. A split by categories has the largest cut, and sends ranks right whose bits are
// set from word `set` of the forest's sets on; other splits point at CK_FOREST_NO_SET words of 0.
typedef struct {
  uint32_t child;
  uint32_t set;
  uint16_t view;
  uint16_t cut;
} ck_forest_wide_node;

enum { CK_FOREST_NO_SET = 2048 };

typedef struct {
  uint32_t root;
  uint32_t max_depth;
  // The sum that the leaves add to; negative where each leaf holds a value for every output.
  int32_t output;
} ck_forest_tree;

typedef enum { CK_FOREST_SUM, CK_FOREST_MIN, CK_FOREST_MAX } ck_forest_aggregate;

typedef struct {
  const ck_forest_tree *trees;
  size_t tree_count;
  // Of the kind that the kernel's name says.
  const void *nodes;
  // For each node the index of its (first) value; 0 at splits.
  const uint32_t *leaves;
  const uint32_t *sets;
  // float or double, as the kernel's name says; leaves with a value for each output have
  // `sum_stride` of them.
  const void *values;
  // Codes of a row.
  size_t stride;
  size_t sum_stride;
  ck_forest_aggregate aggregate;
} ck_forest_walk;

void ck_forest_walk_narrow_f32(
    const ck_forest_walk *forest, const int8_t *codes, size_t rows, float *sums);
void ck_forest_walk_narrow_f64(
    const ck_forest_walk *forest, const int8_t *codes, size_t rows, double *sums);
void ck_forest_walk_float_f32(
    const ck_forest_walk *forest, const float *codes, size_t rows, float *sums);
void ck_forest_walk_float_f64(
    const ck_forest_walk *forest, const float *codes, size_t rows, double *sums);
void ck_forest_walk_wide_f32(
    const ck_forest_walk *forest, const uint16_t *codes, size_t rows, float *sums);
void ck_forest_walk_wide_f64(
    const ck_forest_walk *forest, const uint16_t *codes, size_t rows, double *sums);

// Masks: every split of a tree at once, many rows a register
//
// After QuickScorer (Lucchese and others, SIGIR 2015), cut into bytes. Of the two children of each
// split the one with fewer leaves is the near one; a tree's leaves are numbered with the near
// child's before the far one's. A split that sends a row to its far child rules out the leaves
// below the near one; the row's leaf is the first that is left. Leaves are ruled out eight at a
// time (a "slice"): for each slice there is a list of the splits that rule out some of its leaves.
//
// Taking the smaller child bounds the lists by n log n where "always the left" may take n squared.
//
// One-byte ranks are stored less 128, as signed bytes, because AVX2 compares only those. A view of
// categories has two bytes instead: the number n / 8 of a byte and the bit n % 8 of a category's
// number n.

typedef struct {
  // One more than the largest rank that goes left, less 128.
  int8_t bound;
  // The slice's leaves that remain when a row goes to the far child.
  uint8_t keep;
  uint16_t view;
} ck_forest_mask;

typedef struct {
  // The categories that go to the near child: 16 bytes from here on in `sets`.
  uint32_t set;
  // The view of bytes; that of bits follows.
  uint16_t view;
  uint8_t keep;
} ck_forest_set_mask;

typedef struct {
  uint32_t first_slice;
  uint32_t slice_count;
  // The first of its leaves' values, by number.
  uint32_t values;
  int32_t output;
} ck_forest_mask_tree;

// Where the lists of a slice end, each beginning where the one before it ends.
typedef struct {
  // Splits whose near child is the left one.
  uint32_t left;
  // Splits whose near child is the right one, after the former in `masks`.
  uint32_t right;
  // Splits by categories, in `set_masks`.
  uint32_t sets;
} ck_forest_mask_ends;

typedef struct {
  const ck_forest_mask_tree *trees;
  size_t tree_count;
  // The ends of slice s of a tree are at [first_slice + s + 1].
  const ck_forest_mask_ends *ends;
  const ck_forest_mask *masks;
  const ck_forest_set_mask *set_masks;
  const uint8_t *sets;
  // float or double, as the kernel's name says; leaves with a value for each output have
  // `sum_stride` of them.
  const void *values;
  size_t sum_stride;
} ck_forest_masks;

// For sums, one-byte ranks, trees of at most 256 leaves. Codes lie view by view; rows past the last
// may hold anything. `sums` has room for the rows alone.
void ck_forest_masks_f32(
    const ck_forest_masks *forest, const uint8_t *codes, size_t rows, float *sums);
void ck_forest_masks_f64(
    const ck_forest_masks *forest, const uint8_t *codes, size_t rows, double *sums);
void ck_forest_masks_f32_portable(
    const ck_forest_masks *forest, const uint8_t *codes, size_t rows, float *sums);
void ck_forest_masks_f64_portable(
    const ck_forest_masks *forest, const uint8_t *codes, size_t rows, double *sums);

// Lanes: the same masks for one row, many trees a register
//
// Trees are taken in groups of CK_FOREST_LANES. Step by step each lane applies one mask of its own
// tree, first those of slice 0, then those of slice 1, and so on. A lane that has no more masks for
// a slice keeps all.
//
// Splits by categories take no steps: what all of those of a view leave of each slice is known for
// each of its categories beforehand.

enum { CK_FOREST_LANES = 32, CK_FOREST_LANE_VIEWS = 128, CK_FOREST_LANE_CATEGORY_VIEWS = 64 };
// Rows that are taken through a group together.
enum { CK_FOREST_LANE_ROWS = 16 };

typedef struct {
  uint8_t view[CK_FOREST_LANES];
  // -1 where the near child is the right one: ranks are complemented, so that one comparison does.
  int8_t flip[CK_FOREST_LANES];
  int8_t bound[CK_FOREST_LANES];
  uint8_t keep[CK_FOREST_LANES];
} ck_forest_lane_step;

typedef struct {
  // The ends of the steps of its slices in `ends`; those of slice s lie from ends[first_slice + s]
  // to ends[first_slice + s + 1].
  uint32_t first_slice;
  uint32_t slice_count;
} ck_forest_lane_group;

typedef struct {
  // Which lane holds the tree: group * CK_FOREST_LANES + its place there.
  uint32_t lane;
  uint32_t values;
  int32_t output;
} ck_forest_lane_tree;

typedef struct {
  // Where a row holds the category's number.
  size_t view;
  // By category, then by slice of all groups, the leaves that remain: CK_FOREST_LANES bytes each,
  // at the start of a cache line.
  const uint8_t *left;
} ck_forest_lane_categories;

typedef struct {
  const ck_forest_lane_group *groups;
  size_t group_count;
  // Slices of all groups.
  size_t slice_count;
  const uint32_t *ends;
  const ck_forest_lane_step *steps;
  const ck_forest_lane_tree *trees;
  size_t tree_count;
  const void *values;
  size_t sum_stride;
  // Codes of a row: those of thresholds first, at most CK_FOREST_LANE_VIEWS. The stride is a
  // multiple of 16.
  size_t stride;
  size_t threshold_views;
  // At most CK_FOREST_LANE_CATEGORY_VIEWS.
  const ck_forest_lane_categories *category_views;
  size_t category_view_count;
  // Whether lane t holds tree t.
  int is_in_order;
} ck_forest_lanes;

// `leaf` is scratch: a byte for each lane of each group, for CK_FOREST_LANE_ROWS rows.
void ck_forest_lanes_f32(
    const ck_forest_lanes *forest, const uint8_t *codes, size_t rows, uint8_t *leaf, float *sums);
void ck_forest_lanes_f64(
    const ck_forest_lanes *forest, const uint8_t *codes, size_t rows, uint8_t *leaf, double *sums);
void ck_forest_lanes_f32_portable(
    const ck_forest_lanes *forest, const uint8_t *codes, size_t rows, uint8_t *leaf, float *sums);
void ck_forest_lanes_f64_portable(
    const ck_forest_lanes *forest, const uint8_t *codes, size_t rows, uint8_t *leaf, double *sums);

// Forms: a kernel and its codes

typedef enum {
  CK_FOREST_NARROW_WALK,
  CK_FOREST_FLOAT_WALK,
  CK_FOREST_WIDE_WALK,
  CK_FOREST_MASKS,
  CK_FOREST_PORTABLE_MASKS,
  CK_FOREST_LANES_FORM,
  CK_FOREST_PORTABLE_LANES,
} ck_forest_family;

// All that scoring needs, behind one pointer that a caller need not own: counting references to it
// would cost threads more than the trees of a row.
typedef struct {
  ck_forest_family family;
  // A ck_forest_walk, ck_forest_masks or ck_forest_lanes.
  const void *forest;
  const ck_forest_codes *codes;
} ck_forest_form;

// Adds the leaves of encoded rows to their sums. `scratch` is what lanes call `leaf`.
void ck_forest_add_f32(
    const ck_forest_form *form, const void *codes, size_t rows, void *scratch, float *sums);
void ck_forest_add_f64(
    const ck_forest_form *form, const void *codes, size_t rows, void *scratch, double *sums);

#endif
