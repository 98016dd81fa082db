/*
 * renewal.c: generations of workers (children.h).
 *
 * A worker in a sandbox cannot reopen a resource that it holds, such as the root directory of
 * TFTP. If the resource was replaced, each member of the crew passes to a new worker, with its
 * sockets, so requests that wait in their queues are not lost. The old worker accepts nothing
 * more, and ends after its last session. Each worker needs a seat. While retiring workers occupy
 * all spare seats, the other workers are not replaced.
 */
#include "base/deadline.h"
#include "serve/children.h"

#define LOOK_NS   SOCKEYE_NS_PER_S
#define WORDS_MAX 16 /* words read from a worker at a time */

bool sockeye__renewal_applies(const struct sockeye__crew *crew)
{
	return crew->spec != NULL && crew->spec->renew != NULL;
}

/* Reads the words of a worker. Returns whether it has asked for a renewal. */
static bool has_asked(const struct sockeye__children *c, const struct pollfd *polled,
		      unsigned index)
{
	const struct sockeye__child *child = &c->list[index];
	struct sockeye_sockaddr peer;
	uint8_t bytes[64];
	size_t len;
	bool asked = false;
	int words = 0;

	if (child->state != SOCKEYE__CHILD_RUNS || child->link < 0 ||
	    polled[child->poll_at + 1].revents == 0)
		return false;
	while (words++ < WORDS_MAX && sockeye__link_hear(child->link, &peer, bytes, sizeof bytes,
							 &len) == SOCKEYE__LINK_ASK)
		asked = true;
	return asked;
}

static struct sockeye__child *seat_free(const struct sockeye__children *c,
					const struct sockeye__crew *crew)
{
	for (unsigned k = 0; k < crew->seats; k++)
		if (c->list[crew->first + k].state == SOCKEYE__CHILD_FREE)
			return &c->list[crew->first + k];
	return NULL;
}

/* Starts the successor of a worker in a free seat, and retires the worker. If the successor
 * cannot be started, returns false, and the worker goes on with what it holds. */
static bool succeed(struct sockeye__children *c, struct sockeye__child *old,
		    struct sockeye__child *seat, uint64_t now)
{
	*seat = (struct sockeye__child){.crew = old->crew,
					.member = old->member,
					.state = SOCKEYE__CHILD_FREE,
					.link = -1,
					.process = SOCKEYE__PROCESS_NONE};
	old->state = SOCKEYE__CHILD_RETIRES; /* the successor keeps the links to such workers */
	if (!sockeye__child_start(c, seat, now)) {
		old->state = SOCKEYE__CHILD_RUNS;
		return false;
	}
	sockeye__link_say(old->link, SOCKEYE__LINK_RETIRE);
	return true;
}

/* Retires the workers of old generations, as far as successors can be started. Returns how many
 * workers had to stay for lack of a seat. */
static unsigned crew_retire(struct sockeye__children *c, const struct sockeye__crew *crew,
			    uint64_t now)
{
	unsigned stay = 0;

	for (unsigned k = 0; k < crew->seats; k++) {
		struct sockeye__child *child = &c->list[crew->first + k], *seat;

		if (child->state != SOCKEYE__CHILD_RUNS || child->generation == crew->generation)
			continue;
		seat = seat_free(c, crew);
		if (seat == NULL)
			stay++;
		else if (!succeed(c, child, seat, now))
			break;
	}
	return stay;
}

static void crew_renew(struct sockeye__children *c, struct sockeye__crew *crew, bool again,
		       uint64_t now)
{
	bool renewed = crew->spec->renew(crew->spec->context, c->server, crew, again);
	unsigned stay;

	crew->generation += renewed;
	stay = crew_retire(c, crew, now);
	if (renewed)
		crew->spec->renewed(crew->spec->context, c->server);
	if (stay > 0 && !crew->crowded)
		sockeye__server_event(
		    c->server,
		    &(struct sockeye_event){
			.kind = SOCKEYE_EVENT_WARNING,
			.text = "too many workers are still finishing transfers that began "
				"before earlier changes; the other workers are replaced "
				"when those transfers end"});
	crew->crowded = stay > 0;
}

void sockeye__renewal_run(struct sockeye__children *c, const struct pollfd *polled, bool hangup,
			  uint64_t now)
{
	const bool due = hangup || now >= c->renew_ns;

	for (size_t i = 0; i < c->server->crew_count; i++) {
		struct sockeye__crew *crew = &c->server->crews[i];
		bool asked[SOCKEYE__SEATS_MAX] = {false}, any = false;

		if (!sockeye__renewal_applies(crew) || crew->seats == 0)
			continue;
		for (unsigned k = 0; k < crew->seats; k++)
			any |= asked[k] = has_asked(c, polled, crew->first + k);
		if (due || any)
			crew_renew(c, crew, hangup, now);
		for (unsigned k = 0; k < crew->seats; k++)
			if (asked[k] && c->list[crew->first + k].state == SOCKEYE__CHILD_RUNS)
				sockeye__link_say(c->list[crew->first + k].link,
						  SOCKEYE__LINK_STAY);
		c->renew_ns = due ? now + LOOK_NS : c->renew_ns;
	}
}
