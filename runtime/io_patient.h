/* The patient sockets of a backend (IO_PATIENT, io.h): they lie in an epoll set of their own, on
 * which nobody waits, so that what comes in on them wakes nobody.
 *
 * A set is at rest or at work. At rest, nothing came lately: the backend's loop watches the
 * descriptor of the set as it watches a socket, and what comes ends its wait at once. The loop then
 * looks into the set and hands out all that is there; from then on it is at work: not watched, but
 * looked into every patience_us, until a look finds nothing. So what comes seldom is not late, and
 * what comes often, ten thousand times a second, costs one wake-up for all that came meanwhile.
 *
 * The set is level-triggered: a socket stays in it while its owner arms it again and again, and a
 * heartbeat costs no call for that. One that is ready and not armed leaves the set (it would be
 * found again and again); the next arm brings it back.
 *
 * The backend owns the struct, watches fd, and says what "handing out" is. */
#ifndef RUNTIME_IO_PATIENT_H
#define RUNTIME_IO_PATIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/io.h"

struct posix_sock;

enum { PATIENT_LOOK_MAX = 256 }; /* handed out in one look; more follow in the next turn */

struct patient_set {
    int fd;          /* the epoll set; -1: not made */
    unsigned n;      /* sockets in it */
    int64_t look_us; /* at work: when it is looked into next; 0: at rest */
    /* the look that goes on: a callback may close the socket of a later one */
    struct posix_sock *found[PATIENT_LOOK_MAX];
    int found_n;
};

/* events: IO_READ or IO_HUP or both. False: the owner does not wait for it, it leaves the set (the
 * callee notes that). */
typedef bool patient_hand_fn(struct posix_sock *s, unsigned events);

static inline void patient_init(struct patient_set *p)
{
    *p = (struct patient_set){.fd = -1};
}
void patient_free(struct patient_set *p);

/* Does an arm ask for it, and is it served? */
static inline bool patient_wanted(const struct io *io, unsigned events)
{
    return events == (IO_READ | IO_PATIENT) && io->patience_us > 0;
}

/* False: it could not be done (descriptors, memory); the socket is then watched as any other. */
bool patient_add(struct patient_set *p, struct posix_sock *s);
void patient_remove(struct patient_set *p, struct posix_sock *s);

/* Is it to be watched by the loop? */
static inline bool patient_rests(const struct patient_set *p)
{
    return p->n > 0 && p->look_us == 0;
}
/* What was watched is ready: the next look is due now. */
static inline void patient_stirs(struct patient_set *p)
{
    p->look_us = 1;
}
/* The wait of the loop (-1: for ever), but not beyond the next look. */
int64_t patient_wait(const struct patient_set *p, int64_t timeout_us);
/* After the wait: looks into the set if that is due. */
void patient_turn(struct patient_set *p, int64_t patience_us, patient_hand_fn *hand);

#endif
