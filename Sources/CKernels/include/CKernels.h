#ifndef CKERNELS_H
#define CKERNELS_H

// The umbrella: every header of the module.
#include "ck_blocks.h"
#include "ck_clock.h"
#include "ck_columns.h"
#include "ck_common.h"
#include "ck_explain.h"
#include "ck_forest.h"
#include "ck_gemm.h"
#include "ck_integer.h"
#include "ck_layer.h"
#include "ck_math.h"
#include "ck_number.h"
#include "ck_pointwise.h"
#include "ck_profile.h"
#include "ck_resample.h"
#include "ck_rows.h"
#include "ck_svm.h"
#include "ck_text.h"
#include "ck_window.h"
#include "ck_winograd.h"
#include "ck_wire.h"

#endif
