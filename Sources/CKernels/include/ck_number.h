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

// Reads the numbers of a list as long as each is followed by `separator`: ' ', or ',' with JSON's white
// space around. What is not read, for whatever reason, is left to the caller, the last number too.
//
// Returns how many were read, `most` at the most; `next` is where the first that was not starts, or white
// space before it.
size_t ck_parse_list_f32(const char *text, size_t length, char separator, float *values, size_t most,
                         size_t *next);
size_t ck_parse_list_f64(const char *text, size_t length, char separator, double *values, size_t most,
                         size_t *next);
// The same for integers of at most 18 digits; one outside of the range is not read.
size_t ck_parse_list_i64(const char *text, size_t length, char separator, int64_t least, int64_t greatest,
                         int64_t *values, size_t most, size_t *next);

// How many bytes of a JSON array of numbers or words, at an element, can be skipped so that an element
// is next again.
size_t ck_skip_list(const char *text, size_t length);

// The length of the JSON object that starts at `text`, by its braces and quotation marks alone; 0 where
// it does not end.
size_t ck_object_length(const char *text, size_t length);

#endif
