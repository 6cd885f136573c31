#define _GNU_SOURCE
#include "ck_number.h"

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

#define PARSE(NAME, T, CONVERT)                                                                    \
  int NAME(const char *text, size_t length, T *value) {                                            \
    char copy[LONGEST + 1];                                                                        \
    if (length > LONGEST || !is_number(text, length)) return 0;                                    \
    memcpy(copy, text, length);                                                                    \
    copy[length] = 0;                                                                              \
    *value = CONVERT(copy, 0, c_locale());                                                         \
    return 1;                                                                                      \
  }

PARSE(ck_parse_f32, float, strtof_l)
PARSE(ck_parse_f64, double, strtod_l)
