/* Virtual time and the queue of what is to happen: the one source of order in the simulator.
 *
 * An event is a field of its owner. It runs from sim_clock_run_due, in the order of its time;
 * events of the same microsecond run in the order in which they were set. Events belong to the
 * outside world (a packet arrives, a disk is done, a fault strikes, a scripted client thinks on):
 * they mark things as ready and never call production code, which runs only in a process's turn. */
#ifndef SIM_CLOCK_H
#define SIM_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_event;
typedef void sim_event_fn(struct sim_event *ev);

struct sim_event {
    int64_t at_us;
    uint64_t seq;
    sim_event_fn *fn;
    void *user;
    uint32_t heap_index; /* 1-based; 0: not set */
};

struct sim_clock {
    int64_t now_us;
    uint64_t seq;
    struct sim_event **heap;
    uint32_t count;
    uint32_t cap;
};

void sim_clock_init(struct sim_clock *c);
void sim_clock_free(struct sim_clock *c);

static inline void sim_event_init(struct sim_event *ev, sim_event_fn *fn, void *user)
{
    *ev = (struct sim_event){.fn = fn, .user = user};
}
static inline bool sim_event_is_set(const struct sim_event *ev)
{
    return ev->heap_index != 0;
}
/* Sets or moves; a time in the past means now. */
void sim_clock_at(struct sim_clock *c, struct sim_event *ev, int64_t at_us);
static inline void sim_clock_after(struct sim_clock *c, struct sim_event *ev, int64_t delay_us)
{
    sim_clock_at(c, ev, c->now_us + delay_us);
}
void sim_clock_cancel(struct sim_clock *c, struct sim_event *ev);
int64_t sim_clock_next(const struct sim_clock *c); /* time of the next event, INT64_MAX: none */
/* Runs all events up to now, also those that they set for now. */
void sim_clock_run_due(struct sim_clock *c);
/* Time passes; nothing runs. */
static inline void sim_clock_advance(struct sim_clock *c, int64_t us)
{
    c->now_us += us;
}

#endif
