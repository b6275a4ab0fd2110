/* What the controller asks about configuration names and values. The tables of Kafka's settings
 * belong to broker/, on which the controller must not depend: so the node passes this at start.
 * Called on the controller's shard; pure. */
#ifndef CONTROLLER_CONFIG_VALIDATOR_H
#define CONTROLLER_CONFIG_VALIDATOR_H

#include "base/arena.h"
#include "controller/image.h"

/* One effective setting of a topic as CreateTopics answers it. */
struct config_effective {
    struct bytes name;
    struct bytes value; /* null if sensitive or without value */
    bool read_only;
    bool sensitive;
    int8_t
        source; /* 1 topic, 2 broker (dynamic), 3 broker default (dynamic), 4 static, 5 default */
};

struct config_validator {
    void *ctx;
    /* May the resource have these settings (the whole set as it would be afterwards, sorted by
     * name)? changed[i] tells whether entry i is new or changed by this request. 0, or Kafka's
     * error code (INVALID_CONFIG 40, INVALID_REQUEST 42, ...) with a sentence in em. */
    int16_t (*validate)(void *ctx, const struct image *img, int8_t type, struct bytes resource,
                        const struct image_config_entry *entries, size_t n, const bool *changed,
                        struct errmsg *em);
    /* Is this setting a list (APPEND and SUBTRACT are allowed)? If so *inherited gets the value it
     * has when it is not set on the resource (a topic's default; from the arena or static). */
    bool (*is_list)(void *ctx, const struct image *img, int8_t type, struct bytes name,
                    struct arena *a, struct bytes *inherited);
    /* All effective settings of a topic with these own ones, sorted by name, for the answer of
     * CreateTopics. Returns their number. */
    size_t (*effective_topic)(void *ctx, const struct image *img,
                              const struct image_config_entry *own, size_t n, struct arena *a,
                              const struct config_effective **out);
    /* DescribeConfigs on the CONTROLLER listener; NULL: not advertised there. Fills the response
     * (struct describe_configs_response) from the request (struct describe_configs_request). */
    void (*describe)(void *ctx, const struct image *img, int16_t version, const void *request,
                     struct arena *a, void *response);
};

#endif
