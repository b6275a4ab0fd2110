/* Where the controllers are, as the metadata has it, for channels that were told no more than where
 * to begin (controller.quorum.bootstrap.servers).
 *
 * Shard: the data shard's own. */
#include <stdio.h>

#include "broker/node_priv.h"
#include "controller/channel.h"
#include "controller/image.h"

void node_channel_know(struct node_shard *ns)
{
    struct config_list l =
        config_list_start(bytes_str(ns->node->config->v.controller_listener_names));
    struct bytes name; /* the first one is how this node reaches controllers */
    bool any = config_list_next(&l, &name);
    const struct image *img = ns->image;
    for (int32_t i = 0; any && ns->channel && i < img->controllers_n; i++) {
        const struct image_controller *c = img->controllers[i];
        for (uint32_t k = 0; k < c->endpoints_n; k++) {
            const struct image_endpoint *e = &c->endpoints[k];
            char host[256];
            if (bytes_eq(e->name, name) && e->host.len < sizeof host) {
                snprintf(host, sizeof host, "%.*s", BYTES_FMT(e->host));
                channel_know(ns->channel, c->id, host, e->port);
            }
        }
    }
}
