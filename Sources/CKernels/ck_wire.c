#include "ck_wire.h"

#include <string.h>

// The longest varint.
enum { LONGEST = 10 };

// A varint at `s`, LONGEST bytes of which can be read. Returns what it takes, 0 where it has more than 64
// bits.
static inline size_t read_varint(const uint8_t *s, uint64_t *value) {
  if (s[0] < 0x80) {
    *value = s[0];
    return 1;
  }
  uint64_t sum = s[0] & 0x7F;
  for (size_t i = 1; i < LONGEST; i++) {
    // The tenth byte holds the last bit.
    if (i == LONGEST - 1 && s[i] > 1) return 0;
    sum |= (uint64_t)(s[i] & 0x7F) << (7 * i);
    if (s[i] < 0x80) {
      *value = sum;
      return i + 1;
    }
  }
  return 0;
}

#define WIRE_INTEGERS(NAME, T)                                                                     \
  size_t NAME(const uint8_t *bytes, size_t length, uint8_t tag, T *values, size_t most,            \
              size_t *next) {                                                                      \
    size_t count = 0, i = 0;                                                                       \
    while (count < most && length - i > LONGEST && bytes[i] == tag) {                              \
      uint64_t value;                                                                              \
      size_t taken = read_varint(bytes + i + 1, &value);                                           \
      if (taken == 0 || (int64_t)value != (int64_t)(T)value) break;                                \
      values[count++] = (T)value;                                                                  \
      i += taken + 1;                                                                              \
    }                                                                                              \
    *next = i;                                                                                     \
    return count;                                                                                  \
  }

WIRE_INTEGERS(ck_wire_i32, int32_t)
WIRE_INTEGERS(ck_wire_i64, int64_t)

static inline uint32_t load_le32(const uint8_t *s) {
  return (uint32_t)s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
}

// The first `size` of eight bytes, the first of them lowest.
static inline uint64_t load_le64(const uint8_t *s, size_t size) {
  if (size == 0) return 0;
  uint64_t value = (uint64_t)load_le32(s) | (uint64_t)load_le32(s + 4) << 32;
  return size >= 8 ? value : value & ~(uint64_t)0 >> (64 - 8 * size);
}

size_t ck_wire_f32(const uint8_t *bytes, size_t length, uint8_t tag, float *values, size_t most,
                   size_t *next) {
  enum { SIZE = 5 };
  size_t count = 0;
  size_t fit = length / SIZE;
  if (fit > most) fit = most;
  for (; count < fit && bytes[count * SIZE] == tag; count++) {
    uint32_t bits = load_le32(bytes + count * SIZE + 1);
    memcpy(values + count, &bits, sizeof bits);
  }
  *next = count * SIZE;
  return count;
}

size_t ck_wire_words_u8(const uint8_t *bytes, size_t length, uint8_t tag, const ck_wire_words *words,
                        uint8_t *numbers, size_t most, size_t *next) {
  size_t count = 0, i = 0;
  while (count < most && length - i >= 2 + CK_WIRE_WORD_LENGTH && bytes[i] == tag) {
    size_t size = bytes[i + 1];
    if (size > CK_WIRE_WORD_LENGTH) break;
    uint64_t low = load_le64(bytes + i + 2, size);
    uint64_t high = load_le64(bytes + i + 10, size > 8 ? size - 8 : 0);
    size_t number = 0;
    while (number < words->count &&
           (words->lengths[number] != size || words->halves[number][0] != low ||
            words->halves[number][1] != high))
      number++;
    if (number == words->count) break;
    numbers[count++] = (uint8_t)number;
    i += 2 + size;
  }
  *next = i;
  return count;
}
