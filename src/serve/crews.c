/* crews.c: groups the requests into crews (crew.h) and sets their models, processes and
 * users. */
#include "serve/models.h"
#include "net/net.h"
#include "serve/cpus.h"
#include "serve/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OLD_MIN 100 /* seats for workers of older generations, in a small crew */

static const char *model_name(const struct sockeye__server *server,
			      const struct sockeye__site_request *request)
{
	if (request->model != NULL)
		return request->model;
	return server->opts->model != NULL ? server->opts->model : "event";
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_crew(const struct sockeye__server *server, const struct sockeye__site_request *a,
		      const struct sockeye__site_request *b)
{
	assert(a != NULL && b != NULL); /* every crew was made for a request */
	return a->spec == b->spec && a->workers == b->workers && same_text(a->user, b->user) &&
	       a->user_optional == b->user_optional &&
	       (a->spec != NULL || strcmp(model_name(server, a), model_name(server, b)) == 0);
}

struct sockeye__crew *sockeye__crew_of(const struct sockeye__server *server,
				       const struct sockeye__site_request *request)
{
	for (size_t i = 0; i < server->crew_count; i++)
		if (same_crew(server, server->crews[i].request, request))
			return &server->crews[i];
	return NULL;
}

/* Returns the number of processes: that of the request, of the options, or `preferred`. A
 * number of 0 means one per CPU. */
static unsigned workers_count(const struct sockeye__server *server,
			      const struct sockeye__site_request *request, unsigned preferred)
{
	unsigned n = request->workers > 0 ? request->workers : server->opts->workers;

	if (n == 0)
		n = preferred;
	if (n == 0)
		n = sockeye__cpus_count();
	return n < SOCKEYE__WORKERS_MAX ? n : SOCKEYE__WORKERS_MAX;
}

static int model_probe_as_user(const void *arg)
{
	const struct sockeye__crew *crew = arg;
	int err = sockeye__user_become(&crew->user);

	return err < 0 ? err : crew->model->probe();
}

/* Probes the model as the crew's user: the kernel may allow io_uring only for root.
 * Returns 0 or -errno. */
static int model_probe(const struct sockeye__crew *crew)
{
	if (crew->model->probe == NULL)
		return 0;
	return crew->switches_user ? sockeye__process_call(model_probe_as_user, crew)
				   : crew->model->probe();
}

/* Replaces the model with event if this machine or the crew's user cannot use it. */
static int model_check(struct sockeye__server *server, struct sockeye__crew *crew,
		       struct sockeye_fail *fail)
{
	const char *name = crew->model->facts.name;
	int err = model_probe(crew);
	char text[128];

	if (err == 0)
		return 0;
	if (server->opts->model_strict)
		return sockeye__fail_set(fail, "model", name, err);
	snprintf(text, sizeof text, "model %s is not available here; using event", name);
	sockeye__event(server->opts, &(struct sockeye_event){
					 .kind = SOCKEYE_EVENT_WARNING, .text = text, .err = err});
	crew->model = &sockeye__model_event;
	crew->run = crew->model->run;
	return 0;
}

/* Whether a crew has the spec already. The context of a spec holds one state for each member
 * of one crew. */
static bool is_taken(const struct sockeye__server *server, const struct sockeye__crew_spec *spec)
{
	for (size_t i = 0; spec != NULL && i < server->crew_count; i++)
		if (server->crews[i].spec == spec)
			return true;
	return false;
}

static int crew_add(struct sockeye__server *server, const struct sockeye__site_request *request,
		    struct sockeye_fail *fail)
{
	struct sockeye__crew *crew = &server->crews[server->crew_count];
	int err;

	if (is_taken(server, request->spec)) {
		sockeye__fail_set(fail, "serve", request->site.service->name, -EINVAL);
		sockeye__fail_detail(fail, "its addresses differ in user or number of workers");
		return -EINVAL;
	}
	*crew = (struct sockeye__crew){.request = request, .spec = request->spec};
	if (request->spec != NULL) {
		crew->run = request->spec->run;
		crew->processes = workers_count(server, request, 0);
		server->crew_count++;
		return 0;
	}
	crew->model = sockeye__model_find(model_name(server, request));
	if (crew->model == NULL)
		return sockeye__fail_set(fail, "model", model_name(server, request),
					 SOCKEYE_E_MODEL);
	crew->run = crew->model->run;
	server->crew_count++;
	err = model_check(server, crew, fail);
	if (err < 0)
		return err;
	crew->processes = crew->model->facts.workers == 1
			      ? 1
			      : workers_count(server, request, crew->model->facts.workers);
	return 0;
}

/* A crew with a spec is limited to one worker if a socket cannot be opened twice (fd:),
 * because all packets of a peer must reach the process that holds its state. */
static void crew_join(struct sockeye__crew *crew, const struct sockeye__site_request *request)
{
	if (crew->spec != NULL && request->site.addr.scheme == SOCKEYE_FD)
		crew->processes = 1;
}

int sockeye__crews_form(struct sockeye__server *server,
			const struct sockeye__site_request *requests, size_t count,
			struct sockeye_fail *fail)
{
	/* Each request may need a crew, and each datagram site another one. */
	server->crews = calloc(count + SOCKEYE__SITES_MAX, sizeof *server->crews);
	if (server->crews == NULL)
		return sockeye__fail_set(fail, "serve", "", -ENOMEM);
	for (size_t i = 0; i < count; i++) {
		int err = sockeye__crew_of(server, &requests[i]) != NULL
			      ? 0
			      : crew_add(server, &requests[i], fail);

		if (err < 0)
			return err;
		crew_join(sockeye__crew_of(server, &requests[i]), &requests[i]);
	}
	return 0;
}

/* Moves a datagram site from its crew to a new crew of one process. */
static int answerer_split(struct sockeye__server *server, struct sockeye__crew *from, size_t i)
{
	struct sockeye__crew *to = &server->crews[server->crew_count];
	struct sockeye__site *site = calloc(1, sizeof *site);

	if (site == NULL)
		return -ENOMEM;
	*site = from->sites[i];
	memmove(&from->sites[i], &from->sites[i + 1], (from->site_count - i - 1) * sizeof *site);
	from->site_count--;
	*to = *from;
	to->run = sockeye__answer_until_stop;
	to->processes = 1;
	to->sites = site;
	to->site_count = 1;
	server->crew_count++;
	return 0;
}

/* Gives each datagram site a separate one-process crew if the model's workers can be busy
 * with one session for a long time (fork, prefork, thread). */
static int answerers_split(struct sockeye__server *server)
{
	const size_t formed = server->crew_count;

	for (size_t c = 0; c < formed; c++) {
		struct sockeye__crew *crew = &server->crews[c];

		for (size_t i = 0; i < crew->site_count;) {
			int err;

			if (crew->model == NULL || !crew->model->answerers ||
			    crew->sites[i].stream) {
				i++;
				continue;
			}
			err = answerer_split(server, crew, i);
			if (err < 0)
				return err;
		}
	}
	return 0;
}

/* Whether the crew accepts connections. */
static bool accepts(const struct sockeye__crew *crew)
{
	for (size_t i = 0; i < crew->site_count; i++)
		if (crew->sites[i].stream)
			return true;
	return false;
}

/* Returns the crew with the most processes among those that accept connections, or NULL
 * if none of them has more than one process. */
static struct sockeye__crew *largest(const struct sockeye__server *server)
{
	struct sockeye__crew *found = NULL;

	for (size_t i = 0; i < server->crew_count; i++) {
		struct sockeye__crew *crew = &server->crews[i];

		if (accepts(crew) && crew->processes > (found != NULL ? found->processes : 1))
			found = crew;
	}
	return found;
}

/* The number of workers of older generations that may run beside those that serve. */
static unsigned spare_seats(const struct sockeye__crew *crew)
{
	if (crew->processes == 0 || crew->spec == NULL || crew->spec->renew == NULL)
		return 0;
	return crew->processes > OLD_MIN ? crew->processes : OLD_MIN;
}

static void crews_number(struct sockeye__server *server)
{
	server->seats = server->acceptors = 0;
	for (size_t i = 0; i < server->crew_count; i++) {
		struct sockeye__crew *crew = &server->crews[i];

		if (crew->site_count == 0)
			crew->processes = 0;
		crew->seats = crew->processes + spare_seats(crew);
		crew->first = server->seats;
		crew->acceptors_before = server->acceptors;
		server->seats += crew->seats;
		server->acceptors += accepts(crew) ? crew->processes : 0;
	}
}

/* Reduces the number of accepting processes to connections_max, so that each can have at
 * least one connection. */
static void crews_limit(struct sockeye__server *server)
{
	const uint32_t max = server->opts->connections_max;
	struct sockeye__crew *crew;

	crews_number(server);
	while (max > 0 && server->acceptors > max && (crew = largest(server)) != NULL) {
		crew->processes--;
		crews_number(server);
	}
}

int sockeye__crews_complete(struct sockeye__server *server, struct sockeye_fail *fail)
{
	const uint32_t max = server->opts->connections_max;
	int err = answerers_split(server);

	if (err < 0)
		return sockeye__fail_set(fail, "serve", "", err);
	crews_limit(server);
	if (max == 0 || server->acceptors <= max)
		return 0;
	sockeye__fail_set(fail, "serve", "", -EINVAL);
	sockeye__fail_detail(fail, "%u connections are too few for %u groups of workers", max,
			     server->acceptors);
	return -EINVAL;
}

/* --- users --- */

static int user_find(const char *name, struct sockeye__user *out, struct sockeye_fail *fail)
{
	int err = sockeye__user_find(name, out);

	return err < 0 ? sockeye__fail_set(fail, "become user", name, err) : 0;
}

/* Whether a request names a user. If so, the supervisor keeps its privileges. */
static bool users_differ(const struct sockeye__server *server)
{
	for (size_t i = 0; i < server->crew_count; i++)
		if (server->crews[i].request->user != NULL)
			return true;
	return false;
}

static int become(const void *user)
{
	return sockeye__user_become(user);
}

/* Tries whether the workers of a crew can become its user. If they cannot and the user is
 * optional, the workers will keep their user and give up all capabilities. Returns 0, or
 * -errno with *fail. */
static int user_try(const struct sockeye__server *server, struct sockeye__crew *crew,
		    struct sockeye_fail *fail)
{
	const bool optional = crew->request->user_optional;
	char text[128];
	int err = optional && !sockeye__user_may_kill()
		      ? -EPERM
		      : sockeye__process_call(become, &crew->user);

	if (err == 0)
		return 0;
	if (!optional)
		return sockeye__fail_set(fail, "become user", crew->user.name, err);
	crew->user.stays = true;
	snprintf(text, sizeof text,
		 "cannot become user %s; workers stay user %u, without capabilities",
		 crew->user.name, (unsigned)geteuid());
	if (crew == server->crews) /* warn once, not for every crew */
		sockeye__event(server->opts, &(struct sockeye_event){.kind = SOCKEYE_EVENT_WARNING,
								     .text = text,
								     .err = err});
	return 0;
}

static int users_of_crews(struct sockeye__server *server, struct sockeye_fail *fail)
{
	for (size_t i = 0; i < server->crew_count; i++) {
		struct sockeye__crew *crew = &server->crews[i];
		const char *name =
		    crew->request->user != NULL ? crew->request->user : server->opts->user;
		int err = name != NULL ? user_find(name, &crew->user, fail) : 0;

		crew->switches_user = name != NULL;
		if (err == 0 && name != NULL)
			err = user_try(server, crew, fail);
		if (err < 0)
			return err;
	}
	return 0;
}

static int user_of_server(struct sockeye__server *server, struct sockeye_fail *fail)
{
	const char *name = server->opts->user;
	struct sockeye__user user;
	int err;

	if (name == NULL)
		return 0;
	err = user_find(name, &user, fail);
	if (err < 0)
		return err;
	err = sockeye__user_become(&user);
	if (err < 0)
		return sockeye__fail_set(fail, "become user", name, err);
	server->gave_up_root = true;
	return 0;
}

int sockeye__users_set(struct sockeye__server *server, struct sockeye_fail *fail)
{
	int err =
	    users_differ(server) ? users_of_crews(server, fail) : user_of_server(server, fail);

	for (size_t i = 0; i < server->crew_count && err == 0; i++) {
		struct sockeye__crew *crew = &server->crews[i];

		if (crew->model != NULL && crew->run == crew->model->run &&
		    (crew->switches_user || server->gave_up_root))
			err = model_check(server, crew, fail);
	}
	return err;
}

static int check_as_user(const void *arg)
{
	const struct sockeye__crew *crew = arg;
	int err = sockeye__user_become(&crew->user);

	return err < 0 ? err : crew->spec->check(crew->spec->context);
}

int sockeye__crew_check(const struct sockeye__server *server, const struct sockeye__crew *crew,
			struct sockeye_fail *fail)
{
	const char *name = crew->switches_user ? crew->user.name : server->opts->user;
	int err = crew->switches_user ? sockeye__process_call(check_as_user, crew)
				      : crew->spec->check(crew->spec->context);
	char uid[16];

	snprintf(uid, sizeof uid, "%u", (unsigned)geteuid());
	if (err < 0)
		crew->spec->explain(crew->spec->context,
				    crew->user.stays ? "root"
				    : name != NULL   ? name
						     : uid,
				    err, fail);
	return err;
}

int sockeye__users_check(const struct sockeye__server *server, struct sockeye_fail *fail)
{
	for (size_t i = 0; i < server->crew_count; i++) {
		const struct sockeye__crew *crew = &server->crews[i];
		int err = 0;

		if (crew->spec != NULL && crew->spec->check != NULL &&
		    (crew->switches_user || server->gave_up_root))
			err = sockeye__crew_check(server, crew, fail);
		if (err < 0)
			return err;
	}
	return 0;
}
