/* Carries a plan (plan.h) out, and what moves already with it: throttle, moves, waiting with
 * progress, the throttle taken off again, an election of the preferred leaders of what was moved.
 * What `broker drain` and `balance` share.
 *
 *     from the cluster's side all of this is reassign-partitions: moves go on by themselves,
 *     whatever becomes of this program
 *
 * Interrupted (Ctrl-C), the moves and their throttle stay. Who comes again finds the moves going on
 * and waits for them; a throttle that their topics have is taken off in the end then too, even if
 * none is asked for now. If the moves have ended meanwhile, the throttle that they left behind is
 * found by the lists of their topics, and taken off (mover_throttle_left). Until somebody comes
 * again, `cluster doctor` tells. */
#ifndef TOOLS_MOVER_H
#define TOOLS_MOVER_H

#include "tools/client.h"
#include "tools/plan.h"
#include "tools/reassignment.h"

struct mover {
    struct client *c;
    int64_t throttle;    /* bytes per second and broker; 0: none */
    int64_t patience_ms; /* how long a broker that replicas go to may be down */
    int32_t broker;      /* of what moves already, wait for what leaves this one; -1: for all */
    int32_t begun;       /* set by mover_run: partitions that it set in motion */
    int32_t found;       /* and those that moved already */
    int32_t others;      /* set by mover_cancel: partitions that move and were left alone */
    size_t refused;      /* and those that the cluster would not move: a sentence each on stderr */
    int32_t down;        /* of mover_run's ERR_TIMEOUT */
    int64_t down_since_ms;
    struct throttle_plan throttled; /* what its runs have throttled, until it is taken off */
    struct throttle_plan cleared;   /* what was */
};

/* Until nothing of it moves any more. ERR_CANCELED: it was interrupted (reassign_catch_interrupts),
 * the moves go on. ERR_TIMEOUT: m->down, a broker that replicas go to, was down for so long that
 * others should take them. */
int mover_run(struct mover *m, const struct plan *p);
/* Makes the first replica of each partition lead where it is in sync, as a new order of replicas
 * means and does not do. */
int mover_elect_all(struct mover *m);
/* Is there anything to do or to wait for? */
bool mover_has_work(const struct mover *m, const struct plan *p);
/* Calls off what moves (m->broker: away from it, whoever began that) and takes off its throttle,
 * unless m->others go on, which it may be for as well; *n: how many. */
int mover_cancel(struct mover *m, const struct view *v, int32_t *n);
/* For the end, when nothing of it moves: takes off a throttle that an earlier run (m->broker: a
 * drain of it; -1: any) has left behind, and says so. Where other partitions move it stays. */
int mover_throttle_left(struct mover *m, const struct view *v);
/* Replicas that have left m->broker, as far as the lists of a throttle tell, before it is taken
 * off: at least so many. A run with another throttle has written them anew, one without none. */
int32_t mover_have_left(struct mover *m, const struct view *v);

/* ---- between mover.c and mover_throttle.c ---- */

/* Sets the throttle that is asked for, m->throttle, for all that moves or shall; one that was set
 * by who began what moves is to be taken off as well. */
int mover_throttle_set(struct mover *m, const struct view *v, const struct replica_sets *all);
/* The latter alone. */
int mover_throttle_learn(struct mover *m, const struct view *v, const struct replica_sets *all);
/* Takes it off as far as it can: what cannot be taken off is told, and the work is done all the
 * same. */
void mover_throttle_clear(struct mover *m);

/* ---- how a plan is shown (plan_show.c) ---- */

/* A row a broker, now and then, and a line of what it takes. */
void plan_print(const struct plan *p, const struct plan *now);
/* The moves, one a line. */
void plan_print_moves(const struct plan *p);
/* How long the plan and what moves already take at least with a throttle of so many bytes a second
 * and broker (0: none, and nothing is said); on standard error a warning too if that is longer than
 * a day, as where somebody took the number for megabytes. */
void plan_print_time(const struct plan *p, int64_t throttle);
/* The same for programs: the moves as items, the brokers beside them; left_alone -1: nothing is. */
void plan_print_json(const struct plan *p, const struct plan *now, int64_t throttle,
                     int32_t left_alone);
/* "1.5 GiB", in the arena. */
const char *plan_size_text(struct arena *a, int64_t bytes);

#endif
