/* A controller for unit tests: a channel whose calls the test looks at and answers itself, and one
 * data shard without threads in the simulator's virtual time. The test's file defines what the
 * broker's files under test call in a node (node_fail and so on), so that node.c stays out. */
#ifndef TEST_FAKE_CHANNEL_H
#define TEST_FAKE_CHANNEL_H

#include "broker/config.h"
#include "broker/node.h"
#include "controller/channel.h"
#include "proto/message.h"
#include "sim/io_sim.h"

struct fake {
    struct channel channel;
    struct list calls; /* in flight, oldest first */
    unsigned not_controller;
    struct sim *sim;
    struct sim_proc *proc;
    struct shard_group *group;
    struct shard *shard;
    struct node node;
    struct node_shard ns;
    struct arena arena;
};

static void fake_call(struct channel *ch, struct channel_call *call)
{
    struct fake *f = CONTAINER_OF(ch, struct fake, channel);
    assert_false(channel_in_flight(call));
    assert_true(call->timeout_ms > 0);
    call->channel = ch;
    /* as a real one: the caller's bytes need not stay */
    call->body = bytes_of(
        memcpy(arena_alloc(&f->arena, call->body.len + 1), call->body.data, call->body.len),
        call->body.len);
    list_push_back(&f->calls, &call->node);
}

static void fake_cancel(struct channel *ch, struct channel_call *call)
{
    UNUSED(ch);
    list_remove(&call->node);
    call->channel = NULL;
}

static void fake_not_controller(struct channel *ch)
{
    CONTAINER_OF(ch, struct fake, channel)->not_controller++;
}

static void fake_close(struct channel *ch)
{
    UNUSED(ch);
}

static const struct channel_ops fake_ops = {
    .name = "fake",
    .call = fake_call,
    .cancel = fake_cancel,
    .not_controller = fake_not_controller,
    .close = fake_close,
};

static void fake_on_msg(struct shard *sh, struct msg *m);

static void fake_open(struct fake *f, struct config *config)
{
    struct errmsg em = {{0}};
    memset(f, 0, sizeof *f);
    f->sim = sim_new(1);
    f->sim->self_advance = true;
    f->proc = sim_proc_new(sim_host_new(f->sim, 1 << 20));
    f->group = shard_group_new(1, NULL, io_sim_make, f->proc, NULL);
    if (shard_group_start_inline(f->group, &em)) {
        fail_msg("%s", em.text);
    }
    f->shard = shard_group_get(f->group, 0);
    f->shard->user = &f->ns;
    f->shard->on_msg = fake_on_msg;
    f->channel.ops = &fake_ops;
    f->channel.shard = f->shard;
    list_init(&f->calls);
    f->node.config = config;
    f->node.group = f->group;
    f->node.shards = &f->ns;
    f->node.data_shards = 1;
    f->node.id = config->node_id;
    strcpy(f->node.cluster_id, "test-cluster");
    f->ns.node = &f->node;
    f->ns.shard = f->shard;
    f->ns.channel = &f->channel;
}

static void fake_shut(struct fake *f)
{
    struct errmsg em;
    shard_group_stop(f->group);
    shard_group_join(f->group);
    shard_group_free(f->group);
    if (!sim_proc_end(f->proc, &em)) {
        fail_msg("%s", em.text);
    }
    sim_free(f->sim);
    arena_free(&f->arena);
}

/* Turns the shard for so long. */
static void fake_run(struct fake *f, int64_t ms)
{
    int64_t end = shard_now_ms(f->shard) + ms;
    do {
        int64_t left = end - shard_now_ms(f->shard);
        shard_turn(f->shard, left > 0 ? left * 1000 : 0);
    } while (shard_now_ms(f->shard) < end);
}

/* The oldest call in flight, which must be for this API. */
static struct channel_call *fake_next(struct fake *f, int16_t api_key)
{
    assert_false(list_empty(&f->calls));
    struct channel_call *call = LIST_ENTRY(f->calls.next, struct channel_call, node);
    assert_int_equal(call->api_key, api_key);
    return call;
}

/* Its request, decoded. */
static void *fake_request(struct fake *f, struct channel_call *call)
{
    void *out = arena_alloc(&f->arena, 4096);
    assert_int_equal(
        proto_decode(proto_request(call->api_key), call->version, call->body, NULL, &f->arena, out),
        0);
    return out;
}

static void fake_end(struct channel_call *call, int err, struct bytes body)
{
    list_remove(&call->node);
    call->channel = NULL;
    call->cb(call, err, body);
}

static void fake_answer(struct fake *f, struct channel_call *call, const void *response)
{
    struct buf out = {0};
    struct errmsg em = {{0}};
    UNUSED(f);
    if (proto_encode(proto_response(call->api_key), call->version, response, &out, &em)) {
        fail_msg("%s", em.text);
    }
    fake_end(call, 0, buf_bytes(&out));
    buf_free(&out);
}

static struct config *fake_config(const char *const *overrides)
{
    static const struct config_machine machine = {.hostname = "h", .processors = 1};
    struct config *c = config_new();
    struct errmsg em = {{0}};
    config_zero(c, "/data", 9092);
    for (size_t i = 0; overrides && overrides[i]; i++) {
        assert_int_equal(config_add_override(c, overrides[i], &em), 0);
    }
    if (config_finish(c, &machine, NULL, &em)) {
        fail_msg("%s", em.text);
    }
    return c;
}

#endif
