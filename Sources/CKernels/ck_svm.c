#include "ck_svm.h"

#include "ck_math.h"
#include "ck_math_inline.h"

CK_INLINE void ck_kernel_rbf_f64_body(double *x, size_t count, double gamma) {
  for (size_t i = 0; i < count; i++) x[i] = ck_exp_inline(-gamma * x[i]);
}
CK_TWINS(ck_kernel_rbf_f64, (double *x, size_t count, double gamma), (x, count, gamma))

CK_INLINE void ck_kernel_sigmoid_f64_body(double *x, size_t count, double gamma, double coef0) {
  for (size_t i = 0; i < count; i++) x[i] = ck_tanh_inline(gamma * x[i] + coef0);
}
CK_TWINS(
    ck_kernel_sigmoid_f64, (double *x, size_t count, double gamma, double coef0),
    (x, count, gamma, coef0))

void ck_kernel_poly_f64(double *x, size_t count, double gamma, double coef0, double degree) {
  for (size_t i = 0; i < count; i++) x[i] = ck_pow(gamma * x[i] + coef0, degree);
}
