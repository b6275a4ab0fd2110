/* The list behind scenarios.h. */
#include "sim/scenarios.h"

const struct scenario *const scenarios[] = {
    &scenario_storage,     &scenario_node,   &scenario_sweep,   &scenario_moves, &scenario_groups,
    &scenario_coordinator, &scenario_quorum, &scenario_cluster, &scenario_plays};
const size_t scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);
