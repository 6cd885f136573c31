#include "dn_library.h"

#if DN_HAS_ONEDNN

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

// The thread that alone has helpers.
//
// oneDNN's threads belong to the thread that first asked for them, and stay when it turns to something
// else. Were there those of two, they would be more than there are cores, and libgomp would no longer
// let them wait awake for the next layer: a network on all cores then takes a fifth longer.
static struct {
  // Held by whoever has the team.
  pthread_mutex_t turn;
  // Guards what follows.
  pthread_mutex_t lock;
  pthread_cond_t changed;
  void (*body)(void *);
  void *context;
  int count, exists;
  pthread_t thread;
} leader = {.turn = PTHREAD_MUTEX_INITIALIZER,
            .lock = PTHREAD_MUTEX_INITIALIZER,
            .changed = PTHREAD_COND_INITIALIZER};

static void *lead(void *nothing) {
  (void)nothing;
  pthread_mutex_lock(&leader.lock);
  while (1) {
    while (!leader.body) pthread_cond_wait(&leader.changed, &leader.lock);
    void (*body)(void *) = leader.body;
    void *context = leader.context;
    int count = leader.count;
    pthread_mutex_unlock(&leader.lock);
    dn_open()->set_threads(count);
    body(context);
    pthread_mutex_lock(&leader.lock);
    leader.body = NULL;
    pthread_cond_broadcast(&leader.changed);
  }
  return NULL;
}

// Starts the leader, which like its helpers takes no signals; 0 where there can be no more threads.
static int start(void) {
  sigset_t all, before;
  sigfillset(&all);
  if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return 0;
  leader.exists = pthread_create(&leader.thread, NULL, lead, NULL) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (leader.exists) pthread_detach(leader.thread);
  return leader.exists;
}

void dn_with_threads(int count, void (*body)(void *), void *context) {
  const dn_library *dn = dn_open();
  if (!dn || !dn->set_threads) {
    body(context);
    return;
  }
  int is_led = 0;
  if (count > 1) {
    pthread_mutex_lock(&leader.turn);
    pthread_mutex_lock(&leader.lock);
    if (leader.exists || start()) {
      is_led = 1;
      leader.body = body, leader.context = context, leader.count = count;
      pthread_cond_broadcast(&leader.changed);
      while (leader.body) pthread_cond_wait(&leader.changed, &leader.lock);
    }
    pthread_mutex_unlock(&leader.lock);
    pthread_mutex_unlock(&leader.turn);
  }
  if (!is_led) {
    dn->set_threads(1);
    body(context);
  }
}

// Parts that are handed out at once: one bit each.
enum { GROUPS = 64 };

typedef struct {
  int parts, groups;
  _Atomic uint64_t taken;
  void (*body)(void *, int);
  void *context;
} dn_parts;

static void run_parts(void *pointer) {
  dn_parts *all = pointer;
  const dn_library *dn = dn_open();
  // Each thread begins with a share of its own, the same for as many parts: what it wrote a layer ago
  // is still in its caches.
  int first = (int)((int64_t)all->groups * dn->thread_number() / dn->thread_count());
  for (int i = 0; i < all->groups; i++) {
    int group = first + i < all->groups ? first + i : first + i - all->groups;
    uint64_t bit = (uint64_t)1 << group;
    if (atomic_fetch_or_explicit(&all->taken, bit, memory_order_relaxed) & bit) continue;
    int part = (int)((int64_t)all->parts * group / all->groups);
    int end = (int)((int64_t)all->parts * (group + 1) / all->groups);
    for (; part < end; part++) all->body(all->context, part);
  }
}

void dn_parallel(int parts, void (*body)(void *, int), void *context) {
  const dn_library *dn = dn_open();
  if (parts > 1 && dn && dn->parallel && dn->thread_number && dn->thread_count) {
    dn_parts all = {parts, parts < GROUPS ? parts : GROUPS, 0, body, context};
    // All threads, also where there are fewer parts: one that is left out once ends.
    dn->parallel(run_parts, &all, 0, 0);
    return;
  }
  for (int part = 0; part < parts; part++) body(context, part);
}

#else

void dn_with_threads(int count, void (*body)(void *), void *context) {
  (void)count;
  body(context);
}
void dn_parallel(int parts, void (*body)(void *, int), void *context) {
  for (int part = 0; part < parts; part++) body(context, part);
}

#endif
