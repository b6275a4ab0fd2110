/* millrace-sim: runs scenarios by seed.
 *
 *   millrace-sim --seeds A-B [--scenario NAME] [--jobs N] [--verbose] [--mutant NAME]
 *                [--seconds N]
 *   millrace-sim --mutant NAME       its own seeds, and the one that notices once more without it
 *   millrace-sim --list-mutants
 *
 * Each run (a scenario with a seed) is a process of its own: it may be told to die in the middle of
 * production code, whose memory then is nobody's, and a crash of the code under test is one failed
 * run. Its output is kept and shown if it fails; the last lines tell the story. One seed in ten
 * runs twice, with the heap elsewhere: all that happens must be the same again. With --mutant the
 * world breaks a promise on purpose, and the whole is a success when some run notices. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "sim/breaches.h"
#include "sim/hooks.h"
#include "sim/run.h"
#include "sim/scenarios.h"

enum { JOBS_MAX = 64, SHOW_BYTES = 12000, SHOW_FAILURES = 5, TWICE = 10, TELL = 3000 };
/* Of a breach without --seeds: how many are tried at most. */
enum { SEEDS = 100 };

struct job {
    pid_t pid;
    int out; /* memfd: what it says */
    uint64_t seed;
    const struct scenario *scenario;
};

struct options {
    uint64_t first;
    uint64_t last;
    uint64_t step; /* every so many seeds */
    const struct scenario *only;
    unsigned jobs;
    unsigned seconds; /* of real time for one run, before it counts as hanging */
    bool verbose;
    bool all; /* goes on when a breach has been noticed */
    enum run_mutant mutant;
    uint64_t *virtual_us;
};

struct tally {
    uint64_t passed;
    uint64_t failed;
    uint64_t failed_seed; /* the last one */
    double cpu;           /* seconds, of all runs */
    uint64_t *virtual_us; /* of all runs, shared with them */
};

/* One run; its digest. */
static uint64_t run_once(const struct options *opt, const struct job *job)
{
    struct run *r = MEM_NEW(struct run);
    r->seed = job->seed;
    r->verbose = opt->verbose;
    r->mutant = opt->mutant;
    prng_seed(&r->rng, job->seed);
    hooks_init(r);
    job->scenario->run(r);
    __atomic_fetch_add(opt->virtual_us, (uint64_t)r->sim->clock.now_us, __ATOMIC_RELAXED);
    return r->digest;
}

/* The same in a process of its own whose heap is another, before the one that counts. */
static uint64_t run_before(const struct options *opt, const struct job *job)
{
    int fds[2];
    uint64_t digest = 0;
    if (pipe(fds) != 0) {
        return 0;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(opt->seconds);
        for (size_t n = 1; n < 3000; n += 7) {
            memset(mem_alloc(n), (int)n, n); /* nobody's: it only is in the way */
        }
        digest = run_once(opt, job);
        ssize_t n = write(fds[1], &digest, sizeof(digest));
        fflush(NULL);
        _exit(n == (ssize_t)sizeof(digest) ? 0 : 1);
    }
    close(fds[1]);
    if (pid < 0 || read(fds[0], &digest, sizeof(digest)) != (ssize_t)sizeof(digest)) {
        digest = 0; /* it failed: the second will too, or differ */
    }
    waitpid(pid, NULL, 0);
    close(fds[0]);
    return digest;
}

static void child(const struct options *opt, const struct job *job)
{
    dup2(job->out, STDERR_FILENO);
    setvbuf(stderr, NULL, _IOFBF, 1 << 16);
    bool twice = job->seed % TWICE == 0 && opt->mutant == MUTANT_NONE;
    uint64_t before = twice ? run_before(opt, job) : 0;
    alarm(opt->seconds);
    uint64_t digest = run_once(opt, job);
    fprintf(stderr, "digest %016llx\n", (unsigned long long)digest);
    if (twice && digest != before) {
        fprintf(stderr, "FAILED: not deterministic: the run before had the digest %016llx\n",
                (unsigned long long)before);
    }
    fflush(NULL);
    _exit(twice && digest != before);
}

static void on_end(int sig)
{
    /* Not async-signal-safe by the letter; the process is lost anyway and its story is wanted. */
    signal(sig, SIG_DFL);
    fflush(stderr);
    raise(sig);
}

static void start(const struct options *opt, struct job *job)
{
    job->out = memfd_create("sim", 0);
    fflush(NULL);
    job->pid = fork();
    if (job->pid == 0) {
        signal(SIGABRT, on_end);
        signal(SIGALRM, on_end);
        child(opt, job);
    }
    if (job->pid < 0 || job->out < 0) {
        fprintf(stderr, "millrace-sim: cannot start a run: %s\n", strerror(errno));
        exit(2);
    }
}

/* The end of what a run said, or all of it. */
static char *story(const struct job *job, size_t most)
{
    off_t size = lseek(job->out, 0, SEEK_END);
    off_t from = size > (off_t)most ? size - (off_t)most : 0;
    char *text = mem_alloc((size_t)(size - from) + 1);
    ssize_t n = pread(job->out, text, (size_t)(size - from), from);
    text[n > 0 ? n : 0] = 0;
    char *line = from > 0 ? strchr(text, '\n') : NULL;
    if (line != NULL) {
        memmove(text, line + 1, strlen(line));
    }
    return text;
}

static void show(const struct job *job, size_t most)
{
    char *text = story(job, most);
    printf("%s\n", text);
    mem_free(text);
}

/* The sentence that ended it. */
static void show_reason(const struct job *job, int status)
{
    char *text = story(job, SHOW_BYTES);
    const char *why = NULL;
    static const char *const marks[] = {"FAILED: ", "assertion failed", "ERROR: AddressSanitizer",
                                        "runtime error"};
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]) && why == NULL; i++) {
        why = strstr(text, marks[i]);
    }
    if (why != NULL) {
        printf("    %.*s\n", (int)strcspn(why, "\n"), why);
    }
    if (WIFSIGNALED(status)) {
        printf("    ended by signal %d (%s)%s\n", WTERMSIG(status), strsignal(WTERMSIG(status)),
               WTERMSIG(status) == SIGALRM ? ": it hangs" : "");
    }
    mem_free(text);
}

static void finish(const struct options *opt, struct job *job, int status, struct tally *t)
{
    size_t most = opt->verbose ? SIZE_MAX / 2 : SHOW_BYTES;
    bool told = opt->mutant == MUTANT_NONE || opt->verbose;
    if (status == 0) {
        t->passed++;
        if (opt->verbose) {
            show(job, most);
        }
    } else {
        t->failed++;
        if (told && t->failed <= SHOW_FAILURES) {
            printf("==== scenario %s, seed %llu\n", job->scenario->name,
                   (unsigned long long)job->seed);
            show(job, most);
        }
        if (told) {
            printf("FAILED: seed %llu, scenario %s. Again: %s %llu --scenario %s --verbose\n",
                   (unsigned long long)job->seed, job->scenario->name,
                   hooks_can_break ? "tests/sim.sh --seeds" : "millrace simulate --seed",
                   (unsigned long long)job->seed, job->scenario->name);
        } else {
            printf("seed %llu, scenario %s:\n", (unsigned long long)job->seed, job->scenario->name);
        }
        show_reason(job, status);
        fflush(stdout);
    }
    if ((t->passed + t->failed) % TELL == 0) {
        printf("%llu runs, %llu failed, at seed %llu\n",
               (unsigned long long)(t->passed + t->failed), (unsigned long long)t->failed,
               (unsigned long long)job->seed);
        fflush(stdout);
    }
    close(job->out);
    job->pid = 0;
}

/* Waits for one run to end. */
static void reap(const struct options *opt, struct job *jobs, struct tally *t)
{
    int status;
    struct rusage ru = {0};
    pid_t pid = wait4(-1, &status, 0, &ru);
    double cpu = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
                 (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
    t->cpu += cpu;
    for (unsigned i = 0; i < opt->jobs; i++) {
        if (pid > 0 && jobs[i].pid == pid) {
            if (status != 0) {
                t->failed_seed = jobs[i].seed;
            }
            finish(opt, &jobs[i], status, t);
            return;
        }
    }
}

static void run_all(const struct options *opt, struct tally *t)
{
    struct job jobs[JOBS_MAX] = {0};
    unsigned running = 0;
    for (uint64_t seed = opt->first; seed <= opt->last; seed += opt->step) {
        for (size_t k = 0; k < scenario_count; k++) {
            const struct scenario *s = scenarios[k];
            if ((opt->only != NULL && opt->only != s) ||
                (opt->mutant != MUTANT_NONE && !(s->mutants >> opt->mutant & 1))) {
                continue;
            }
            if (running == opt->jobs) {
                reap(opt, jobs, t);
                running--;
            }
            unsigned i = 0;
            while (jobs[i].pid != 0) {
                i++;
            }
            jobs[i].seed = seed;
            jobs[i].scenario = s;
            start(opt, &jobs[i]);
            running++;
        }
        if (opt->mutant != MUTANT_NONE && t->failed > 0 && !opt->all) {
            break; /* noticed */
        }
    }
    while (running-- > 0) {
        reap(opt, jobs, t);
    }
}

static _Noreturn void usage(int status)
{
    FILE *f = status ? stderr : stdout;
    fprintf(f,
            hooks_can_break
                ? "usage: millrace-sim --seeds A-B [--step N] [--scenario NAME] [--jobs N]\n"
                  "                    [--verbose] [--mutant NAME [--all]] [--seconds N]\n"
                  "       millrace-sim --mutant NAME | --list-mutants\n\nscenarios:\n"
                : "usage: millrace simulate --seed N | --seeds A-B [--step N] [--scenario NAME]\n"
                  "                         [--jobs N] [--verbose] [--seconds N]\n\nscenarios:\n");
    for (size_t i = 0; i < scenario_count; i++) {
        fprintf(f, "  %-12s %s\n", scenarios[i]->name, scenarios[i]->what);
    }
    if (hooks_can_break) {
        fprintf(f, "mutants (a run must fail):");
        for (unsigned i = 1; i < MUTANTS; i++) {
            fprintf(f, " %s", breach_of((enum run_mutant)i)->name);
        }
        fprintf(f, "\n");
    }
    exit(status);
}

static void parse_seeds(struct options *opt, const char *text)
{
    char *end;
    opt->first = strtoull(text, &end, 10);
    opt->last = opt->first;
    if (*end == '-') {
        opt->last = strtoull(end + 1, &end, 10);
    }
    if (*end != 0 || end == text || opt->last < opt->first) {
        fprintf(stderr, "millrace-sim: --seeds wants A-B with A <= B, not '%s'\n", text);
        exit(2);
    }
}

static void parse_names(struct options *opt, const char *scenario, const char *mutant)
{
    for (size_t i = 0; scenario != NULL && i < scenario_count; i++) {
        opt->only = strcmp(scenarios[i]->name, scenario) == 0 ? scenarios[i] : opt->only;
    }
    if (mutant != NULL && !hooks_can_break) {
        fprintf(stderr, "millrace simulate: only tests/sim.sh breaks promises\n");
        exit(2);
    }
    opt->mutant = mutant != NULL ? breach_named(mutant) : MUTANT_NONE;
    if ((scenario != NULL && opt->only == NULL) || (mutant != NULL && opt->mutant == 0)) {
        fprintf(stderr, "millrace-sim: no %s '%s'\n",
                opt->only || !scenario ? "mutant" : "scenario",
                opt->only || !scenario ? mutant : scenario);
        usage(2);
    }
}

static struct options parse(int argc, char **argv)
{
    static const struct option longs[] = {
        {"seeds", 1, NULL, 's'},   {"scenario", 1, NULL, 'n'},     {"jobs", 1, NULL, 'j'},
        {"verbose", 0, NULL, 'v'}, {"mutant", 1, NULL, 'm'},       {"seconds", 1, NULL, 't'},
        {"help", 0, NULL, 'h'},    {"seed", 1, NULL, 's'},         {"step", 1, NULL, 'p'},
        {"all", 0, NULL, 'a'},     {"list-mutants", 0, NULL, 'l'}, {NULL, 0, NULL, 0},
    };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct options opt = {.jobs = cores > 0 ? (unsigned)cores : 1, .seconds = 300, .step = 1};
    const char *scenario = NULL;
    const char *mutant = NULL;
    bool seeds = false;
    int c;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 's':
            parse_seeds(&opt, optarg);
            seeds = true;
            break;
        case 'n':
            scenario = optarg;
            break;
        case 'j':
            opt.jobs = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'v':
            opt.verbose = true;
            break;
        case 'm':
            mutant = optarg;
            break;
        case 't':
            opt.seconds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'p':
            opt.step = strtoull(optarg, NULL, 10);
            break;
        case 'a':
            opt.all = true;
            break;
        case 'l':
            breach_list();
            exit(0);
        default:
            usage(c == 'h' ? 0 : 2);
        }
    }
    if ((!seeds && mutant == NULL) || optind != argc) {
        usage(2);
    }
    opt.step = opt.step < 1 ? 1 : opt.step;
    opt.jobs = opt.jobs < 1 ? 1 : opt.jobs > JOBS_MAX ? JOBS_MAX : opt.jobs;
    parse_names(&opt, scenario, mutant);
    return opt;
}

/* A breach is noticed by its own seeds, the first hundred at most; the run that noticed it passes
 * without it. The time they took is told only: a busy machine takes longer for the same runs. */
static int prove(struct options *opt, struct tally *t)
{
    const struct breach *b = breach_of(opt->mutant);
    if (b->where == NULL) {
        fprintf(stderr, "millrace-sim: no run notices %s dependably\n", b->name);
        return 1;
    }
    opt->only = b->where;
    opt->first = b->first;
    opt->step = b->step;
    opt->last = b->first + b->step * SEEDS;
    opt->jobs = 1;
    run_all(opt, t);
    double cpu = t->cpu;
    uint64_t tried = t->passed + t->failed;
    if (t->failed == 0) {
        printf("breach %s: NOT noticed by any run\n", b->name);
        return 1;
    }
    opt->first = opt->last = t->failed_seed;
    opt->mutant = MUTANT_NONE;
    t->failed = 0;
    run_all(opt, t);
    printf("breach %s: seed %llu of %s notices it; %llu runs took %.2f s of CPU%s\n", b->name,
           (unsigned long long)opt->first, b->where->name, (unsigned long long)tried, cpu,
           t->failed ? ", and fails without it too" : "");
    return t->failed ? 1 : 0;
}

static void summary(const struct options *opt, const struct tally *t, double seconds)
{
    double of_runs = (double)*t->virtual_us / 1e6;
    printf("seeds %llu-%llu, %.1f s, %.1f runs a second; %.0f s of virtual time in %.1f s of CPU, "
           "%.0f times real time\n",
           (unsigned long long)opt->first, (unsigned long long)opt->last, seconds,
           (double)(t->passed + t->failed) / seconds, of_runs, t->cpu, of_runs / t->cpu);
    if (opt->mutant != MUTANT_NONE) {
        printf("mutant %s: %s\n", breach_of(opt->mutant)->name,
               t->failed ? "noticed" : "NOT noticed by any run");
        return;
    }
    printf("%llu passed, %llu failed\n", (unsigned long long)t->passed,
           (unsigned long long)t->failed);
}

int main(int argc, char **argv)
{
    struct options opt = parse(argc, argv);
    struct tally t = {0};
    struct timespec a;
    struct timespec b;
    t.virtual_us = opt.virtual_us =
        mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (opt.virtual_us == MAP_FAILED) {
        fprintf(stderr, "millrace-sim: no memory: %s\n", strerror(errno));
        return 2;
    }
    if (opt.last == 0) {
        return prove(&opt, &t);
    }
    clock_gettime(CLOCK_MONOTONIC, &a);
    run_all(&opt, &t);
    clock_gettime(CLOCK_MONOTONIC, &b);
    summary(&opt, &t, (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "millrace-sim: cannot write the output%s%s\n", errno ? ": " : "",
                errno ? strerror(errno) : "");
        return 2;
    }
    return (t.failed != 0) == (opt.mutant != MUTANT_NONE) ? 0 : 1;
}
