#ifndef CK_WIRE_H
#define CK_WIRE_H

#include "ck_common.h"

// Lists of protobuf's wire format that are not packed: each element is a field of its own, with the same
// one-byte tag.
//
// Each reads at most `most` elements from `bytes` on and returns how many; `next` is where the first lies
// that was not read, because its tag is another, it does not fit, or the bytes end too soon to tell.

// Numbers that 32 bits hold.
size_t ck_wire_i32(const uint8_t *bytes, size_t length, uint8_t tag, int32_t *values, size_t most,
                   size_t *next);
size_t ck_wire_i64(const uint8_t *bytes, size_t length, uint8_t tag, int64_t *values, size_t most,
                   size_t *next);
size_t ck_wire_f32(const uint8_t *bytes, size_t length, uint8_t tag, float *values, size_t most,
                   size_t *next);

enum { CK_WIRE_WORDS = 8, CK_WIRE_WORD_LENGTH = 16 };

// Short texts: their first eight bytes and the eight after them, the first byte lowest, the rest zero.
typedef struct {
  uint8_t lengths[CK_WIRE_WORDS];
  uint64_t halves[CK_WIRE_WORDS][2];
  size_t count;
} ck_wire_words;

// Texts as their numbers among `words`; one that is not there is not read.
size_t ck_wire_words_u8(const uint8_t *bytes, size_t length, uint8_t tag, const ck_wire_words *words,
                        uint8_t *numbers, size_t most, size_t *next);

#endif
