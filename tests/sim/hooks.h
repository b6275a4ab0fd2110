/* Where the simulator steps between a caller and what it calls, by the linker's --wrap: no switch
 * of the product is needed for what follows.
 *
 *   - Every write to a simulated disk goes into the run's digest.
 *   - The n-th write from now finds the disk full (sim_disk.h's faults do not count that).
 *   - Breaches (enum run_mutant) in production code or in the disk, for the checkers' own test.
 *
 * A wrapped function is seen by callers in other files only. Breaches in production code hold while
 * production code runs (sim_proc_run), never for the checkers' own calls. */
#ifndef SIM_HOOKS_H
#define SIM_HOOKS_H

#include "sim/run.h"

extern const bool hooks_can_break; /* false in the installed simulator, which has no breaches */

void hooks_init(struct run *r);
/* The breach holds from now on, and writes to d are counted; d: this disk, or the first of several.
 */
void hooks_breach(struct sim_disk *d);
/* The n-th write to that disk from now on finds it full; 0: none. */
void hooks_full_in(uint64_t n);
/* One of the following breaches struck: a run without is no test of the checkers. */
uint64_t hooks_struck(void);
/* The run has this breach, and it has begun. */
bool hooks_breaks(enum run_mutant m);
/* The breach strikes now, once in so many calls. */
bool hooks_strike(enum run_mutant m, unsigned one_in);
const struct sim *hooks_world(void); /* NULL: there is none yet */
/* For the coordinator's host in core_run.c: this write is said to be committed and is not. */
bool hooks_drop_commit(void);

#endif
