/*
 * root.c: the supervisor opens the root directory again when it was replaced: a symbolic link
 * was switched, or the directory was removed and made again (root.h).
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "net/net.h"
#include "tftp/server/root.h"

static void say(const struct sockeye__server *server, enum sockeye_event_kind kind,
		const char *text)
{
	sockeye__server_event(
	    server, &(struct sockeye_event){.kind = kind, .service = "tftp", .text = text});
}

/* Reports a failure once, and again if it changes or at SIGHUP. A server that gave up the
 * privileges of its caller may never be allowed to open the root again, which is reported only
 * at SIGHUP. */
static void report(struct sockeye__tftp_server *s, const struct sockeye__server *server, int err,
		   const struct sockeye_fail *fail, bool again)
{
	const bool hidden = err == -EACCES && !s->root_seen;
	const char *keeping = hidden ? "keeping the old root directory: "
				     : "keeping the old root directory, and trying again every "
				       "second: ";
	char cause[640], text[768];

	if (hidden ? !again : s->root_err == err && !again)
		return;
	s->root_err = err;
	sockeye_fail_text(fail, cause, sizeof cause);
	snprintf(text, sizeof text, "%s%s", keeping, cause);
	say(server, hidden ? SOCKEYE_EVENT_NOTICE : SOCKEYE_EVENT_WARNING, text);
}

/* Exchanges the root of the store. Returns the previous one. */
static int root_swap(struct sockeye__tftp_store *store, int root)
{
	int before = store->root;

	store->root = root;
	return before;
}

bool sockeye__tftp_root_renew(struct sockeye__tftp_server *s, const struct sockeye__server *server,
			      const struct sockeye__crew *crew, bool again)
{
	struct sockeye__tftp_store *store = &s->store;
	struct sockeye_fail fail;
	int root = -1, before, err = sockeye__tftp_store_look(store, &root);

	if (err < 0) {
		sockeye__fail_set(&fail, "open root directory", store->config.root, err);
		report(s, server, err, &fail, again);
		return false;
	}
	s->root_seen = true;
	if (err == 0) {
		s->root_err = 0;
		return false;
	}
	before = root_swap(store, root);
	err = sockeye__crew_check(server, crew, &fail);
	if (err < 0) {
		close(root_swap(store, before));
		report(s, server, err, &fail, again);
		return false;
	}
	close(before);
	s->root_err = 0;
	return true;
}

void sockeye__tftp_root_renewed(const struct sockeye__tftp_server *s,
				const struct sockeye__server *server)
{
	char text[768];

	snprintf(text, sizeof text,
		 "the root directory %s was replaced: new requests use the new one, and transfers "
		 "in progress finish in the old one",
		 s->store.config.root);
	say(server, SOCKEYE_EVENT_NOTICE, text);
}
