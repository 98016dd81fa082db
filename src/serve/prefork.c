/*
 * prefork.c: a fixed set of processes, each of which serves one client after another.
 * The processes share the listeners, so a client waits only while all of them are busy.
 */
#include "serve/models.h"

static void run(struct sockeye__worker *w)
{
	struct sockeye__gate gate;
	struct sockeye__visit v;
	size_t site;
	int err;

	err = sockeye__gate_open(&gate, w, -1);
	if (err < 0) {
		sockeye__cannot_start(w, err);
		return;
	}
	while (sockeye__gate_next(&gate, &v, &site) == SOCKEYE__GATE_VISIT)
		sockeye__dismiss(w, &v, sockeye__session_run(w, &v));
	sockeye__gate_close(&gate);
}

const struct sockeye__model sockeye__model_prefork = {
    .facts =
	{
	    .name = "prefork",
	    .summary = "a fixed set of processes, one client each at a time",
	    .workers = 8,
	    .one_session = true,
	},
    .answerers = true,
    .run = run,
};
