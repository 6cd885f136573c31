#define _GNU_SOURCE
#include "ck_number.h"

#include "ck_powers.h"

#include <float.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#ifdef __APPLE__
#include <xlocale.h>
#endif

enum { LONGEST = 1024 };

static locale_t c_locale(void) {
  static locale_t made;
  locale_t locale = __atomic_load_n(&made, __ATOMIC_ACQUIRE);
  if (locale != 0) return locale;
  locale = newlocale(LC_ALL_MASK, "C", 0);
  locale_t none = 0;
  if (!__atomic_compare_exchange_n(&made, &none, locale, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    freelocale(locale);
    locale = none;
  }
  return locale;
}

// Checks the grammar, so that strtod sees nothing else than what the header promises.
static int is_number(const char *s, size_t n) {
  size_t i = 0, digits = 0;
  if (i < n && (s[i] == '+' || s[i] == '-')) i++;
  if ((n - i == 3 && (strncasecmp(s + i, "inf", 3) == 0 || strncasecmp(s + i, "nan", 3) == 0)) ||
      (n - i == 8 && strncasecmp(s + i, "infinity", 8) == 0))
    return 1;
  for (; i < n && s[i] >= '0' && s[i] <= '9'; i++) digits++;
  if (i < n && s[i] == '.')
    for (i++; i < n && s[i] >= '0' && s[i] <= '9'; i++) digits++;
  if (digits == 0) return 0;
  if (i < n && (s[i] == 'e' || s[i] == 'E')) {
    i++;
    if (i < n && (s[i] == '+' || s[i] == '-')) i++;
    size_t first = i;
    while (i < n && s[i] >= '0' && s[i] <= '9') i++;
    if (i == first) return 0;
  }
  return i == n;
}

// Text as digits * 10^exponent.
struct decimal {
  uint64_t digits;
  int exponent;
  int is_negative;
};

// Reads what `is_number` takes, but for the words. Returns 0 also where there are more digits than
// 64 bits hold, or an exponent of more than four digits: those are left to the C library.
static int read_decimal(const char *s, size_t n, struct decimal *d) {
  size_t i = 0, digits = 0, leading = 0;
  d->digits = 0;
  d->exponent = 0;
  d->is_negative = n > 0 && s[0] == '-';
  if (n > 0 && (s[0] == '-' || s[0] == '+')) i++;
  for (; i < n && (unsigned char)(s[i] - '0') < 10; i++) {
    d->digits = d->digits * 10 + (uint64_t)(s[i] - '0');
    digits++;
    leading += d->digits == 0;
  }
  if (i < n && s[i] == '.') {
    size_t point = ++i;
    for (; i < n && (unsigned char)(s[i] - '0') < 10; i++) {
      d->digits = d->digits * 10 + (uint64_t)(s[i] - '0');
      digits++;
      leading += d->digits == 0;
    }
    if (i - point > LONGEST) return 0;
    d->exponent = -(int)(i - point);
  }
  // Nineteen digits fit 64 bits whatever they are.
  if (digits == 0 || digits - leading > 19) return 0;
  if (i < n && (s[i] == 'e' || s[i] == 'E')) {
    i++;
    int is_small = i < n && s[i] == '-';
    if (i < n && (s[i] == '-' || s[i] == '+')) i++;
    size_t first = i;
    int power = 0;
    for (; i < n && i - first < 5 && (unsigned char)(s[i] - '0') < 10; i++)
      power = power * 10 + (s[i] - '0');
    if (i == first || i - first > 4) return 0;
    d->exponent += is_small ? -power : power;
  }
  return i == n;
}

// The nearest double, by the algorithm of Eisel and Lemire: the product of the digits and 128 bits of
// the power of ten decides the rounding, but for a few texts, which are left to the C library.
static int decimal_to_f64(const struct decimal *d, double *value) {
  if (d->digits == 0) {
    *value = d->is_negative ? -0.0 : 0.0;
    return 1;
  }
  int q = d->exponent;
  if (q < LEAST_POWER || q > MOST_POWER) return 0;
  int zeros = __builtin_clzll(d->digits);
  uint64_t w = d->digits << zeros;
  const uint64_t *power = powers_of_five[q - LEAST_POWER];
  unsigned __int128 product = (unsigned __int128)w * power[0];
  uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
  if ((high & 0x1FF) == 0x1FF) {
    uint64_t carry = (uint64_t)(((unsigned __int128)w * power[1]) >> 64);
    low += carry;
    if (low < carry) high++;
  }
  // Too near to a boundary to be told apart by 128 bits.
  if (low == UINT64_MAX && (q < -27 || q > 55)) return 0;
  int upper = (int)(high >> 63);
  uint64_t mantissa = high >> (upper + 9);
  int exponent = ((217706 * q) >> 16) + 63 + upper - zeros + 1023;
  // Subnormal and infinite results are rare.
  if (exponent <= 0 || exponent >= 2046) return 0;
  // Exactly between two doubles: to the even one.
  if (low <= 1 && q >= -4 && q <= 23 && (mantissa & 3) == 1 &&
      mantissa << (upper + 9) == high)
    mantissa &= ~(uint64_t)1;
  mantissa = (mantissa + (mantissa & 1)) >> 1;
  if (mantissa >= (uint64_t)1 << 53) {
    mantissa = (uint64_t)1 << 52;
    exponent++;
  }
  uint64_t bits = (mantissa & (((uint64_t)1 << 52) - 1)) | (uint64_t)exponent << 52 |
                  (uint64_t)d->is_negative << 63;
  memcpy(value, &bits, sizeof bits);
  return 1;
}

// By way of the nearest double, which rounds to the same float unless it lies exactly between two:
// rounding never passes a number that both types can hold.
static int decimal_to_f32(const struct decimal *d, float *value) {
  double nearest;
  if (!decimal_to_f64(d, &nearest)) return 0;
  uint64_t bits;
  memcpy(&bits, &nearest, sizeof bits);
  double magnitude = nearest < 0 ? -nearest : nearest;
  int is_between = (bits & 0x1FFFFFFF) == 0x10000000;
  if (magnitude != 0 && (is_between || magnitude < FLT_MIN || magnitude > FLT_MAX)) return 0;
  *value = (float)nearest;
  return 1;
}

#define PARSE(NAME, T, FAST, CONVERT)                                                              \
  int NAME(const char *text, size_t length, T *value) {                                            \
    struct decimal decimal;                                                                        \
    if (read_decimal(text, length, &decimal) && FAST(&decimal, value)) return 1;                   \
    char copy[LONGEST + 1];                                                                        \
    if (length > LONGEST || !is_number(text, length)) return 0;                                    \
    memcpy(copy, text, length);                                                                    \
    copy[length] = 0;                                                                              \
    *value = CONVERT(copy, 0, c_locale());                                                         \
    return 1;                                                                                      \
  }

PARSE(ck_parse_f32, float, decimal_to_f32, strtof_l)
PARSE(ck_parse_f64, double, decimal_to_f64, strtod_l)

// MARK: Lists

static inline int is_space(char c, char separator) {
  return c == ' ' || (separator == ',' && (c == '\n' || c == '\t' || c == '\r'));
}

// Where the text goes on behind the separator that has to stand at `i`, perhaps after white space; 0 where
// it does not.
static inline size_t after_separator(const char *s, size_t n, size_t i, char separator) {
  if (separator != ' ')
    while (i < n && is_space(s[i], separator)) i++;
  return i < n && s[i] == separator ? i + 1 : 0;
}

// The end of the bytes that numbers and words are made of.
static inline size_t token_end(const char *s, size_t n, size_t i) {
  for (; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    if ((unsigned char)(c - '0') < 10 || c == '.' || c == '-' || c == '+') continue;
    if ((unsigned char)((c | 0x20) - 'a') >= 26) break;
  }
  return i;
}

// Bytes that can be read behind where `read_plain` starts.
enum { PLAIN = 64 };

// Eight digits, or -1 where not all of them are; after Daniel Lemire's "Number parsing at a gigabyte
// per second".
static inline int64_t eight_digits(const char *s) {
  const unsigned char *u = (const unsigned char *)s;
  uint64_t v = 0;
  for (int k = 0; k < 8; k++) v |= (uint64_t)u[k] << (8 * k);
  if ((((v + 0x4646464646464646u) | (v - 0x3030303030303030u)) & 0x8080808080808080u) != 0)
    return -1;
  v -= 0x3030303030303030u;
  v = v * 10 + (v >> 8);
  return (int64_t)(((v & 0x000000FF000000FFu) * 0x000F424000000064u +
                    ((v >> 16) & 0x000000FF000000FFu) * 0x0000271000000001u) >>
                   32);
}

// Digits from `i` on, as far as 19 of them go; 0 as the number so far for leading zeros.
static inline size_t read_digits(const char *s, size_t i, uint64_t *digits, size_t *count) {
  uint64_t value = *digits;
  size_t n = *count;
  int64_t eight;
  while (n <= 8 && (eight = eight_digits(s + i)) >= 0) {
    value = value * 100000000 + (uint64_t)eight;
    n += 8;
    i += 8;
  }
  for (; n < 20 && (unsigned char)(s[i] - '0') < 10; i++, n++)
    value = value * 10 + (uint64_t)(s[i] - '0');
  *digits = value;
  *count = n;
  return i;
}

// A number at the start of PLAIN bytes: [-]digits[.digits][e[+-]digits]. Returns its length, 0 where there
// are many zeros or digits, or there is another text.
static inline size_t read_plain(const char *s, struct decimal *d) {
  size_t i = 0, count = 0, zeros = 0;
  uint64_t digits = 0;
  d->is_negative = s[0] == '-';
  i += (size_t)d->is_negative;
  size_t first = i;
  while (s[i] == '0' && zeros < 8) i++, zeros++;
  i = read_digits(s, i, &digits, &count);
  size_t found = i - first;
  int exponent = 0;
  if (s[i] == '.') {
    size_t point = ++i;
    // Zeros before the first digit that counts take none of the nineteen.
    if (count == 0)
      while (s[i] == '0' && zeros < 16) i++, zeros++;
    i = read_digits(s, i, &digits, &count);
    exponent = -(int)(i - point);
    found += i - point;
  }
  if (found == 0 || count > 19) return 0;
  if ((s[i] | 0x20) == 'e') {
    i++;
    int is_small = s[i] == '-';
    if (s[i] == '-' || s[i] == '+') i++;
    size_t start = i;
    int power = 0;
    for (; i - start < 4 && (unsigned char)(s[i] - '0') < 10; i++) power = power * 10 + (s[i] - '0');
    if (i == start) return 0;
    exponent += is_small ? -power : power;
  }
  d->digits = digits;
  d->exponent = exponent;
  return i;
}

#define PARSE_LIST(NAME, T, FAST)                                                                  \
  size_t NAME(const char *s, size_t n, char separator, T *values, size_t most, size_t *next) {     \
    size_t count = 0, i = 0;                                                                       \
    struct decimal decimal;                                                                        \
    while (count < most) {                                                                         \
      size_t start = i;                                                                            \
      while (start < n && is_space(s[start], separator)) start++;                                  \
      if (n - start > PLAIN) {                                                                     \
        size_t length = read_plain(s + start, &decimal);                                           \
        if (length != 0 && s[start + length] == separator && FAST(&decimal, values + count)) {     \
          count++;                                                                                 \
          i = start + length + 1;                                                                  \
          continue;                                                                                \
        }                                                                                          \
      }                                                                                            \
      size_t end = token_end(s, n, start);                                                         \
      size_t after = after_separator(s, n, end, separator);                                        \
      if (after == 0 || !read_decimal(s + start, end - start, &decimal) ||                         \
          !FAST(&decimal, values + count))                                                         \
        break;                                                                                     \
      count++;                                                                                     \
      i = after;                                                                                   \
    }                                                                                              \
    *next = i;                                                                                     \
    return count;                                                                                  \
  }

PARSE_LIST(ck_parse_list_f32, float, decimal_to_f32)
PARSE_LIST(ck_parse_list_f64, double, decimal_to_f64)

size_t ck_parse_list_i64(const char *s, size_t n, char separator, int64_t least, int64_t greatest,
                         int64_t *values, size_t most, size_t *next) {
  size_t count = 0, i = 0;
  while (count < most) {
    size_t end = i;
    while (end < n && is_space(s[end], separator)) end++;
    int is_negative = end < n && s[end] == '-';
    if (end < n && (s[end] == '-' || s[end] == '+')) end++;
    size_t first = end;
    int64_t value = 0;
    for (; end < n && end - first < 18 && (unsigned char)(s[end] - '0') < 10; end++)
      value = value * 10 + (s[end] - '0');
    if (end == first) break;
    if (is_negative) value = -value;
    if (value < least || value > greatest) break;
    size_t after = after_separator(s, n, end, separator);
    if (after == 0) break;
    values[count++] = value;
    i = after;
  }
  *next = i;
  return count;
}

// How many bytes of elements without white space, each with its comma, can be passed in whole blocks.
static size_t skip_blocks(const char *s, size_t n) {
  enum { BLOCK = 64 };
  if (n == 0 || s[0] == ',') return 0;
  size_t i = 1;
  for (; n - i >= BLOCK; i += BLOCK) {
    unsigned char other = 0;
    for (size_t k = 0; k < BLOCK; k++) {
      unsigned char c = (unsigned char)s[i + k];
      unsigned char is_letter = (unsigned char)((c | 0x20) - 'a') < 26;
      unsigned char is_digit = (unsigned char)(c - '0') < 10;
      unsigned char is_mark = (c == '.') | (c == '-') | (c == '+');
      unsigned char is_next = (c == ',') & (s[i + k - 1] != ',');
      other |= (unsigned char)!(is_letter | is_digit | is_mark | is_next);
    }
    if (other) break;
  }
  // The first byte was not looked at.
  if (i == 1 || token_end(s, 1, 0) == 0) return 0;
  while (i > 0 && s[i - 1] != ',') i--;
  return i;
}

size_t ck_skip_list(const char *s, size_t n) {
  size_t i = skip_blocks(s, n);
  for (;;) {
    size_t start = i;
    while (start < n && is_space(s[start], ',')) start++;
    size_t end = token_end(s, n, start);
    size_t after = end > start ? after_separator(s, n, end, ',') : 0;
    if (after == 0) return i;
    i = after;
  }
}

size_t ck_object_length(const char *s, size_t n) {
  enum { BLOCK = 64 };
  size_t depth = 0, i = 0;
  while (i < n) {
    // Lists of numbers, which most of a model is, have none of the three.
    if (n - i >= BLOCK) {
      unsigned char any = 0;
      for (size_t k = 0; k < BLOCK; k++) {
        char c = s[i + k];
        any |= (unsigned char)((c == '{') | (c == '}') | (c == '"'));
      }
      if (!any) {
        i += BLOCK;
        continue;
      }
    }
    size_t end = n - i >= BLOCK ? i + BLOCK : n;
    while (i < end) {
      char c = s[i++];
      if (c == '{') {
        depth++;
      } else if (c == '}') {
        if (depth <= 1) return depth == 1 ? i : 0;
        depth--;
      } else if (c == '"') {
        while (i < n && s[i] != '"') i += s[i] == '\\' ? 2 : 1;
        i++;
      }
    }
  }
  return 0;
}
