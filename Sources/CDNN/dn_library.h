#ifndef DN_LIBRARY_H
#define DN_LIBRARY_H

#include "CDNN.h"

#if __has_include(<oneapi/dnnl/dnnl.h>) && defined(__linux__)
#define DN_HAS_ONEDNN 1
#include <oneapi/dnnl/dnnl.h>
#else
#define DN_HAS_ONEDNN 0
#endif

#if DN_HAS_ONEDNN

#if DNNL_VERSION_MAJOR >= 3
#define DN_IS_V3 1
#else
#define DN_IS_V3 0
#endif

#define DN_COMMON_CALLS(X)                                                                         \
  X(dnnl_version) X(dnnl_get_effective_cpu_isa) X(dnnl_engine_create) X(dnnl_stream_create)        \
  X(dnnl_stream_destroy) X(dnnl_stream_wait) X(dnnl_primitive_create) X(dnnl_primitive_destroy)    \
  X(dnnl_primitive_execute) X(dnnl_primitive_desc_destroy) X(dnnl_primitive_desc_query)            \
  X(dnnl_primitive_desc_query_md) X(dnnl_primitive_attr_create) X(dnnl_primitive_attr_destroy)     \
  X(dnnl_primitive_attr_set_scratchpad_mode) X(dnnl_primitive_attr_set_post_ops)                   \
  X(dnnl_post_ops_create) X(dnnl_post_ops_destroy) X(dnnl_post_ops_append_eltwise)                 \
  X(dnnl_post_ops_append_sum) X(dnnl_memory_create) X(dnnl_memory_destroy)                         \
  X(dnnl_memory_set_data_handle) X(dnnl_memory_desc_get_size) X(dnnl_memory_desc_equal)            \
  X(dnnl_reorder_primitive_desc_create) X(dnnl_set_primitive_cache_capacity)

#if DN_IS_V3
#define DN_CALLS(X)                                                                                \
  DN_COMMON_CALLS(X)                                                                               \
  X(dnnl_memory_desc_create_with_tag) X(dnnl_memory_desc_create_with_strides)                      \
  X(dnnl_memory_desc_destroy) X(dnnl_memory_desc_clone)                                            \
  X(dnnl_convolution_forward_primitive_desc_create) X(dnnl_pooling_forward_primitive_desc_create)  \
  X(dnnl_matmul_primitive_desc_create) X(dnnl_eltwise_forward_primitive_desc_create)
#else
#define DN_CALLS(X)                                                                                \
  DN_COMMON_CALLS(X)                                                                               \
  X(dnnl_memory_desc_init_by_tag) X(dnnl_memory_desc_init_by_strides) X(dnnl_primitive_desc_create) \
  X(dnnl_dilated_convolution_forward_desc_init) X(dnnl_pooling_v2_forward_desc_init)               \
  X(dnnl_matmul_desc_init) X(dnnl_eltwise_forward_desc_init)
#endif

// The library's functions by name.
typedef struct {
#define X(name) __typeof__(&name) name;
  DN_CALLS(X)
#undef X
  dnnl_engine_t engine;
  int block;
  char description[96];
  void (*set_threads)(int);
  // libgomp's own entry, which its compiler's parallel loops call.
  void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
  int (*thread_number)(void);
  int (*thread_count)(void);
} dn_library;

// The library; NULL where it cannot be used.
const dn_library *dn_open(void);

// This thread's stream; NULL where memory is short.
dnnl_stream_t dn_stream(void);

#endif

#endif
