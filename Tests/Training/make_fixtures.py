#!/usr/bin/env python3
"""Trains the small models of the parity tests and records what their own libraries answer.

    python make_fixtures.py [FAMILY ...]      families: linear svm trees ... lightgbm_cases xgboost_cases; default all
    python1.7 xgboost_cases.py                the files of XGBoost 1.7, by an interpreter that has that release

Writes Tests/InferenceTests/Fixtures/<case>/{model.*, rows.csv, expected.csv, case.json}. Everything is seeded: the same
library versions (requirements.txt) give the same files.
"""

import os
import sys

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"  # Sums in one order, so that a second run gives the same bytes.

import catboost_zoo
import column_cases
import converted_cases
import lightgbm_cases
import lightgbm_zoo
import sklearn_cases
import svm_cases
import text_cases
import xgboost_cases
import xgboost_zoo

FAMILIES = {
    family.__name__: family
    for family in (
        sklearn_cases.linear,
        sklearn_cases.trees,
        sklearn_cases.histogram_boosting,
        sklearn_cases.neural_and_others,
        svm_cases.svm,
        column_cases.columns,
        column_cases.other_inputs,
        converted_cases.converted,
        text_cases.texts,
        text_cases.texts_beside_columns,
        lightgbm_cases.lightgbm_cases,
        xgboost_cases.xgboost_cases,
    )
}

# The few cases of the zoos that are committed.
for zoo in (lightgbm_zoo, xgboost_zoo, catboost_zoo):
    FAMILIES[zoo.__name__] = zoo.fixtures


def main():
    for name in sys.argv[1:] or FAMILIES:
        FAMILIES[name]()


if __name__ == "__main__":
    main()
