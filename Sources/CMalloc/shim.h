// The C library's own count of what is allocated; Swift's module of it leaves malloc.h out.
#ifndef ROWCAST_CMALLOC_SHIM_H
#define ROWCAST_CMALLOC_SHIM_H

#include <malloc.h>
#include <stddef.h>

/// Bytes that the process has allocated and not freed, blocks mapped one by one included.
static inline size_t cm_allocated_bytes(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

#endif
