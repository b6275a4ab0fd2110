/* What the monitor's listener serves: one line a path. */
#include <string.h>

#include "broker/console/console.h"
#include "broker/monitor/monitor_private.h"

static void list_routes(struct monitor *m, struct http_request *r)
{
    UNUSED(m);
    struct buf text = {0};
    for (size_t i = 0; i < monitor_routes_n; i++) {
        buf_printf(&text, "%-12s %s\n", monitor_routes[i].path, monitor_routes[i].summary);
    }
    monitor_reply_text(r, 200, &text);
}

const struct monitor_route monitor_routes[] = {
    {"/", list_routes, false, "this list"},
    {"/healthz", monitor_healthz, true, "200 while every shard of the node answers"},
    {"/readyz", monitor_readyz, true, "200 while the node serves; else 503 and what it waits for"},
    {"/why", monitor_why, false, "what is slow or waits now, on whom, since when (?format=json)"},
    {"/metrics", monitor_metrics, false, "numbers, in Prometheus' text format"},
    {"/console", console_door, false, "pages that show the cluster"},
    {"/console/api/", console_api, false, "what they show, as JSON"},
    {"/console/", console_page, false, "their files"},
};
const size_t monitor_routes_n = ARRAY_LEN(monitor_routes);

const struct monitor_route *monitor_route_find(const char *path)
{
    for (size_t i = 0; i < monitor_routes_n; i++) {
        const char *have = monitor_routes[i].path;
        size_t n = strlen(have);
        bool below = n > 1 && have[n - 1] == '/' && strncmp(path, have, n) == 0;
        if (below || strcmp(path, have) == 0) {
            return &monitor_routes[i];
        }
    }
    return NULL;
}
