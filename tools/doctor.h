/* `millrace cluster doctor`: what is wrong with a cluster, in plain sentences, worst first, each
 * with the command that mends it.
 *
 * doctor_examine is pure: a picture of the cluster goes in, findings come out (doctor.c nodes,
 * quorum, disks and settings; doctor_partitions.c partitions and topics; doctor_throttle.c
 * throttles of moves; doctor_commands.c what is typed for many at once, doctor_copies.c where
 * copies are to come). doctor_ask.c gathers the picture by the admin protocol, doctor_show.c
 * prints.
 *
 * How bad a finding is: BROKEN, something does not work now (data that cannot be read or written, a
 * cluster that nobody decides for); WRONG, it works, but it is not as it was meant, or one more
 * failure breaks it; NOTE, it could be better. A cluster with notes alone is healthy.
 *
 * A partition is in one finding of the availability of its replicas at most, the worst, so that
 * three lines about one broker that is down do not hide what else there is. */
#ifndef TOOLS_DOCTOR_H
#define TOOLS_DOCTOR_H

#include "tools/view.h"

enum doctor_severity { DOCTOR_BROKEN, DOCTOR_WRONG, DOCTOR_NOTE };

struct doctor_voter {
    int32_t id;
    int64_t lag;       /* records of the metadata log that it lacks */
    int64_t silent_ms; /* since the leader heard it; -1: not since that leads */
    int64_t behind_ms; /* since it had all; -1: not since that leads */
    const char *disk;  /* the directory id with which it runs, and is not heard, for the leader
                          knows it with another one; NULL: it does not */
};

struct doctor_feature {
    struct bytes name;
    int16_t level;     /* of the cluster */
    int16_t nodes_max; /* the highest that every broker knows */
};

/* A broker as the controllers see it: it asks them for metadata. */
struct doctor_observer {
    int32_t id;
    int64_t silent_ms; /* since the leader heard it */
};

/* What a broker's ApiVersions says, as one number: brokers of one version have the same. */
struct doctor_version {
    int32_t broker;
    uint64_t fingerprint;
};

struct doctor_picture {
    const struct view *view;   /* with directories and settings */
    const struct view *before; /* the same a moment earlier, NULL: nothing moved then */
    int64_t apart_ms;          /* how much earlier */
    const char *servers;       /* --bootstrap-server, for the commands */
    bool controllers;          /* the controllers were asked, of which servers is the list */
    const char *quorum_error;  /* why nobody describes the quorum; NULL: somebody does */
    int32_t quorum_leader;
    const char *leader_at; /* its HOST:PORT for the commands; NULL: it is not told */
    struct doctor_voter *voters;
    int32_t voters_n;
    struct doctor_observer *observers; /* asked for if controllers */
    int32_t observers_n;
    struct view_ids answering, unanswering; /* the controllers that are known, if controllers */
    struct doctor_feature *features;
    int32_t features_n;
    struct doctor_version *versions;
    int32_t versions_n;
};

enum { DOCTOR_STEPS_MAX = 4 };

struct doctor_step {
    const char *say;     /* what it does, ends with a colon or a point */
    const char *command; /* NULL: there is none for it */
};

struct doctor_place {
    struct bytes topic;
    int32_t partition; /* -1: the topic as a whole */
};

struct doctor_finding {
    enum doctor_severity severity;
    const char *check; /* a name that stays, for programs */
    const char *what;  /* a sentence */
    const char *why;   /* sentences; NULL: nothing to add */
    struct doctor_step steps[DOCTOR_STEPS_MAX];
    int32_t steps_n;
    struct doctor_place *places;
    int32_t places_n, places_max;
    struct view_ids nodes; /* brokers or controllers that it is about */
};

struct doctor_report {
    struct arena *arena;
    struct doctor_finding *v; /* worst first */
    int32_t n, max;
};

/* The names of the settings that the picture's view needs, ended by NULL. */
extern const char *const doctor_topic_settings[];
extern const char *const doctor_broker_settings[];

void doctor_examine(const struct doctor_picture *pic, struct doctor_report *out);
bool doctor_is_healthy(const struct doctor_report *r);

/* ---- between doctor.c, doctor_partitions.c, doctor_throttle.c, doctor_commands.c, doctor_copies.c
 * ---- */

struct doctor_finding *doctor_add(struct doctor_report *r, enum doctor_severity severity,
                                  const char *check);
void doctor_step(struct doctor_finding *f, const char *say, const char *command);
void doctor_place(struct doctor_report *r, struct doctor_finding *f, struct bytes topic,
                  int32_t partition);
/* "1 partition", "2 partitions". */
const char *doctor_count(struct arena *a, int64_t n, const char *one, const char *many);
/* "broker 2", "brokers 2 and 3", "brokers 1, 2 and 3". */
const char *doctor_names(struct arena *a, const char *one, struct view_ids ids);
/* "is down", "does not answer", "is not registered", or NULL when it is up. */
const char *doctor_state(const struct view *v, int32_t broker);
/* Commands. Changes the settings of n entities ("topic", "broker"), each of which has a space
 * before it in the list; of all topics of a finding; lets what is there lead n partitions. */
const char *doctor_alter(const struct doctor_picture *pic, struct arena *a, const char *entity,
                         const char *list, int32_t n, const char *change);
const char *doctor_alter_topics(const struct doctor_picture *pic, struct arena *a,
                                const struct doctor_finding *f, const char *change);
const char *doctor_elect_unclean(const struct doctor_picture *pic, struct arena *a,
                                 const struct doctor_place *places, int32_t n);
/* The steps that give the topics of the finding, which have one copy, more. */
void doctor_add_copies(const struct doctor_picture *pic, struct doctor_report *r,
                       struct doctor_finding *f);
void doctor_partitions(const struct doctor_picture *pic, struct doctor_report *r);
void doctor_topics(const struct doctor_picture *pic, struct doctor_report *r);
void doctor_throttles(const struct doctor_picture *pic, struct doctor_report *r);
/* A throttle is set though nothing moves: is it left behind, or does a tool begin or end? */
bool doctor_throttle_is_idle(const struct view *v);
/* A rate for what is copied between brokers holds for this one. */
bool doctor_is_throttled(const struct view *v, int32_t broker);
/* Some partition moves at both times, and nothing came to where it moves. */
bool doctor_move_stands_still(const struct view *before, const struct view *now);

/* ---- the other parts ---- */

struct client;

/* Asks the cluster of c (which waits c->timeout_ms for each answer), of which servers is the
 * bootstrap list. */
int doctor_ask(struct client *c, const char *servers, struct doctor_picture *out);
/* The same of the controllers: the quorum, and which brokers follow it. The view has the cluster's
 * id alone. */
int doctor_ask_controllers(struct client *c, const char *servers, struct doctor_picture *out);
void doctor_print(const struct doctor_picture *pic, const struct doctor_report *r);
void doctor_print_json(const struct doctor_picture *pic, const struct doctor_report *r);

#endif
