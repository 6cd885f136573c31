// One kind of walk. The includer defines FORM(name), NODE, CODE and STEP(node, row): the child that
// a row's codes lead to.
//
// Rows (or trees) go LEVELS levels at a time without a branch, so that many of them are in flight
// whatever the leaves' depths are; in between those that have arrived drop out.

// The index of the leaf's value for each row.
static void FORM(rows)(
    const ck_forest_walk *forest, const ck_forest_tree *tree, const void *codes, size_t rows,
    uint32_t *leaf) {
  const NODE *nodes = (const NODE *)forest->nodes + tree->root;
  const CODE *row = codes;
  size_t stride = forest->stride;
  uint16_t open[CK_FOREST_WALK_ROWS];
  size_t count = 0;
  uint32_t levels = tree->max_depth <= STRAIGHT ? tree->max_depth : LEVELS;
  for (size_t r = 0; r < rows; r++) {
    const CODE *x = row + r * stride;
    uint32_t at = 0;
    for (uint32_t level = 0; level < levels; level++) {
      NODE node = nodes[at];
      at = STEP(node, x);
    }
    leaf[r] = at;
    open[count] = (uint16_t)r;
    count += nodes[at].child != at;
  }
  while (count > 0) {
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
      size_t r = open[i];
      const CODE *x = row + r * stride;
      uint32_t at = leaf[r];
      for (int level = 0; level < LEVELS; level++) {
        NODE node = nodes[at];
        at = STEP(node, x);
      }
      leaf[r] = at;
      open[left] = (uint16_t)r;
      left += nodes[at].child != at;
    }
    count = left;
  }
  const uint32_t *leaves = forest->leaves + tree->root;
  for (size_t r = 0; r < rows; r++) leaf[r] = leaves[leaf[r]];
}

// The index of the leaf's value of one row in each of `count` trees.
static void FORM(trees)(
    const ck_forest_walk *forest, const ck_forest_tree *trees, size_t count, const void *codes,
    uint32_t *leaf) {
  const CODE *x = codes;
  uint16_t open[CK_FOREST_WALK_ROWS];
  size_t opened = 0;
  for (size_t t = 0; t < count; t++) {
    const NODE *nodes = (const NODE *)forest->nodes + trees[t].root;
    uint32_t at = 0;
    for (int level = 0; level < LEVELS; level++) {
      NODE node = nodes[at];
      at = STEP(node, x);
    }
    leaf[t] = at;
    open[opened] = (uint16_t)t;
    opened += nodes[at].child != at;
  }
  while (opened > 0) {
    size_t left = 0;
    for (size_t i = 0; i < opened; i++) {
      size_t t = open[i];
      const NODE *nodes = (const NODE *)forest->nodes + trees[t].root;
      uint32_t at = leaf[t];
      for (int level = 0; level < LEVELS; level++) {
        NODE node = nodes[at];
        at = STEP(node, x);
      }
      leaf[t] = at;
      open[left] = (uint16_t)t;
      left += nodes[at].child != at;
    }
    opened = left;
  }
  for (size_t t = 0; t < count; t++) leaf[t] = forest->leaves[trees[t].root + leaf[t]];
}

#undef FORM
#undef NODE
#undef CODE
#undef STEP
