#ifndef CK_NUMBER_H
#define CK_NUMBER_H

#include "ck_common.h"

// Decimal text to the nearest floating-point number, exactly, whatever the process's locale is.
//
// Returns 1 where the whole of `text` is one number: [+-]digits[.digits][e[+-]digits], or
// [+-]inf, infinity or nan in any case. No spaces, no hexadecimal. A number beyond the type's
// range becomes infinite, as the formats' own readers have it.
int ck_parse_f32(const char *text, size_t length, float *value);
int ck_parse_f64(const char *text, size_t length, double *value);

#endif
