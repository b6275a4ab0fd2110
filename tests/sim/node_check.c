/* Scenario `node`, the checker: while the actors rest, everything that clients know must hold, and
 * the node must serve. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim/node_run.h"

enum { TRY_US = 5000000, PAUSE_US = 100000, LIMIT_US = 60000000 };

/* ---- calls that are waited for ---- */

struct wait {
    bool done;
    int err;
    struct buf body;
    struct sim_call call; /* what it was */
};

static void on_answer(struct sim_call *call, int err, struct bytes body)
{
    struct wait *w = call->user;
    w->done = true;
    w->err = err;
    w->call = *call;
    buf_put(&w->body, body.data, body.len);
}

static bool is_done(void *ctx)
{
    return ((struct wait *)ctx)->done;
}

static bool call_once(struct node_run *nr, int16_t api_key, int16_t version, const void *request,
                      void *out)
{
    struct wait w = {0};
    if (!sim_client_is_open(&nr->checker)) {
        sim_client_open(&nr->checker, nr->m->host->ip,
                        nr->checker_port ? nr->checker_port : WORLD_PORT);
    }
    sim_client_call(&nr->checker, api_key, version, request, TRY_US, on_answer, &w);
    RUN_CHECK(nr->r, world_run(&nr->w, 2 * TRY_US, is_done, &w));
    if (w.err == 0) {
        arena_reset(&nr->arena);
        node_run_decode(nr, &w.call, buf_bytes(&w.body), &nr->arena, out);
        /* The answer's texts point into the body. */
        uint8_t *keep = arena_alloc(&nr->arena, w.body.len + 1);
        memcpy(keep, w.body.data, w.body.len);
        node_run_decode(nr, &w.call, bytes_of(keep, w.body.len), &nr->arena, out);
    }
    buf_free(&w.body);
    return w.err == 0;
}

bool check_call(struct node_run *nr, int16_t api_key, int16_t version, const void *request,
                void *out, int64_t limit_us)
{
    int64_t until = nr->w.sim->clock.now_us + limit_us;
    while (nr->w.sim->clock.now_us < until && machine_up(nr->m)) {
        if (call_once(nr, api_key, version, request, out)) {
            return true;
        }
        world_run(&nr->w, PAUSE_US, NULL, NULL);
    }
    return false;
}

/* ---- topics ---- */

static void check_topic(struct node_run *nr, struct topic *t,
                        const struct metadata_response_metadata_response_topic *m)
{
    if (m == NULL || m->error_code == KE_UNKNOWN_TOPIC_OR_PARTITION) {
        if (t->state == TOPIC_EXISTS) {
            run_fail(nr->r, "%s was created, and is not there", t->name);
        }
        t->state = t->state == TOPIC_DELETING ? TOPIC_GONE : t->state;
        return;
    }
    if (t->doubt && (t->state == TOPIC_GONE || t->state == TOPIC_DELETING)) {
        return; /* made by a call that was not answered, or one may delete it any moment */
    }
    if (t->state == TOPIC_GONE) {
        run_fail(nr->r, "%s was deleted, and is there", t->name);
    }
    if (m->error_code != 0 || m->partitions_n < t->parts_n || m->partitions_n > t->parts_asked) {
        run_fail(nr->r, "%s: Metadata says error %d, %d partitions of %d or %d", t->name,
                 m->error_code, m->partitions_n, t->parts_n, t->parts_asked);
    }
    t->parts_n = m->partitions_n;
    if (topic_has_id(t) && !uuid_eq(t->id, m->topic_id)) {
        run_fail(nr->r, "%s: its topic id changed", t->name);
    }
    t->id = m->topic_id;
    t->state = TOPIC_EXISTS; /* also one whose deletion was never answered: it was not done */
}

/* Every partition has a leader, or the answer is not good enough yet. */
static bool leaders_there(const struct metadata_response *resp)
{
    for (int32_t i = 0; i < resp->topics_n; i++) {
        for (int32_t k = 0; k < resp->topics[i].partitions_n; k++) {
            if (resp->topics[i].partitions[k].error_code != 0 ||
                resp->topics[i].partitions[k].leader_id < 0) {
                return false;
            }
        }
    }
    return true;
}

static void check_topics(struct node_run *nr)
{
    struct metadata_request req;
    struct metadata_response resp;
    int64_t until = nr->w.sim->clock.now_us + LIMIT_US;
    proto_msg_init(&metadata_request_msg, &req);
    req.topics = NULL;
    req.topics_n = -1;
    req.allow_auto_topic_creation = true;
    do {
        if (nr->w.sim->clock.now_us > until ||
            !check_call(nr, API_METADATA, 12, &req, &resp, LIMIT_US)) {
            run_fail(nr->r, "the node does not answer Metadata, or has no leaders");
        }
    } while (!leaders_there(&resp));
    for (unsigned i = 0; i < nr->topics_n; i++) {
        const struct metadata_response_metadata_response_topic *m = NULL;
        for (int32_t k = 0; k < resp.topics_n; k++) {
            m = bytes_eq_str(resp.topics[k].name, nr->topics[i].name) ? &resp.topics[k] : m;
        }
        check_topic(nr, &nr->topics[i], m);
    }
}

/* The setting is the one that was acknowledged last, or one that was asked for since. */
static void check_setting(struct node_run *nr, struct topic *t)
{
    struct describe_configs_request req;
    struct describe_configs_request_describe_configs_resource res;
    struct describe_configs_response resp;
    struct bytes key = bytes_str(SETTING_NAME);
    proto_msg_init(&describe_configs_request_msg, &req);
    proto_init(&describe_configs_request_describe_configs_resource_desc, &res);
    res.resource_type = 2; /* TOPIC */
    res.resource_name = bytes_str(t->name);
    res.configuration_keys = &key;
    res.configuration_keys_n = 1;
    req.resources = &res;
    req.resources_n = 1;
    if (!check_call(nr, API_DESCRIBE_CONFIGS, 4, &req, &resp, LIMIT_US)) {
        run_fail(nr->r, "%s: DescribeConfigs is not answered", t->name);
    }
    RUN_CHECK(nr->r, resp.results_n == 1 && resp.results[0].error_code == 0 &&
                         resp.results[0].configs_n == 1);
    const struct describe_configs_response_describe_configs_resource_result *c =
        &resp.results[0].configs[0];
    char text[16] = "";
    memcpy(text, c->value.data, c->value.len < sizeof(text) ? c->value.len : 0);
    int32_t is = c->config_source == 1 ? atoi(text) - SETTING_BASE : 0; /* DYNAMIC_TOPIC_CONFIG */
    if ((is < t->setting && !t->doubt) || is > t->setting_asked) {
        run_fail(nr->r, "%s: " SETTING_NAME " is the value %d; %d was acknowledged, %d asked for",
                 t->name, is, t->setting, t->setting_asked);
    }
    t->setting = is;
    t->doubt = false;
}

/* ---- partitions ---- */

/* Questions go to its leader from now on. */
static void locate(struct node_run *nr, const struct topic *t, int32_t partition)
{
    struct machine *before = nr->m;
    if (nr->locate != NULL) {
        nr->locate(nr, t, partition);
    }
    if (nr->m != before) {
        sim_client_close(&nr->checker);
    }
}

/* Asks again until it is answered without an error that passes. */
static int64_t list_offset(struct node_run *nr, struct topic *t, int32_t partition,
                           int64_t timestamp)
{
    struct list_offsets_request req;
    struct list_offsets_request_list_offsets_topic topic;
    struct list_offsets_request_list_offsets_partition p;
    struct list_offsets_response resp;
    int64_t until = nr->w.sim->clock.now_us + LIMIT_US;
    proto_msg_init(&list_offsets_request_msg, &req);
    proto_init(&list_offsets_request_list_offsets_topic_desc, &topic);
    proto_init(&list_offsets_request_list_offsets_partition_desc, &p);
    req.replica_id = -1;
    req.topics = &topic;
    req.topics_n = 1;
    topic.name = bytes_str(t->name);
    topic.partitions = &p;
    topic.partitions_n = 1;
    p.partition_index = partition;
    p.timestamp = timestamp;
    int16_t code = -2;
    while (nr->w.sim->clock.now_us < until) {
        locate(nr, t, partition);
        if (!check_call(nr, API_LIST_OFFSETS, 7, &req, &resp, LIMIT_US)) {
            break;
        }
        RUN_CHECK(nr->r, resp.topics_n == 1 && resp.topics[0].partitions_n == 1);
        code = resp.topics[0].partitions[0].error_code;
        if (code == 0) {
            return resp.topics[0].partitions[0].offset;
        }
        if (!node_run_retriable(code)) {
            break;
        }
        world_run(&nr->w, PAUSE_US, NULL, NULL);
    }
    run_fail(nr->r, "%s-%d: ListOffsets is not answered, the last code was %d", t->name, partition,
             code);
}

static int64_t scan_batches(struct node_run *nr, uint32_t part, struct bytes rest, int64_t at)
{
    struct bytes batch;
    struct record_reader rd;
    struct record rec;
    while (batch_next(&rest, &batch) == 1) {
        if (!batch_crc_check(batch) || record_reader_open(&rd, batch, 0) != 0) {
            run_fail(nr->r, "%s: an unsound batch at %lld or behind", nr->h.parts[part].name,
                     (long long)at);
        }
        while (record_reader_next(&rd, &rec) == 1) {
            if (rec.offset >= at) {
                history_scan_record(&nr->h, part, rec.offset, rec.value);
                at = rec.offset + 1;
            }
        }
        record_reader_close(&rd);
    }
    return at;
}

const struct fetch_response_partition_data *check_fetch(struct node_run *nr, int16_t version,
                                                        const char *name, struct uuid id,
                                                        int32_t partition, int64_t at,
                                                        int32_t max_wait_ms)
{
    struct fetch_request req;
    struct fetch_request_fetch_topic topic;
    struct fetch_request_fetch_partition p;
    struct fetch_response resp;
    proto_msg_init(&fetch_request_msg, &req);
    proto_init(&fetch_request_fetch_topic_desc, &topic);
    proto_init(&fetch_request_fetch_partition_desc, &p);
    req.max_wait_ms = max_wait_ms;
    req.min_bytes = max_wait_ms > 0;
    req.max_bytes = 1 << 20;
    req.session_epoch = -1;
    req.topics = &topic;
    req.topics_n = 1;
    topic.topic = bytes_str(name);
    topic.topic_id = id;
    topic.partitions = &p;
    topic.partitions_n = 1;
    p.partition = partition;
    p.fetch_offset = at;
    p.partition_max_bytes = 1 << 18;
    if (!check_call(nr, API_FETCH, version, &req, &resp, LIMIT_US)) {
        run_fail(nr->r, "%s-%d: Fetch is not answered", name, partition);
    }
    RUN_CHECK(nr->r, resp.error_code == 0 && resp.responses_n == 1);
    return &resp.responses[0].partitions[0];
}

/* In a cluster the leader may change even now: preferred leaders come back by themselves. */
static int64_t scan_fetch(struct node_run *nr, struct topic *t, int32_t partition, int64_t at)
{
    int64_t until = nr->w.sim->clock.now_us + LIMIT_US;
    int16_t code;
    do {
        const struct fetch_response_partition_data *d =
            check_fetch(nr, 16, t->name, t->id, partition, at, 500);
        code = d->error_code;
        if (code == 0) {
            return scan_batches(nr, t->part[partition], d->records, at);
        }
        world_run(&nr->w, PAUSE_US, NULL, NULL);
        locate(nr, t, partition);
    } while (nr->many && node_run_retriable(code) && nr->w.sim->clock.now_us < until);
    run_fail(nr->r, "%s-%d: Fetch at %lld is answered %d", t->name, partition, (long long)at, code);
}

static void check_partition(struct node_run *nr, struct topic *t, int32_t partition)
{
    uint32_t part = t->part[partition];
    int64_t start = list_offset(nr, t, partition, -2);
    int64_t end = list_offset(nr, t, partition, -1);
    history_scan_begin(&nr->h, part, start);
    int64_t at = start;
    while (at < end) {
        int64_t next = scan_fetch(nr, t, partition, at);
        if (next == at) {
            run_fail(nr->r, "%s: nothing to fetch at %lld, the log ends at %lld",
                     nr->h.parts[part].name, (long long)at, (long long)end);
        }
        at = next;
    }
    history_scan_end(&nr->h, part, at);
}

/* ---- it serves ---- */

static int16_t produce_once(struct node_run *nr, struct topic *t, int32_t partition,
                            struct bytes batch, int64_t *base)
{
    struct produce_request req;
    struct produce_request_topic_produce_data topic;
    struct produce_request_partition_produce_data data;
    struct produce_response resp;
    proto_msg_init(&produce_request_msg, &req);
    proto_init(&produce_request_topic_produce_data_desc, &topic);
    proto_init(&produce_request_partition_produce_data_desc, &data);
    req.acks = -1;
    req.timeout_ms = 5000;
    req.topic_data = &topic;
    req.topic_data_n = 1;
    topic.name = bytes_str(t->name);
    topic.partition_data = &data;
    topic.partition_data_n = 1;
    data.index = partition;
    data.records = batch;
    locate(nr, t, partition);
    if (!call_once(nr, API_PRODUCE, 9, &req, &resp)) {
        return KE_NETWORK_EXCEPTION;
    }
    RUN_CHECK(nr->r, resp.responses_n == 1 && resp.responses[0].partition_responses_n == 1);
    *base = resp.responses[0].partition_responses[0].base_offset;
    return resp.responses[0].partition_responses[0].error_code;
}

static void check_serves(struct node_run *nr, struct topic *t, int32_t partition)
{
    int64_t until = nr->w.sim->clock.now_us + LIMIT_US;
    int16_t code = 0;
    while (nr->w.sim->clock.now_us < until) {
        struct batch_options o = BATCH_OPTIONS_DEFAULT;
        struct batch_builder b = {0};
        struct buf value = {0};
        struct buf batch = {0};
        int64_t base = -1;
        uint64_t number = history_send(&nr->h, t->part[partition], ++nr->streams, &value, 50);
        batch_builder_init(&b, &o);
        batch_builder_add(&b, sim_host_wall_ms(nr->w.client_host), BYTES_NULL, buf_bytes(&value),
                          NULL, 0);
        RUN_CHECK(nr->r, batch_builder_finish(&b, &batch) == 0);
        batch_builder_free(&b);
        code = produce_once(nr, t, partition, buf_bytes(&batch), &base);
        buf_free(&value);
        buf_free(&batch);
        if (code == 0) {
            history_acked(&nr->h, t->part[partition], number, 1, base);
            return;
        }
        if (!node_run_retriable(code)) {
            break;
        }
        world_run(&nr->w, PAUSE_US, NULL, NULL);
    }
    run_fail(nr->r, "%s-%d: takes no records although nothing is wrong any more; last code %d",
             t->name, partition, code);
}

void check_everything(struct node_run *nr)
{
    check_topics(nr);
    for (unsigned i = 0; i < nr->topics_n; i++) {
        struct topic *t = &nr->topics[i];
        if (t->state == TOPIC_EXISTS) {
            check_setting(nr, t);
        }
        for (int32_t k = 0; t->state == TOPIC_EXISTS && k < t->parts_n; k++) {
            check_partition(nr, t, k);
        }
    }
    for (unsigned i = 0; i < nr->topics_n; i++) {
        struct topic *t = &nr->topics[i];
        for (int32_t k = 0; t->state == TOPIC_EXISTS && k < t->parts_n; k++) {
            check_serves(nr, t, k);
        }
    }
    sim_client_close(&nr->checker);
}
