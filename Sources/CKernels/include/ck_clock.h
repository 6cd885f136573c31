#ifndef CK_CLOCK_H
#define CK_CLOCK_H

// Nanoseconds that the calling thread has run, apart from an arbitrary start.
double ck_thread_nanoseconds(void);

#endif
