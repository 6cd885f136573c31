#include "ck_explain.h"

#include <string.h>

#include "ck_twins.h"

// Four rows side by side; two halves on the baseline.
typedef double lanes __attribute__((ext_vector_type(4)));
typedef int64_t masks __attribute__((ext_vector_type(4)));

enum { LANES = 4 };

static const double ZERO_BOUND = 1e-35f;

CK_INLINE void load(const double *from, lanes *to) { memcpy(to, from, sizeof(lanes)); }
CK_INLINE void store(const lanes *from, double *to) { memcpy(to, from, sizeof(lanes)); }
CK_INLINE void load_masks(const int64_t *from, masks *to) { memcpy(to, from, sizeof(masks)); }
CK_INLINE void store_masks(const masks *from, int64_t *to) { memcpy(to, from, sizeof(masks)); }

// Where the mask is set `yes`, else `no`.
CK_INLINE void choose(const masks *mask, const lanes *yes, const lanes *no, lanes *out) {
  masks y, n;
  memcpy(&y, yes, sizeof y);
  memcpy(&n, no, sizeof n);
  masks chosen = (*mask & y) | (~*mask & n);
  memcpy(out, &chosen, sizeof chosen);
}

typedef struct {
  // By depth, node of the quadrature and row: the product of the factors on the path, and the sum of the
  // weighed leaves below.
  double *products, *sums;
  // By depth and row: whether the row goes left at the split; whether it passes the path's splits by the
  // feature of the edge to here.
  int64_t *goes_left, *passes;
  // By node of the quadrature: factors of the present edge.
  double *factors;
  // By depth: the nodes on the path.
  const ck_explain_node **path;
} explain_state;

size_t ck_explain_scratch(size_t depth, size_t order, size_t rows) {
  size_t levels = depth + 1;
  return (levels * order * rows * 2 + levels * rows * 2 + order * 4 + levels) * 8;
}

CK_INLINE void explain_split(
    const ck_explain_node *node, const int32_t *categories, int cuts, const double *values,
    size_t rows, int64_t *goes_left) {
  if (node->test == CK_EXPLAIN_AMONG) {
    const int32_t *set = categories + node->set_start;
    for (size_t r = 0; r < rows; r++) {
      double value = values[r];
      int64_t left = 0;
      int is_missing =
          (node->missing != CK_EXPLAIN_NONE && value != value)
          || (node->missing == CK_EXPLAIN_ZERO && value <= ZERO_BOUND && value >= -ZERO_BOUND);
      if (is_missing) {
        left = node->missing_left;
      } else if ((cuts ? value > -1.0 : value >= 0.0) && value < 2147483648.0) {
        int32_t category = (int32_t)value;
        size_t low = 0, high = node->set_count;
        while (low < high) {
          size_t middle = low + (high - low) / 2;
          if (set[middle] < category)
            low = middle + 1;
          else
            high = middle;
        }
        left = low < node->set_count && set[low] == category;
      }
      goes_left[r] = -left;
    }
    return;
  }
  masks default_left = (masks)(node->missing_left ? (int64_t)-1 : (int64_t)0);
  for (size_t r = 0; r < rows; r += LANES) {
    lanes value;
    load(values + r, &value);
    masks is_nan = value != value;
    lanes zero = (lanes)0.0, known;
    choose(&is_nan, &zero, &value, &known);
    masks left =
        node->test == CK_EXPLAIN_EQUAL ? known == (lanes)node->number : known <= (lanes)node->number;
    if (node->missing != CK_EXPLAIN_NONE) {
      masks missing = is_nan;
      if (node->missing == CK_EXPLAIN_ZERO)
        missing |= (value <= (lanes)ZERO_BOUND) & (value >= (lanes)(-ZERO_BOUND));
      left = (missing & default_left) | (~missing & left);
    }
    store_masks(&left, goes_left + r);
  }
}

// Multiplies the products of the parent by the edge's factors. The factor of a feature is z (1 - t) + o t;
// where the feature has a factor already, it is the quotient of both that is multiplied by.
CK_INLINE void explain_enter(
    const ck_explain_tree *tree, const ck_explain_node *node, size_t rows,
    const explain_state *state) {
  size_t order = tree->order;
  size_t depth = (size_t)node->depth;
  const int64_t *parent_left = state->goes_left + (depth - 1) * rows;
  int64_t *passes = state->passes + depth * rows;
  masks flip = (masks)(node->is_right ? (int64_t)-1 : (int64_t)0);
  double *yes = state->factors, *no = yes + order, *still_no = no + order;
  for (size_t q = 0; q < order; q++) {
    double zero = node->path_share * tree->one_minus_t[q];
    yes[q] = zero + tree->t[q];
    no[q] = zero;
    if (node->before > 0) {
      double before = node->share_before * tree->one_minus_t[q] + tree->t[q];
      yes[q] = yes[q] / before;
      no[q] = no[q] / before;
      still_no[q] = node->share;
    }
  }
  const double *parent = state->products + (depth - 1) * order * rows;
  double *products = state->products + depth * order * rows;
  double *sums = state->sums + depth * order * rows;
  const int64_t *passed = state->passes + (size_t)node->before * rows;
  int is_leaf = node->test == CK_EXPLAIN_LEAF;
  for (size_t r = 0; r < rows; r += LANES) {
    masks pass, earlier = (masks)(int64_t)-1;
    load_masks(parent_left + r, &pass);
    pass ^= flip;
    if (node->before > 0) load_masks(passed + r, &earlier);
    pass &= earlier;
    store_masks(&pass, passes + r);
    for (size_t q = 0; q < order; q++) {
      lanes product, factor, y = (lanes)yes[q], n = (lanes)no[q];
      choose(&pass, &y, &n, &factor);
      if (node->before > 0) {
        lanes s = (lanes)still_no[q], other = factor;
        choose(&earlier, &other, &s, &factor);
      }
      load(parent + q * rows + r, &product);
      product *= factor;
      if (is_leaf) {
        product *= (lanes)(tree->weights[q] * node->number);
        store(&product, sums + q * rows + r);
      } else {
        lanes zero = (lanes)0.0;
        store(&product, products + q * rows + r);
        store(&zero, sums + q * rows + r);
      }
    }
  }
}

// Gives the edge's feature its part of the leaves below, and the parent their sums. With o and z of the
// edge's feature, the part is (o - z) divided by the factor; what the edge above with the same feature will
// get for these leaves is taken off.
CK_INLINE void explain_leave(
    const ck_explain_tree *tree, const ck_explain_node *node, size_t rows, size_t stride,
    const explain_state *state, double *contributions) {
  size_t order = tree->order;
  size_t depth = (size_t)node->depth;
  double *yes = state->factors, *no = yes + order;
  for (size_t q = 0; q < order; q++) {
    yes[q] = (1.0 - node->path_share) / (node->path_share * tree->one_minus_t[q] + tree->t[q]);
    no[q] = -1.0 / tree->one_minus_t[q];
    if (node->before > 0) {
      double before =
          (1.0 - node->share_before) / (node->share_before * tree->one_minus_t[q] + tree->t[q]);
      yes[q] -= before;
      no[q] -= before;
    }
  }
  const double *sums = state->sums + depth * order * rows;
  double *parent = state->sums + (depth - 1) * order * rows;
  const int64_t *passes = state->passes + depth * rows;
  const int64_t *passed = state->passes + (size_t)node->before * rows;
  double *target = contributions + (size_t)node->place * stride;
  for (size_t r = 0; r < rows; r += LANES) {
    masks pass;
    load_masks(passes + r, &pass);
    lanes contribution = (lanes)0.0;
    for (size_t q = 0; q < order; q++) {
      lanes sum, above, part, y = (lanes)yes[q], n = (lanes)no[q];
      load(sums + q * rows + r, &sum);
      choose(&pass, &y, &n, &part);
      contribution += part * sum;
      load(parent + q * rows + r, &above);
      above += sum;
      store(&above, parent + q * rows + r);
    }
    if (node->before > 0) {
      // A row that did not pass before has the same part of both edges.
      masks earlier;
      load_masks(passed + r, &earlier);
      lanes zero = (lanes)0.0, own = contribution;
      choose(&earlier, &own, &zero, &contribution);
    }
    lanes total;
    load(target + r, &total);
    total += contribution;
    store(&total, target + r);
  }
}

CK_INLINE void ck_explain_add_body(
    const ck_explain_tree *tree, const int32_t *categories, int cuts, const double *values,
    size_t rows, size_t stride, void *scratch, double *contributions) {
  size_t order = tree->order, levels = tree->depth + 1;
  if (tree->count < 2) return;
  explain_state state;
  state.products = scratch;
  state.sums = state.products + levels * order * rows;
  state.goes_left = (int64_t *)(state.sums + levels * order * rows);
  state.passes = state.goes_left + levels * rows;
  state.factors = (double *)(state.passes + levels * rows);
  state.path = (const ck_explain_node **)(state.factors + order * 4);

  const ck_explain_node *root = tree->nodes;
  for (size_t i = 0; i < order * rows; i++) {
    state.products[i] = 1.0;
    state.sums[i] = 0.0;
  }
  explain_split(root, categories, cuts, values + (size_t)root->split_place * stride, rows, state.goes_left);
  size_t open = 0;
  for (size_t i = 1; i < tree->count; i++) {
    const ck_explain_node *node = tree->nodes + i;
    size_t depth = (size_t)node->depth;
    for (; open >= depth; open--)
      explain_leave(tree, state.path[open], rows, stride, &state, contributions);
    explain_enter(tree, node, rows, &state);
    state.path[depth] = node;
    open = depth;
    if (node->test != CK_EXPLAIN_LEAF)
      explain_split(
          node, categories, cuts, values + (size_t)node->split_place * stride, rows,
          state.goes_left + depth * rows);
  }
  for (; open > 0; open--)
    explain_leave(tree, state.path[open], rows, stride, &state, contributions);
}

CK_TWINS(
    ck_explain_add,
    (const ck_explain_tree *tree, const int32_t *categories, int cuts, const double *values,
     size_t rows, size_t stride, void *scratch, double *contributions),
    (tree, categories, cuts, values, rows, stride, scratch, contributions))
