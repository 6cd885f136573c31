#ifndef CK_SVM_H
#define CK_SVM_H

#include "ck_common.h"

// Kernel functions of support vector machines, in place.
//
// x = exp(-gamma * x), from squared distances.
void ck_kernel_rbf_f64(double *x, size_t count, double gamma);
void ck_kernel_rbf_f64_scalar(double *x, size_t count, double gamma);
// x = tanh(gamma * x + coef0), from dot products.
void ck_kernel_sigmoid_f64(double *x, size_t count, double gamma, double coef0);
void ck_kernel_sigmoid_f64_scalar(double *x, size_t count, double gamma, double coef0);
// x = (gamma * x + coef0)^degree, from dot products.
void ck_kernel_poly_f64(double *x, size_t count, double gamma, double coef0, double degree);

#endif
