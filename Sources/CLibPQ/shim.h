// What the module Postgres needs of C: libpq, and the descriptors that poll(2) waits for.
#include <libpq-fe.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

// The macro's value, which Swift does not import with its type.
static inline int rowcast_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }
