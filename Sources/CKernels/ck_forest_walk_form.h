// One kind of walk. The includer defines FORM(name), NODE, CODE and STEP(node, row): the child that
// a row's codes lead to.
//
// Rows (or trees) go LEVELS levels at a time without a branch, whatever the leaves' depths are; in
// between those that have arrived drop out. TOGETHER of them go side by side: each step of one
// waits for the last one's loads.

// Moves TOGETHER rows or fewer on, each from its place in its tree.
INLINE void FORM(move)(
    const ck_forest_walk *forest, const NODE *const *nodes, const CODE *const *codes,
    uint32_t levels, uint32_t *at) {
  (void)forest;
  for (uint32_t level = 0; level < levels; level++) {
    for (int g = 0; g < TOGETHER; g++) {
      NODE node = nodes[g][at[g]];
      at[g] = STEP(node, codes[g]);
    }
  }
}

// The index of the leaf's value for each of at most CK_FOREST_WALK_ROWS rows.
static void FORM(rows)(
    const ck_forest_walk *forest, const ck_forest_tree *tree, const void *codes, size_t rows,
    uint32_t *leaf) {
  const NODE *root = (const NODE *)forest->nodes + tree->root;
  const CODE *first = codes;
  size_t stride = forest->stride;
  uint16_t open[CK_FOREST_WALK_ROWS + TOGETHER];
  size_t count = rows;
  for (size_t r = 0; r < rows; r++) {
    leaf[r] = 0;
    open[r] = (uint16_t)r;
  }
  uint32_t levels = tree->max_depth <= STRAIGHT ? tree->max_depth : LEVELS;
  while (count > 0) {
    size_t left = 0;
    // The last few go with repetitions of one of them.
    for (int g = 0; g < TOGETHER; g++) open[count + (size_t)g] = open[count - 1];
    for (size_t i = 0; i < count; i += TOGETHER) {
      const NODE *nodes[TOGETHER];
      const CODE *x[TOGETHER];
      uint32_t at[TOGETHER];
      for (int g = 0; g < TOGETHER; g++) {
        size_t r = open[i + (size_t)g];
        nodes[g] = root;
        x[g] = first + r * stride;
        at[g] = leaf[r];
      }
      FORM(move)(forest, nodes, x, levels, at);
      size_t some = count - i < TOGETHER ? count - i : TOGETHER;
      for (size_t g = 0; g < some; g++) {
        uint16_t r = open[i + g];
        leaf[r] = at[g];
        open[left] = r;
        left += root[at[g]].child != at[g];
      }
    }
    count = left;
    levels = LEVELS;
  }
  const uint32_t *leaves = forest->leaves + tree->root;
  for (size_t r = 0; r < rows; r++) leaf[r] = leaves[leaf[r]];
}

// The index of the leaf's value for each pair of a tree and a row, tree by tree: at most
// CK_FOREST_WALK_ROWS pairs.
static void FORM(pairs)(
    const ck_forest_walk *forest, const ck_forest_tree *trees, size_t tree_count,
    const void *codes, size_t rows, uint32_t *leaf) {
  const CODE *first = codes;
  size_t count = tree_count * rows;
  uint16_t open[CK_FOREST_WALK_ROWS + TOGETHER], tree_of[CK_FOREST_WALK_ROWS];
  for (size_t t = 0, p = 0; t < tree_count; t++) {
    for (size_t r = 0; r < rows; r++, p++) {
      leaf[p] = 0;
      open[p] = (uint16_t)p;
      tree_of[p] = (uint16_t)t;
    }
  }
  size_t opened = count;
  while (opened > 0) {
    size_t left = 0;
    // The last few go with repetitions of one of them.
    for (int g = 0; g < TOGETHER; g++) open[opened + (size_t)g] = open[opened - 1];
    for (size_t i = 0; i < opened; i += TOGETHER) {
      const NODE *nodes[TOGETHER];
      const CODE *x[TOGETHER];
      uint32_t at[TOGETHER];
      for (int g = 0; g < TOGETHER; g++) {
        size_t p = open[i + (size_t)g], t = tree_of[p];
        nodes[g] = (const NODE *)forest->nodes + trees[t].root;
        x[g] = first + (p - t * rows) * forest->stride;
        at[g] = leaf[p];
      }
      FORM(move)(forest, nodes, x, LEVELS, at);
      size_t some = opened - i < TOGETHER ? opened - i : TOGETHER;
      for (size_t g = 0; g < some; g++) {
        uint16_t p = open[i + g];
        leaf[p] = at[g];
        open[left] = p;
        left += nodes[g][at[g]].child != at[g];
      }
    }
    opened = left;
  }
  for (size_t p = 0; p < count; p++) leaf[p] = forest->leaves[trees[tree_of[p]].root + leaf[p]];
}

#undef FORM
#undef NODE
#undef CODE
#undef STEP
