/* What the group tools ask of a cluster. Each question about one group goes to its coordinator,
 * which FindCoordinator names (for many groups at once where the broker knows that); an answer that
 * says the coordinator is loading, has moved or is not there yet is asked for again until
 * timeout_ms is over, and so is one that a lost connection swallowed.
 *
 * A function returns 0 or an ERR_ with a sentence in g->c.error: then nothing is known. What the
 * coordinator said against it is a wire code beside the answer. Memory is g->c's arena. */
#ifndef TOOLS_GROUP_CLIENT_H
#define TOOLS_GROUP_CLIENT_H

#include "tools/client.h"
#include "tools/listing.h"
#include "tools/offsets.h"

struct group_client {
    struct client c;
    int64_t timeout_ms; /* for one question, tries included */
};

/* A group and where it was seen last. */
struct group_ref {
    struct bytes id;
    int32_t coordinator; /* a broker id; CLIENT_ANY: not known */
};

struct group_listing {
    struct bytes id, protocol_type, state; /* state: empty from an old broker */
    struct bytes type;                     /* "Classic", "Consumer", ...; empty from an old one */
};

struct group_member {
    struct bytes id, instance_id, client_id, host; /* instance_id: null where it has none */
    struct part_offset *assigned;                  /* sorted; their topic and partition count */
    size_t assigned_n;
    struct part_offset *target; /* KIP-848 groups only */
    size_t target_n;
    int32_t epoch;   /* of a KIP-848 group, else -1 */
    int8_t upgraded; /* of a KIP-848 group: 1 speaks KIP-848, 0 the classic protocol; else -1 */
};

struct group_desc {
    struct group_ref ref;
    int16_t error;        /* wire code; the rest is not set then */
    struct bytes message; /* what the broker said beside it, may be null */
    struct bytes state, assignor, protocol_type;
    int32_t epoch, target_epoch; /* of a KIP-848 group, else -1 */
    struct group_member *members;
    size_t members_n;
};

/* Connects: metadata are there afterwards. */
int group_client_open(struct group_client *g, const char *servers, const char *config_file,
                      int64_t timeout_ms);
void group_client_close(struct group_client *g);

/* Every group of every broker, sorted, each once. states and types: filters that the brokers apply,
 * n 0 means all. */
int group_client_list(struct group_client *g, struct bytes *states, int32_t states_n,
                      struct bytes *types, int32_t types_n, struct group_listing **out, size_t *n);
/* Finds the coordinators of all; those that have none yet stay CLIENT_ANY: a question about them
 * tries again. */
int group_client_find(struct group_client *g, struct group_ref *v, size_t n);
/* As an item of `--json`, which `groups` and `consumer-groups` have alike. */
void json_group(json_t *o, const struct group_listing *v);
int group_client_describe(struct group_client *g, const struct group_ref *ref,
                          struct group_desc *out);
/* The offsets that the group has committed, sorted; *code is about the group, error in each about
 * the partition. */
int group_client_fetch(struct group_client *g, struct group_ref *ref, struct part_offset **out,
                       size_t *n, int16_t *code);
/* Sets error of each of v, which is sorted. */
int group_client_commit(struct group_client *g, struct group_ref *ref, struct part_offset *v,
                        size_t n);
/* The same; *code is about the group. */
int group_client_delete_offsets(struct group_client *g, struct group_ref *ref,
                                struct part_offset *v, size_t n, int16_t *code);
int group_client_delete(struct group_client *g, struct group_ref *ref, int16_t *code);
/* Offsets at time (-1 latest, -2 earliest) of v, which is sorted; a leader that has moved is looked
 * for again. An error that stays is a sentence in g->c.error. */
int group_client_log_offsets(struct group_client *g, int64_t time, struct part_offset *v, size_t n);
/* What Kafka's tools say of a code. */
const char *group_client_error_text(int16_t code);

/* One question about one group, for requests that this file does not know: api_key in at most
 * version_max; code_of finds the group's code in the answer. */
typedef int16_t group_code_fn(const void *resp);
int group_client_call(struct group_client *g, struct group_ref *ref, int16_t api_key,
                      int16_t version_max, const void *req, void **resp, group_code_fn *code_of);

#endif
