/* The configuration of a server: Kafka's server.properties, with Kafka's names and defaults, plus
 * settings of ours (all of them: docs/CONFIGURATION.md).
 *
 * Use: config_new; config_add_properties for each file, config_add_override for each --override, or
 * config_zero for a node without a file; then config_finish, which parses every value, applies the
 * rules between settings and fills what is computed. From then on the struct never changes: values
 * that change while the server runs come from the metadata (dynamic_config.h, topic_config.h) and
 * start from these.
 *
 * Every setting's value is in `v`, under its name with underscores for dots: `v.num_partitions`.
 * Null numbers are CONFIG_NULL_INT or CONFIG_NULL_LONG, null texts NULL; lists are text (walk them
 * with config_list_next). Where several names set one thing (log.retention.ms, .minutes, .hours)
 * use the computed fields below, not `v`.
 *
 * Errors: a bad value or a broken rule is ERR_INVALID and a sentence that names setting, value and
 * what is allowed. A known name that is not served yet, and an unknown name, are warnings. */
#ifndef BROKER_CONFIG_H
#define BROKER_CONFIG_H

#include "base/arena.h"
#include "base/logger.h"
#include "base/map.h"
#include "broker/config_def.h"
#include "broker/listeners_config.h"
#include "config_values.h" /* generated: struct config_values */

enum { CONFIG_LOG_DIRS_MAX = 64, CONFIG_VOTERS_MAX = 16 };

struct config_voter { /* of controller.quorum.voters, else of .bootstrap.servers */
    int32_t id;       /* -1: not said */
    const char *host;
    uint16_t port;
};

struct config {
    struct config_values v; /* every setting, typed */

    /* computed */
    int32_t node_id;
    bool is_broker;
    bool is_controller;
    bool zero; /* no configuration file: formats its own directory */
    struct listeners_config listeners;
    struct config_voter voters[CONFIG_VOTERS_MAX];
    size_t voters_n;
    const char *log_dirs[CONFIG_LOG_DIRS_MAX]; /* log.dirs, else log.dir */
    size_t log_dirs_n;
    const char *metadata_log_dir; /* metadata.log.dir, else the first log dir */
    int64_t retention_ms;         /* log.retention.ms, .minutes, .hours */
    int64_t roll_ms;              /* log.roll.ms, .hours */
    int64_t roll_jitter_ms;       /* log.roll.jitter.ms, .hours */
    int64_t flush_ms;             /* log.flush.interval.ms, log.flush.scheduler.interval.ms */
    unsigned data_shards;         /* io.threads, 0 resolved to the number of processors */
    uint64_t request_memory;      /* request.memory.bytes, resolved: all shards together */
    uint64_t group_memory;        /* group.coordinator.memory.bytes, the same */
    const char *hostname;         /* the machine's; localhost if it has none */
    const char *metrics_host;     /* of metrics.listener; NULL: none */
    uint16_t metrics_port;

    /* config.c's: what was said where */
    struct arena arena;
    const char *log_dir_default; /* of log.dir: in the machine's folder for temporary files */
    struct map set;              /* name -> struct config_setting */
    const char **order;          /* names in the order they came */
    size_t order_n;
    size_t order_cap;
};

/* What the machine is, asked by main through the right doors. */
struct config_machine {
    const char *hostname; /* for listeners without an address of their own */
    unsigned processors;
    uint64_t memory_bytes; /* 0: unknown */
    const char *tmp_dir;   /* stands in for {TMP} in defaults; NULL: /tmp */
};

struct config *config_new(void);
void config_free(struct config *c); /* NULL is fine */
/* The text of a .properties file; origin is its path, for messages. Later values win. */
int config_add_properties(struct config *c, struct bytes text, const char *origin,
                          struct errmsg *em);
int config_add_override(struct config *c, const char *key_value,
                        struct errmsg *em); /* "KEY=VALUE" */
int config_set(struct config *c, const char *name, const char *value, const char *origin);
/* The node that needs no file: broker and controller, id 1, PLAINTEXT on both loopbacks at `port`,
 * CONTROLLER at port + 1 (0 and 0: the system chooses), internal topics with one replica, data in
 * data_dir. Call it first; overrides come after. */
void config_zero(struct config *c, const char *data_dir, uint16_t port);
/* Warnings go to lg (may be NULL). */
int config_finish(struct config *c, const struct config_machine *m, const struct logger *lg,
                  struct errmsg *em);

/* Are the controllers' ids and the rest of them to be learned from those that are known? */
static inline bool config_learns_voters(const struct config *c)
{
    return c->voters_n > 0 && c->voters[0].id < 0;
}

/* Are these this controller itself, as it is advertised, and nobody else? */
bool config_begins_with_itself(const struct config *c);

/* Is this a list of ADDRESS:COUNT? */
int config_check_per_ip(struct bytes text, struct errmsg *em);

/* A setting of ours or Kafka's, or of a family whose beginning alone is known (listener.name.)? */
bool config_is_known(const char *name);
/* Was the name given (file, override, zero configuration)? */
bool config_is_set(const struct config *c, const char *name);
/* The text that was given, NULL if none was. */
const char *config_given_text(const struct config *c, const char *name);
/* The default as text; NULL is null. */
const char *config_default_text(const struct config *c, const struct config_def *d);
/* The value as text, given or default; NULL is null. */
const char *config_text(const struct config *c, const struct config_def *d);
/* Names that were given, in order, unknown ones too: the i-th, NULL behind the last. */
const char *config_given(const struct config *c, size_t i);
/* The listener of that name, or NULL. */
const struct listener_config *config_listener(const struct config *c, const char *name);

#endif
