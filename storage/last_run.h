/* .millrace_run, beside the mark of a clean stop in each log directory: what a broker leaves while
 * it runs for the process that comes after it.
 *
 * A process that was killed has lost nothing that it wrote: the kernel has it, or the disk. A
 * machine that lost its power has. The file tells the two apart: it names the kernel (io_kernel_id)
 * that keeps what is written here and not flushed. If that is the one of today, the logs are as
 * whole as after a clean stop, but for an append that the end cut in two, which nobody was told of.
 * The controller is told so by the broker epoch, as after a clean stop (broker/run_before.h); the
 * file names the run (the incarnation that it registers with, before it does), and the epoch of the
 * registration before, which counts if this one was never heard.
 *
 * It is never flushed: after a loss of power it may say anything, and names another kernel. It is
 * taken away, and the directory's next start is an unclean one, by whoever finds that something is
 * gone all the same: a failed write or flush, a log whose end is cut for another reason than an
 * append that was under way. That comes before what was found is changed.
 *
 *     {"version":0,"kernel":"...","brokerEpoch":N,"incarnation":"..."}
 *
 * A clean stop leaves its mark and no such file, or, of a broker that had no answer to its
 * registration, both; a start that takes the mark away writes a file with the mark's epoch first.
 * Kafka does not look at it. Shard: any. */
#ifndef STORAGE_LAST_RUN_H
#define STORAGE_LAST_RUN_H

#include "base/uuid.h"
#include "runtime/io.h"

#define LAST_RUN_FILE ".millrace_run"

struct last_run {
    char kernel[IO_KERNEL_ID];
    int64_t broker_epoch;    /* of the registration before; -1: none that may be named */
    struct uuid incarnation; /* of the run; zero: it has not begun to register */
};

/* ERR_NOTFOUND; ERR_CORRUPT: not to be believed. */
int last_run_read(struct io *io, const char *dir, struct last_run *out);
int last_run_write(struct io *io, const char *dir, const struct last_run *run);
/* 0 also if there is none. */
int last_run_remove(struct io *io, const char *dir);

#endif
