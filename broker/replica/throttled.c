#include "broker/replica/throttled.h"

#include "broker/config.h"
#include "broker/dynamic_config.h"
#include "controller/image.h"

static bool take_number(struct bytes *b, int64_t *out)
{
    size_t n = 0;
    *out = 0;
    while (n < b->len && b->data[n] >= '0' && b->data[n] <= '9' && *out <= INT32_MAX) {
        *out = 10 * *out + (b->data[n++] - '0');
    }
    *b = bytes_of(b->data + n, b->len - n);
    return n > 0;
}

static bool names(struct bytes entry, int32_t partition, int32_t broker)
{
    int64_t p;
    int64_t b;
    if (!take_number(&entry, &p) || entry.len == 0 || entry.data[0] != ':') {
        return false;
    }
    entry = bytes_of(entry.data + 1, entry.len - 1);
    return take_number(&entry, &b) && entry.len == 0 && p == partition && b == broker;
}

bool throttled_names_replica(const struct image *img, const char *setting, const char *topic,
                             int32_t partition, int32_t broker)
{
    struct bytes list = image_config_value(img, CONFIG_TOPIC, bytes_str(topic), bytes_str(setting));
    if (bytes_is_null(list)) {
        return false;
    }
    struct config_list l = config_list_start(list);
    struct bytes entry;
    while (config_list_next(&l, &entry)) {
        if (bytes_eq_str(entry, "*") || names(entry, partition, broker)) {
            return true;
        }
    }
    return false;
}

int64_t throttled_rate(const struct node_shard *ns, const char *setting)
{
    static const enum config_source levels[] = {CONFIG_SOURCE_BROKER, CONFIG_SOURCE_BROKER_DEFAULT};
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        struct bytes text = dynamic_config_level(ns->node->config, ns->image, setting, levels[i]);
        int64_t rate = 0;
        size_t k = 0;
        while (k < text.len && text.data[k] >= '0' && text.data[k] <= '9' &&
               rate < INT64_MAX / 16) {
            rate = 10 * rate + (text.data[k++] - '0');
        }
        if (text.len && k == text.len) {
            return rate;
        }
    }
    return INT64_MAX;
}
