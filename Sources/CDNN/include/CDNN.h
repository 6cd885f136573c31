#ifndef CDNN_H
#define CDNN_H

#include <stddef.h>
#include <stdint.h>

// oneDNN behind one set of calls, for its C interfaces 2 and 3, which differ.
//
// Which of the two is decided by the headers that this is compiled with; without headers every
// primitive is NULL. The library itself is opened when it is first asked for, so that a process
// that runs no network never loads it, and one on a machine without it goes on without.
//
// Primitives may be made and run by many threads at once; a bound call belongs to one thread.

// Where the elements of a tensor of axes [images, channels, ...space] lie.
enum {
  DN_PLAIN = 0,         // As ONNX has them.
  DN_BLOCKS = 1,        // Blocks of dn_channel_block() channels, innermost.
  DN_CHANNELS_LAST = 2  // Channels innermost.
};

enum { DN_MAX_RANK = 6, DN_MAX_POST_OPS = 6 };

// Functions of an element that may follow a product; parameters as oneDNN names them.
enum {
  DN_RELU, DN_TANH, DN_ELU, DN_SQUARE, DN_ABS, DN_SQRT, DN_LINEAR, DN_LOGISTIC, DN_EXP,
  DN_GELU_TANH, DN_GELU_ERF, DN_SWISH, DN_LOG, DN_CLIP, DN_HARDSWISH, DN_MISH, DN_SOFT_RELU,
  DN_SUM,  // Adds what the output holds before.
};

typedef struct {
  int kind;
  float alpha, beta;
} dn_post_op;

typedef struct {
  int rank;
  int64_t dims[DN_MAX_RANK];
  int layout;
} dn_tensor;

// True (1) where oneDNN can be used.
int dn_is_available(void);
// oneDNN's version and the instructions it uses, for reports; "" where there is none.
const char *dn_description(void);
// Channels of a block: as many floats as the widest register holds.
int dn_channel_block(void);
// Runs body(context), in which oneDNN and dn_parallel may use so many threads: this one alone, or those
// of the process's one team, which serves one body after the other. May not be nested.
void dn_with_threads(int count, void (*body)(void *), void *context);
// Runs body(context, part) for each part below `parts` on the threads that oneDNN uses, where there are
// such; they take parts from each other until all are done.
void dn_parallel(int parts, void (*body)(void *, int), void *context);

// This thread's scratch memory of at least so many bytes, which layers share one after the other; NULL
// where memory is short or there is no oneDNN.
void *dn_scratch(size_t bytes);

typedef struct dn_primitive dn_primitive;
typedef struct dn_call dn_call;

typedef struct {
  dn_tensor source, target;
  int groups;  // 0: weights without an axis of groups.
  int64_t kernel[DN_MAX_RANK], strides[DN_MAX_RANK], dilations[DN_MAX_RANK];
  int64_t pads_begin[DN_MAX_RANK], pads_end[DN_MAX_RANK];
  int has_bias;
  int post_op_count;
  dn_post_op post_ops[DN_MAX_POST_OPS];
} dn_convolution_spec;

// A convolution for the threads of dn_with_threads; NULL where oneDNN has none but its reference.
// `like`: another of the same weights, whose packed form must fit; NULL for the best form.
dn_primitive *dn_convolution(const dn_convolution_spec *spec, const dn_primitive *like);

typedef struct {
  dn_tensor source, target;
  int is_max, counts_padding;
  int64_t kernel[DN_MAX_RANK], strides[DN_MAX_RANK], dilations[DN_MAX_RANK];
  int64_t pads_begin[DN_MAX_RANK], pads_end[DN_MAX_RANK];
} dn_pooling_spec;
dn_primitive *dn_pooling(const dn_pooling_spec *spec);

// [batch, rows, depth] x [batch or 1, depth, columns] + [columns]; `batch` 0: matrices without one.
typedef struct {
  int64_t batch, rows, depth, columns;
  int shares_weights;  // One right matrix for the whole batch.
  int packs_weights;   // The right matrix is given packed.
  // Strides of the matrices, in elements: (batch, row, column).
  int64_t source_strides[3], weight_strides[3], target_strides[3];
  int has_bias;
  int post_op_count;
  dn_post_op post_ops[DN_MAX_POST_OPS];
} dn_product_spec;
dn_primitive *dn_product(const dn_product_spec *spec, const dn_primitive *like);

// A copy into another layout.
dn_primitive *dn_reorder(const dn_tensor *from, const dn_tensor *to);
// A function of each of `count` elements.
dn_primitive *dn_function(int64_t count, const dn_post_op *function);

void dn_release(dn_primitive *primitive);

// Bytes that packed weights take; 0 where there are none.
size_t dn_weight_bytes(const dn_primitive *primitive);
// True (1) where weights that were packed for one are in the form of the other.
int dn_takes_weights_of(const dn_primitive *primitive, const dn_primitive *other);
// Packs weights of `dims` (plain); `packed` is aligned to 64 bytes. 0 where it cannot be done.
int dn_pack_weights(
    const dn_primitive *primitive, const float *plain, int rank, const int64_t *dims,
    const int64_t *strides, float *packed);

// A primitive with its memory; NULL where memory is short. The primitive must outlive it.
dn_call *dn_bind(
    const dn_primitive *primitive, const float *source, const float *weights, const float *bias,
    float *target);
// 0 where oneDNN reports an error.
int dn_run(dn_call *call);
void dn_unbind(dn_call *call);

#endif
