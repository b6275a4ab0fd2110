/* What this machine lets a node use: its name, processors and memory; less of them where the
 * process is bound to some processors or stands under the limits of a container or a service
 * (cgroups of either version). Sizes that settings leave open (io.threads, request.memory.bytes)
 * follow from these, so a node in a container of 512 MiB does not plan with the memory of the host.
 */
#ifndef TOOLS_MACHINE_H
#define TOOLS_MACHINE_H

#include <stdint.h>

#include "broker/config.h"

struct machine {
    char hostname[256];
    struct config_machine config; /* hostname points into this struct */
};

void machine_look(struct machine *m);

/* The limits that cgroups set, as machine_look finds them below root ("" for the real machine). */
struct machine_limits {
    uint64_t memory_bytes; /* UINT64_MAX: none */
    unsigned processors;   /* a share of one counts as one; UINT_MAX: no limit */
};
struct machine_limits machine_limits(const char *root);

#endif
