/* The two clocks of a tool: what people call the time, and one that never goes back. */
#ifndef TOOLS_CLOCK_H
#define TOOLS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Milliseconds since 1970. */
static inline int64_t wall_ms(void)
{
    return clock_ns(CLOCK_REALTIME) / 1000000;
}

static inline int64_t steady_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}
static inline int64_t steady_us(void)
{
    return steady_ns() / 1000;
}
static inline int64_t steady_ms(void)
{
    return steady_ns() / 1000000;
}

#endif
