/* A simulated machine with one process, whose files are what a fuzz input says: for the readers of
 * what lies on the disk. Each input gets a fresh one. */
#ifndef TESTS_FUZZ_FUZZ_DISK_H
#define TESTS_FUZZ_FUZZ_DISK_H

#include "base/bytes.h"
#include "base/logger.h"
#include "sim/io_sim.h"

#define FUZZ_DIR "/data"

struct fuzz_disk {
    struct sim *sim;
    struct sim_host *host;
    struct sim_proc *proc;
    struct io *io;
    struct logger lg; /* says nothing */
};

/* With an empty FUZZ_DIR. */
void fuzz_disk_init(struct fuzz_disk *d);
/* Runs fn as the process; it must have closed all that it opened. */
void fuzz_disk_run(struct fuzz_disk *d, void (*fn)(void *arg), void *arg);
void fuzz_disk_free(struct fuzz_disk *d);
/* From inside the process; name is relative to FUZZ_DIR. */
void fuzz_disk_put(struct fuzz_disk *d, const char *name, struct bytes text);

#endif
