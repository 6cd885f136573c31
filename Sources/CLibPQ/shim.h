// What the module Postgres needs of C: libpq, and the descriptors that poll(2) waits for.
#include <libpq-fe.h>
#include <poll.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

// The macro's value, which Swift does not import with its type.
static inline int rowcast_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

// In glibc since 2.29; its header hides it where _GNU_SOURCE is not set.
extern int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *, const char *);

static inline int rowcast_spawn_in_root(posix_spawn_file_actions_t *actions) {
  return posix_spawn_file_actions_addchdir_np(actions, "/");
}
