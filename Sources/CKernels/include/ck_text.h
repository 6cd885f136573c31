#ifndef CK_TEXT_H
#define CK_TEXT_H

#include "ck_common.h"

// Looking up texts and counting n-grams of them. Texts are bytes; equal means equal bytes.

// A table of texts, each with its place in the list that it was made of. Never changes, so threads may
// share it.
typedef struct ck_dictionary ck_dictionary;

// A table of `count` texts: text i is bytes[ends[i - 1]] ..< bytes[ends[i]]; it is copied. Of equal
// texts the first counts. `seed` spreads the texts; what is found does not depend on it, only that
// nobody can choose texts that all meet in one place. NULL where memory is short.
ck_dictionary *ck_dictionary_make(
    const uint8_t *bytes, const size_t *ends, size_t count, uint64_t seed);
void ck_dictionary_free(ck_dictionary *dictionary);
// The place of a text, or -1.
int32_t ck_dictionary_find(const ck_dictionary *dictionary, const uint8_t *text, size_t length);
// Bytes that a table takes.
size_t ck_dictionary_size(const ck_dictionary *dictionary);

// Cuts a text of one-byte characters into the runs of characters that belong to a class, and looks the
// runs up: `tokens`, as long as the text, gets their places in the dictionary, or -1.
//
// characters[b] is what byte b becomes in a run, 0 where b ends a run, or one of the two below: the text
// must be read as Unicode, always or where the byte begins one of the two characters that become ASCII
// letters in lower case (U+0130, U+212A), and ends a run elsewhere. Runs shorter than `least` are left out. Returns the number of runs, or -1 where the text must
// be read as Unicode.
enum { CK_TEXT_UNICODE = 1, CK_TEXT_MAY_FOLD = 2 };
ptrdiff_t ck_tokens_of_class(
    const ck_dictionary *dictionary, const uint8_t characters[256], const uint8_t *text,
    size_t length, size_t least, int32_t *tokens);

// Steps from an n-gram to those that are one token longer.
typedef struct ck_grams ck_grams;

// A table of `count` steps: token `tokens[i]` after gram `from[i]` makes gram `to[i]`. No two have the
// same `from` and token. Gram g has `columns[g]`, its place in the output, or -1. The grams of one token
// are numbered as the tokens are. NULL where memory is short.
ck_grams *ck_grams_make(
    const uint32_t *from, const uint32_t *tokens, const uint32_t *to, size_t count,
    const int32_t *columns, size_t gram_count, uint64_t seed);
void ck_grams_free(ck_grams *grams);
size_t ck_grams_size(const ck_grams *grams);

// Collects the columns of all n-grams of `least` to `most` tokens, those of more than one token for
// each distance between tokens from 1 to `distance`. Token -1 is part of none. `hits` has room for
// ck_gram_limit numbers. Returns how many there are.
size_t ck_gram_hits(
    const ck_grams *grams, const int32_t *tokens, size_t count, size_t least, size_t most,
    size_t distance, uint32_t *hits);
// The same counted: adds 1 to counts[column] for each.
void ck_gram_counts(
    const ck_grams *grams, const int32_t *tokens, size_t count, size_t least, size_t most,
    size_t distance, uint32_t *counts);

// Sorts `count` columns and counts equal ones: `hits` keeps each once, in increasing order, `counts`
// how often it was there. Returns how many different ones there are.
size_t ck_count_hits(uint32_t *hits, size_t count, uint32_t *counts);

// sums[c] += sum over i of values[i] * weights[places[i] * width + c], in order.
void ck_weigh_sparse(
    const uint32_t *places, const double *values, size_t count, const double *weights, size_t width,
    double *sums);

// MurmurHash3_x86_32 (Appleby, public domain).
uint32_t ck_murmur3(const uint8_t *bytes, size_t length, uint32_t seed);

#endif
