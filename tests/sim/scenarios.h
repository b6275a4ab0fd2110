/* Which scenarios there are. */
#ifndef SIM_SCENARIOS_H
#define SIM_SCENARIOS_H

#include "sim/run.h"

extern const struct scenario *const scenarios[];
extern const size_t scenario_count;

#endif
