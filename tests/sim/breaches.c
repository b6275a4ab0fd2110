/* See breaches.h. Seeds are where to begin, not an oath: a change of production code moves what
 * chance does, so main.c tries the next ones. Only the plays (scenarios quorum and plays) are sure.
 */
#include "sim/breaches.h"

#include <stdio.h>
#include <string.h>

#include "sim/cluster_play.h"

#define AT(scenario, ...) &scenario_##scenario, __VA_ARGS__

static const struct breach breaches[MUTANTS] = {
    [MUTANT_FSYNC] = {"fsync", AT(storage, 1, 1)},
    [MUTANT_FSYNC_DIR] = {"fsync-dir", AT(storage, 1, 1)},
    [MUTANT_KILL] = {"kill", AT(storage, 1, 1)},
    [MUTANT_TEAR] = {"tear", AT(plays, PLAY_TEAR, PLAYS)},
    [MUTANT_WRITE] = {"write", AT(node, 1, 1)},
    [MUTANT_CUT] = {"cut", AT(storage, 1, 1)},
    [MUTANT_CRC] = {"crc", AT(node, 95, 1)},
    [MUTANT_ACK] = {"ack", AT(node, 1, 1)},
    [MUTANT_EARLY] = {"early", AT(node, 100, 1)},
    [MUTANT_SEQUENCE] = {"sequence", AT(node, 31, 1)},
    [MUTANT_SWAP] = {"swap", AT(moves, 2866, 5)},
    [MUTANT_COMMIT] = {"commit", AT(groups, 1, 1)},
    [MUTANT_TWICE] = {"twice", AT(coordinator, 1, 1)},
    [MUTANT_STALE] = {"stale", AT(coordinator, 1, 1)},
    [MUTANT_TIMER] = {"timer", AT(coordinator, 1, 1)},
    [MUTANT_REPLAY] = {"replay", AT(coordinator, 1, 1)},
    [MUTANT_FORGET] = {"forget", AT(coordinator, 1, 1)},
    [MUTANT_VOTE] = {"vote", AT(quorum, 5, 1)},
    [MUTANT_GUARD_A] = {"guard-a", AT(quorum, 8, 8)},
    [MUTANT_GUARD_BC] = {"guard-bc", AT(quorum, 1, 8)},
    [MUTANT_GUARD_J] = {"guard-j", AT(quorum, 2, 8)},
    [MUTANT_GUARD_I] = {"guard-i", AT(quorum, 3, 8)},
    [MUTANT_GUARD_K] = {"guard-k", AT(quorum, 4, 8)},
    [MUTANT_ZOMBIE] = {"zombie", AT(plays, PLAY_ZOMBIE, PLAYS)},
    [MUTANT_UNCLEAN] = {"unclean", AT(cluster, 16, 1)},
    [MUTANT_ALL] = {"all", AT(cluster, 9, 1)},
    [MUTANT_ABOVE] = {"above", AT(cluster, 1, 1)},
    [MUTANT_FENCE] = {"fence", AT(plays, PLAY_FENCE, PLAYS)},
    [MUTANT_JOIN] = {"join", AT(plays, PLAY_JOIN, PLAYS)},
    [MUTANT_CLEAN] = {"clean", AT(plays, PLAY_CLEAN, PLAYS)},
    [MUTANT_WATERMARK] = {"watermark", AT(plays, PLAY_WATERMARK, PLAYS)},
    [MUTANT_UNCUT] = {"uncut", AT(cluster, 1, 1)},
    [MUTANT_ALONE] = {"alone", AT(cluster, 1, 1)},
    [MUTANT_AHEAD] = {"ahead", AT(plays, PLAY_AHEAD, PLAYS)},
    [MUTANT_BOOT] = {"boot", AT(plays, 10 * PLAYS + PLAY_CLEAN, PLAYS)},
    [MUTANT_WIPED] = {"wiped", AT(plays, PLAY_WIPED, PLAYS)},
    [MUTANT_ROOM] = {"room", AT(plays, PLAY_ROOM, PLAYS)},
    [MUTANT_BEHIND] = {"behind", AT(plays, PLAY_BEHIND, PLAYS)},
};

const struct breach *breach_of(enum run_mutant m)
{
    return &breaches[m];
}

enum run_mutant breach_named(const char *name)
{
    for (unsigned i = 1; i < MUTANTS; i++) {
        if (strcmp(breaches[i].name, name) == 0) {
            return (enum run_mutant)i;
        }
    }
    return MUTANT_NONE;
}

void breach_list(void)
{
    for (unsigned i = 1; i < MUTANTS; i++) {
        if (breaches[i].where != NULL) {
            printf("%s\n", breaches[i].name);
        }
    }
}
