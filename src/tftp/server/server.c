/* server.c: opens and closes a TFTP server; its row among the services (server.h). */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "net/net.h"
#include "tftp/server/internal.h"

#define PER_SOURCE 2048

int sockeye__tftp_server_rules_read(struct sockeye__tftp_server *s, struct sockeye_fail *fail)
{
	const struct sockeye__tftp_server_config *c = &s->config;
	struct sockeye__tftp_map *map;
	struct sockeye__tftp_rules *policy;
	int err = sockeye__tftp_map_open(c->map_path, &map, fail);

	if (err < 0)
		return err;
	err = sockeye__tftp_policy_open(c->policy_path, &policy, fail);
	if (err < 0) {
		sockeye__tftp_map_free(map);
		return err;
	}
	sockeye__tftp_map_free(s->map);
	sockeye__tftp_policy_free(s->policy);
	s->map = map;
	s->policy = policy;
	return 0;
}

int sockeye__tftp_server_open(struct sockeye__tftp_server **out,
			      const struct sockeye__tftp_server_config *config,
			      struct sockeye_fail *fail)
{
	struct sockeye__tftp_server *s = calloc(1, sizeof *s);
	int err;

	if (s == NULL)
		return sockeye__fail_set(fail, "serve", "tftp", -ENOMEM);
	s->config = *config;
	err = sockeye__tftp_store_open(&s->store, &config->store, fail);
	if (err < 0 && fail != NULL)
		fail->op = "open root folder";
	if (err == 0)
		err = sockeye__tftp_server_rules_read(s, fail);
	if (err < 0) {
		sockeye__tftp_server_close(s);
		return err;
	}
	s->sources =
	    sockeye__sources_new(config->per_source_max != 0 ? config->per_source_max : PER_SOURCE);
	s->shared = mmap(NULL, sizeof *s->shared, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->sources == NULL || s->shared == MAP_FAILED) {
		s->shared = s->shared == MAP_FAILED ? NULL : s->shared;
		sockeye__tftp_server_close(s);
		return sockeye__fail_set(fail, "serve", "tftp", -ENOMEM);
	}
	*out = s;
	return 0;
}

void sockeye__tftp_server_close(struct sockeye__tftp_server *s)
{
	if (s == NULL)
		return;
	sockeye__tftp_store_close(&s->store);
	sockeye__tftp_map_free(s->map);
	sockeye__tftp_policy_free(s->policy);
	sockeye__sources_free(s->sources);
	if (s->shared != NULL)
		munmap(s->shared, sizeof *s->shared);
	free(s);
}

static struct sockeye__tftp_server *own(const void *config)
{
	return (struct sockeye__tftp_server *)(uintptr_t)config; /* each process has its own */
}

/* Else a worker that takes the place of another would have the rules of long ago. */
static void rules_reload(const void *config)
{
	struct sockeye_fail fail;

	(void)sockeye__tftp_server_rules_read(own(config), &fail);
}

static void worker_died(const void *config, unsigned worker)
{
	const struct sockeye__tftp_server *s = config;

	__atomic_sub_fetch(&s->shared->transfers, s->shared->of_worker[worker], __ATOMIC_RELAXED);
	s->shared->of_worker[worker] = 0;
	sockeye__sources_forget(s->sources, worker);
}

static void run(struct sockeye__worker *worker, const void *config)
{
	sockeye__tftp_worker_run(worker, own(config));
}

static const struct sockeye__resident resident = {
    .run = run, .reload = rules_reload, .died = worker_died};

const struct sockeye_service sockeye__tftp_service = {
    .name = "tftp",
    .summary = "files to read and to write (RFC 1350)",
    .port = 69,
    .resident = &resident,
};
