/* consumer-groups --explain GROUP (ours): what happened in the group last and why, in the sentences
 * that a Millrace broker keeps, with local times; the last ones say what holds now. A broker that
 * does not keep any, one of Kafka's, is told apart by its answer: it has no tag of ours. */
#include <stdio.h>
#include <time.h>

#include "proto/explain.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "tools/consumer_groups.h"
#include "tools/listing.h"

static int16_t code_of(const void *resp)
{
    const struct describe_groups_response *r = resp;
    return r->groups_n == 1 ? r->groups[0].error_code : KE_UNKNOWN_SERVER_ERROR;
}

static void print_line(const struct explain_line *l)
{
    time_t seconds = (time_t)(l->wall_ms / 1000);
    struct tm tm;
    char text[40] = "?";
    if (localtime_r(&seconds, &tm)) {
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    }
    printf("%s.%03d  %.*s\n", text, (int)(l->wall_ms % 1000), BYTES_FMT(l->text));
}

static void print_json(const struct describe_groups_response_described_group *g,
                       const struct explain_line *lines, uint32_t n)
{
    json_t *all = listing_new("explain");
    json_put_text(all, "group", g->group_id);
    json_put_text(all, "state", g->group_state);
    json_put_int(all, "members", g->members_n);
    for (uint32_t i = 0; i < n; i++) {
        json_t *o = listing_item(all);
        json_put_int(o, "timeMs", lines[i].wall_ms);
        json_put_text(o, "text", lines[i].text);
    }
    listing_print(all);
}

static int ask(struct cg *x, struct group_ref *ref, struct describe_groups_response **resp)
{
    struct describe_groups_request req;
    proto_msg_init(&describe_groups_request_msg, &req);
    const struct proto_tag tag = {.tag = EXPLAIN_TAG, .value = bytes_of("", 0)};
    req.unknown = (struct proto_unknown){.tags = &tag, .n = 1};
    req.groups = &ref->id;
    req.groups_n = 1;
    return group_client_call(&x->g, ref, API_DESCRIBE_GROUPS, INT16_MAX, &req, (void **)resp,
                             code_of);
}

int cg_explain(struct cg *x)
{
    struct group_ref ref = {bytes_str(args_get(&x->a, "explain", "")), CLIENT_ANY};
    struct describe_groups_response *resp;
    int rv = ask(x, &ref, &resp);
    if (rv) {
        return rv;
    }
    if (code_of(resp)) {
        struct bytes said = resp->groups_n == 1 ? resp->groups[0].error_message : BYTES_NULL;
        if (said.len) { /* it names the group */
            cg_error(x, "%.*s", BYTES_FMT(said));
        } else {
            cg_error(x, "Group '%.*s': %s", BYTES_FMT(ref.id),
                     group_client_error_text(code_of(resp)));
        }
        return 0;
    }
    struct bytes value;
    struct explain_line *lines;
    uint32_t n;
    if (!explain_find(&resp->groups[0].unknown, &value)) {
        return errmsg_set(&x->g.c.error, ERR_UNSUPPORTED,
                          "broker %d, the coordinator of group '%.*s', keeps no account of what "
                          "happens in groups; Millrace's brokers do",
                          ref.coordinator, BYTES_FMT(ref.id));
    }
    rv = explain_decode(value, &x->g.c.arena, &lines, &n);
    if (rv) {
        return errmsg_set(&x->g.c.error, rv, "broker %d explains group '%.*s' unreadably: %s",
                          ref.coordinator, BYTES_FMT(ref.id), err_text(rv));
    }
    const struct describe_groups_response_described_group *g = &resp->groups[0];
    if (args_has(&x->a, "json")) {
        print_json(g, lines, n);
        return 0;
    }
    printf("Group '%.*s' is %.*s, with %d member%s.\n", BYTES_FMT(ref.id),
           BYTES_FMT(g->group_state), g->members_n, g->members_n == 1 ? "" : "s");
    for (uint32_t i = 0; i < n; i++) {
        print_line(&lines[i]);
    }
    return 0;
}
