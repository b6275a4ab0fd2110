/* The simulator's backend of runtime/io.h: one thread, virtual time, one seed.
 *
 *   struct sim       the world of one run: a clock, a network, machines
 *   struct sim_host  a machine: an address, a disk (sim_disk.h), processes
 *   struct sim_proc  a process: what it has open, and where it ends
 *   struct io_sim    the struct io of one shard (or of one scripted client) of a process
 *
 * Production code runs only inside sim_proc_run. It ends there early when the process is to die:
 * sim_proc_die_in(n) lets the n-th call of the seam from now that changes anything be the last one,
 * done in part, fully or not at all; control then comes back to sim_proc_run by longjmp, as after a
 * kill -9 nothing of the process runs any more. Its memory is not freed (nobody could), so a run
 * with kills belongs into a process of its own (main.c forks for each seed).
 *
 * io_turn runs the callbacks of what is ready now and never waits: whoever drives (world.c) lets
 * time pass when nobody has anything to do. With sim.self_advance set, a turn does that itself, up
 * to its timeout: for tests with a single io. */
#ifndef SIM_IO_SIM_H
#define SIM_IO_SIM_H

#include <setjmp.h>
#include <stdio.h>

#include "base/list.h"
#include "base/prng.h"
#include "runtime/io.h"
#include "sim/sim_clock.h"
#include "sim/sim_disk.h"
#include "sim/sim_net.h"

struct sim {
    struct sim_clock clock;
    struct sim_net net;
    struct prng rng;   /* delays of the seam, order of callbacks */
    struct list hosts; /* struct sim_host */
    unsigned host_count;
    bool self_advance;
    FILE *trace; /* every call of the seam that changes anything; NULL: no */
};

struct sim_host {
    struct list node;
    struct sim *sim;
    unsigned id;    /* from 1 */
    char name[24];  /* "host1" */
    char ip[16];    /* "10.1.0.1" */
    bool up;        /* has power */
    unsigned boots; /* so often it had lost it */
    bool same_boot; /* a breach: its kernel says that it is the one of before */
    int64_t wall_ahead_ms;
    struct sim_disk *disk;
    struct list procs;
};

struct sim_proc {
    struct list node;
    struct sim_host *host;
    struct list ios;   /* struct io_sim */
    struct list files; /* struct sim_file: open now */
    uint32_t socks;    /* sockets and handles open now */
    uint32_t fd_max;   /* files and sockets; 0: no limit */
    uint64_t calls;    /* of the seam that change anything, so far */
    uint64_t die_at;   /* the call that is the last one; 0: none */
    jmp_buf *home;     /* of the sim_proc_run that is running */
    struct prng rng;   /* its random bytes */
};

/* Something a turn has to look at: a field of a socket or an operation. */
struct sim_ready {
    struct list node;
    bool is_op;
};

struct io_sim {
    struct io io;
    struct list node; /* in proc->ios */
    struct sim_proc *proc;
    struct list ready; /* struct sim_ready */
    struct list batch; /* the same, being worked off by a turn */
    struct list ops;   /* struct sim_op in flight */
    struct list socks; /* struct sim_sock */
    int64_t look_us;   /* what comes on patient sockets before that waits until then */
    bool woken;
};

struct sim *sim_new(uint64_t seed);
void sim_free(struct sim *s); /* with all hosts; processes must have ended */

struct sim_host *sim_host_new(struct sim *s, uint64_t disk_bytes);
struct sim_host *sim_host_find(struct sim *s, const char *ip_or_name); /* NULL */
int64_t sim_host_wall_ms(const struct sim_host *h);

struct sim_proc *sim_proc_new(struct sim_host *h);
/* Runs production code of the process. False: the process has died in it; end it with
 * sim_proc_end or with its machine. */
bool sim_proc_run(struct sim_proc *p, void (*fn)(void *arg), void *arg);
void sim_proc_die_in(struct sim_proc *p, uint64_t calls);
/* kill -9: files are closed, connections are closed by the kernel. Frees p. */
void sim_proc_kill(struct sim_proc *p);
/* After an orderly end: what was left open is written to why. False if there was something. */
bool sim_proc_end(struct sim_proc *p, struct errmsg *why);
/* All processes are gone, peers hear nothing, the disk keeps what it keeps. */
void sim_host_power_loss(struct sim_host *h);
void sim_host_power_on(struct sim_host *h);
/* An empty disk takes the place of its own; no process runs. */
void sim_host_new_disk(struct sim_host *h, uint64_t disk_bytes);

/* make_io_fn of runtime/shard.h, with the process as context. */
int io_sim_make(void *proc, unsigned shard_index, struct io **out, struct errmsg *em);
static inline struct io_sim *io_sim_of(struct io *io)
{
    return (struct io_sim *)(void *)io;
}
bool io_sim_ready(const struct io *io); /* a turn would run a callback */

/* ---- between io_sim.c and sim_net.c ---- */

/* To be called first by whatever changes something; `half` tells how far the last call gets. */
enum sim_cut { SIM_GOES_ON, SIM_DIES_BEFORE, SIM_DIES_AFTER };
enum sim_cut sim_proc_call(struct sim_proc *p, const char *what, const char *name, uint64_t n);
_Noreturn void sim_proc_die(struct sim_proc *p);
void io_sim_push(struct io_sim *io, struct sim_ready *r);
bool sim_proc_fd_free(const struct sim_proc *p);
int64_t sim_file_send(struct io_file *f, uint64_t off, void *p, size_t n);
/* The socket is going: its send_cold, if any, completes with ERR_CANCELED. */
void io_sim_cancel_cold(struct io_sim *io, struct sim_sock *s);

#endif
