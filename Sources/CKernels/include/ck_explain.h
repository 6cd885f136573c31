#ifndef CK_EXPLAIN_H
#define CK_EXPLAIN_H

#include "ck_common.h"

// Rows that are explained side by side.
enum { CK_EXPLAIN_ROWS = 32 };

typedef enum {
  CK_EXPLAIN_LEAF,
  // The value is at most `number`.
  CK_EXPLAIN_AT_MOST,
  CK_EXPLAIN_EQUAL,
  // The value, cut to an integer, is in a set.
  CK_EXPLAIN_AMONG,
} ck_explain_test;

// What counts as missing, and takes the default side.
typedef enum {
  // Nothing: NaN counts as zero.
  CK_EXPLAIN_NONE,
  CK_EXPLAIN_NAN,
  // NaN and numbers within 1e-35 of zero.
  CK_EXPLAIN_ZERO,
} ck_explain_missing;

// A node, and the edge that leads to it. Nodes of a tree stand in preorder, the root first.
typedef struct {
  // A split's threshold, a leaf's value.
  double number;
  // The share of the parent's training rows that came here.
  double share;
  // The product of the shares of all edges from the root to here whose splits ask for the same
  // feature as the edge to here, with and without this one.
  double path_share, share_before;
  // Steps from the root, which is at 0.
  int32_t depth;
  // The place of the feature that the edge asks for; the root has none.
  int32_t place;
  // The depth at which the nearest edge above with the same feature ends, 0 where there is none.
  int32_t before;
  // The place of the feature that a split asks for.
  int32_t split_place;
  // Categories of a split, ascending.
  uint32_t set_start, set_count;
  uint8_t test, missing, missing_left;
  // Whether the edge leads to the right.
  uint8_t is_right;
} ck_explain_node;

typedef struct {
  const ck_explain_node *nodes;
  size_t count;
  // Nodes and weights of the quadrature on (0, 1), `order` each, and 1 minus the nodes.
  const double *t, *one_minus_t, *weights;
  size_t order;
  // Steps to the farthest leaf.
  size_t depth;
} ck_explain_tree;

// Bytes that a tree needs of `scratch`, for as many rows (a multiple of four).
size_t ck_explain_scratch(size_t depth, size_t order, size_t rows);

// Adds to `contributions` what each feature contributes to a tree's value, row by row.
//
// The contribution of a feature is its Shapley value in the game in which a leaf counts with its value
// times, for each feature on its path, the share of the training rows that pass the path's splits by
// that feature where the feature is unknown, and whether the row passes them (0 or 1) where it is known:
// the game of path-dependent TreeSHAP (Lundberg et al., 2020). It is computed as the integral of the
// multilinear extension (Owen, 1972): with o and z for passing and share, the leaf's value times
// (o_j - z_j) times the integral over t of the product of z_i + (o_i - z_i) t over all other i. The product
// is a polynomial, so that a Gauss-Legendre quadrature of enough nodes is exact but for rounding; no term of
// it is negative, so nothing cancels.
//
// `values` and `contributions` have `stride` numbers for each place of a feature, of which the first
// `rows` (a multiple of four, at most the stride) count. What a row gets depends on no other row.
// `cuts` says whether a number between -1 and 0 is category 0.
void ck_explain_add(
    const ck_explain_tree *tree, const int32_t *categories, int cuts, const double *values,
    size_t rows, size_t stride, void *scratch, double *contributions);
void ck_explain_add_scalar(
    const ck_explain_tree *tree, const int32_t *categories, int cuts, const double *values,
    size_t rows, size_t stride, void *scratch, double *contributions);

#endif
