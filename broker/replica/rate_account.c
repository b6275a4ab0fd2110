#include "broker/replica/rate_account.h"

#include "broker/replica/throttled.h"

enum { WAIT_MAX_MS = 1000 }; /* the rate may be changed meanwhile */

static void ask_main(struct rate_account *a);

static void run(struct shard *sh, struct call *c)
{
    struct rate_account *a = c->user;
    struct node_shard *main = node_shard_of(sh);
    struct rate_window *w = a->window(main);
    int64_t now = shard_now_ms(sh);
    rate_window_record(w, a->told, now);
    a->wait_ms = rate_window_excess_ms(w, throttled_rate(main, a->setting), now);
    call_finish(sh, c);
}

static void done(struct shard *sh, struct call *c)
{
    struct rate_account *a = c->user;
    int64_t wait = a->wait_ms < WAIT_MAX_MS ? a->wait_ms : WAIT_MAX_MS;
    bool before = a->over_rate;
    a->asking = false;
    a->over_rate = wait > 0 && !a->stopped;
    if (a->over_rate) {
        timer_set(sh, &a->timer, shard_now_ms(sh) + wait);
    } else if (a->bytes > 0 && !a->stopped) {
        ask_main(a);
    }
    if (a->over_rate != before && a->changed) {
        a->changed(a);
    }
}

static void ask_main(struct rate_account *a)
{
    a->told = a->bytes;
    a->bytes = 0;
    a->asking = true;
    call_start(a->ns->shard, 0, &a->call, run, done, a);
}

/* The time is over: main is asked again, since others may have moved some meanwhile. */
static void on_timer(struct timer *timer)
{
    ask_main(timer->user);
}

void rate_account_init(struct rate_account *a)
{
    a->timer = (struct timer){.cb = on_timer, .user = a};
}

void rate_account_add(struct rate_account *a, uint64_t bytes)
{
    a->bytes += bytes;
    if (!a->asking && !timer_is_set(&a->timer) && !a->stopped) {
        ask_main(a);
    }
}

void rate_account_stop(struct rate_account *a)
{
    a->stopped = true;
    timer_cancel(a->ns->shard, &a->timer);
}
