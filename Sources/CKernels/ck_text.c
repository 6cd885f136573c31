#include "ck_text.h"

#include <stdlib.h>
#include <string.h>

#include "ck_twins.h"

// MARK: Dictionary

// A text of up to 15 bytes is its own key: the bytes, then the length in the last byte. Of a longer one
// the key is a hash and the length, and the text is compared.
typedef struct {
  uint64_t low, high;
} key_t128;

enum { SHORT = 15 };
static const uint64_t LONG_MARK = 0xff00000000000000u;

typedef struct {
  key_t128 key;
  int32_t place;  // -1 where the slot is free
  uint32_t unused;
} slot;

struct ck_dictionary {
  size_t mask;
  uint64_t seed;
  size_t longest;
  size_t byte_count;
  slot *slots;
  uint8_t *bytes;
  size_t *starts;  // of each text in `bytes`
};

// Both halves of a product, folded: each bit of both factors reaches each bit of the result.
CK_INLINE uint64_t fold(uint64_t a, uint64_t b) {
  unsigned __int128 product = (unsigned __int128)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

CK_INLINE uint64_t read_64(const uint8_t *p) {
  uint64_t x;
  memcpy(&x, p, sizeof x);
  return x;
}

CK_INLINE uint64_t read_32(const uint8_t *p) {
  uint32_t x;
  memcpy(&x, p, sizeof x);
  return x;
}

static uint64_t hash_long(const uint8_t *p, size_t length, uint64_t seed) {
  uint64_t hash = seed ^ 0x9e3779b97f4a7c15u;
  size_t i = 0;
  for (; i + 16 <= length; i += 16) {
    hash = fold(read_64(p + i) ^ 0xa0761d6478bd642fu, read_64(p + i + 8) ^ hash);
  }
  // The last 16 bytes, some of them again.
  hash = fold(read_64(p + length - 16) ^ 0xe7037ed1a0b428dbu, read_64(p + length - 8) ^ hash);
  return fold(hash ^ 0x8ebc6af09c88c6e3u, length ^ seed);
}

// Little-endian machines only need this to be consistent, not to be the same everywhere.
CK_INLINE key_t128 key_of(const uint8_t *p, size_t length, uint64_t seed) {
  key_t128 key = {0, (uint64_t)length << 56};
  if (length > SHORT) {
    key.low = hash_long(p, length, seed);
    key.high = LONG_MARK | (length & ~LONG_MARK);
  } else if (length > 8) {
    key.low = read_64(p);
    key.high |= read_64(p + length - 8) >> (8 * (16 - length));
  } else if (length >= 4) {
    key.low = read_32(p) | read_32(p + length - 4) << (8 * (length - 4));
  } else {
    for (size_t i = 0; i < length; i++) key.low |= (uint64_t)p[i] << (8 * i);
  }
  return key;
}

CK_INLINE size_t place_of(key_t128 key, uint64_t seed) {
  return (size_t)fold(key.low ^ seed, key.high ^ 0x9e3779b97f4a7c15u);
}

CK_INLINE const slot *find_slot(
    const ck_dictionary *d, key_t128 key, const uint8_t *text, size_t length) {
  for (size_t i = place_of(key, d->seed) & d->mask;; i = (i + 1) & d->mask) {
    const slot *s = d->slots + i;
    if (s->place < 0) return s;
    if (s->key.low == key.low && s->key.high == key.high &&
        (length <= SHORT || memcmp(d->bytes + d->starts[s->place], text, length) == 0)) {
      return s;
    }
  }
}

// Slots for `count` entries, a power of two with at least half of them free.
static size_t slot_count(size_t count) {
  size_t size = 16;
  while (size < count * 2) size *= 2;
  return size;
}

ck_dictionary *ck_dictionary_make(
    const uint8_t *bytes, const size_t *ends, size_t count, uint64_t seed) {
  ck_dictionary *d = calloc(1, sizeof *d);
  if (d == NULL) return NULL;
  size_t size = slot_count(count), total = count > 0 ? ends[count - 1] : 0;
  d->mask = size - 1;
  d->seed = seed;
  d->slots = malloc(size * sizeof *d->slots);
  d->bytes = malloc(total + 1);
  d->starts = malloc((count + 1) * sizeof *d->starts);
  d->byte_count = sizeof *d + size * sizeof *d->slots + total + count * sizeof *d->starts;
  if (d->slots == NULL || d->bytes == NULL || d->starts == NULL) {
    ck_dictionary_free(d);
    return NULL;
  }
  if (total > 0) memcpy(d->bytes, bytes, total);
  for (size_t i = 0; i < size; i++) d->slots[i].place = -1;
  size_t start = 0;
  for (size_t i = 0; i < count; start = ends[i], i++) {
    size_t length = ends[i] - start;
    d->starts[i] = start;
    key_t128 key = key_of(d->bytes + start, length, seed);
    slot *s = (slot *)find_slot(d, key, d->bytes + start, length);
    if (s->place >= 0) continue;
    *s = (slot){key, (int32_t)i, 0};
    if (length > d->longest) d->longest = length;
  }
  return d;
}

void ck_dictionary_free(ck_dictionary *d) {
  if (d == NULL) return;
  free(d->slots);
  free(d->bytes);
  free(d->starts);
  free(d);
}

int32_t ck_dictionary_find(const ck_dictionary *d, const uint8_t *text, size_t length) {
  if (length > d->longest) return -1;
  return find_slot(d, key_of(text, length, d->seed), text, length)->place;
}

size_t ck_dictionary_size(const ck_dictionary *d) { return d->byte_count; }

// MARK: Tokens

// The key of a short text that has 16 bytes of memory, whatever they are behind it: no branches, which
// lengths that change from text to text would make the CPU guess wrong.
CK_INLINE key_t128 key_of_short(const uint8_t *p, size_t length) {
  uint64_t low_bits = length >= 8 ? ~(uint64_t)0 : ((uint64_t)1 << (8 * length)) - 1;
  uint64_t high_bits = length <= 8 ? 0 : ((uint64_t)1 << (8 * (length - 8))) - 1;
  key_t128 key = {
      read_64(p) & low_bits, (read_64(p + 8) & high_bits) | (uint64_t)length << 56};
  return key;
}

// True for U+0130 and U+212A, which in lower case begin with an ASCII letter.
CK_INLINE int folds(const uint8_t *p, size_t length) {
  if (length >= 2 && p[0] == 0xc4) return p[1] == 0xb0;
  return length >= 3 && p[0] == 0xe2 && p[1] == 0x84 && p[2] == 0xaa;
}

ptrdiff_t ck_tokens_of_class(
    const ck_dictionary *d, const uint8_t characters[256], const uint8_t *text, size_t length,
    size_t least, int32_t *tokens) {
  enum { ROOM = 256 };
  uint8_t run[ROOM + 16];
  memset(run, 0, 16);
  size_t count = 0, i = 0;
  for (;;) {
    while (i < length && characters[text[i]] == 0) i++;
    if (i == length) return (ptrdiff_t)count;
    size_t size = 0;
    uint8_t c;
    while (i < length && (c = characters[text[i]]) > CK_TEXT_MAY_FOLD) {
      if (size < ROOM) run[size] = c;
      size++;
      i++;
    }
    if (i < length && c != 0) {
      if (c == CK_TEXT_UNICODE || folds(text + i, length - i)) return -1;
      i++;
    }
    if (size == 0 || size < least) continue;
    if (size <= SHORT) {
      tokens[count++] = find_slot(d, key_of_short(run, size), run, size)->place;
    } else if (size <= ROOM) {
      tokens[count++] = ck_dictionary_find(d, run, size);
    } else if (size > d->longest) {
      tokens[count++] = -1;
    } else {
      return -1;
    }
  }
}

// MARK: N-grams

typedef struct {
  uint64_t key;  // gram and token, or FREE
  uint32_t to;
  uint32_t unused;
} step;

struct ck_grams {
  size_t mask;
  uint64_t seed;
  size_t byte_count;
  step *steps;
  int32_t *columns;
  // A bit for each step, found by its hash; most pairs of tokens are no step and end here, in less
  // memory than the steps take.
  uint64_t *bits;
  size_t bit_mask;
};

static const uint64_t FREE = UINT64_MAX;
static const uint32_t NONE = UINT32_MAX;

CK_INLINE uint64_t hash_step(const ck_grams *g, uint64_t key) {
  return fold(key ^ g->seed, 0x9e3779b97f4a7c15u);
}

CK_INLINE uint32_t next_gram(const ck_grams *g, uint32_t from, uint32_t token) {
  uint64_t key = (uint64_t)from << 32 | token, hash = hash_step(g, key);
  size_t bit = (size_t)(hash >> 20) & g->bit_mask;
  if ((g->bits[bit >> 6] >> (bit & 63) & 1) == 0) return NONE;
  for (size_t i = (size_t)hash & g->mask;; i = (i + 1) & g->mask) {
    if (g->steps[i].key == key) return g->steps[i].to;
    if (g->steps[i].key == FREE) return NONE;
  }
}

ck_grams *ck_grams_make(
    const uint32_t *from, const uint32_t *tokens, const uint32_t *to, size_t count,
    const int32_t *columns, size_t gram_count, uint64_t seed) {
  ck_grams *g = calloc(1, sizeof *g);
  if (g == NULL) return NULL;
  size_t size = slot_count(count);
  g->mask = size - 1;
  g->seed = seed;
  g->steps = malloc(size * sizeof *g->steps);
  g->columns = malloc((gram_count + 1) * sizeof *g->columns);
  // Eight bits a step or more: of the pairs that are no step, at most one in eight is looked for.
  g->bit_mask = size * 4 - 1;
  g->bits = calloc(size * 4 / 64, sizeof *g->bits);
  g->byte_count =
      sizeof *g + size * sizeof *g->steps + gram_count * sizeof *g->columns + size / 2;
  if (g->steps == NULL || g->columns == NULL || g->bits == NULL) {
    ck_grams_free(g);
    return NULL;
  }
  if (gram_count > 0) memcpy(g->columns, columns, gram_count * sizeof *columns);
  for (size_t i = 0; i < size; i++) g->steps[i].key = FREE;
  for (size_t n = 0; n < count; n++) {
    uint64_t key = (uint64_t)from[n] << 32 | tokens[n];
    uint64_t hash = hash_step(g, key);
    size_t i = (size_t)hash & g->mask, bit = (size_t)(hash >> 20) & g->bit_mask;
    g->bits[bit >> 6] |= (uint64_t)1 << (bit & 63);
    while (g->steps[i].key != FREE) i = (i + 1) & g->mask;
    g->steps[i] = (step){key, to[n], 0};
  }
  return g;
}

void ck_grams_free(ck_grams *g) {
  if (g == NULL) return;
  free(g->steps);
  free(g->columns);
  free(g->bits);
  free(g);
}

size_t ck_grams_size(const ck_grams *g) { return g->byte_count; }

// Finds all n-grams; `HIT(column)` is what becomes of one.
#define FIND_GRAMS(HIT)                                                                            \
  {                                                                                                \
    if (least == 1) {                                                                              \
      for (size_t i = 0; i < count; i++) {                                                         \
        if (tokens[i] < 0) continue;                                                               \
        int32_t column = g->columns[tokens[i]];                                                    \
        if (column >= 0) HIT(column);                                                              \
      }                                                                                            \
    }                                                                                              \
    size_t from = least == 1 ? 2 : least;                                                          \
    for (size_t step = 1; from <= most && step <= distance; step++) {                              \
      if (count <= step * (from - 1)) break;                                                       \
      for (size_t i = 0; i < count; i++) {                                                         \
        if (tokens[i] < 0) continue;                                                               \
        uint32_t gram = (uint32_t)tokens[i];                                                       \
        for (size_t size = 2, at = i + step; size <= most && at < count; size++, at += step) {     \
          if (tokens[at] < 0) break;                                                               \
          gram = next_gram(g, gram, (uint32_t)tokens[at]);                                         \
          if (gram == NONE) break;                                                                 \
          if (size < from) continue;                                                               \
          int32_t column = g->columns[gram];                                                       \
          if (column >= 0) HIT(column);                                                            \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }

size_t ck_gram_hits(
    const ck_grams *g, const int32_t *tokens, size_t count, size_t least, size_t most,
    size_t distance, uint32_t *hits) {
  size_t found = 0;
#define COLLECT(column) hits[found++] = (uint32_t)(column)
  FIND_GRAMS(COLLECT)
#undef COLLECT
  return found;
}

void ck_gram_counts(
    const ck_grams *g, const int32_t *tokens, size_t count, size_t least, size_t most,
    size_t distance, uint32_t *counts) {
#define COUNT(column) counts[column]++
  FIND_GRAMS(COUNT)
#undef COUNT
}

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

size_t ck_count_hits(uint32_t *hits, size_t count, uint32_t *counts) {
  if (count == 0) return 0;
  if (count <= 64) {
    for (size_t i = 1; i < count; i++) {
      uint32_t own = hits[i];
      size_t j = i;
      for (; j > 0 && hits[j - 1] > own; j--) hits[j] = hits[j - 1];
      hits[j] = own;
    }
  } else {
    qsort(hits, count, sizeof *hits, compare);
  }
  size_t last = 0;
  counts[0] = 1;
  for (size_t i = 1; i < count; i++) {
    if (hits[i] == hits[last]) {
      counts[last]++;
    } else {
      hits[++last] = hits[i];
      counts[last] = 1;
    }
  }
  return last + 1;
}

CK_INLINE void weigh_sparse(
    const uint32_t *places, const double *values, size_t count, const double *weights, size_t width,
    double *sums) {
  for (size_t i = 0; i < count; i++) {
    const double *own = weights + (size_t)places[i] * width;
    for (size_t c = 0; c < width; c++) sums[c] += values[i] * own[c];
  }
}

void ck_weigh_sparse(
    const uint32_t *places, const double *values, size_t count, const double *weights, size_t width,
    double *sums) {
  if (width == 1) {
    weigh_sparse(places, values, count, weights, 1, sums);
  } else {
    weigh_sparse(places, values, count, weights, width, sums);
  }
}

// MARK: Hash

CK_INLINE uint32_t rotate(uint32_t x, int by) { return x << by | x >> (32 - by); }

CK_INLINE uint32_t murmur_block(uint32_t k) { return rotate(k * 0xcc9e2d51u, 15) * 0x1b873593u; }

uint32_t ck_murmur3(const uint8_t *p, size_t length, uint32_t seed) {
  uint32_t hash = seed;
  size_t i = 0;
  for (; i + 4 <= length; i += 4) {
    uint32_t block =
        (uint32_t)p[i] | (uint32_t)p[i + 1] << 8 | (uint32_t)p[i + 2] << 16 | (uint32_t)p[i + 3] << 24;
    hash = rotate(hash ^ murmur_block(block), 13) * 5 + 0xe6546b64u;
  }
  uint32_t rest = 0;
  for (size_t j = 0; i + j < length; j++) rest |= (uint32_t)p[i + j] << (8 * j);
  if (rest != 0 || i < length) hash ^= murmur_block(rest);
  hash ^= (uint32_t)length;
  hash ^= hash >> 16;
  hash *= 0x85ebca6bu;
  hash ^= hash >> 13;
  hash *= 0xc2b2ae35u;
  return hash ^ hash >> 16;
}
