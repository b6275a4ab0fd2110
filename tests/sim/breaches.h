/* Broken promises by name, and where each is noticed soonest. */
#ifndef SIM_BREACHES_H
#define SIM_BREACHES_H

#include "sim/run.h"

struct breach {
    const char *name;
    const struct scenario *where; /* NULL: no run notices it dependably yet */
    uint64_t first;               /* its first seed, and the step to the next */
    uint64_t step;
};

const struct breach *breach_of(enum run_mutant m);
enum run_mutant breach_named(const char *name); /* MUTANT_NONE: there is none */
/* A line for each that is noticed: its name. */
void breach_list(void);

#endif
