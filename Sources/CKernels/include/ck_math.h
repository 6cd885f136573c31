#ifndef CK_MATH_H
#define CK_MATH_H

#include "ck_common.h"

// Elementary functions over arrays, the same bits on every machine. `in` and `out` may be the same.
//
// Computed in double; for floats the result is rounded once. Twins `…_scalar` agree bit for bit.
void ck_exp_f32(const float *in, size_t count, float *out);
void ck_exp_f32_scalar(const float *in, size_t count, float *out);
void ck_exp_f64(const double *in, size_t count, double *out);
void ck_exp_f64_scalar(const double *in, size_t count, double *out);
void ck_log_f32(const float *in, size_t count, float *out);
void ck_log_f32_scalar(const float *in, size_t count, float *out);
void ck_log_f64(const double *in, size_t count, double *out);
void ck_log_f64_scalar(const double *in, size_t count, double *out);
void ck_tanh_f32(const float *in, size_t count, float *out);
void ck_tanh_f32_scalar(const float *in, size_t count, float *out);
void ck_tanh_f64(const double *in, size_t count, double *out);
void ck_tanh_f64_scalar(const double *in, size_t count, double *out);
void ck_logistic_f32(const float *in, size_t count, float *out);
void ck_logistic_f32_scalar(const float *in, size_t count, float *out);
void ck_logistic_f64(const double *in, size_t count, double *out);
void ck_logistic_f64_scalar(const double *in, size_t count, double *out);

// One value each.
double ck_exp(double x);
double ck_log(double x);
double ck_tanh(double x);
double ck_logistic(double x);
double ck_erf(double x);
// x^y with C99's special cases; exact multiplication for whole exponents up to 64, else within
// |y log x| ulp.
double ck_pow(double x, double y);

// Softmax of each of `rows` rows of `width`: exponentials of differences from the row's greatest,
// over their sum, left to right in double. `log` gives the logarithm.
void ck_softmax_f32(const float *in, size_t rows, size_t width, float *out);
void ck_softmax_f64(const double *in, size_t rows, size_t width, double *out);
void ck_log_softmax_f32(const float *in, size_t rows, size_t width, float *out);
void ck_log_softmax_f64(const double *in, size_t rows, size_t width, double *out);
void ck_softmax_f32_scalar(const float *in, size_t rows, size_t width, float *out);
void ck_softmax_f64_scalar(const double *in, size_t rows, size_t width, double *out);
void ck_log_softmax_f32_scalar(const float *in, size_t rows, size_t width, float *out);
void ck_log_softmax_f64_scalar(const double *in, size_t rows, size_t width, double *out);

#endif
