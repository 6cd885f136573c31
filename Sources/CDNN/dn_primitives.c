#include "dn_library.h"

#include <stdlib.h>
#include <string.h>

#if DN_HAS_ONEDNN

#if DN_IS_V3
typedef const_dnnl_memory_desc_t md_ref;
#define MD(x) (x)
#else
typedef const dnnl_memory_desc_t *md_ref;
#define MD(x) (&(x))
#endif

struct dn_primitive {
  dnnl_primitive_desc_t desc;
  dnnl_primitive_t primitive;
  int has_weights, has_bias;
  size_t scratch_bytes;
};

enum { SOURCE, TARGET, WEIGHTS, BIAS, SCRATCH, ARGUMENTS };

struct dn_call {
  const dn_primitive *primitive;
  int count;
  dnnl_exec_arg_t arguments[ARGUMENTS];
  dnnl_memory_t scratch;
  void *scratch_at;
};

// MARK: Descriptions of memory

static int md_of_tag(
    dnnl_memory_desc_t *md, int rank, const int64_t *dims, dnnl_format_tag_t tag) {
  const dn_library *dn = dn_open();
  dnnl_dims_t sizes = {0};
  for (int i = 0; i < rank; i++) sizes[i] = dims[i];
#if DN_IS_V3
  return dn->dnnl_memory_desc_create_with_tag(md, rank, sizes, dnnl_f32, tag) == dnnl_success;
#else
  return dn->dnnl_memory_desc_init_by_tag(md, rank, sizes, dnnl_f32, tag) == dnnl_success;
#endif
}

static int md_of_strides(
    dnnl_memory_desc_t *md, int rank, const int64_t *dims, const int64_t *strides) {
  const dn_library *dn = dn_open();
  dnnl_dims_t sizes = {0}, steps = {0};
  for (int i = 0; i < rank; i++) sizes[i] = dims[i], steps[i] = strides[i];
#if DN_IS_V3
  return dn->dnnl_memory_desc_create_with_strides(md, rank, sizes, dnnl_f32, steps) == dnnl_success;
#else
  return dn->dnnl_memory_desc_init_by_strides(md, rank, sizes, dnnl_f32, steps) == dnnl_success;
#endif
}

static void md_end(dnnl_memory_desc_t *md) {
#if DN_IS_V3
  if (*md) dn_open()->dnnl_memory_desc_destroy(*md);
  *md = NULL;
#else
  (void)md;
#endif
}

static dnnl_format_tag_t tag_of(int rank, int layout) {
  static const dnnl_format_tag_t plain[] = {
      dnnl_format_tag_undef, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd, dnnl_abcde, dnnl_abcdef};
  if (rank < 1 || rank > DN_MAX_RANK) return dnnl_format_tag_undef;
  if (layout == DN_PLAIN || rank < 3) return plain[rank];
  if (layout == DN_CHANNELS_LAST) {
    return rank == 3 ? dnnl_acb : rank == 4 ? dnnl_acdb : rank == 5 ? dnnl_acdeb : 0;
  }
  if (dn_channel_block() == 16) {
    return rank == 3 ? dnnl_aBc16b : rank == 4 ? dnnl_aBcd16b : rank == 5 ? dnnl_aBcde16b : 0;
  }
  return rank == 3 ? dnnl_aBc8b : rank == 4 ? dnnl_aBcd8b : rank == 5 ? dnnl_aBcde8b : 0;
}

static int md_of_tensor(dnnl_memory_desc_t *md, const dn_tensor *tensor) {
  return md_of_tag(md, tensor->rank, tensor->dims, tag_of(tensor->rank, tensor->layout));
}

// MARK: What follows a product

static dnnl_alg_kind_t algorithm(int kind) {
  switch (kind) {
    case DN_RELU: return dnnl_eltwise_relu;
    case DN_TANH: return dnnl_eltwise_tanh;
    case DN_ELU: return dnnl_eltwise_elu;
    case DN_SQUARE: return dnnl_eltwise_square;
    case DN_ABS: return dnnl_eltwise_abs;
    case DN_SQRT: return dnnl_eltwise_sqrt;
    case DN_LINEAR: return dnnl_eltwise_linear;
    case DN_LOGISTIC: return dnnl_eltwise_logistic;
    case DN_EXP: return dnnl_eltwise_exp;
    case DN_GELU_TANH: return dnnl_eltwise_gelu_tanh;
    case DN_GELU_ERF: return dnnl_eltwise_gelu_erf;
    case DN_SWISH: return dnnl_eltwise_swish;
    case DN_LOG: return dnnl_eltwise_log;
    case DN_CLIP: return dnnl_eltwise_clip;
    case DN_HARDSWISH: return dnnl_eltwise_hardswish;
    case DN_MISH: return dnnl_eltwise_mish;
    case DN_SOFT_RELU: return dnnl_eltwise_soft_relu;
    default: return dnnl_alg_kind_undef;
  }
}

// From version 3 on hard swish has parameters, and the soft rectifier a factor.
static void parameters(const dn_post_op *op, float *alpha, float *beta) {
  *alpha = op->alpha;
  *beta = op->beta;
#if DN_IS_V3
  if (op->kind == DN_HARDSWISH) *alpha = 1.0f / 6.0f, *beta = 0.5f;
  if (op->kind == DN_SOFT_RELU) *alpha = 1.0f;
#endif
}

// Attributes with scratch memory of the caller's; NULL where they cannot be made.
static dnnl_primitive_attr_t attributes(int count, const dn_post_op *ops) {
  const dn_library *dn = dn_open();
  dnnl_primitive_attr_t attr = NULL;
  dnnl_post_ops_t list = NULL;
  if (dn->dnnl_primitive_attr_create(&attr) != dnnl_success) return NULL;
  int fits = dn->dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) ==
             dnnl_success;
  if (fits && count > 0) {
    fits = dn->dnnl_post_ops_create(&list) == dnnl_success;
    for (int i = 0; fits && i < count; i++) {
      dnnl_status_t status;
      if (ops[i].kind == DN_SUM) {
#if DN_IS_V3
        status = dn->dnnl_post_ops_append_sum(list, 1.0f, 0, dnnl_data_type_undef);
#else
        status = dn->dnnl_post_ops_append_sum(list, 1.0f);
#endif
      } else {
        float alpha, beta;
        parameters(&ops[i], &alpha, &beta);
#if DN_IS_V3
        status = dn->dnnl_post_ops_append_eltwise(list, algorithm(ops[i].kind), alpha, beta);
#else
        status = dn->dnnl_post_ops_append_eltwise(list, 1.0f, algorithm(ops[i].kind), alpha, beta);
#endif
      }
      fits = status == dnnl_success;
    }
    fits = fits && dn->dnnl_primitive_attr_set_post_ops(attr, list) == dnnl_success;
    if (list) dn->dnnl_post_ops_destroy(list);
  }
  if (fits) return attr;
  dn->dnnl_primitive_attr_destroy(attr);
  return NULL;
}

// MARK: Making

// A primitive of a descriptor, which it owns from here on; NULL for reference implementations, which
// are slower than what the engine has itself.
static dn_primitive *finish(dnnl_primitive_desc_t desc, int has_weights, int has_bias) {
  const dn_library *dn = dn_open();
  if (!desc) return NULL;
  dn_primitive *made = calloc(1, sizeof *made);
  const char *name = NULL;
  int fits = made != NULL &&
             dn->dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name) ==
                 dnnl_success &&
             name && strncmp(name, "ref", 3) != 0 && strncmp(name, "simple:any", 10) != 0;
  if (fits) {
    md_ref scratch = dn->dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    made->scratch_bytes = scratch ? dn->dnnl_memory_desc_get_size(scratch) : 0;
    (made->has_weights = has_weights), (made->has_bias = has_bias);
    fits = dn->dnnl_primitive_create(&made->primitive, desc) == dnnl_success;
  }
  if (fits) {
    made->desc = desc;
    return made;
  }
  dn->dnnl_primitive_desc_destroy(desc);
  free(made);
  return NULL;
}

void dn_release(dn_primitive *primitive) {
  if (!primitive) return;
  const dn_library *dn = dn_open();
  dn->dnnl_primitive_destroy(primitive->primitive);
  dn->dnnl_primitive_desc_destroy(primitive->desc);
  free(primitive);
}

static md_ref weights_of(const dn_primitive *primitive) {
  return dn_open()->dnnl_primitive_desc_query_md(primitive->desc, dnnl_query_weights_md, 0);
}

dn_primitive *dn_convolution(const dn_convolution_spec *spec, const dn_primitive *like) {
  const dn_library *dn = dn_open();
  if (!dn || spec->source.rank > 5) return NULL;
  int rank = spec->source.rank, space = rank - 2, has_groups = spec->groups > 0;
  int64_t groups = has_groups ? spec->groups : 1;
  int64_t weight_dims[DN_MAX_RANK + 1];
  int at = 0;
  if (has_groups) weight_dims[at++] = groups;
  weight_dims[at++] = spec->target.dims[1] / groups;
  weight_dims[at++] = spec->source.dims[1] / groups;
  dnnl_dims_t strides = {0}, dilations = {0}, begin = {0}, end = {0};
  for (int i = 0; i < space; i++) {
    weight_dims[at++] = spec->kernel[i];
    strides[i] = spec->strides[i];
    dilations[i] = spec->dilations[i] - 1;
    begin[i] = spec->pads_begin[i];
    end[i] = spec->pads_end[i];
  }
  dnnl_memory_desc_t source = {0}, target = {0}, weights = {0}, bias = {0};
  dnnl_primitive_desc_t desc = NULL;
  dnnl_primitive_attr_t attr = attributes(spec->post_op_count, spec->post_ops);
  if (attr && md_of_tensor(&source, &spec->source) && md_of_tensor(&target, &spec->target) &&
      md_of_tag(&weights, at, weight_dims, dnnl_format_tag_any) &&
      md_of_tag(&bias, 1, &spec->target.dims[1], dnnl_a)) {
    md_ref packed = like ? weights_of(like) : MD(weights);
    md_ref biases = spec->has_bias ? MD(bias) : NULL;
#if DN_IS_V3
    if (dn->dnnl_convolution_forward_primitive_desc_create(
            &desc, dn->engine, dnnl_forward_inference, dnnl_convolution_direct, source, packed,
            biases, target, strides, dilations, begin, end, attr) != dnnl_success) {
      desc = NULL;
    }
#else
    dnnl_convolution_desc_t operation;
    if (dn->dnnl_dilated_convolution_forward_desc_init(
            &operation, dnnl_forward_inference, dnnl_convolution_direct, &source, packed, biases,
            &target, strides, dilations, begin, end) != dnnl_success ||
        dn->dnnl_primitive_desc_create(&desc, &operation, attr, dn->engine, NULL) !=
            dnnl_success) {
      desc = NULL;
    }
#endif
  }
  if (attr) dn->dnnl_primitive_attr_destroy(attr);
  md_end(&source), md_end(&target), md_end(&weights), md_end(&bias);
  return finish(desc, 1, spec->has_bias);
}

dn_primitive *dn_pooling(const dn_pooling_spec *spec) {
  const dn_library *dn = dn_open();
  if (!dn || spec->source.rank > 5) return NULL;
  dnnl_dims_t kernel = {0}, strides = {0}, dilations = {0}, begin = {0}, end = {0};
  for (int i = 0; i < spec->source.rank - 2; i++) {
    kernel[i] = spec->kernel[i];
    strides[i] = spec->strides[i];
    dilations[i] = spec->dilations[i] - 1;
    begin[i] = spec->pads_begin[i];
    end[i] = spec->pads_end[i];
  }
  dnnl_alg_kind_t kind = spec->is_max ? dnnl_pooling_max
                         : spec->counts_padding ? dnnl_pooling_avg_include_padding
                                                : dnnl_pooling_avg_exclude_padding;
  dnnl_memory_desc_t source = {0}, target = {0};
  dnnl_primitive_desc_t desc = NULL;
  dnnl_primitive_attr_t attr = attributes(0, NULL);
  if (attr && md_of_tensor(&source, &spec->source) && md_of_tensor(&target, &spec->target)) {
#if DN_IS_V3
    if (dn->dnnl_pooling_forward_primitive_desc_create(
            &desc, dn->engine, dnnl_forward_inference, kind, source, target, strides, kernel,
            dilations, begin, end, attr) != dnnl_success) {
      desc = NULL;
    }
#else
    dnnl_pooling_v2_desc_t operation;
    if (dn->dnnl_pooling_v2_forward_desc_init(
            &operation, dnnl_forward_inference, kind, &source, &target, strides, kernel, dilations,
            begin, end) != dnnl_success ||
        dn->dnnl_primitive_desc_create(&desc, &operation, attr, dn->engine, NULL) !=
            dnnl_success) {
      desc = NULL;
    }
#endif
  }
  if (attr) dn->dnnl_primitive_attr_destroy(attr);
  md_end(&source), md_end(&target);
  return finish(desc, 0, 0);
}

dn_primitive *dn_product(const dn_product_spec *spec, const dn_primitive *like) {
  const dn_library *dn = dn_open();
  if (!dn) return NULL;
  int first = spec->batch > 0 ? 0 : 1, rank = 3 - first;
  int64_t a[3] = {spec->batch, spec->rows, spec->depth};
  int64_t b[3] = {spec->shares_weights ? 1 : spec->batch, spec->depth, spec->columns};
  int64_t c[3] = {spec->batch, spec->rows, spec->columns};
  int64_t d[3] = {1, 1, spec->columns}, steps[3] = {spec->columns, spec->columns, 1};
  dnnl_memory_desc_t source = {0}, target = {0}, weights = {0}, bias = {0};
  dnnl_primitive_desc_t desc = NULL;
  dnnl_primitive_attr_t attr = attributes(spec->post_op_count, spec->post_ops);
  if (attr && md_of_strides(&source, rank, a + first, spec->source_strides + first) &&
      md_of_strides(&target, rank, c + first, spec->target_strides + first) &&
      (spec->packs_weights
           ? md_of_tag(&weights, rank, b + first, dnnl_format_tag_any)
           : md_of_strides(&weights, rank, b + first, spec->weight_strides + first)) &&
      md_of_strides(&bias, rank, d + first, steps + first)) {
    md_ref packed = like ? weights_of(like) : MD(weights);
    md_ref biases = spec->has_bias ? MD(bias) : NULL;
#if DN_IS_V3
    if (dn->dnnl_matmul_primitive_desc_create(
            &desc, dn->engine, source, packed, biases, target, attr) != dnnl_success) {
      desc = NULL;
    }
#else
    dnnl_matmul_desc_t operation;
    if (dn->dnnl_matmul_desc_init(&operation, &source, packed, biases, &target) != dnnl_success ||
        dn->dnnl_primitive_desc_create(&desc, &operation, attr, dn->engine, NULL) !=
            dnnl_success) {
      desc = NULL;
    }
#endif
  }
  if (attr) dn->dnnl_primitive_attr_destroy(attr);
  md_end(&source), md_end(&target), md_end(&weights), md_end(&bias);
  return finish(desc, 1, spec->has_bias);
}

dn_primitive *dn_reorder(const dn_tensor *from, const dn_tensor *to) {
  const dn_library *dn = dn_open();
  if (!dn) return NULL;
  dnnl_memory_desc_t source = {0}, target = {0};
  dnnl_primitive_desc_t desc = NULL;
  dnnl_primitive_attr_t attr = attributes(0, NULL);
  if (attr && md_of_tensor(&source, from) && md_of_tensor(&target, to) &&
      dn->dnnl_reorder_primitive_desc_create(
          &desc, MD(source), dn->engine, MD(target), dn->engine, attr) != dnnl_success) {
    desc = NULL;
  }
  if (attr) dn->dnnl_primitive_attr_destroy(attr);
  md_end(&source), md_end(&target);
  return finish(desc, 0, 0);
}

dn_primitive *dn_function(int64_t count, const dn_post_op *function) {
  const dn_library *dn = dn_open();
  if (!dn) return NULL;
  float alpha, beta;
  parameters(function, &alpha, &beta);
  dnnl_memory_desc_t data = {0};
  dnnl_primitive_desc_t desc = NULL;
  dnnl_primitive_attr_t attr = attributes(0, NULL);
  if (attr && md_of_tag(&data, 1, &count, dnnl_a)) {
#if DN_IS_V3
    if (dn->dnnl_eltwise_forward_primitive_desc_create(
            &desc, dn->engine, dnnl_forward_inference, algorithm(function->kind), data, data, alpha,
            beta, attr) != dnnl_success) {
      desc = NULL;
    }
#else
    dnnl_eltwise_desc_t operation;
    if (dn->dnnl_eltwise_forward_desc_init(
            &operation, dnnl_forward_inference, algorithm(function->kind), &data, alpha, beta) !=
            dnnl_success ||
        dn->dnnl_primitive_desc_create(&desc, &operation, attr, dn->engine, NULL) !=
            dnnl_success) {
      desc = NULL;
    }
#endif
  }
  if (attr) dn->dnnl_primitive_attr_destroy(attr);
  md_end(&data);
  return finish(desc, 0, 0);
}

// MARK: Weights

size_t dn_weight_bytes(const dn_primitive *primitive) {
  if (!primitive || !primitive->has_weights) return 0;
  return dn_open()->dnnl_memory_desc_get_size(weights_of(primitive));
}

int dn_takes_weights_of(const dn_primitive *primitive, const dn_primitive *other) {
  return dn_open()->dnnl_memory_desc_equal(weights_of(primitive), weights_of(other));
}

int dn_pack_weights(
    const dn_primitive *primitive, const float *plain, int rank, const int64_t *dims,
    const int64_t *strides, float *packed) {
  const dn_library *dn = dn_open();
  dnnl_memory_desc_t source = {0};
  if (!md_of_strides(&source, rank, dims, strides)) return 0;
  dnnl_primitive_desc_t desc = NULL;
  dnnl_primitive_t reorder = NULL;
  dnnl_memory_t from = NULL, to = NULL;
  dnnl_stream_t stream = dn_stream();
  int done = stream &&
             dn->dnnl_reorder_primitive_desc_create(
                 &desc, MD(source), dn->engine, weights_of(primitive), dn->engine, NULL) ==
                 dnnl_success &&
             dn->dnnl_primitive_create(&reorder, desc) == dnnl_success &&
             dn->dnnl_memory_create(&from, MD(source), dn->engine, (void *)plain) ==
                 dnnl_success &&
             dn->dnnl_memory_create(&to, weights_of(primitive), dn->engine, packed) ==
                 dnnl_success;
  if (done) {
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    done = dn->dnnl_primitive_execute(reorder, stream, 2, arguments) == dnnl_success &&
           dn->dnnl_stream_wait(stream) == dnnl_success;
  }
  if (from) dn->dnnl_memory_destroy(from);
  if (to) dn->dnnl_memory_destroy(to);
  if (reorder) dn->dnnl_primitive_destroy(reorder);
  if (desc) dn->dnnl_primitive_desc_destroy(desc);
  md_end(&source);
  return done;
}

// MARK: Running

static int add(dn_call *call, int argument, md_ref md, const void *at) {
  const dn_library *dn = dn_open();
  dnnl_exec_arg_t *added = &call->arguments[call->count];
  if (dn->dnnl_memory_create(&added->memory, md, dn->engine, (void *)at) != dnnl_success) return 0;
  added->arg = argument;
  call->count += 1;
  return 1;
}

dn_call *dn_bind(
    const dn_primitive *primitive, const float *source, const float *weights, const float *bias,
    float *target) {
  const dn_library *dn = dn_open();
  dn_call *call = calloc(1, sizeof *call);
  if (!call) return NULL;
  call->primitive = primitive;
  dnnl_primitive_desc_t desc = primitive->desc;
#define QUERY(what, index) dn->dnnl_primitive_desc_query_md(desc, what, index)
  int fits = add(call, DNNL_ARG_SRC, QUERY(dnnl_query_src_md, 0), source) &&
             add(call, DNNL_ARG_DST, QUERY(dnnl_query_dst_md, 0), target) &&
             (!primitive->has_weights ||
              add(call, DNNL_ARG_WEIGHTS, QUERY(dnnl_query_weights_md, 0), weights)) &&
             (!primitive->has_bias ||
              add(call, DNNL_ARG_BIAS, QUERY(dnnl_query_weights_md, 1), bias));
  if (fits && primitive->scratch_bytes > 0) {
    fits = add(call, DNNL_ARG_SCRATCHPAD, QUERY(dnnl_query_scratchpad_md, 0), DNNL_MEMORY_NONE);
    if (fits) call->scratch = call->arguments[call->count - 1].memory;
  }
#undef QUERY
  if (fits) return call;
  dn_unbind(call);
  return NULL;
}

int dn_run(dn_call *call) {
  const dn_library *dn = dn_open();
  dnnl_stream_t stream = dn_stream();
  if (!stream) return 0;
  if (call->scratch) {
    // The thread's, so that its primitives share it: they run one after the other.
    void *scratch = dn_scratch(call->primitive->scratch_bytes);
    if (!scratch) return 0;
    if (scratch != call->scratch_at) {
      if (dn->dnnl_memory_set_data_handle(call->scratch, scratch) != dnnl_success) return 0;
      call->scratch_at = scratch;
    }
  }
  return dn->dnnl_primitive_execute(
             call->primitive->primitive, stream, call->count, call->arguments) == dnnl_success &&
         dn->dnnl_stream_wait(stream) == dnnl_success;
}

void dn_unbind(dn_call *call) {
  if (!call) return;
  for (int i = 0; i < call->count; i++) {
    dn_open()->dnnl_memory_destroy(call->arguments[i].memory);
  }
  free(call);
}

#else

dn_primitive *dn_convolution(const dn_convolution_spec *spec, const dn_primitive *like) {
  return (void)spec, (void)like, NULL;
}
dn_primitive *dn_pooling(const dn_pooling_spec *spec) { return (void)spec, NULL; }
dn_primitive *dn_product(const dn_product_spec *spec, const dn_primitive *like) {
  return (void)spec, (void)like, NULL;
}
dn_primitive *dn_reorder(const dn_tensor *from, const dn_tensor *to) {
  return (void)from, (void)to, NULL;
}
dn_primitive *dn_function(int64_t count, const dn_post_op *function) {
  return (void)count, (void)function, NULL;
}
void dn_release(dn_primitive *primitive) { (void)primitive; }
size_t dn_weight_bytes(const dn_primitive *primitive) { return (void)primitive, 0; }
int dn_takes_weights_of(const dn_primitive *primitive, const dn_primitive *other) {
  return (void)primitive, (void)other, 0;
}
int dn_pack_weights(
    const dn_primitive *primitive, const float *plain, int rank, const int64_t *dims,
    const int64_t *strides, float *packed) {
  (void)primitive, (void)plain, (void)rank, (void)dims, (void)strides, (void)packed;
  return 0;
}
dn_call *dn_bind(
    const dn_primitive *primitive, const float *source, const float *weights, const float *bias,
    float *target) {
  (void)primitive, (void)source, (void)weights, (void)bias, (void)target;
  return NULL;
}
int dn_run(dn_call *call) { return (void)call, 0; }
void dn_unbind(dn_call *call) { (void)call; }

#endif
