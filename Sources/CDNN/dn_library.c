#define _GNU_SOURCE
#include "dn_library.h"

#if DN_HAS_ONEDNN

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define DN_TEXT_OF(x) #x
#define DN_TEXT(x) DN_TEXT_OF(x)

static dn_library library;
static int is_open;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

// More primitives than a few networks have for a few sizes of batches.
enum { CACHED_PRIMITIVES = 8192 };

typedef struct {
  dnnl_stream_t stream;
  void *scratch;
  size_t scratch_bytes;
} dn_thread;

static void end_thread(void *pointer) {
  dn_thread *thread = pointer;
  if (thread->stream) library.dnnl_stream_destroy(thread->stream);
  free(thread->scratch);
  free(thread);
}

static void open_library(void) {
  // Off by request: what has no oneDNN can be tried where there is one.
  const char *choice = getenv("ROWCAST_ONEDNN");
  if (choice && choice[0] == '0') return;
  void *handle = dlopen("libdnnl.so." DN_TEXT(DNNL_VERSION_MAJOR), RTLD_NOW | RTLD_LOCAL);
  if (!handle) return;
#define X(name)                                                                                    \
  if (!(library.name = (__typeof__(library.name))dlsym(handle, #name))) return;
  DN_CALLS(X)
#undef X
  library.set_threads = (void (*)(int))dlsym(handle, "omp_set_num_threads");
  library.parallel = (void (*)(void (*)(void *), void *, unsigned, unsigned))dlsym(
      handle, "GOMP_parallel");
  library.thread_number = (int (*)(void))dlsym(handle, "omp_get_thread_num");
  library.thread_count = (int (*)(void))dlsym(handle, "omp_get_num_threads");
  if (library.dnnl_engine_create(&library.engine, dnnl_cpu, 0) != dnnl_success) return;
  library.dnnl_set_primitive_cache_capacity(CACHED_PRIMITIVES);
  dnnl_cpu_isa_t isa = library.dnnl_get_effective_cpu_isa();
  int is_wide = isa >= dnnl_cpu_isa_avx512_core;
  library.block = is_wide ? 16 : 8;
  const dnnl_version_t *version = library.dnnl_version();
  snprintf(
      library.description, sizeof library.description, "oneDNN %d.%d.%d, %s", version->major,
      version->minor, version->patch,
      is_wide ? "AVX-512" : isa >= dnnl_cpu_isa_avx2 ? "AVX2" : "baseline");
  if (pthread_key_create(&key, end_thread) != 0) return;
  is_open = 1;
}

const dn_library *dn_open(void) {
  pthread_once(&once, open_library);
  return is_open ? &library : NULL;
}

static dn_thread *this_thread(void) {
  dn_thread *thread = pthread_getspecific(key);
  if (thread) return thread;
  thread = calloc(1, sizeof *thread);
  if (!thread) return NULL;
  if (library.dnnl_stream_create(&thread->stream, library.engine, dnnl_stream_default_flags) !=
          dnnl_success ||
      pthread_setspecific(key, thread) != 0) {
    thread->stream = NULL;
    end_thread(thread);
    return NULL;
  }
  return thread;
}

dnnl_stream_t dn_stream(void) {
  dn_thread *thread = this_thread();
  return thread ? thread->stream : NULL;
}

void *dn_scratch(size_t bytes) {
  dn_thread *thread = this_thread();
  if (!thread) return NULL;
  if (bytes > thread->scratch_bytes) {
    free(thread->scratch);
    thread->scratch_bytes = (bytes + 4095) & ~(size_t)4095;
    thread->scratch = aligned_alloc(4096, thread->scratch_bytes);
    if (!thread->scratch) thread->scratch_bytes = 0;
  }
  return thread->scratch;
}

int dn_is_available(void) { return dn_open() != NULL; }
const char *dn_description(void) { return dn_open() ? library.description : ""; }
int dn_channel_block(void) { return dn_open() ? library.block : 8; }

#else

int dn_is_available(void) { return 0; }
const char *dn_description(void) { return ""; }
int dn_channel_block(void) { return 8; }
void *dn_scratch(size_t bytes) { return (void)bytes, NULL; }

#endif
