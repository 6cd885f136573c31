#include "ck_forest.h"

#define ADD(NAME, SUFFIX, T)                                                                       \
  void NAME(                                                                                       \
      const ck_forest_form *form, const void *codes, size_t rows, void *scratch, T *sums) {        \
    const void *forest = form->forest;                                                             \
    switch (form->family) {                                                                        \
    case CK_FOREST_NARROW_WALK:                                                                    \
      ck_forest_walk_narrow_##SUFFIX(forest, codes, rows, sums);                                   \
      break;                                                                                       \
    case CK_FOREST_FLOAT_WALK: ck_forest_walk_float_##SUFFIX(forest, codes, rows, sums); break;    \
    case CK_FOREST_WIDE_WALK: ck_forest_walk_wide_##SUFFIX(forest, codes, rows, sums); break;      \
    case CK_FOREST_MASKS: ck_forest_masks_##SUFFIX(forest, codes, rows, sums); break;              \
    case CK_FOREST_PORTABLE_MASKS:                                                                 \
      ck_forest_masks_##SUFFIX##_portable(forest, codes, rows, sums);                              \
      break;                                                                                       \
    case CK_FOREST_LANES_FORM: ck_forest_lanes_##SUFFIX(forest, codes, rows, scratch, sums); break;\
    case CK_FOREST_PORTABLE_LANES:                                                                 \
      ck_forest_lanes_##SUFFIX##_portable(forest, codes, rows, scratch, sums);                     \
      break;                                                                                       \
    }                                                                                              \
  }

ADD(ck_forest_add_f32, f32, float)
ADD(ck_forest_add_f64, f64, double)
