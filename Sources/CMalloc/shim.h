// The C library's own count of what is allocated, and what it does with what is freed; Swift's module of it
// leaves malloc.h out.
#ifndef ROWCAST_CMALLOC_SHIM_H
#define ROWCAST_CMALLOC_SHIM_H

#include <malloc.h>
#include <stddef.h>

/// Bytes that the process has allocated and not freed, blocks mapped one by one included.
static inline size_t cm_allocated_bytes(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

/// Keeps what is freed, up to `bytes` at the end of each thread's heap, and takes blocks up to half of
/// that from heaps: memory of which each piece is got from the kernel anew is cleared each time.
static inline void cm_keep_freed(int bytes) {
  mallopt(M_MMAP_THRESHOLD, bytes / 2);
  mallopt(M_TRIM_THRESHOLD, bytes);
}

#endif
